//go:build integration

package placementapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/placement"
)

// TestDifferential compares answers with those of OpenStack Placement, which
// it empties. KILONOVA_SEED, KILONOVA_WORLDS and KILONOVA_STEPS choose. Known
// faults of the reference are excused and counted.
func TestDifferential(t *testing.T) {
	openstack := reference(t)
	seed, worlds, steps := setting(t, "KILONOVA_SEED", 1), setting(t, "KILONOVA_WORLDS", 20), setting(t, "KILONOVA_STEPS", 300)
	t.Run("candidates", func(t *testing.T) {
		counts := map[string]int{}
		for w := range worlds {
			d := newDiff(t, openstack, uint64(seed+w))
			d.build()
			for range steps / 5 {
				counts[d.compare()]++
			}
		}
		report(t, "candidate requests", counts)
	})
	t.Run("requests", func(t *testing.T) { testRequests(t, openstack, seed, worlds, steps) })
}

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, allowed is: a number from 1", name, text)
	}
	return n
}

type diff struct {
	t         *testing.T
	seed      uint64
	rng       *rand.Rand
	theirs    string
	ours      *Server
	clients   []*placementclient.Client // of both
	providers []placement.UUID
	roots     map[placement.UUID]placement.UUID
	sharing   bool
}

func newDiff(t *testing.T, reference string, seed uint64) *diff {
	t.Helper()
	d := &diff{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), theirs: reference, roots: map[placement.UUID]placement.UUID{}}
	engine, err := placement.Open(t.Context(), placement.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	if d.ours, err = New(Config{Engine: engine, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	live := httptest.NewServer(d.ours)
	t.Cleanup(live.Close)
	for _, u := range []string{live.URL, reference} {
		c, err := placementclient.New(placementclient.Config{URL: u, Token: placementclient.StaticToken("admin")})
		if err != nil {
			t.Fatal(err)
		}
		d.clients = append(d.clients, c)
	}
	d.empty(d.clients[1])
	d.forgetNames()
	return d
}

// empty deletes every provider with its allocations.
func (d *diff) empty(c *placementclient.Client) {
	ctx := d.t.Context()
	for {
		list, err := c.Providers(ctx, placement.ProviderFilter{})
		if err != nil {
			d.t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			held, _, err := c.ProviderConsumers(ctx, p.UUID)
			if err != nil {
				d.t.Fatal(err)
			}
			for consumer := range held {
				if err := c.DeleteAllocations(ctx, consumer); err != nil {
					d.t.Fatal(err)
				}
			}
			if err := c.DeleteProvider(ctx, p.UUID); err != nil && !errors.Is(err, placement.ErrHasChildren) {
				d.t.Fatal(err)
			}
		}
	}
}

var (
	diffClasses = []string{"VCPU", "DISK_GB", "VGPU", "CUSTOM_A"}
	diffTraits  = []string{"CUSTOM_T1", "CUSTOM_T2", "COMPUTE_NODE", "HW_CPU_X86_AVX"}
	diffAggs    = []placement.UUID{{15: 0xa1}, {15: 0xa2}, {15: 0xa3}}
)

// both does the same on both sides and demands the same outcome.
func (d *diff) both(what string, do func(*placementclient.Client) error) bool {
	d.t.Helper()
	ours, theirs := do(d.clients[0]), do(d.clients[1])
	if (ours == nil) != (theirs == nil) {
		d.t.Errorf("seed %d, %s: ours %v, theirs %v", d.seed, what, ours, theirs)
	}
	return theirs == nil
}

func (d *diff) some(list []string, p float64) []string {
	var chosen []string
	for _, s := range list {
		if d.rng.Float64() < p {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func (d *diff) build() {
	ctx := d.t.Context()
	d.both("class", func(c *placementclient.Client) error { return c.CreateClass(ctx, "CUSTOM_A") })
	for _, trait := range diffTraits[:2] {
		d.both("trait", func(c *placementclient.Client) error { return c.CreateTrait(ctx, trait) })
	}
	for i := range 2 + d.rng.IntN(9) {
		p := placement.Provider{UUID: placement.UUID{0: 1, 15: byte(i + 1)}, Name: fmt.Sprint("p", i)}
		p.Root = p.UUID
		if len(d.providers) > 0 && d.rng.IntN(3) > 0 {
			p.Parent = d.providers[d.rng.IntN(len(d.providers))]
			p.Root = d.roots[p.Parent]
		}
		d.providers, d.roots[p.UUID] = append(d.providers, p.UUID), p.Root
		d.both("provider", func(c *placementclient.Client) error { _, err := c.CreateProvider(ctx, p); return err })
		inv := map[string]placement.Inventory{}
		for _, class := range d.some(diffClasses, 0.7) {
			one := placement.NewInventory(1 + d.rng.Int64N(8))
			one.Reserved = d.rng.Int64N(2)
			one.MinUnit, one.StepSize = 1+d.rng.Int64N(5)/4, 1+d.rng.Int64N(5)/4
			one.MaxUnit = one.MinUnit + d.rng.Int64N(8)
			one.AllocationRatio = []float64{1, 1, 0.5, 2.5}[d.rng.IntN(4)]
			inv[class] = one
		}
		traits := d.some(diffTraits, 0.4)
		if p.Parent.IsZero() && d.rng.IntN(4) == 0 {
			traits, d.sharing = append(traits, placement.SharingTrait), true
		}
		var aggs []placement.UUID
		for _, a := range diffAggs {
			if d.rng.IntN(2) == 0 {
				aggs = append(aggs, a)
			}
		}
		d.both("inventories", func(c *placementclient.Client) error {
			_, err := c.SetInventories(ctx, p.UUID, inv, placement.AnyGeneration)
			return err
		})
		d.both("traits", func(c *placementclient.Client) error {
			_, err := c.SetTraits(ctx, p.UUID, traits, placement.AnyGeneration)
			return err
		})
		d.both("aggregates", func(c *placementclient.Client) error {
			_, err := c.SetAggregates(ctx, p.UUID, aggs, placement.AnyGeneration)
			return err
		})
		if len(inv) > 0 && d.rng.IntN(2) == 0 {
			class := slices.Sorted(maps.Keys(inv))[0]
			wr := placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
				Consumer: placement.UUID{0: 2, 15: byte(i + 1)}, Project: "p", User: "u", Type: "X", Generation: placement.NewConsumer,
				Allocations: []placement.Allocation{{Provider: p.UUID, Class: class, Amount: 1 + d.rng.Int64N(3)}},
			}}}
			d.both("claim", func(c *placementclient.Client) error { return c.SetAllocations(ctx, wr) })
		}
	}
}

// request makes a random query string. The flag says that the unsuffixed and
// a suffixed group ask for the same class.
func (d *diff) request() (path string, minor int, sameClass bool) {
	minor = []int{39, 39, 39, 36, 35, 33, 29, 28, 27, 25, 17, 12, 10}[d.rng.IntN(13)]
	q := url.Values{}
	suffixes := []string{""}
	if minor >= 25 {
		suffixes = [][]string{{""}, {"1"}, {"", "1"}, {"1", "2"}, {"", "1", "2"}}[d.rng.IntN(5)]
	}
	used := map[string]string{}
	for _, s := range suffixes {
		var amounts []string
		classes := d.some(diffClasses, 0.25)
		if len(classes) == 0 {
			classes = diffClasses[:1]
		}
		for _, class := range classes {
			if by, again := used[class]; again && (by == "" || s == "") {
				sameClass = true
			}
			used[class] = s
			amounts = append(amounts, fmt.Sprint(class, ":", 1+d.rng.IntN(2)))
		}
		q.Set("resources"+s, strings.Join(amounts, ","))
		d.conditions(q, s, minor)
	}
	if len(suffixes) > 1 && (suffixes[0] != "" || len(suffixes) > 2 || d.rng.IntN(2) == 0) {
		policy := []string{"none", "isolate"}[d.rng.IntN(2)]
		q.Set("group_policy", policy)
		sameClass = sameClass && policy == "isolate"
	}
	if minor >= 35 && d.rng.IntN(5) == 0 {
		q.Set("root_required", []string{"COMPUTE_NODE", "!COMPUTE_NODE", "CUSTOM_T1,!CUSTOM_T2"}[d.rng.IntN(3)])
	}
	if minor >= 36 && slices.Contains(suffixes, "2") && d.rng.IntN(2) == 0 {
		q.Set("same_subtree", "1,2")
	}
	return "/allocation_candidates?" + q.Encode(), minor, sameClass
}

func (d *diff) conditions(q url.Values, s string, minor int) {
	if minor >= 17 && d.rng.IntN(5) == 0 {
		trait := func() string { return diffTraits[d.rng.IntN(len(diffTraits))] }
		q.Add("required"+s, trait())
		if minor >= 22 && d.rng.IntN(2) == 0 {
			q.Set("required"+s, "!"+trait())
		}
		if minor >= 39 && d.rng.IntN(2) == 0 {
			q.Add("required"+s, "in:"+trait()+","+trait())
		}
	}
	if minor >= 21 && d.rng.IntN(7) == 0 {
		q.Add("member_of"+s, "in:"+diffAggs[d.rng.IntN(3)].String()+","+diffAggs[d.rng.IntN(3)].String())
	}
	if minor >= 32 && d.rng.IntN(6) == 0 {
		q.Add("member_of"+s, "!"+diffAggs[d.rng.IntN(3)].String())
	}
	if minor >= 31 && d.rng.IntN(8) == 0 {
		q.Set("in_tree"+s, d.providers[d.rng.IntN(len(d.providers))].String())
	}
}

// answer is what is compared.
type diffAnswer struct {
	status    int
	requests  map[string]bool
	summaries map[string]any
}

func (d *diff) get(base, path string, minor int) diffAnswer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", "admin")
	r.Header.Set("Openstack-Api-Version", fmt.Sprint("placement 1.", minor))
	var resp *http.Response
	if base == "" {
		w := httptest.NewRecorder()
		d.ours.ServeHTTP(w, r)
		resp = w.Result()
	} else if resp, err = http.DefaultClient.Do(r); err != nil {
		d.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		d.t.Fatal(err)
	}
	a := diffAnswer{status: resp.StatusCode, requests: map[string]bool{}}
	var body struct {
		Requests  []any          `json:"allocation_requests"`
		Summaries map[string]any `json:"provider_summaries"`
	}
	if a.status == http.StatusOK {
		if err := json.Unmarshal(text, &body); err != nil {
			d.t.Fatalf("seed %d: %s: %v", d.seed, path, err)
		}
	}
	for _, request := range body.Requests {
		a.requests[canonical(request)] = true
	}
	a.summaries = body.Summaries
	return a
}

// canonical orders lists, whose order says nothing.
func canonical(v any) string {
	var order func(any) any
	order = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = order(v[k])
			}
			return v
		case []any:
			for i := range v {
				v[i] = order(v[i])
			}
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return v
	}
	b, _ := json.Marshal(order(v))
	return string(b)
}

// compare makes one request on both sides and says how it went.
func (d *diff) compare() string {
	path, minor, sameClass := d.request()
	ours, theirs := d.get("", path, minor), d.get(d.theirs, path, minor)
	switch {
	case theirs.status == http.StatusInternalServerError:
		return "excused: internal error"
	case ours.status != theirs.status:
		d.t.Errorf("seed %d, 1.%d %s: status %d, theirs %d", d.seed, minor, path, ours.status, theirs.status)
		return "different"
	case maps.Equal(ours.requests, theirs.requests) && canonical(ours.summaries) == canonical(theirs.summaries):
		if len(ours.requests) == 0 {
			return "equal, none"
		}
		return "equal"
	case sameClass:
		return "excused: " + excuseShared
	case d.sharing && contains(ours.requests, theirs.requests) && len(ours.requests) > len(theirs.requests):
		return "excused: " + excuseLost
	}
	d.t.Errorf("seed %d, 1.%d %s:\nours %d %v\ntheirs %d %v\nsummaries ours %s\ntheirs %s", d.seed, minor, path,
		len(ours.requests), missingIn(ours.requests, theirs.requests), len(theirs.requests), missingIn(theirs.requests, ours.requests),
		canonical(ours.summaries), canonical(theirs.summaries))
	return "different"
}

func contains(all, some map[string]bool) bool { return len(missingIn(some, all)) == 0 }

// missingIn returns up to three of a that b lacks.
func missingIn(a, b map[string]bool) []string {
	var list []string
	for s := range a {
		if !b[s] && len(list) < 3 {
			list = append(list, s)
		}
	}
	return list
}
