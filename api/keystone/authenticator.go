package keystone

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
)

// The defaults of Config.
const (
	DefaultCacheTime = 5 * time.Minute
	defaultTimeout   = 15 * time.Second
	negativeTime     = 10 * time.Second // how long an unknown token stays unknown
	maxCached        = 50_000           // tokens
	restTime         = 2 * time.Second  // how long Identity is left alone after it could not be asked
)

// Config says where Identity is and which account asks it.
type Config struct {
	URL string // of Identity, with or without /v3

	Username, UserID, Password         string
	UserDomainName, UserDomainID       string
	ProjectName, ProjectID             string
	ProjectDomainName, ProjectDomainID string
	CredentialID, CredentialSecret     string // an application credential in place of user and project

	PublicURL            string        // of Identity, as refused clients are told; "": URL
	CacheTime            time.Duration // for which an answer is believed; 0: DefaultCacheTime
	ServiceRoles         []string      // one of them makes a token that of a service; none: service
	ServiceRolesRequired bool          // a service token without them is refused
	Client               *http.Client  // nil: one with a timeout
	Now                  func() time.Time
}

// Authenticator tells who makes a request.
type Authenticator struct {
	cfg    Config
	client *client

	mu     sync.Mutex // guards what follows
	cache  map[cacheKey]*entry
	flight map[cacheKey]*flight
	rest   time.Time // until then Identity counts as away
}

var _ api.Authenticator = (*Authenticator)(nil)

type cacheKey struct {
	token        [sha256.Size]byte
	allowExpired bool
}

// entry is a remembered answer.
type entry struct {
	verdict
	known bool
	asked time.Time
}

// flight is a question under way, which others wait for too.
type flight struct {
	done  chan struct{}
	entry *entry
	err   error
}

// New makes an authenticator. It does not ask Identity yet.
func New(cfg Config) (*Authenticator, error) {
	switch {
	case cfg.URL == "":
		return nil, errors.New("keystone: the URL of Identity is missing")
	case cfg.CredentialID == "" && cfg.Username == "" && cfg.UserID == "":
		return nil, errors.New("keystone: the user that validates tokens is missing")
	case cfg.Now == nil:
		return nil, errors.New("keystone: Config needs Now")
	}
	if cfg.PublicURL == "" {
		cfg.PublicURL = cfg.URL
	}
	if cfg.CacheTime == 0 {
		cfg.CacheTime = DefaultCacheTime
	}
	if len(cfg.ServiceRoles) == 0 {
		cfg.ServiceRoles = []string{"service"}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: defaultTimeout}
	}
	a := &Authenticator{cfg: cfg, cache: map[cacheKey]*entry{}, flight: map[cacheKey]*flight{}}
	a.client = &client{cfg: &a.cfg}
	return a, nil
}

// Authenticate validates the tokens of r.
//
// Source: keystonemiddleware, auth_token, AuthProtocol.
func (a *Authenticator) Authenticate(r *http.Request) (api.Identity, error) {
	service, err := a.service(r)
	if err != nil {
		return api.Identity{}, err
	}
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return api.Identity{}, a.unauthorized()
	}
	e, err := a.ask(r.Context(), token, service)
	if err != nil {
		return api.Identity{}, err
	}
	if !e.known || !service && !a.cfg.Now().Before(e.expires) {
		return api.Identity{}, a.unauthorized()
	}
	return e.who, nil
}

// service reports whether the request comes from a service that shows its
// own token.
func (a *Authenticator) service(r *http.Request) (bool, error) {
	token := r.Header.Get("X-Service-Token")
	if token == "" {
		return false, nil
	}
	e, err := a.ask(r.Context(), token, false)
	if err != nil {
		return false, err
	}
	if !e.known || !a.cfg.Now().Before(e.expires) {
		return false, a.unauthorized()
	}
	is := slices.ContainsFunc(a.cfg.ServiceRoles, e.who.HasRole)
	if !is && a.cfg.ServiceRolesRequired {
		return false, a.unauthorized()
	}
	return is, nil
}

func (a *Authenticator) unauthorized() error {
	return &api.Error{Status: http.StatusUnauthorized, Outside: true, Challenge: `Keystone uri="` + a.cfg.PublicURL + `"`}
}

// ask returns what is known of a token, from memory or from Identity. While
// Identity is away, an older answer is as good.
func (a *Authenticator) ask(ctx context.Context, token string, allowExpired bool) (*entry, error) {
	key := cacheKey{sha256.Sum256([]byte(token)), allowExpired}
	a.mu.Lock()
	e := a.cache[key]
	if e != nil && a.cfg.Now().Sub(e.asked) < a.believed(e) {
		a.mu.Unlock()
		return e, nil
	}
	if a.cfg.Now().Before(a.rest) {
		a.mu.Unlock()
		return a.insteadOf(e, errResting)
	}
	f := a.flight[key]
	if f != nil {
		a.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, a.away(ctx.Err())
		}
		return f.entry, f.err
	}
	f = &flight{done: make(chan struct{})}
	a.flight[key] = f
	a.mu.Unlock()
	f.entry, f.err = a.fetch(ctx, token, key, e)
	a.mu.Lock()
	delete(a.flight, key)
	a.mu.Unlock()
	close(f.done)
	return f.entry, f.err
}

func (a *Authenticator) believed(e *entry) time.Duration {
	if !e.known {
		return negativeTime
	}
	return a.cfg.CacheTime
}

// fetch asks Identity and remembers the answer. Others may wait for it, so
// it does not end with the request that asked first.
func (a *Authenticator) fetch(ctx context.Context, token string, key cacheKey, old *entry) (*entry, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultTimeout)
	defer cancel()
	v, known, err := a.client.validate(ctx, token, key.allowExpired)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.rest = a.cfg.Now().Add(restTime)
		return a.insteadOf(old, err)
	}
	e := &entry{v, known, a.cfg.Now()}
	if len(a.cache) >= maxCached {
		a.shrink()
	}
	a.cache[key] = e
	return e, nil
}

var errResting = errors.New("could not be asked a moment ago")

// insteadOf answers though Identity cannot be asked: what was valid is valid
// until it expires.
func (a *Authenticator) insteadOf(old *entry, err error) (*entry, error) {
	if old != nil && old.known {
		return old, nil
	}
	return nil, a.away(err)
}

// shrink forgets what has expired, or half of everything; a.mu is held.
func (a *Authenticator) shrink() {
	now := a.cfg.Now()
	for key, e := range a.cache {
		if !e.known || now.After(e.expires) {
			delete(a.cache, key)
		}
	}
	for key := range a.cache {
		if len(a.cache) < maxCached/2 {
			return
		}
		delete(a.cache, key)
	}
}

func (a *Authenticator) away(err error) error {
	return &api.Error{
		Status: http.StatusServiceUnavailable, Outside: true, Cause: err,
		Detail: "The Keystone service is temporarily unavailable.",
	}
}
