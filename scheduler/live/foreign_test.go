package live_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
)

var _ live.Placement = (*placementclient.Client)(nil)

// foreign makes a scheduler that reaches the world over HTTP only.
func foreign(t *testing.T, w *world, server live.Placement, members func(context.Context, string) ([]string, error)) *live.Foreign {
	t.Helper()
	filters, err := filter.Choose(&scheduler.Options{
		EnabledFilters:  []string{"ComputeFilter", "ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter"},
		ServiceDownTime: time.Minute,
	})
	require.NoError(t, err)
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: filters, Weighers: w.cfg.Weighers})
	require.NoError(t, err)
	f, err := live.NewForeign(live.ForeignConfig{
		Placement: server, Hosts: w.hosts, Pipeline: p, Now: w.cfg.Now, Members: members, Attempts: 10, Reports: w.cfg.Reports,
	})
	require.NoError(t, err)
	return f
}

func serve(t *testing.T, w *world) *placementclient.Client {
	t.Helper()
	handler, err := placementapi.New(placementapi.Config{Engine: w.engine, Now: time.Now})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := placementclient.New(placementclient.Config{URL: server.URL, Token: placementclient.StaticToken("admin")})
	require.NoError(t, err)
	return client
}

func TestForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 3)
	w.putRecord(t, 0, true)
	w.cfg.Reports = scheduler.NewReports(4)
	f := foreign(t, w, serve(t, w), nil)
	r := request(0, 2, 5, 4)
	r.ID, r.Why = "first", &scheduler.Explanation{}
	r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
	chosen, err := f.Schedule(t.Context(), r)
	require.NoError(t, err)
	require.ElementsMatch(t, []placement.UUID{id('h', 1), id('h', 2)}, []placement.UUID{chosen[0].UUID, chosen[1].UUID})

	require.Equal(t, "ComputeFilter 3-2, ServerGroupAntiAffinityFilter 2-2, ServerGroupAffinityFilter 2-2", steps(r.Why))
	report, _ := w.cfg.Reports.Get("first")
	require.Equal(t, chosen[1].Host, report.Selected[1].Host.Host)

	// The third instance fits on the disabled host only: the others are taken back.
	_, err = f.Schedule(t.Context(), request(10, 3, 3, 4))
	require.ErrorIs(t, err, scheduler.ErrNoValidHost)
	require.ErrorContains(t, err, "ComputeFilter removes the last 1 of 1 hosts: service is disabled (1)")
	report, _ = w.cfg.Reports.Get(id('i', 10).String())
	require.Equal(t, "ComputeFilter 1-0", steps(&report.Explanation))
	require.Equal(t, err, report.Err)
	for n := range 3 {
		_, _, err = w.engine.Consumer(id('i', 10+n))
		require.ErrorIs(t, err, placement.ErrNotFound)
	}
}

// TestForeignRace lets several place members of one anti-affinity group: when
// all is done each host has one at most.
func TestForeignRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 6)
	var mu sync.Mutex
	var names []string
	members := func(context.Context, string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), names...), nil
	}
	client := serve(t, w)
	var wg sync.WaitGroup
	placed := make([]bool, 6)
	for k := range placed {
		f := foreign(t, w, client, members)
		wg.Go(func() {
			r := request(k, 1, 1, 1)
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
			mu.Lock()
			names = append(names, r.Spec.Instances[0])
			mu.Unlock()
			_, err := f.Schedule(t.Context(), r)
			placed[k] = err == nil
		})
	}
	wg.Wait()
	on := map[placement.UUID]int{}
	for k := range placed {
		_, held, err := w.engine.Consumer(id('i', k))
		require.Equal(t, placed[k], err == nil, fmt.Sprint("instance ", k))
		if err == nil {
			on[held[0].Provider]++
			require.Equal(t, 1, on[held[0].Provider])
		}
	}
	require.NotEmpty(t, on)
}

// by is a filter that keeps the candidates with one provider of a device.
type by struct{ provider placement.UUID }

func (by) Name() string                          { return "by" }
func (by) Reads() scheduler.Reads                { return scheduler.ReadsAllocations }
func (by) Narrows(s *scheduler.RequestSpec) bool { return s.Flavor.ExtraSpecs["device"] != "" }
func (f by) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	_, why, err := f.Narrow(r, h)
	return why, err
}

func (f by) Narrow(_ *scheduler.Request, h *scheduler.HostState) ([]scheduler.Candidate, scheduler.Reason, error) {
	for k := range h.Candidates {
		if list := h.Candidates[k].Mappings["pci0-0"]; len(list) == 1 && list[0] == f.provider.String() {
			return h.Candidates[k : k+1], scheduler.Reason{}, nil
		}
	}
	return nil, scheduler.Reason{Why: "no device"}, nil
}

// TestForeignCandidate holds that of several candidates of a host the one is
// claimed that filters left.
func TestForeignCandidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 3)
	for n := range 3 {
		_, err := w.engine.CreateProvider(t.Context(), placement.Provider{UUID: id('g', n), Name: fmt.Sprint("gpu", n), Parent: id('h', 1)})
		require.NoError(t, err)
		_, err = w.engine.SetInventories(t.Context(), id('g', n), map[string]placement.Inventory{"PGPU": placement.NewInventory(1)}, placement.AnyGeneration)
		require.NoError(t, err)
	}
	client := serve(t, w)
	for n := range 3 {
		p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: []scheduler.Filter{by{id('g', n)}}})
		require.NoError(t, err)
		f, err := live.NewForeign(live.ForeignConfig{Placement: client, Hosts: w.hosts, Pipeline: p})
		require.NoError(t, err)
		r := request(n, 1, 1, 1)
		r.Spec.Flavor.ExtraSpecs = map[string]string{"device": "1"}
		r.Where.Groups = append(r.Where.Groups, placement.RequestGroup{Suffix: "pci0-0", Resources: []placement.Resource{{Class: "PGPU", Amount: 1}}})
		chosen, err := f.Schedule(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, id('h', 1), chosen[0].UUID)
		require.Contains(t, chosen[0].Allocations, placement.Allocation{Provider: id('g', n), Class: "PGPU", Amount: 1})
		_, held, err := w.engine.Consumer(id('i', n))
		require.NoError(t, err)
		require.Len(t, held, 3)
	}
}
