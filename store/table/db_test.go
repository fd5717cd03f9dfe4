package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	db, tab := openDB(t, sharedStore())
	one := thing{ID: "one", Size: 1}
	rev, err := db.Update(t.Context(), func(tx *Tx) error {
		if err := tab.Create(tx, one); err != nil {
			return err
		}
		got, found := tab.Get(tx, "one")
		require.True(t, found, "an Update sees what it wrote")
		require.Equal(t, one, got)
		return errors.Join(tab.Put(tx, thing{ID: "gone"}), tab.Delete(tx, "gone"))
	})
	require.NoError(t, err)
	require.NotZero(t, rev)
	require.Equal(t, []thing{one}, tab.page(t, db, Query[thing]{}))
	for _, c := range []struct {
		plan func(tx *Tx) error
		want error
	}{
		{func(tx *Tx) error { return tab.Create(tx, one) }, ErrExists},
		{func(tx *Tx) error { return tab.Delete(tx, "two") }, ErrNotFound},
		{func(tx *Tx) error { _ = tab.Put(tx, thing{ID: "two"}); return errors.ErrUnsupported }, errors.ErrUnsupported},
	} {
		_, err := db.Update(t.Context(), c.plan)
		require.ErrorIs(t, err, c.want)
		require.Equal(t, []thing{one}, tab.page(t, db, Query[thing]{}), "nothing has changed")
	}
	rev, err = db.Update(t.Context(), func(*Tx) error { return nil })
	require.NoError(t, err)
	require.Zero(t, rev)
	err = db.View(func(tx *Tx) error { return tab.Put(tx, one) })
	require.ErrorIs(t, err, ErrReadOnly)
	require.NoError(t, db.Close())
	_, err = db.Update(t.Context(), func(tx *Tx) error { return tab.Put(tx, one) })
	require.ErrorIs(t, err, ErrClosed)
}

// trouble is every fault of the injector at once, on both ends of a store.
func trouble(seed int64) storetest.Faults {
	f := storetest.Noise(seed)
	f.PFeed, f.PCompacted, f.PNoSpace = 0.03, 0.3, 0
	return f
}

// TestTransfers moves units between rows at two databases on one store that
// fails in all ways, and checks that none is lost or made, at any moment.
func TestTransfers(t *testing.T) {
	t.Parallel()
	const accounts, each = 8, 100
	for seed := range int64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			shared := sharedStore()
			first, tab := openDB(t, shared)
			for i := range accounts {
				put(t, first, tab, thing{ID: fmt.Sprint(i), Size: each})
			}
			var wg sync.WaitGroup
			var ends [2]*DB
			for end := range ends {
				db, tab := openDB(t, storetest.Faulty(shared, trouble(seed*2+int64(end))))
				ends[end] = db
				for w := range 4 {
					wg.Go(func() { transfer(t, db, tab, rand.New(rand.NewPCG(uint64(seed), uint64(8*end+w)))) })
				}
			}
			wg.Wait()
			for _, db := range append([]*DB{first}, ends[:]...) {
				require.Eventually(t, func() bool { return db.Fresh(t.Context()) == nil }, time.Minute, time.Millisecond)
				tab, _ := db.cfg.Tables[0].(*Table[thing])
				require.EqualValues(t, accounts*each, sum(tab.page(t, db, Query[thing]{})))
				require.Equal(t, first.cfg.Tables[0].(*Table[thing]).page(t, first, Query[thing]{}), tab.page(t, db, Query[thing]{}))
			}
		})
	}
}

func sum(rows []thing) (n int64) {
	for _, v := range rows {
		n += v.Size
	}
	return n
}

func transfer(t *testing.T, db *DB, tab *Table[thing], rng *rand.Rand) {
	t.Helper()
	for range 40 {
		from, to, n := fmt.Sprint(rng.IntN(8)), fmt.Sprint(rng.IntN(8)), int64(rng.IntN(30))
		_, err := db.Update(t.Context(), func(tx *Tx) error {
			a, _ := tab.Get(tx, from)
			a.Size -= n
			if a.Size < 0 {
				return errors.ErrUnsupported
			}
			if err := tab.Put(tx, a); err != nil {
				return err
			}
			b, _ := tab.Get(tx, to)
			b.Size += n
			return tab.Put(tx, b)
		})
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("transfer: %v", err)
		}
		_ = db.View(func(tx *Tx) error {
			rows, err := tab.Page(tx, Query[thing]{})
			if n := sum(rows); n != 800 {
				t.Errorf("the sum is %d", n)
			}
			return err
		})
	}
}

// TestWatch follows changes at one end that are made at the other, and
// rebuilds the table from them.
func TestWatch(t *testing.T) {
	t.Parallel()
	shared := sharedStore()
	here, tab := openDB(t, shared)
	there, far := openDB(t, shared)
	rng := rand.New(rand.NewPCG(7, 7))
	var start uint64
	require.NoError(t, here.View(func(tx *Tx) error { start = tx.Revision(); return nil }))
	var last uint64
	for range 300 {
		v := randomThing(rng)
		rev, err := there.Update(t.Context(), func(tx *Tx) error {
			if _, found := far.Get(tx, v.ID); found && v.Hidden {
				return far.Delete(tx, v.ID)
			}
			return far.Put(tx, v)
		})
		require.NoError(t, err)
		last = max(last, rev)
	}
	seen := map[string]bool{}
	for c, err := range here.Watch(t.Context(), start) {
		require.NoError(t, err)
		require.Greater(t, c.Revision, start)
		start = c.Revision
		for _, r := range c.Rows {
			require.Equal(t, "things", r.Table)
			delete(seen, r.Key)
			if !r.Deleted {
				seen[r.Key] = true
			}
		}
		if c.Revision == last {
			break
		}
	}
	rows := tab.page(t, here, Query[thing]{})
	require.Len(t, seen, len(rows))
	for _, v := range rows {
		require.True(t, seen[v.ID])
	}
	here.mu.Lock()
	here.changes.restart(last)
	here.mu.Unlock()
	for _, err := range here.Watch(t.Context(), last-1) {
		require.ErrorIs(t, err, ErrTooFarBehind)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range here.Watch(ctx, last) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestHistoryRing(t *testing.T) {
	t.Parallel()
	var h history
	h.restart(10)
	const n = historyLength + 100
	for i := range uint64(n) {
		h.add(Changes{Revision: 11 + 2*i, Rows: []Change{{Key: "k"}}})
	}
	require.Equal(t, uint64(11+2*99), h.since)
	for _, i := range []uint64{100, 101, n - 3, n - 1} { // revisions are 11 + 2 i
		var got []uint64
		for _, c := range h.after(10+2*i, make([]Changes, 0, 2)) {
			got = append(got, c.Revision)
		}
		require.Equal(t, []uint64{11 + 2*i, 13 + 2*i}[:min(2, n-i)], got)
	}
	require.Empty(t, h.after(11+2*(n-1), make([]Changes, 0, 2)))
}

// lost answers Unknown to every commit, or an error after the first.
type lost struct {
	store.Store
	then error
	once sync.Once
}

func (s *lost) Commit(context.Context, store.Batch) (res store.Result, err error) {
	err = s.then
	s.once.Do(func() { err = nil })
	return store.Result{Outcome: store.Unknown, Cause: storetest.ErrInjected}, err
}

func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, then := range []error{nil, store.ErrClosed, store.ErrNoSpace} {
		s := sharedStore()
		openDB(t, s)
		tab := things()
		db, err := Open(t.Context(), Config{Store: &lost{Store: s, then: then}, Schema: schema, Tables: []Definition{tab}})
		require.NoError(t, err)
		defer db.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = db.Update(ctx, func(tx *Tx) error { return tab.Put(tx, thing{ID: "a"}) })
		require.ErrorIs(t, err, ErrOutcomeUnknown)
	}
}

func TestOnBadger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var want []thing
	for range 3 {
		s, err := badger.Open(badger.Config{Dir: dir})
		require.NoError(t, err)
		db, tab := openDB(t, s)
		require.Equal(t, want, tab.page(t, db, Query[thing]{Sort: ownerThenCreated}))
		for range 20 {
			put(t, db, tab, randomThing(rng))
		}
		want = tab.page(t, db, Query[thing]{Sort: ownerThenCreated})
		require.NoError(t, db.Close())
		require.NoError(t, s.Close())
	}
}

func TestRefusedTables(t *testing.T) {
	t.Parallel()
	s := sharedStore()
	used := things()
	db, err := Open(t.Context(), Config{Store: s, Schema: Schema{Name: "x"}, Tables: []Definition{used}})
	require.NoError(t, err)
	defer db.Close()
	spec := things().spec
	bad := spec
	bad.Kind = LastKind + 1
	lame := spec
	lame.Indexes = [][]Sort{{{Column: "colour"}}}
	for _, tables := range [][]Definition{{used}, {things(), things()}, {New(bad)}, {New(lame)}, {New(Spec[thing]{Kind: 1})}} {
		_, err := Open(t.Context(), Config{Store: s, Schema: Schema{Name: "x"}, Tables: tables})
		require.Error(t, err)
	}
}
