package placement_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/twin"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The kinds of records, as the format has them.
const (
	_ store.Kind = iota + 1 // class
	_                       // trait
	kindProvider
	kindState
	kindConsumer
	_ // guard
	kindAttachment
)

// records returns all of a store.
func records(t *testing.T, s store.Store) []store.Record {
	t.Helper()
	var revision uint64
	var all []store.Record
	for r, err := range s.Load(t.Context(), &revision) {
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// storeOf returns a store with records of any content.
func storeOf(t *testing.T, all []store.Record) store.Store {
	t.Helper()
	s := mem.New(mem.Config{})
	for n, r := range all {
		b := store.Batch{Version: r.Version, Puts: []store.Put{{Key: r.Key, Value: r.Value}}}
		binary.BigEndian.PutUint64(b.ID[:], uint64(n)+1)
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
	return s
}

// ordered is a store that loads its records in an order of the test's.
type ordered struct {
	store.Store
	order func([]store.Record)
}

func (s ordered) Load(ctx context.Context, revision *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var all []store.Record
		for r, err := range s.Store.Load(ctx, revision) {
			if err != nil {
				yield(r, err)
				return
			}
			all = append(all, r)
		}
		s.order(all)
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// randomStore returns a store after random writes, and the engine that wrote.
func randomStore(t *testing.T, seed uint64, writes int) (store.Store, *placement.Engine) {
	t.Helper()
	alone := seed%2 == 1
	s := mem.New(mem.Config{Limits: limitsFor(alone)})
	e := open(t, placement.Config{Store: s, Seed: seed + 1, Now: ticking()})
	if alone {
		takeTurn(t, e)
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	w, ops := twin.RandomWorld(rng, twin.RandomSize(rng))
	for _, op := range ops {
		require.NoError(t, op.To(t.Context(), e), "seed %d", seed)
	}
	for n := range writes {
		op := twin.RandomOp(rng, w)
		key := fmt.Sprint("k", rng.IntN(6))
		op.Write.Guards = []placement.Guard{{Key: key, Version: e.Guard(key)}}
		if all, _ := e.Providers(placement.ProviderFilter{}); len(all) > 0 && n%2 == 0 {
			op.Write.Guards[0].Provider = all[rng.IntN(len(all))].UUID
		}
		op.Write.Attachments = []placement.Attachment{{Key: key, Value: bytes.Repeat([]byte{byte(n)}, rng.IntN(5))}}
		if rng.IntN(4) == 0 {
			op.Write.Attachments[0].Value = nil
		}
		if op.To(t.Context(), e) == nil {
			_ = w.Apply(op)
		}
	}
	return s, e
}

// TestLoadEqualsWhatWasWritten opens a store again in orders that no real one
// has: everything that can be read must be as before.
func TestLoadEqualsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for seed := range rounds(8, 40, 3_000) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { loadsWhatWasWritten(t, seed) })
	}
}

func loadsWhatWasWritten(t *testing.T, seed uint64) {
	t.Helper()
	byKind := func(a, b store.Record) int { return int(a.Key.Kind) - int(b.Key.Kind) }
	rng := rand.New(rand.NewPCG(seed, 4))
	s, e := randomStore(t, seed, 60)
	sound(t, e)
	wantReads, want := reads(t, e), dump(e)
	for name, order := range map[string]func([]store.Record){
		"as it comes": func([]store.Record) {},
		"by key": func(all []store.Record) {
			slices.SortFunc(all, func(a, b store.Record) int { return strings.Compare(a.Key.ID, b.Key.ID) })
		},
		"backwards": func(all []store.Record) {
			slices.SortStableFunc(all, byKind)
			slices.Reverse(all)
		},
		"shuffled": func(all []store.Record) {
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		},
	} {
		again := open(t, placement.Config{Store: ordered{s, order}})
		sound(t, again)
		same(t, want, dump(again), name)
		require.Equal(t, wantReads, reads(t, again), name)
	}
}

// reads is what every read method says, in an order of its own.
func reads(t *testing.T, e *placement.Engine) map[string]any {
	t.Helper()
	got := map[string]any{}
	all, err := e.Providers(placement.ProviderFilter{})
	require.NoError(t, err)
	for _, p := range all {
		u := p.UUID.String()
		got[u], err = e.Provider(p.UUID)
		require.NoError(t, err)
		got["inventories of "+u], _, _ = e.Inventories(p.UUID)
		got["usages of "+u], _, _ = e.Usages(p.UUID)
		traits, _, _ := e.Traits(p.UUID)
		got["traits of "+u] = slices.Sorted(slices.Values(traits))
		aggregates, _, _ := e.Aggregates(p.UUID)
		slices.SortFunc(aggregates, compareUUIDs)
		got["aggregates of "+u] = aggregates
		held, _, _ := e.ProviderAllocations(p.UUID)
		for _, h := range held {
			slices.SortFunc(h.Used, func(a, b placement.Resource) int { return strings.Compare(a.Class, b.Class) })
			got["held on "+u+" by "+h.Consumer.UUID.String()] = h
		}
	}
	for n := range 8 {
		c, allocations, err := e.Consumer(twin.ConsumerID(n))
		slices.SortFunc(allocations, compareAllocation)
		got[fmt.Sprint("consumer ", n)] = []any{c, allocations, kindOf(err)}
	}
	for n, f := range usageFilters() {
		consumers := e.ProjectConsumers(f.Project, f.User)
		slices.SortFunc(consumers, compareUUIDs)
		got[fmt.Sprintf("project %s, filter %d", f.Project, n)] = []any{e.ProjectUsages(f), consumers}
	}
	for n := range 6 {
		key := fmt.Sprint("k", n)
		got["guard "+key], got["attachment "+key] = e.Guard(key), e.Attachment(key)
	}
	return got
}

// TestLoadedTraitsAreTheSame sets the same traits again after the numbers of
// traits have changed: that must not advance the generation.
func TestLoadedTraitsAreTheSame(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Config{})
	e := open(t, placement.Config{Store: s})
	host := newHost(t, e, 1, placement.UUID{}, 1)
	traits := []string{"CUSTOM_B", "CUSTOM_A", "CUSTOM_C"}
	for _, name := range traits {
		_, err := e.CreateTrait(t.Context(), name)
		require.NoError(t, err)
	}
	p, err := e.SetTraits(t.Context(), host, traits, placement.AnyGeneration)
	require.NoError(t, err)
	again := open(t, placement.Config{Store: ordered{s, slices.Reverse[[]store.Record]}})
	q, err := again.SetTraits(t.Context(), host, traits, placement.Generation(p.Generation))
	require.NoError(t, err)
	require.Equal(t, p.Generation, q.Generation)
}

// healthy is a small store with a record of every kind, each of which another
// one needs, but the attachment. The consumer's has stamps if it is written
// alone.
func healthy(t *testing.T, alone bool) []store.Record {
	t.Helper()
	s := mem.New(mem.Config{Limits: limitsFor(alone)})
	e := open(t, placement.Config{Store: s})
	if alone {
		takeTurn(t, e)
	}
	ctx := t.Context()
	_, err := e.CreateClass(ctx, "CUSTOM_A")
	require.NoError(t, err)
	_, err = e.CreateTrait(ctx, "CUSTOM_T")
	require.NoError(t, err)
	root := newHost(t, e, 1, placement.UUID{}, 4)
	child := newHost(t, e, 2, root, 4)
	_, err = e.SetInventories(ctx, child, map[string]placement.Inventory{"CUSTOM_A": placement.NewInventory(5)}, placement.AnyGeneration)
	require.NoError(t, err)
	_, err = e.SetTraits(ctx, child, []string{"CUSTOM_T"}, placement.AnyGeneration)
	require.NoError(t, err)
	_, err = e.SetAggregates(ctx, child, []placement.UUID{id('a', 1)}, placement.AnyGeneration)
	require.NoError(t, err)
	w := claimOf(id('c', 1), placement.NewConsumer, vcpus(root, 1), placement.Allocation{Provider: child, Class: "CUSTOM_A", Amount: 2})
	w.Guards = []placement.Guard{{Key: "g", Provider: child}}
	w.Attachments = []placement.Attachment{{Key: "k", Value: []byte("value")}}
	require.NoError(t, e.SetAllocations(ctx, w))
	return slices.DeleteFunc(records(t, s), func(r store.Record) bool { return r.Key.Kind > kindAttachment })
}

func limitsFor(alone bool) store.Limits {
	if alone {
		return store.Limits{Shared: true, Records: 100}
	}
	return store.Limits{}
}

// refusesToOpen demands an error that wraps want and says something.
func refusesToOpen(t *testing.T, all []store.Record, want error, msg string) {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{Store: storeOf(t, all)})
	if err == nil {
		require.NoError(t, e.Close())
	}
	require.ErrorIs(t, err, want, msg)
	other := store.ErrNewerFormat
	if errors.Is(want, other) {
		other = store.ErrDamaged
	}
	require.NotErrorIs(t, err, other, msg)
	require.Contains(t, err.Error(), "load placement: ", msg)
}

// TestLoadRefuses damages one record of a healthy store at a time.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	t.Run("ordinary", func(t *testing.T) { loadRefuses(t, healthy(t, false)) })
	t.Run("alone", func(t *testing.T) { loadRefuses(t, healthy(t, true)) })
}

func loadRefuses(t *testing.T, all []store.Record) {
	t.Helper()
	sound(t, open(t, placement.Config{Store: storeOf(t, all)}))
	for n, r := range all {
		with := func(change func(r *store.Record)) []store.Record {
			damaged := slices.Clone(all)
			damaged[n].Value = bytes.Clone(r.Value)
			change(&damaged[n])
			return damaged
		}
		msg := func(what string) string { return fmt.Sprintf("%s of %v %x", what, r.Key, r.Value) }
		refusesToOpen(t, with(func(r *store.Record) { r.Value[0] = 3 }), store.ErrNewerFormat, msg("newer format"))
		refusesToOpen(t, with(func(r *store.Record) { r.Value[0] = 0 }), store.ErrDamaged, msg("no format"))
		for _, kind := range []store.Kind{0, 9, 200} {
			refusesToOpen(t, with(func(r *store.Record) { r.Key.Kind = kind }), store.ErrNewerFormat, msg("unknown kind"))
		}
		end := len(r.Value)
		if r.Key.Kind == kindAttachment {
			end = 1 // the rest is the caller's
		} else {
			refusesToOpen(t, with(func(r *store.Record) { r.Value = append(r.Value, 0) }), store.ErrDamaged, msg("one byte more"))
		}
		if r.Key.Kind <= kindState { // what others need
			refusesToOpen(t, slices.Delete(slices.Clone(all), n, n+1), store.ErrDamaged, msg("loss"))
		}
		for size := range end {
			refusesToOpen(t, with(func(r *store.Record) { r.Value = r.Value[:size] }), store.ErrDamaged, msg(fmt.Sprint(size, " bytes")))
		}
		if r.Key.Kind >= kindProvider && r.Key.Kind <= kindConsumer {
			for _, key := range []string{"", r.Key.ID[:15], r.Key.ID + "x", strings.Repeat("\x00", 16)} {
				refusesToOpen(t, with(func(r *store.Record) { r.Key.ID = key }), store.ErrDamaged, msg("another key"))
			}
		}
	}
}

// TestLoadOfFlippedBytes flips bytes of records. The store below would notice;
// the engine must not panic, and what it accepts must be sound or said not to
// be.
func TestLoadOfFlippedBytes(t *testing.T) {
	t.Parallel()
	stores := [][]store.Record{healthy(t, false), healthy(t, true)}
	for seed := range rounds(300, 2_000, 100_000) {
		rng := rand.New(rand.NewPCG(seed, 6))
		all := stores[seed%2]
		n := rng.IntN(len(all))
		damaged := slices.Clone(all)
		damaged[n].Value = bytes.Clone(all[n].Value)
		damaged[n].Value[rng.IntN(len(all[n].Value))] ^= 1 << rng.IntN(8)
		e, err := placement.Open(t.Context(), placement.Config{Store: storeOf(t, damaged)})
		if err != nil {
			require.True(t, errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrNewerFormat), "seed %d: %v", seed, err)
			continue
		}
		_, err = e.Verify(t.Context())
		require.NoError(t, err, "seed %d", seed)
		require.NoError(t, e.Close(), "seed %d", seed)
	}
}
