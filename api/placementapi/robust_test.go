package placementapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/policy"
	"github.com/kilonova-cloud/kilonova/placement"
)

// live serves over HTTP as the command does and returns the address.
func live(t *testing.T, s *Server) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- api.Serve(ctx, 20*time.Second, api.Endpoint{Server: api.NewServer(s), Listener: api.WithErrorDocuments(l)})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// do makes a request over HTTP and returns the status and what the error says.
func do(t *testing.T, r *http.Request) (int, api.ErrorItem) {
	t.Helper()
	r.Header.Set("X-Auth-Token", "admin")
	r.Header.Set(api.VersionHeader, "placement 1.39")
	if r.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, api.ErrorItem{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	var document api.ErrorDocument
	if json.Unmarshal(body, &document) == nil && len(document.Errors) > 0 {
		return resp.StatusCode, document.Errors[0]
	}
	return resp.StatusCode, api.ErrorItem{}
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLastUnit lets 64 clients claim the last unit of a host at once.
func TestLastUnit(t *testing.T) {
	t.Parallel()
	s := flatWorld(t, 1)
	addr := live(t, s)
	var mu sync.Mutex
	counts := map[string]int{}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			body := `{"allocations": {"00000001-0000-0000-0000-000000000000": {"resources": {"VCPU": 64}}}, "project_id": "p", "user_id": "u", "consumer_generation": null, "consumer_type": "INSTANCE"}`
			status, e := do(t, request(t, http.MethodPut, fmt.Sprintf("http://%s/allocations/00000002-0000-0000-0000-%012d", addr, i), strings.NewReader(body)))
			mu.Lock()
			counts[fmt.Sprint(status, " ", e.Code, " ", strings.Contains(e.Detail, "The requested amount would exceed the capacity"))]++
			mu.Unlock()
		})
	}
	all.Wait()
	if counts["204  false"] != 1 || counts["409 placement.undefined_code true"] != 63 {
		t.Errorf("answers: %v; want one 204 and 63 409", counts)
	}
}

// endless is a body without a length.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), e.left)
	for i := range n {
		b[i] = ' '
	}
	e.left -= n
	return n, nil
}

func TestHostileBodies(t *testing.T) {
	t.Parallel()
	addr := live(t, flatWorld(t, 1))
	var many strings.Builder
	many.WriteString(`{"$": {`)
	for i := range 100_000 {
		fmt.Fprintf(&many, `"k%d": 1, `, i)
	}
	for _, c := range []struct {
		name   string
		body   io.Reader
		status int
		want   string
	}{
		{"too large", strings.NewReader(strings.Repeat(" ", MaxBody+1)), 413, "at most 10485760 bytes"},
		{"too large, of unknown length", &endless{MaxBody + 1}, 413, "at most 10485760 bytes"},
		{"as large as can be", strings.NewReader(strings.Repeat(" ", MaxBody)), 400, "Malformed JSON"},
		{"large, of unknown length", &endless{MaxBody}, 400, "Malformed JSON"},
		{"deep", strings.NewReader(strings.Repeat("[", 1<<20)), 400, "nested deeper"},
		{"deep objects", strings.NewReader(strings.Repeat(`{"a":`, 1<<20)), 400, "nested deeper"},
		{"many values", strings.NewReader("[" + strings.Repeat("0,", 4<<20) + "0]"), 400, "more than"},
		{"many unknown keys", strings.NewReader(many.String() + `"z": 1}}`), 400, "does not match any of the regexes"},
		{"many repeated keys", strings.NewReader(`{` + strings.Repeat(`"a": 1, `, 1<<20) + `"a": 1}`), 400, "repeated key"},
		{"no UTF-8", strings.NewReader("{\"\xff\": 1}"), 400, "not valid UTF-8"},
		{"a long number", strings.NewReader(`{"a": ` + strings.Repeat("9", 1<<20) + "}"), 400, "does not match any"},
		{"infinity", strings.NewReader(`{"a": Infinity}`), 400, "Malformed JSON"},
	} {
		status, e := do(t, request(t, http.MethodPost, "http://"+addr+"/allocations", c.body))
		if status != c.status || !strings.Contains(e.Detail, c.want) || len(e.Detail) > 4000 {
			t.Errorf("%s: %d %.200s (%d bytes); want %d and %q", c.name, status, e.Detail, len(e.Detail), c.status, c.want)
		}
	}
}

// TestHostileQueries is not parallel to others, so that the processor time is
// its own.
func TestHostileQueries(t *testing.T) {
	addr := live(t, flatWorld(t, 1))
	for _, c := range []struct {
		name, query string
		status      int
		want        string
	}{
		{"100,000 parameters", strings.Repeat("a=1&", 100_000), 431, ""},
		{"20,000 parameters", strings.Repeat("a=1&", 20_000), 400, "too many parameters"},
		{"9,000 unknown parameters", manyParams(9_000), 400, "regexes"},
		{"9,000 groups", manyGroups(9_000), 200, ""},
		{"9,000 resources", "resources=" + strings.Repeat("VCPU:1,", 9_000) + "VCPU:1", 200, ""},
		{"no UTF-8", "resources=%ff", 400, "UTF-8"},
	} {
		began := cpuTime(t)
		status, e := do(t, request(t, http.MethodGet, "http://"+addr+"/allocation_candidates?"+c.query, nil))
		if status != c.status || !strings.Contains(e.Detail, c.want) || len(e.Detail) > 4000 || cpuTime(t)-began > 10*time.Second {
			t.Errorf("%s: %d %.200s (%d bytes) in %v of processor time; want %d and %q", c.name, status, e.Detail, len(e.Detail), cpuTime(t)-began, c.status, c.want)
		}
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d=1&", i)
	}
	return b.String()
}

func manyGroups(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "resources%d=VCPU:1&", i+1)
	}
	return b.String() + "group_policy=none"
}

// TestMalformedHTTP sends what no handler sees.
func TestMalformedHTTP(t *testing.T) {
	t.Parallel()
	addr := live(t, flatWorld(t, 1))
	for text, want := range map[string]string{
		"POST /resource_providers HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n": "content-length header must be an integer",
		"nonsense\r\n\r\n":                             "not HTTP",
		"GET / HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n":     "",
		"GET / HTTP/1.1\r\n\r\n":                       "missing required Host header",
		"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n": "",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var document api.ErrorDocument
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&document), resp.Body.Close())
		if err != nil || resp.StatusCode != http.StatusBadRequest || len(document.Errors) != 1 || !strings.Contains(document.Errors[0].Detail, want) {
			t.Errorf("%q: %d, %v, %v; want an error document with %q", text, resp.StatusCode, document, err, want)
		}
		_ = conn.Close()
	}
}

// TestPanic: a handler that panics is a 500 with a document, and the server
// goes on.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := flatWorld(t, 1)
	s.mux.Handle("/broken", &endpoint{pattern: "/broken", methods: []route{{method: "GET", handle: func(*call) error {
		panic("a fault")
	}}}})
	if w := serve(t, s, http.MethodGet, "/broken", ""); w.status != http.StatusInternalServerError || w.bytes == 0 {
		t.Errorf("status %d, %d bytes", w.status, w.bytes)
	}
	if w := serve(t, s, http.MethodGet, "/", ""); w.status != http.StatusOK {
		t.Errorf("afterwards: %d", w.status)
	}
}

// TestClosedEngine: an engine that is gone is a 503.
func TestClosedEngine(t *testing.T) {
	t.Parallel()
	s := flatWorld(t, 1)
	if err := s.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if w := serve(t, s, http.MethodPost, "/resource_providers", `{"name": "x"}`); w.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", w.status)
	}
}

// TestStream asks for everything: the answer is complete, and comes in
// chunks.
func TestStream(t *testing.T) {
	t.Parallel()
	addr := live(t, flatWorld(t, 2000))
	r := request(t, http.MethodGet, "http://"+addr+"/allocation_candidates?resources=VCPU:1", nil)
	r.Header = http.Header{"X-Auth-Token": {"admin"}, api.VersionHeader: {"placement 1.39"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Requests  []json.RawMessage          `json:"allocation_requests"`
		Summaries map[string]json.RawMessage `json:"provider_summaries"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Requests) != 2000 || len(answer.Summaries) != 2000 || resp.ContentLength != -1 {
		t.Errorf("%d requests, %d summaries, length %d", len(answer.Requests), len(answer.Summaries), resp.ContentLength)
	}
}

// TestRulesOfRoutes: every route but the root is guarded by a rule that
// exists, and every rule guards something.
func TestRulesOfRoutes(t *testing.T) {
	t.Parallel()
	used := map[string]bool{"admin_api": true, "service_api": true, "admin_or_service_api": true, "project_reader_api": true, "admin_or_project_reader_or_service_api": true}
	rules := DefaultRules()
	for _, rt := range routes() {
		used[rt.rule] = true
		if rt.pattern != "/{$}" && !slices.ContainsFunc(rules, func(d policy.Default) bool { return d.Name == rt.rule }) {
			t.Errorf("%s %s: rule %q does not exist", rt.method, rt.pattern, rt.rule)
		}
	}
	for _, d := range rules {
		if !used[d.Name] {
			t.Errorf("rule %s guards nothing", d.Name)
		}
	}
}

// TestCompatNamesEveryRoute keeps docs/compat.md true to the routes.
func TestCompatNamesEveryRoute(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, rt := range routes() {
		row := fmt.Sprintf("| %s | `%s` | 1.%d |", rt.method, strings.Replace(rt.pattern, "{$}", "", 1), rt.since)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/compat.md lacks the row %s", row)
		}
		rows++
	}
	if got := strings.Count(string(text), "| `/"); got != rows {
		t.Errorf("docs/compat.md has %d rows of routes, want %d", got, rows)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("a server without an engine")
	}
	if _, err := New(Config{Engine: new(placement.Engine)}); err == nil {
		t.Error("a server without a clock")
	}
}
