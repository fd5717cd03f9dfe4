package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
)

// changesAfter returns the changes after number after.
func changesAfter(t *testing.T, e *placement.Engine, after uint64) []placement.Change {
	t.Helper()
	buf := make([]placement.Change, e.LastChange()-after)
	n, err := e.Changes(after, buf)
	require.NoError(t, err)
	require.Len(t, buf, n)
	return buf
}

// TestFeedTells checks what each kind of write puts into the feed.
func TestFeedTells(t *testing.T) {
	t.Parallel()
	a, child, b := id('h', 1), id('h', 2), id('h', 3)
	usage := func(p, root placement.UUID) placement.Change {
		return placement.Change{Kind: placement.ChangeAllocations, Provider: p, Root: root}
	}
	definition := func(p, root placement.UUID) placement.Change {
		return placement.Change{Kind: placement.ChangeDefinition, Provider: p, Root: root}
	}
	inventory := map[string]placement.Inventory{"VCPU": placement.NewInventory(9)}
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		ctx := t.Context()
		for _, c := range []struct {
			name  string
			write func() error
			want  []placement.Change
		}{
			{"create", func() error {
				_, err := e.CreateProvider(ctx, placement.Provider{UUID: a, Name: "a"})
				return err
			}, []placement.Change{definition(a, a), usage(a, a)}},
			{"create a child", func() error {
				_, err := e.CreateProvider(ctx, placement.Provider{UUID: child, Name: "child", Parent: a})
				return err
			}, []placement.Change{definition(child, a), usage(child, a)}},
			{"inventories", func() error {
				_, err := e.SetInventories(ctx, child, inventory, 0)
				return err
			}, []placement.Change{definition(child, a), usage(child, a)}},
			{"traits that are there", func() error {
				_, err := e.SetTraits(ctx, child, nil, 1)
				return err
			}, nil},
			{"claim", func() error {
				return e.SetAllocations(ctx, claimOf(id('c', 1), placement.NewConsumer, vcpus(child, 1)))
			}, []placement.Change{usage(child, a)}},
			{"refused claim", func() error {
				err := e.SetAllocations(ctx, claimOf(id('c', 2), placement.NewConsumer, vcpus(child, 10)))
				require.ErrorIs(t, err, placement.ErrCapacity)
				return nil
			}, nil},
			{"guard and attachment", func() error {
				return e.SetAllocations(ctx, placement.AllocationWrite{
					Guards: []placement.Guard{{Key: "g", Provider: child}}, Attachments: []placement.Attachment{{Key: "k", Value: []byte{1}}},
				})
			}, []placement.Change{{Kind: placement.ChangeGuard, Key: "g"}, {Kind: placement.ChangeAttachment, Key: "k"}}},
			{"release below a guard", func() error {
				return e.DeleteAllocations(ctx, id('c', 1))
			}, []placement.Change{usage(child, a), {Kind: placement.ChangeGuard, Key: "g"}}},
			{"reparent", func() error {
				if _, err := e.CreateProvider(ctx, placement.Provider{UUID: b, Name: "b"}); err != nil {
					return err
				}
				_, err := e.UpdateProvider(ctx, child, placement.ProviderUpdate{Parent: &b, AllowReparenting: true})
				return err
			}, []placement.Change{definition(b, b), usage(b, b), definition(a, a), definition(child, b), usage(child, b)}},
			{"delete a child", func() error {
				return e.DeleteProvider(ctx, child)
			}, []placement.Change{
				{Kind: placement.ChangeRemoved, Provider: child, Root: b}, {Kind: placement.ChangeGuard, Key: "g"},
			}},
			{"attachment goes", func() error {
				return e.SetAllocations(ctx, placement.AllocationWrite{Attachments: []placement.Attachment{{Key: "k"}}})
			}, []placement.Change{{Kind: placement.ChangeAttachment, Key: "k"}}},
		} {
			last := e.LastChange()
			require.NoError(t, c.write(), c.name)
			for k := range c.want {
				c.want[k].Seq = last + 1 + uint64(k)
			}
			got := changesAfter(t, e, last)
			require.Equal(t, len(c.want), len(got), c.name)
			for k := range got {
				require.Equal(t, c.want[k], got[k], c.name)
			}
		}
	})
}

// TestFeedRing checks the edges of what the ring remembers.
func TestFeedRing(t *testing.T) {
	t.Parallel()
	_, err := placement.Open(t.Context(), placement.Config{FeedSize: -1})
	refused(t, err, "FeedSize", "-1")

	e := open(t, placement.Config{FeedSize: 8})
	buf := make([]placement.Change, 100)
	n, err := e.Changes(0, buf)
	require.NoError(t, err)
	require.Zero(t, n)
	for k := range 20 {
		require.NoError(t, e.SetAllocations(t.Context(), placement.AllocationWrite{
			Attachments: []placement.Attachment{{Key: fmt.Sprint(k + 1), Value: []byte{}}},
		}))
	}
	require.EqualValues(t, 20, e.LastChange())
	for _, c := range []struct {
		after uint64
		size  int
		want  int
		err   error
	}{
		{0, 100, 0, placement.ErrTooFarBehind},
		{11, 100, 0, placement.ErrTooFarBehind},
		{12, 100, 8, nil},
		{12, 3, 3, nil},
		{12, 0, 0, nil},
		{19, 100, 1, nil},
		{20, 100, 0, nil},
		{21, 100, 0, nil},
		{math.MaxUint64, 100, 0, nil},
	} {
		n, err := e.Changes(c.after, buf[:c.size])
		require.ErrorIs(t, err, c.err, "after %d", c.after)
		require.Equal(t, c.want, n, "after %d", c.after)
		for k := range n {
			seq := c.after + 1 + uint64(k)
			require.Equal(t, placement.Change{Seq: seq, Kind: placement.ChangeAttachment, Key: fmt.Sprint(seq)}, buf[k])
		}
	}
}

func TestWaitChange(t *testing.T) {
	t.Parallel()
	e := open(t, placement.Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.WaitChange(ended, 0), context.Canceled)
	woken := make(chan error, 8)
	for range cap(woken) {
		go func() { woken <- e.WaitChange(t.Context(), 0) }()
	}
	_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: id('h', 1), Name: "h"})
	require.NoError(t, err)
	for range cap(woken) {
		require.NoError(t, <-woken)
	}
	require.NoError(t, e.WaitChange(ended, 1), "there is a change already")
	require.ErrorIs(t, e.WaitChange(ended, 2), context.Canceled)
}

// view is what a follower keeps: the usages of every provider.
type view struct {
	e      *placement.Engine
	usages map[placement.UUID]map[string]int64
	seen   uint64
	starts int
}

// restart takes everything from a snapshot.
func (v *view) restart() {
	s := v.e.Snapshot()
	defer s.Close()
	v.usages, v.seen, v.starts = map[placement.UUID]map[string]int64{}, s.LastChange, v.starts+1
	for p := range s.Providers() {
		used := map[string]int64{}
		for _, i := range p.Inventories {
			used[i.Class] = i.Used
		}
		v.usages[p.UUID] = used
	}
}

// catchUp reads the feed to its end.
func (v *view) catchUp(buf []placement.Change) error {
	for {
		n, err := v.e.Changes(v.seen, buf)
		switch {
		case errors.Is(err, placement.ErrTooFarBehind):
			v.restart()
			continue
		case err != nil || n == 0:
			return err
		}
		for _, c := range buf[:n] {
			if v.seen++; c.Seq != v.seen {
				return fmt.Errorf("change %d after %d", c.Seq, v.seen-1)
			}
			if c.Provider.IsZero() {
				continue
			}
			used, _, err := v.e.Usages(c.Provider)
			if err == nil {
				v.usages[c.Provider] = used
			} else {
				delete(v.usages, c.Provider)
			}
		}
	}
}

// TestFeedKeepsViewsCurrent follows the feed while others write: in the end
// the view is what the engine says, with a ring that suffices and with one
// that is often left behind.
func TestFeedKeepsViewsCurrent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 16} {
		for seed := range rounds(1, 4, 100) {
			t.Run(fmt.Sprintf("ring %d, seed %d", size, seed), func(t *testing.T) {
				t.Parallel()
				e := open(t, placement.Config{FeedSize: size})
				v := &view{e: e}
				v.restart()
				writing, done := context.WithCancel(t.Context())
				var writers, follower sync.WaitGroup
				for w := range 4 {
					writers.Go(func() {
						rng := rand.New(rand.NewPCG(seed, uint64(w)))
						for range 300 {
							expected(t, tradePlaces(t.Context(), rng, e))
						}
					})
				}
				follower.Go(func() {
					buf := make([]placement.Change, 8)
					for e.WaitChange(writing, v.seen) == nil {
						assert.NoError(t, v.catchUp(buf))
					}
				})
				writers.Wait()
				done()
				follower.Wait()
				require.NoError(t, v.catchUp(make([]placement.Change, 8)))
				want := &view{e: e}
				want.restart()
				require.Equal(t, want.usages, v.usages)
				require.Equal(t, e.LastChange(), v.seen)
				if size == 0 {
					require.Equal(t, 1, v.starts)
				}
			})
		}
	}
}
