package live_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
	"github.com/kilonova-cloud/kilonova/store"
)

var noon = time.Unix(1_700_000_000, 0)

// id returns the UUID of number n of a kind, as random as real ones are.
func id(kind byte, n int) placement.UUID {
	rng := rand.NewPCG(uint64(kind), uint64(n))
	var u placement.UUID
	binary.BigEndian.PutUint64(u[:8], rng.Uint64())
	binary.BigEndian.PutUint64(u[8:], rng.Uint64())
	return u
}

// A world is an engine, its hosts' records, and what to make schedulers of.
type world struct {
	engine *placement.Engine
	hosts  *live.Hosts
	cfg    live.Config
}

// insist calls f until the store has space.
func insist(f func() error) error {
	for {
		if err := f(); !errors.Is(err, store.ErrNoSpace) {
			return err
		}
	}
}

// newWorld makes hosts of 8 vCPUs and 64 MiB each.
func newWorld(tb testing.TB, s store.Store, hosts int) *world {
	tb.Helper()
	engine, err := placement.Open(tb.Context(), placement.Config{Store: s, Now: func() time.Time { return noon }, Seed: 1})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, engine.Close()) })
	w := &world{engine: engine, hosts: live.NewHosts(0)}
	o := scheduler.Options{
		EnabledFilters: []string{"ComputeFilter"}, WeightClasses: []string{"RAMWeigher"},
		RAMWeightMultiplier: 1, ServiceDownTime: time.Minute,
	}
	w.cfg = live.Config{Engine: engine, Hosts: w.hosts, Now: func() time.Time { return noon }}
	w.cfg.Filters, err = filter.Choose(&o)
	require.NoError(tb, err)
	w.cfg.Weighers, err = weigh.Choose(&o)
	require.NoError(tb, err)
	for n := range hosts {
		w.addHost(tb, n, 8, 64)
	}
	return w
}

func (w *world) addHost(tb testing.TB, n int, vcpus, mib int64) {
	tb.Helper()
	require.NoError(tb, insist(func() error {
		_, err := w.engine.CreateProvider(tb.Context(), placement.Provider{UUID: id('h', n), Name: fmt.Sprint("host", n)})
		return err
	}))
	require.NoError(tb, insist(func() error {
		_, err := w.engine.SetInventories(tb.Context(), id('h', n), map[string]placement.Inventory{
			"VCPU": placement.NewInventory(vcpus), "MEMORY_MB": placement.NewInventory(mib),
		}, placement.AnyGeneration)
		return err
	}))
	w.putRecord(tb, n, false)
}

func (w *world) putRecord(tb testing.TB, n int, disabled bool) {
	tb.Helper()
	require.NoError(tb, w.hosts.Put(&scheduler.HostState{
		Host: fmt.Sprint("host", n), Node: fmt.Sprint("host", n), UUID: id('h', n).String(),
		Service: scheduler.Service{Disabled: disabled, LastReport: noon},
	}))
}

func (w *world) scheduler(tb testing.TB, seed uint64) *live.Scheduler {
	tb.Helper()
	cfg := w.cfg
	cfg.Seed = seed
	s, err := live.New(cfg)
	require.NoError(tb, err)
	return s
}

// request asks for equal instances from number first on.
func request(first, count int, vcpus, mib int64) *live.Request {
	spec := &scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: vcpus, MemoryMiB: mib}, ProjectID: "p", UserID: "u"}
	for k := range count {
		spec.Instances = append(spec.Instances, id('i', first+k).String())
	}
	return &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)}
}

func policy(rng *rand.Rand) string {
	return []string{scheduler.Affinity, scheduler.AntiAffinity, scheduler.SoftAntiAffinity}[rng.IntN(3)]
}
