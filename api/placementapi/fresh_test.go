package placementapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// A wire is one way to a shared store, which can be cut.
type wire struct {
	*mem.Store
	mu  sync.Mutex
	cut chan struct{} // closed while it is
}

func newWire(s *mem.Store) *wire { return &wire{Store: s, cut: make(chan struct{})} }

var errCut = errors.New("no way to the store")

func (w *wire) now() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cut {
		close(w.cut)
	} else {
		w.cut = make(chan struct{})
	}
}

func (w *wire) gone() bool {
	select {
	case <-w.now():
		return true
	default:
		return false
	}
}

func (w *wire) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if w.gone() {
		return store.Result{Outcome: store.Unknown, Cause: errCut}, nil
	}
	return w.Store.Commit(ctx, b)
}

func (w *wire) Latest(ctx context.Context) (uint64, error) {
	if w.gone() {
		return 0, errCut
	}
	return w.Store.Latest(ctx)
}

func (w *wire) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		cut := w.now()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			select {
			case <-cut:
				cancel()
			case <-stop:
			}
		}()
		for ev, err := range w.Store.Follow(ctx, after) {
			if err != nil && w.gone() {
				err = errCut
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// sharing returns a server whose engine shares a store.
func sharing(t *testing.T, s store.Store, cfg Config) *Server {
	t.Helper()
	engine, err := placement.Open(t.Context(), placement.Config{Store: s, Now: time.Now, StaleAfter: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	cfg.Engine, cfg.Now = engine, time.Now
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func sharedMemory() *mem.Store { return mem.New(mem.Config{Limits: store.Limits{Shared: true}}) }

// answer is what s says to a request; the status must be want.
func answer(t *testing.T, s *Server, want int, request string) *httptest.ResponseRecorder {
	t.Helper()
	method, rest, _ := strings.Cut(request, " ")
	path, body, _ := strings.Cut(rest, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", "admin")
	r.Header.Set("Openstack-Api-Version", "placement 1.39")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s: status %d, want %d: %s", request, w.Code, want, w.Body)
	}
	return w
}

func hostUUID(n int) string { return fmt.Sprintf("00000001-0000-0000-0000-%012d", n) }

func claimRequest(consumer, host int) string {
	return fmt.Sprintf(`PUT /allocations/00000002-0000-0000-0000-%012d {"allocations": {"%s": {"resources": {"VCPU": 1}}}, "project_id": "p", "user_id": "u", "consumer_generation": null, "consumer_type": "INSTANCE"}`, consumer, hostUUID(host))
}

// TestServersAgree asks one server for what another one has just done: reads,
// writes that build on it, and claims.
func TestServersAgree(t *testing.T) {
	t.Parallel()
	s := sharedMemory()
	a, b := sharing(t, s, Config{}), sharing(t, s, Config{})
	for n := range 50 {
		answer(t, a, http.StatusOK, fmt.Sprintf(`POST /resource_providers {"uuid": "%s", "name": "host%d"}`, hostUUID(n), n))
		answer(t, b, http.StatusOK, fmt.Sprintf(`PUT /resource_providers/%s/inventories {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 2}}}`, hostUUID(n)))
		answer(t, a, http.StatusNoContent, claimRequest(n, n))
		w := answer(t, b, http.StatusOK, "GET /resource_providers/"+hostUUID(n)+"/usages")
		if !strings.Contains(w.Body.String(), `"VCPU": 1`) {
			t.Fatalf("usages are %s", w.Body)
		}
		if h := w.Header().Get(StaleHeader); h != "" {
			t.Errorf("a fresh read is said to be %s seconds old", h)
		}
		answer(t, b, http.StatusNoContent, fmt.Sprintf("DELETE /allocations/00000002-0000-0000-0000-%012d", n))
		answer(t, a, http.StatusNoContent, claimRequest(n, n))
	}
}

// TestCandidatesAfterWrites: candidates are at least as new as the latest
// write that their own engine has acknowledged.
func TestCandidatesAfterWrites(t *testing.T) {
	t.Parallel()
	s := sharing(t, sharedMemory(), Config{})
	for n := range 50 {
		answer(t, s, http.StatusOK, fmt.Sprintf(`POST /resource_providers {"uuid": "%s", "name": "host%d"}`, hostUUID(n), n))
		answer(t, s, http.StatusOK, fmt.Sprintf(`PUT /resource_providers/%s/inventories {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 1}}}`, hostUUID(n)))
		candidates := "GET /allocation_candidates?resources=VCPU:1"
		if w := answer(t, s, http.StatusOK, candidates); !strings.Contains(w.Body.String(), hostUUID(n)) {
			t.Fatalf("a host is missing: %s", w.Body)
		}
		answer(t, s, http.StatusNoContent, claimRequest(n, n))
		if w := answer(t, s, http.StatusOK, candidates); strings.Contains(w.Body.String(), hostUUID(n)) {
			t.Fatalf("a full host is given: %s", w.Body)
		}
	}
}

// ready waits until the engine of s is or is not ready.
func ready(t *testing.T, s *Server, want bool) {
	t.Helper()
	for began := time.Now(); (s.engine.Err() == nil) != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("not in 20 seconds; the engine says: %v", s.engine.Err())
		}
	}
}

// TestCutOff cuts an engine off its store below two servers. Reads that must
// be fresh are refused in time, others say how old they are, and writes end in
// time with an unknown outcome; all of it heals by itself.
func TestCutOff(t *testing.T) {
	t.Parallel()
	const deadline = time.Second
	memory := sharedMemory()
	line := newWire(memory)
	s := sharing(t, line, Config{ReadDeadline: deadline, WriteDeadline: deadline})
	cfg := s.cfg
	cfg.StaleReads = true
	lax, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	other := sharing(t, memory, Config{})
	answer(t, s, http.StatusOK, fmt.Sprintf(`POST /resource_providers {"uuid": "%s", "name": "host"}`, hostUUID(1)))
	answer(t, s, http.StatusOK, fmt.Sprintf(`PUT /resource_providers/%s/inventories {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 9}}}`, hostUUID(1)))

	line.set(true)
	read, candidates := "GET /resource_providers/"+hostUUID(1), "GET /allocation_candidates?resources=VCPU:1"
	ready(t, s, false)
	for _, request := range []string{read, claimRequest(1, 1), fmt.Sprintf(`PUT /resource_providers/%s/traits {"resource_provider_generation": 1, "traits": []}`, hostUUID(1))} {
		began := time.Now()
		w := answer(t, s, http.StatusServiceUnavailable, request)
		if took := time.Since(began); took > 20*deadline {
			t.Errorf("%s took %v", request, took)
		}
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: Retry-After is missing in %v", request, w.Header())
		}
	}
	for _, c := range []struct {
		server  *Server
		request string
	}{{s, candidates}, {lax, candidates}, {lax, read}} {
		if h := answer(t, c.server, http.StatusOK, c.request).Header().Get(StaleHeader); h == "" || h == "0" {
			t.Errorf("%s: %s is %q", c.request, StaleHeader, h)
		}
	}
	answer(t, other, http.StatusNoContent, claimRequest(2, 1))

	line.set(false)
	ready(t, s, true)
	for range 2 {
		w := answer(t, s, http.StatusOK, "GET /allocations/00000002-0000-0000-0000-000000000002")
		if h := w.Header().Get(StaleHeader); h != "" || !strings.Contains(w.Body.String(), "VCPU") {
			t.Errorf("%s is %q: %s", StaleHeader, h, w.Body)
		}
	}
	answer(t, s, http.StatusNoContent, claimRequest(3, 1))
}
