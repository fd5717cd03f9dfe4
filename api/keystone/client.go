package keystone

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/kilonova-cloud/kilonova/api"
)

// client asks Identity with an account of its own.
type client struct {
	cfg *Config

	mu       sync.Mutex // guards what follows
	identity *gophercloud.ServiceClient
}

// verdict is what Identity says of a token.
type verdict struct {
	who     api.Identity
	expires time.Time
}

// tokenBody is the part of a token that counts.
//
// Source: keystone, API reference, GET /v3/auth/tokens.
type tokenBody struct {
	Token struct {
		ExpiresAt time.Time `json:"expires_at"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
		Project *struct {
			ID string `json:"id"`
		} `json:"project"`
		Domain *struct {
			ID string `json:"id"`
		} `json:"domain"`
		System *struct {
			All bool `json:"all"`
		} `json:"system"`
		Roles []struct {
			Name string `json:"name"`
		} `json:"roles"`
	} `json:"token"`
}

// validate asks about a token. The flag is false for one that Identity does
// not know; an error means that Identity could not be asked.
func (c *client) validate(ctx context.Context, token string, allowExpired bool) (v verdict, known bool, err error) {
	identity, err := c.connect(ctx)
	if err != nil {
		return v, false, err
	}
	url := identity.ServiceURL("auth", "tokens") + "?nocatalog"
	if allowExpired {
		url += "&allow_expired=1"
	}
	var body tokenBody
	_, err = identity.Get(ctx, url, &body, &gophercloud.RequestOpts{ //nolint:bodyclose // is closed once it is decoded
		MoreHeaders: map[string]string{"X-Subject-Token": token},
		OkCodes:     []int{http.StatusOK, http.StatusNonAuthoritativeInfo},
	})
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound), gophercloud.ResponseCodeIs(err, http.StatusBadRequest):
		return v, false, nil
	case err != nil:
		return v, false, fmt.Errorf("validate a token: %w", err)
	}
	return body.verdict(), true, nil
}

func (b *tokenBody) verdict() verdict {
	t := &b.Token
	v := verdict{who: api.Identity{User: t.User.ID}, expires: t.ExpiresAt}
	if t.Project != nil {
		v.who.Project = t.Project.ID
	}
	if t.Domain != nil {
		v.who.Domain = t.Domain.ID
	}
	if t.System != nil && t.System.All {
		v.who.SystemScope = "all"
	}
	for _, r := range t.Roles {
		v.who.Roles = append(v.who.Roles, r.Name)
	}
	return v
}

// connect logs in, once.
func (c *client) connect(ctx context.Context) (*gophercloud.ServiceClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity != nil {
		return c.identity, nil
	}
	base := strings.TrimSuffix(strings.TrimRight(c.cfg.URL, "/"), "/v3") + "/"
	provider, err := openstack.NewClient(base)
	if err != nil {
		return nil, fmt.Errorf("log in to Identity: %w", err)
	}
	provider.HTTPClient = *c.cfg.Client
	opts := gophercloud.AuthOptions{
		IdentityEndpoint: base + "v3/", AllowReauth: true,
		Username: c.cfg.Username, UserID: c.cfg.UserID, Password: c.cfg.Password,
		DomainID: c.cfg.UserDomainID, DomainName: c.cfg.UserDomainName,
		ApplicationCredentialID: c.cfg.CredentialID, ApplicationCredentialSecret: c.cfg.CredentialSecret,
	}
	if c.cfg.CredentialID == "" {
		opts.Scope = &gophercloud.AuthScope{
			ProjectID: c.cfg.ProjectID, ProjectName: c.cfg.ProjectName, DomainID: c.cfg.ProjectDomainID, DomainName: c.cfg.ProjectDomainName,
		}
	}
	if c.cfg.UserID != "" || c.cfg.CredentialID != "" {
		opts.DomainID, opts.DomainName = "", ""
	}
	if c.cfg.ProjectID != "" && opts.Scope != nil {
		opts.Scope.DomainID, opts.Scope.DomainName = "", ""
	}
	if err := openstack.AuthenticateV3(ctx, provider, &opts, gophercloud.EndpointOpts{}); err != nil {
		return nil, fmt.Errorf("log in to Identity: %w", err)
	}
	c.identity = &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: base + "v3/"}
	return c.identity, nil
}
