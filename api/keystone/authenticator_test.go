package keystone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
)

// fake is an Identity service.
type fake struct {
	mu      sync.Mutex
	tokens  map[string]string // JSON of the token
	expired map[string]bool   // only with allow_expired
	own     string            // token of the account that asks
	logins  int
	asked   int
	away    bool
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.away:
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodPost && r.URL.Path == "/identity/v3/auth/tokens":
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"password":"secret"`) || !strings.Contains(string(body), `"name":"service"`) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.logins++
		f.own = fmt.Sprint("own", f.logins)
		w.Header().Set("X-Subject-Token", f.own)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"token": {"expires_at": "2030-01-01T00:00:00.000000Z", "catalog": []}}`)
	case r.Method == http.MethodGet && r.URL.Path == "/identity/v3/auth/tokens":
		f.asked++
		subject := r.Header.Get("X-Subject-Token")
		token, known := f.tokens[subject]
		switch {
		case r.Header.Get("X-Auth-Token") != f.own:
			w.WriteHeader(http.StatusUnauthorized)
		case !known || f.expired[subject] && r.URL.Query().Get("allow_expired") == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, token)
		}
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func token(user, project string, expires time.Time, roles ...string) string {
	t := map[string]any{"user": map[string]string{"id": user}, "expires_at": expires.Format("2006-01-02T15:04:05.000000Z")}
	if project == "system" {
		t["system"] = map[string]bool{"all": true}
	} else if project != "" {
		t["project"] = map[string]string{"id": project}
	}
	var list []map[string]string
	for _, r := range roles {
		list = append(list, map[string]string{"name": r})
	}
	t["roles"] = list
	b, _ := json.Marshal(map[string]any{"token": t})
	return string(b)
}

func setUp(t *testing.T) (*fake, *clock, *Authenticator) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	f := &fake{expired: map[string]bool{"old": true}, tokens: map[string]string{
		"admin":   token("u1", "p1", c.now.Add(time.Hour), "admin", "reader"),
		"system":  token("u2", "system", c.now.Add(time.Hour), "admin"),
		"old":     token("u3", "p3", c.now.Add(-time.Hour), "member"),
		"service": token("nova", "s", c.now.Add(time.Hour), "service"),
		"nobody":  token("u4", "", c.now.Add(time.Hour)),
	}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	a, err := New(Config{
		URL: server.URL + "/identity/v3", Username: "placement", Password: "secret", UserDomainName: "Default",
		ProjectName: "service", ProjectDomainName: "Default", PublicURL: "http://public", Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, c, a
}

// ask returns the identity, or the status of the refusal.
func ask(t *testing.T, a *Authenticator, headers ...string) (api.Identity, int) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	who, err := a.Authenticate(r)
	if err == nil {
		return who, http.StatusOK
	}
	refusal := (*api.Error)(nil)
	if !errors.As(err, &refusal) {
		t.Fatalf("not an *api.Error: %v", err)
	}
	if refusal.Status == http.StatusUnauthorized && refusal.Challenge != `Keystone uri="http://public"` {
		t.Errorf("challenge %q", refusal.Challenge)
	}
	return who, refusal.Status
}

func TestTokens(t *testing.T) {
	t.Parallel()
	_, _, a := setUp(t)
	for _, c := range []struct {
		headers []string
		status  int
		want    api.Identity
	}{
		{nil, 401, api.Identity{}},
		{[]string{"X-Auth-Token", ""}, 401, api.Identity{}},
		{[]string{"X-Auth-Token", "unknown"}, 401, api.Identity{}},
		{[]string{"X-Auth-Token", "admin"}, 200, api.Identity{User: "u1", Project: "p1", Roles: []string{"admin", "reader"}}},
		{[]string{"X-Auth-Token", "system"}, 200, api.Identity{User: "u2", SystemScope: "all", Roles: []string{"admin"}}},
		{[]string{"X-Auth-Token", "nobody"}, 200, api.Identity{User: "u4"}},
		{[]string{"X-Auth-Token", "old"}, 401, api.Identity{}},
		{[]string{"X-Auth-Token", "old", "X-Service-Token", "service"}, 200, api.Identity{User: "u3", Project: "p3", Roles: []string{"member"}}},
		{[]string{"X-Auth-Token", "old", "X-Service-Token", "admin"}, 401, api.Identity{}},
		{[]string{"X-Auth-Token", "admin", "X-Service-Token", "admin"}, 200, api.Identity{User: "u1", Project: "p1", Roles: []string{"admin", "reader"}}},
		{[]string{"X-Auth-Token", "admin", "X-Service-Token", "unknown"}, 401, api.Identity{}},
		// A client cannot give itself roles.
		{[]string{"X-Auth-Token", "nobody", "X-Roles", "admin", "X-Project-Id", "p1"}, 200, api.Identity{User: "u4"}},
	} {
		who, status := ask(t, a, c.headers...)
		if status != c.status || who.User != c.want.User || who.Project != c.want.Project || who.SystemScope != c.want.SystemScope || !slices.Equal(who.Roles, c.want.Roles) {
			t.Errorf("%v: %d %+v, want %d %+v", c.headers, status, who, c.status, c.want)
		}
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	f, c, a := setUp(t)
	asked := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.asked
	}
	for range 3 {
		ask(t, a, "X-Auth-Token", "admin")
		ask(t, a, "X-Auth-Token", "unknown")
	}
	if n := asked(); n != 2 {
		t.Errorf("asked %d times for two tokens", n)
	}
	c.add(negativeTime)
	ask(t, a, "X-Auth-Token", "unknown")
	if n := asked(); n != 3 {
		t.Errorf("an unknown token: asked %d times, want 3", n)
	}
	c.add(DefaultCacheTime)
	ask(t, a, "X-Auth-Token", "admin")
	if n := asked(); n != 4 {
		t.Errorf("after the cache time: asked %d times, want 4", n)
	}
	var all sync.WaitGroup
	c.add(DefaultCacheTime)
	for range 32 {
		all.Go(func() { ask(t, a, "X-Auth-Token", "admin") })
	}
	all.Wait()
	if n := asked(); n != 5 {
		t.Errorf("32 at once: asked %d times, want 5", n)
	}
}

// TestAway: while Identity is away, tokens that were seen go on until they
// expire, others get a 503; afterwards all is as before.
func TestAway(t *testing.T) {
	t.Parallel()
	f, c, a := setUp(t)
	set := func(away bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.away = away
	}
	set(true)
	if _, status := ask(t, a, "X-Auth-Token", "admin"); status != http.StatusServiceUnavailable {
		t.Errorf("before the first login: %d, want 503", status)
	}
	set(false)
	if _, status := ask(t, a, "X-Auth-Token", "admin"); status != http.StatusServiceUnavailable {
		t.Errorf("a moment later: %d, want 503", status)
	}
	c.add(restTime)
	if _, status := ask(t, a, "X-Auth-Token", "admin"); status != http.StatusOK {
		t.Errorf("after recovery: %d", status)
	}
	set(true)
	c.add(2 * DefaultCacheTime)
	if _, status := ask(t, a, "X-Auth-Token", "admin"); status != http.StatusOK {
		t.Errorf("a seen token: %d, want 200", status)
	}
	if _, status := ask(t, a, "X-Auth-Token", "service"); status != http.StatusServiceUnavailable {
		t.Errorf("a new token: %d, want 503", status)
	}
	c.add(time.Hour)
	if _, status := ask(t, a, "X-Auth-Token", "admin"); status != http.StatusUnauthorized {
		t.Errorf("a seen token that expired: %d, want 401", status)
	}
	set(false)
	f.mu.Lock()
	f.own = "revoked" // its own token is no longer valid
	f.mu.Unlock()
	a.rest = time.Time{}
	c.add(-time.Hour)
	if _, status := ask(t, a, "X-Auth-Token", "service"); status != http.StatusOK {
		t.Errorf("after its own token was revoked: %d, want 200", status)
	}
}

func TestShrink(t *testing.T) {
	t.Parallel()
	_, c, a := setUp(t)
	for i := range maxCached {
		var key cacheKey
		key.token[0], key.token[1], key.token[2] = byte(i), byte(i>>8), byte(i>>16)
		a.cache[key] = &entry{verdict{expires: c.now.Add(time.Hour)}, true, c.now}
	}
	if ask(t, a, "X-Auth-Token", "admin"); len(a.cache) > maxCached/2+1 {
		t.Errorf("%d tokens remembered", len(a.cache))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{}, {URL: "http://x"}, {URL: "http://x", Username: "u"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
}
