package table

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// layouts returns the schema of version n: the step to 2 doubles sizes below
// 1000 and marks rows as done by an owner, the step to 3 does away with
// hidden rows, which programs of version 2 need.
func layouts(n int, tab *Table[thing]) Schema {
	steps := []Step{
		{Name: "first"},
		{Name: "double", Expand: func(ctx context.Context, _ *DB) error {
			return Rewrite(ctx, tab, func(v *thing) bool {
				if v.Owner == "done" {
					return false
				}
				v.Owner, v.Size = "done", 2*v.Size
				return true
			})
		}},
		{Name: "no more hidden", Contract: func(ctx context.Context, _ *DB) error {
			return Rewrite(ctx, tab, func(v *thing) bool {
				was := v.Hidden
				v.Hidden = false
				return was
			})
		}},
	}
	return Schema{Name: "test", Steps: steps[:n]}
}

func at(s store.Store, version int) (Config, *Table[thing]) {
	tab := things()
	return Config{Store: s, Schema: layouts(version, tab), Tables: []Definition{tab}}, tab
}

func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	s := sharedStore()
	one, tab := at(s, 1)
	_, err := Open(t.Context(), one)
	require.ErrorIs(t, err, ErrNotSynced, "a new database")
	p, err := Sync(t.Context(), one, false)
	require.NoError(t, err)
	require.Equal(t, Progress{Version: 1}, p)
	old, err := Open(t.Context(), one)
	require.NoError(t, err)
	defer old.Close()
	put(t, old, tab, thing{ID: "a", Size: 4, Hidden: true})

	three, newTab := at(s, 3)
	_, err = Open(t.Context(), three)
	require.ErrorIs(t, err, ErrNotSynced)
	p, err = Sync(t.Context(), three, false)
	require.NoError(t, err)
	require.Equal(t, Progress{Version: 3}, p)
	require.NoError(t, old.Fresh(t.Context()))
	require.Equal(t, []thing{{ID: "a", Owner: "done", Size: 8, Hidden: true}}, tab.page(t, old, Query[thing]{}), "the old program goes on")
	put(t, old, tab, thing{ID: "b", Owner: "done"})

	p, err = Sync(t.Context(), three, true)
	require.NoError(t, err)
	require.Equal(t, Progress{Version: 3, Oldest: 3, Contracted: 3}, p)
	require.Eventually(t, func() bool { return old.Err() != nil }, time.Minute, time.Millisecond)
	require.ErrorIs(t, old.Err(), store.ErrNewerFormat, "the old program stops")
	again, _ := at(s, 1)
	_, err = Open(t.Context(), again)
	require.ErrorIs(t, err, store.ErrNewerFormat)
	_, err = Sync(t.Context(), again, true)
	require.ErrorIs(t, err, store.ErrNewerFormat)
	foreign, _ := at(s, 3)
	foreign.Schema.Name = "other"
	_, err = Open(t.Context(), foreign)
	require.ErrorIs(t, err, ErrOtherSchema)

	db, err := Open(t.Context(), three)
	require.NoError(t, err)
	defer db.Close()
	require.Equal(t, []thing{{ID: "a", Owner: "done", Size: 8}, {ID: "b", Owner: "done"}}, newTab.page(t, db, Query[thing]{}))
}

func TestSynced(t *testing.T) {
	t.Parallel()
	s := sharedStore()
	one, _ := at(s, 1)
	three, _ := at(s, 3)
	p, err := Synced(t.Context(), three)
	require.NoError(t, err)
	require.Equal(t, Progress{}, p, "a new store")
	name, err := Name(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, name)
	_, err = Sync(t.Context(), three, true)
	require.NoError(t, err)
	p, err = Synced(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, Progress{Version: 3, Oldest: 3, Contracted: 3}, p, "asked by an older program")
	name, err = Name(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, three.Schema.Name, name)
	one.Schema.Name = "other"
	_, err = Synced(t.Context(), one)
	require.ErrorIs(t, err, ErrOtherSchema)
}

func TestForeignRecords(t *testing.T) {
	t.Parallel()
	s := sharedStore()
	b := store.Batch{ID: store.BatchID{1}, Version: 1, Puts: []store.Put{{Key: store.Key{Kind: 7, ID: "a"}, Value: []byte("b")}}}
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	cfg, _ := at(s, 1)
	_, err = Sync(t.Context(), cfg, false)
	require.ErrorIs(t, err, ErrOtherSchema)
}

// dying is a store whose process dies at a commit, before or after it took
// effect.
type dying struct {
	store.Store
	left  int // commits before that
	after bool
}

var errDied = errors.New("died")

func (s *dying) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if s.left--; s.left >= 0 {
		return s.Store.Commit(ctx, b)
	}
	if s.left == -1 && s.after {
		_, _ = s.Store.Commit(ctx, b)
	}
	return store.Result{}, errDied
}

// TestSyncKilledAnywhere dies at each commit of an upgrade in turn.
func TestSyncKilledAnywhere(t *testing.T) {
	t.Parallel()
	const rows = 2*rewriteBatch + 10
	for _, after := range []bool{false, true} {
		for commits := 0; ; commits++ {
			s := sharedStore()
			one, tab := at(s, 1)
			_, err := Sync(t.Context(), one, true)
			require.NoError(t, err)
			db, err := Open(t.Context(), one)
			require.NoError(t, err)
			var all []thing
			for i := range rows {
				all = append(all, thing{ID: fmt.Sprintf("%05d", i), Size: int64(i), Hidden: i%2 == 0})
			}
			put(t, db, tab, all...)
			require.NoError(t, db.Close())

			cfg, _ := at(&dying{Store: s, left: commits, after: after}, 3)
			_, err = Sync(t.Context(), cfg, true)
			finished := err == nil
			if !finished {
				require.ErrorIs(t, err, errDied)
			}
			cfg, tab = at(s, 3)
			_, err = Sync(t.Context(), cfg, true)
			require.NoError(t, err)
			db, err = Open(t.Context(), cfg)
			require.NoError(t, err)
			for i := range all {
				all[i] = thing{ID: all[i].ID, Owner: "done", Size: 2 * int64(i)}
			}
			require.Equal(t, all, tab.page(t, db, Query[thing]{}), "killed at commit %d", commits)
			require.NoError(t, db.Close())
			if finished {
				require.Greater(t, commits, 8)
				break
			}
		}
	}
}

// TestLateWriter commits with a schema that has changed since it looked.
func TestLateWriter(t *testing.T) {
	t.Parallel()
	s := sharedStore()
	one, tab := at(s, 1)
	_, err := Sync(t.Context(), one, false)
	require.NoError(t, err)
	old, err := Open(t.Context(), one)
	require.NoError(t, err)
	defer old.Close()
	runs := 0
	_, err = old.Update(t.Context(), func(tx *Tx) error {
		if runs++; runs == 1 {
			three, _ := at(s, 3)
			_, err := Sync(t.Context(), three, true)
			require.NoError(t, err)
		}
		return tab.Put(tx, thing{ID: "late"})
	})
	require.ErrorIs(t, err, store.ErrNewerFormat)
	three, tab := at(s, 3)
	db, err := Open(t.Context(), three)
	require.NoError(t, err)
	defer db.Close()
	require.Empty(t, tab.page(t, db, Query[thing]{}))
}
