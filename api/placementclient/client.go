package placementclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/placement"
)

// DefaultRetries is how often a call is tried again.
const DefaultRetries = 10

// newest is the newest minor version that the client knows.
const newest = 39

// TokenSource returns the token to send. With fresh set, the last one was
// refused.
type TokenSource func(ctx context.Context, fresh bool) (string, error)

// StaticToken always returns the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context, bool) (string, error) { return token, nil }
}

// Config says which server to ask, and how.
type Config struct {
	URL      string // of the API's root
	Token    TokenSource
	Client   *http.Client // nil: http.DefaultClient
	MaxMinor int          // newest minor version to use; 0: 39
	Retries  int          // after conflicts with other writers; 0: DefaultRetries, negative: none
}

// Client speaks to a Placement server.
type Client struct {
	cfg  Config
	root string

	mu    sync.Mutex // guards what follows
	minor int        // negotiated; 0: not yet
}

// New returns a client. It does not ask the server yet.
func New(cfg Config) (*Client, error) {
	if cfg.URL == "" || cfg.Token == nil {
		return nil, errors.New("placementclient: Config needs URL and Token")
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.MaxMinor == 0 {
		cfg.MaxMinor = newest
	}
	if cfg.Retries == 0 {
		cfg.Retries = DefaultRetries
	}
	return &Client{cfg: cfg, root: strings.TrimRight(cfg.URL, "/")}, nil
}

// Minor returns the minor version that client and server have in common.
func (c *Client) Minor(ctx context.Context) (int, error) {
	c.mu.Lock()
	minor := c.minor
	c.mu.Unlock()
	if minor > 0 {
		return minor, nil
	}
	var root struct {
		Versions []struct {
			Max string `json:"max_version"`
		} `json:"versions"`
	}
	if err := c.send(ctx, exchange{method: http.MethodGet, path: "/", answer: &root}); err != nil {
		return 0, err
	}
	if len(root.Versions) == 0 {
		return 0, errors.New("placement server tells no version")
	}
	if _, err := fmt.Sscanf(root.Versions[0].Max, "1.%d", &minor); err != nil || minor < minMinor {
		return 0, fmt.Errorf("placement server has versions up to %q, needed is 1.%d", root.Versions[0].Max, minMinor)
	}
	minor = min(minor, c.cfg.MaxMinor)
	c.mu.Lock()
	c.minor = minor
	c.mu.Unlock()
	return minor, nil
}

// minMinor is the oldest version that the client makes do with: consumers
// have generations.
const minMinor = 28

// exchange is one request and where its answer goes.
type exchange struct {
	method, path string
	body         any // nil: none
	answer       any // nil: is not read
	minor        int
	header       *http.Header // of the answer; nil: is not wanted
}

// do makes a request in the negotiated version.
func (c *Client) do(ctx context.Context, x exchange) error {
	if x.minor == 0 {
		minor, err := c.Minor(ctx)
		if err != nil {
			return err
		}
		x.minor = minor
	}
	return c.send(ctx, x)
}

// send makes a request, twice when the token was refused.
func (c *Client) send(ctx context.Context, x exchange) error {
	var body []byte
	if x.body != nil {
		var err error
		if body, err = json.Marshal(x.body); err != nil {
			return fmt.Errorf("%s %s: %w", x.method, x.path, err)
		}
	}
	for _, fresh := range []bool{false, true} {
		token, err := c.cfg.Token(ctx, fresh)
		if err != nil {
			return fmt.Errorf("%s %s: token: %w", x.method, x.path, err)
		}
		err = c.once(ctx, x, body, token)
		if refusal := (*RefusalError)(nil); !fresh && errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized {
			continue
		}
		return err
	}
	return nil
}

func (c *Client) once(ctx context.Context, x exchange, body []byte, token string) error {
	resp, err := c.open(ctx, x, body, token)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	if x.header != nil {
		*x.header = resp.Header
	}
	if x.answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(x.answer); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", x.method, x.path, err)
	}
	return nil
}

// open makes a request and returns the answer to a successful one, whose body
// the caller closes.
func (c *Client) open(ctx context.Context, x exchange, body []byte, token string) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, x.method, c.root+x.path, reader)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", x.method, x.path, err)
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("Accept", "application/json")
	if x.minor > 0 {
		r.Header.Set(api.VersionHeader, fmt.Sprintf("placement 1.%d", x.minor))
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	// net/http sends what is marked so once more when a connection that was
	// kept turns out to be closed; nothing of the mark goes over the wire. No
	// write of this API can take effect twice: UUIDs, names and generations
	// make the second a conflict.
	r.Header["Idempotency-Key"] = nil
	resp, err := c.cfg.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", x.method, x.path, err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, fmt.Errorf("%s %s: %w", x.method, x.path, refusalOf(resp))
}

// retry calls f until it does not fail by a conflict with another writer. The
// first argument of f counts the tries.
func (c *Client) retry(ctx context.Context, f func() error) error {
	for tries := 0; ; tries++ {
		err := f()
		if !errors.Is(err, placement.ErrConcurrentUpdate) || tries >= c.cfg.Retries || ctx.Err() != nil {
			return err
		}
	}
}
