package placementclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/placement"
)

var (
	host  = placement.MustUUID("11111111-1111-1111-1111-111111111111")
	child = placement.MustUUID("22222222-2222-2222-2222-222222222222")
	other = placement.MustUUID("33333333-3333-3333-3333-333333333333")
	agg   = placement.MustUUID("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa")
	one   = placement.MustUUID("cccccccc-cccc-cccc-cccc-cccccccccccc")
	two   = placement.MustUUID("dddddddd-dddd-dddd-dddd-dddddddddddd")
)

// setUp serves an empty engine through wrap and returns a client. With
// KILONOVA_PLACEMENT_URL set, one test can be run against an empty server
// elsewhere.
func setUp(t *testing.T, wrap func(http.Handler) http.Handler) *Client {
	t.Helper()
	if url := os.Getenv("KILONOVA_PLACEMENT_URL"); url != "" && wrap == nil {
		c, err := New(Config{URL: url, Token: StaticToken("admin")})
		must(t, err)
		return c
	}
	engine, err := placement.Open(t.Context(), placement.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	server, err := placementapi.New(placementapi.Config{Engine: engine, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler = server
	if wrap != nil {
		handler = wrap(server)
	}
	live := httptest.NewServer(handler)
	t.Cleanup(live.Close)
	c, err := New(Config{URL: live.URL + "/", Token: StaticToken("admin")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	c, ctx := setUp(t, nil), t.Context()
	p, err := c.CreateProvider(ctx, placement.Provider{UUID: host, Name: "host"})
	must(t, err)
	if p.UUID != host || p.Root != host || p.Generation != 0 || p.UpdatedAt.IsZero() {
		t.Errorf("created %+v", p)
	}
	p, err = c.CreateProvider(ctx, placement.Provider{UUID: child, Name: "child", Parent: host})
	if err != nil || p.Root != host || p.Parent != host {
		t.Errorf("child %+v, %v", p, err)
	}
	_, err = c.CreateProvider(ctx, placement.Provider{UUID: other, Name: "host"})
	if !errors.Is(err, placement.ErrExists) {
		t.Errorf("the same name: %v", err)
	}
	if _, err := c.Provider(ctx, other); !errors.Is(err, placement.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if err := c.DeleteProvider(ctx, host); !errors.Is(err, placement.ErrHasChildren) {
		t.Errorf("delete a parent: %v", err)
	}
	root := placement.UUID{}
	if _, err := c.UpdateProvider(ctx, child, placement.ProviderUpdate{Parent: &root}); err == nil {
		t.Error("un-parented without leave")
	}
	if p, err = c.UpdateProvider(ctx, child, placement.ProviderUpdate{Parent: &root, AllowReparenting: true}); err != nil || p.Root != child || p.Name != "child" {
		t.Errorf("moved: %+v, %v", p, err)
	}
	name := "renamed"
	if p, err = c.UpdateProvider(ctx, child, placement.ProviderUpdate{Name: &name}); err != nil || p.Name != name {
		t.Errorf("renamed: %+v, %v", p, err)
	}

	gen, err := c.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, 0)
	if err != nil || gen != 1 {
		t.Errorf("inventories: generation %d, %v", gen, err)
	}
	if _, err := c.SetInventories(ctx, host, nil, 0); !errors.Is(err, placement.ErrConcurrentUpdate) {
		t.Errorf("an old generation: %v", err)
	}
	must(t, c.CreateTrait(ctx, "CUSTOM_T"))
	must(t, c.CreateClass(ctx, "CUSTOM_C"))
	if gen, err = c.SetTraits(ctx, host, []string{"CUSTOM_T"}, placement.AnyGeneration); err != nil || gen != 2 {
		t.Errorf("traits: generation %d, %v", gen, err)
	}
	if gen, err = c.SetAggregates(ctx, host, []placement.UUID{agg}, placement.AnyGeneration); err != nil || gen != 3 {
		t.Errorf("aggregates: generation %d, %v", gen, err)
	}
	inv, gen, err := c.Inventories(ctx, host)
	if err != nil || gen != 3 || inv["VCPU"] != placement.NewInventory(8) {
		t.Errorf("inventories %v, %d, %v", inv, gen, err)
	}
	traits, _, err := c.Traits(ctx, host)
	if err != nil || !slices.Equal(traits, []string{"CUSTOM_T"}) {
		t.Errorf("traits %v, %v", traits, err)
	}
	aggs, _, err := c.Aggregates(ctx, host)
	if err != nil || !slices.Equal(aggs, []placement.UUID{agg}) {
		t.Errorf("aggregates %v, %v", aggs, err)
	}
	list, err := c.Providers(ctx, placement.ProviderFilter{
		Name: "host", UUID: host, InTree: host, MemberOf: [][]placement.UUID{{agg, other}}, ForbiddenAggregates: []placement.UUID{other},
		Required: [][]string{{"CUSTOM_T"}, {"CUSTOM_T", "COMPUTE_NODE"}}, Forbidden: []string{"COMPUTE_NODE"}, Resources: []placement.Resource{{Class: "VCPU", Amount: 8}},
	})
	if err != nil || len(list) != 1 || list[0].UUID != host {
		t.Errorf("providers %v, %v", list, err)
	}
	if err := c.DeleteTrait(ctx, "CUSTOM_T"); !errors.Is(err, placement.ErrInUse) {
		t.Errorf("delete a trait in use: %v", err)
	}
	must(t, c.DeleteClass(ctx, "CUSTOM_C"))
	all, err := c.AllTraits(ctx)
	classes, errClasses := c.Classes(ctx)
	if err != nil || errClasses != nil || !slices.Contains(all, "CUSTOM_T") || !slices.Contains(classes, "VCPU") || slices.Contains(classes, "CUSTOM_C") {
		t.Errorf("%v, %v", err, errClasses)
	}
	must(t, c.DeleteProvider(ctx, child))
}

func claim(consumer placement.UUID, gen placement.Generation, amount int64) placement.AllocationWrite {
	ca := placement.ConsumerAllocations{Consumer: consumer, Project: "p", User: "u", Type: "INSTANCE", Generation: gen}
	if amount > 0 {
		ca.Allocations = []placement.Allocation{{Provider: host, Class: "VCPU", Amount: amount}}
	}
	return placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{ca}}
}

func TestAllocations(t *testing.T) {
	t.Parallel()
	c, ctx := setUp(t, nil), t.Context()
	_, err := c.CreateProvider(ctx, placement.Provider{UUID: host, Name: "host"})
	must(t, err)
	_, err = c.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, 0)
	must(t, err)
	must(t, c.SetAllocations(ctx, claim(one, placement.NewConsumer, 3)))
	for what, step := range map[string]struct {
		wr   placement.AllocationWrite
		want error
	}{
		"a consumer that is there": {claim(one, placement.NewConsumer, 1), placement.ErrConcurrentUpdate},
		"an old generation":        {claim(one, 7, 1), placement.ErrConcurrentUpdate},
		"too much":                 {claim(two, placement.NewConsumer, 6), placement.ErrCapacity},
		"with a guard":             {placement.AllocationWrite{Guards: []placement.Guard{{Key: "k"}}}, errExtras},
	} {
		if err := c.SetAllocations(ctx, step.wr); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", what, err, step.want)
		}
	}
	untyped := claim(one, placement.AnyGeneration, 4)
	untyped.Consumers[0].Type = ""
	must(t, c.SetAllocations(ctx, untyped))
	consumer, held, err := c.Consumer(ctx, one)
	if err != nil || consumer.Generation != 2 || consumer.Type != "INSTANCE" || consumer.Project != "p" || len(held) != 1 || held[0].Amount != 4 || held[0].Provider != host {
		t.Errorf("consumer %+v, %v, %v", consumer, held, err)
	}
	move := placement.AllocationWrite{Consumers: slices.Concat(claim(one, placement.AnyGeneration, 0).Consumers, claim(two, placement.NewConsumer, 8).Consumers)}
	must(t, c.SetAllocations(ctx, move))
	if _, _, err := c.Consumer(ctx, one); !errors.Is(err, placement.ErrNotFound) {
		t.Errorf("an emptied consumer: %v", err)
	}
	byConsumer, gen, err := c.ProviderConsumers(ctx, host)
	if err != nil || len(byConsumer) != 1 || byConsumer[two]["VCPU"] != 8 {
		t.Errorf("held on the host: %v, %v", byConsumer, err)
	}
	usages, _, err := c.Usages(ctx, host)
	if err != nil || usages["VCPU"] != 8 {
		t.Errorf("usages %v, %v", usages, err)
	}
	_, err = c.CreateProvider(ctx, placement.Provider{UUID: child, Name: "child", Parent: host})
	must(t, err)
	moved := claim(two, placement.AnyGeneration, 8)
	moved.Consumers[0].Allocations[0].Provider = child
	must(t, c.Reshape(ctx, []placement.InventoryWrite{
		{Provider: host, Generation: placement.Generation(gen)},
		{Provider: child, Generation: 0, Inventories: map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}},
	}, moved))
	must(t, c.DeleteAllocations(ctx, two))
	if err := c.DeleteAllocations(ctx, two); !errors.Is(err, placement.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	c, ctx := setUp(t, nil), t.Context()
	for i := range 5 {
		id := placement.UUID{15: byte(i + 1)}
		_, err := c.CreateProvider(ctx, placement.Provider{UUID: id, Name: fmt.Sprint("host", i)})
		must(t, err)
		_, err = c.SetInventories(ctx, id, map[string]placement.Inventory{"VCPU": placement.NewInventory(8), "DISK_GB": placement.NewInventory(8)}, 0)
		must(t, err)
	}
	req := placement.CandidateRequest{
		Groups: []placement.RequestGroup{
			{Resources: []placement.Resource{{Class: "VCPU", Amount: 2}}},
			{Suffix: "_D", Resources: []placement.Resource{{Class: "DISK_GB", Amount: 1}}},
			{Suffix: "_E", Resources: []placement.Resource{{Class: "DISK_GB", Amount: 2}}},
		},
		RootForbidden: []string{"COMPUTE_NODE"}, SameSubtree: [][]string{{"_D", "_E"}}, Limit: 4,
	}
	n := 0
	for cand, err := range c.Candidates(ctx, req) {
		must(t, err)
		n++
		slices.SortFunc(cand.Allocations, func(a, b placement.Allocation) int { return strings.Compare(a.Class, b.Class) })
		if len(cand.Allocations) != 2 || cand.Allocations[0].Amount != 3 || cand.Allocations[1].Amount != 2 ||
			len(cand.Mappings) != 3 || cand.Mappings[2].Suffix != "_E" || len(cand.Mappings[2].Providers) != 1 {
			t.Errorf("candidate %+v", cand)
		}
	}
	if n != 4 {
		t.Errorf("%d candidates, want 4", n)
	}
	for range c.Candidates(ctx, req) {
		break
	}
	req.Groups[0].Resources[0].Class = "CUSTOM_NONE"
	for cand, err := range c.Candidates(ctx, req) {
		refusal := (*RefusalError)(nil)
		if cand != nil || !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest || !strings.Contains(err.Error(), "No such resource class CUSTOM_NONE") {
			t.Errorf("%v, %v", cand, err)
		}
	}
}

// TestRace: writers that name no generation all succeed, whoever comes first.
func TestRace(t *testing.T) {
	t.Parallel()
	c, ctx := setUp(t, nil), t.Context()
	c.cfg.Retries = 1000
	_, err := c.CreateProvider(ctx, placement.Provider{UUID: host, Name: "host"})
	must(t, err)
	_, err = c.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, 0)
	must(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, placement.AnyGeneration); err != nil {
				t.Error(err)
			}
			if err := c.SetAllocations(ctx, claim(one, placement.AnyGeneration, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if consumer, _, err := c.Consumer(ctx, one); err != nil || consumer.Generation != 8 {
		t.Errorf("consumer %+v, %v; want generation 8", consumer, err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	c := setUp(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Auth-Token") == "stale" {
				r.Header.Del("X-Auth-Token")
			}
			next.ServeHTTP(w, r)
		})
	})
	c.cfg.Token = func(_ context.Context, fresh bool) (string, error) {
		if fresh {
			return "admin", nil
		}
		return "stale", nil
	}
	if _, err := c.Classes(t.Context()); err != nil {
		t.Errorf("a stale token is not replaced: %v", err)
	}
	c.cfg.Token = StaticToken("stale")
	refusal := (*RefusalError)(nil)
	if _, err := c.Classes(t.Context()); !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized {
		t.Errorf("no token that is good: %v", err)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	answer := `{"versions": [{"max_version": "1.30"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	t.Cleanup(server.Close)
	for _, want := range []struct {
		answer string
		minor  int
	}{
		{`{"versions": [{"max_version": "1.30"}]}`, 30},
		{`{"versions": [{"max_version": "1.99"}]}`, 39},
		{`{"versions": [{"max_version": "1.20"}]}`, 0},
		{`{"versions": [{"max_version": "2.1"}]}`, 0},
		{`{"versions": []}`, 0},
		{`nonsense`, 0},
	} {
		answer = want.answer
		c, err := New(Config{URL: server.URL, Token: StaticToken("t")})
		must(t, err)
		if minor, err := c.Minor(t.Context()); minor != want.minor || (err == nil) != (want.minor > 0) {
			t.Errorf("%s: %d, %v; want %d", want.answer, minor, err, want.minor)
		}
	}
	if _, err := New(Config{URL: "x"}); err == nil {
		t.Error("a client without a token")
	}
}
