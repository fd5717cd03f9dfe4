package placement_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The tests here use guards and attachments as a scheduler does: a guard for
// each server group, a guard for what it keeps of each host.

const contenders = 64

// together runs f at once in many goroutines and waits for them.
func together(n int, f func(k int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for k := range n {
		wg.Go(func() {
			<-start
			f(k)
		})
	}
	close(start)
	wg.Wait()
}

// TestGuardLetsOneWin has many claims that read the same version of a group.
func TestGuardLetsOneWin(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 1000)
		for round := range 8 { // the first one makes the guard
			read := e.Guard("group")
			require.Equal(t, round == 0, read == 0)
			var won atomic.Int64
			together(contenders, func(k int) {
				w := claimOf(id('c', round*contenders+k), placement.NewConsumer, vcpus(host, 1))
				w.Guards = []placement.Guard{{Key: "group", Version: read}}
				w.Attachments = []placement.Attachment{{Key: "winner", Value: []byte{byte(k)}}}
				err := e.SetAllocations(t.Context(), w)
				if err == nil {
					won.Add(1)
					assert.Equal(t, []byte{byte(k)}, e.Attachment("winner"))
					return
				}
				assert.ErrorIs(t, err, placement.ErrConcurrentUpdate)
				_, _, err = e.Consumer(w.Consumers[0].Consumer)
				assert.ErrorIs(t, err, placement.ErrNotFound)
			})
			require.EqualValues(t, 1, won.Load())
			require.Greater(t, e.Guard("group"), read)
		}
		used, _, err := e.Usages(host)
		require.NoError(t, err)
		require.EqualValues(t, 8, used["VCPU"])
	})
}

// TestGuardKept lets many claims of one owner through while it is not
// replaced, and none after it was.
func TestGuardKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 100_000)
		takeOver := func() uint64 {
			require.NoError(t, e.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{{Key: "owner", Version: e.Guard("owner")}}}))
			return e.Guard("owner")
		}
		claim := func(consumer int, version uint64) error {
			w := claimOf(id('c', consumer), placement.NewConsumer, vcpus(host, 1))
			w.Guards = []placement.Guard{{Key: "owner", Version: version, Keep: true}, {Key: "nobody's", Keep: true}}
			return e.SetAllocations(t.Context(), w)
		}
		own := takeOver()
		together(contenders, func(k int) { assert.NoError(t, claim(k, own)) })
		require.Equal(t, own, e.Guard("owner"))
		require.Zero(t, e.Guard("nobody's"))

		for round := 1; round < 20; round++ {
			var replaced atomic.Bool
			together(contenders, func(k int) {
				if k == contenders/2 {
					takeOver()
					replaced.Store(true)
					return
				}
				late := replaced.Load()
				err := claim(round*contenders+k, own)
				if late || err != nil {
					assert.ErrorIs(t, err, placement.ErrConcurrentUpdate)
				}
			})
			require.ErrorIs(t, claim(round*contenders+contenders/2, own), placement.ErrConcurrentUpdate)
			own = e.Guard("owner")
		}

		boundGuard(t, e, "bound", host)
		for _, g := range []placement.Guard{{Key: "bound", Version: e.Guard("bound"), Keep: true}, {Key: "new", Provider: host, Keep: true}} {
			var input *placement.InputError
			require.ErrorAs(t, e.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{g}}), &input)
		}
	})
}

// TestGuardKeptElsewhere has the owner replaced through another engine on the
// same store, which the first one has not heard of yet.
func TestGuardKeptElsewhere(t *testing.T) {
	t.Parallel()
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
	a, b := open(t, placement.Config{Store: shared}), open(t, placement.Config{Store: shared})
	host := newHost(t, a, 1, placement.UUID{}, 1000)
	for n := range 200 {
		require.NoError(t, a.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{{Key: "owner", Version: a.Guard("owner")}}}))
		w := claimOf(id('c', n), placement.NewConsumer, vcpus(host, 1))
		w.Guards = []placement.Guard{{Key: "owner", Version: a.Guard("owner"), Keep: true}}
		require.NoError(t, b.Fresh(t.Context()))
		require.NoError(t, b.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{{Key: "owner", Version: b.Guard("owner")}}}))
		require.ErrorIs(t, a.SetAllocations(t.Context(), w), placement.ErrConcurrentUpdate)
		require.NoError(t, a.Fresh(t.Context()))
	}
	used, _, err := a.Usages(host)
	require.NoError(t, err)
	require.Zero(t, used["VCPU"])
}

// TestGuardKeepsAntiAffinity lets many schedulers place members of two groups
// on hosts, at most one member of a group per host.
func TestGuardKeepsAntiAffinity(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		const hosts = 8
		for n := range hosts {
			newHost(t, e, n, placement.UUID{}, 100)
		}
		var placed atomic.Int64
		together(contenders, func(k int) {
			if joinGroup(t, e, fmt.Sprint("group-", k%2), id('c', k), hosts) {
				placed.Add(1)
			}
		})
		require.EqualValues(t, 2*hosts, placed.Load())
		for g := range 2 {
			members := e.Attachment(fmt.Sprint("group-", g))
			require.Len(t, members, hosts)
			require.Equal(t, hosts, len(slices.Compact(slices.Sorted(slices.Values(members)))))
		}
		for n := range hosts {
			used, _, err := e.Usages(id('h', n))
			require.NoError(t, err)
			require.EqualValues(t, 2, used["VCPU"])
		}
	})
}

// joinGroup places a member where the group has none, and decides anew when
// the group has changed meanwhile. The group's hosts are its attachment.
func joinGroup(t *testing.T, e *placement.Engine, group string, member placement.UUID, hosts int) bool {
	t.Helper()
	for {
		version := e.Guard(group) // before what it guards
		members := e.Attachment(group)
		host := 0
		for host < hosts && bytes.IndexByte(members, byte(host)) >= 0 {
			host++
		}
		if host == hosts {
			return false
		}
		w := claimOf(member, placement.NewConsumer, vcpus(id('h', host), 1))
		w.Guards = []placement.Guard{{Key: group, Version: version}}
		w.Attachments = []placement.Attachment{{Key: group, Value: append(bytes.Clone(members), byte(host))}}
		switch err := e.SetAllocations(t.Context(), w); {
		case err == nil:
			return true
		case !errors.Is(err, placement.ErrConcurrentUpdate):
			assert.NoError(t, err)
			return false
		}
	}
}

// boundGuard makes a guard bound to the tree of a provider.
func boundGuard(t *testing.T, e *placement.Engine, key string, provider placement.UUID) {
	t.Helper()
	require.NoError(t, e.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{{Key: key, Provider: provider}}}))
	require.NotZero(t, e.Guard(key))
}

// TestGuardOfHost checks which writes advance a guard bound to a tree.
func TestGuardOfHost(t *testing.T) {
	t.Parallel()
	anyGen := placement.AnyGeneration
	a, child, b := id('h', 1), id('h', 2), id('h', 3) // child is of a's tree
	for _, c := range []struct {
		name     string
		write    func(ctx context.Context, e *placement.Engine) error
		advances bool
	}{
		{"claim on the host", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 9), anyGen, vcpus(a, 1)))
		}, true},
		{"claim on a child", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 9), anyGen, vcpus(child, 1)))
		}, true},
		{"claim on both trees", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 9), anyGen, vcpus(b, 1), vcpus(child, 1)))
		}, true},
		{"release", func(ctx context.Context, e *placement.Engine) error {
			return e.DeleteAllocations(ctx, id('c', 1))
		}, true},
		{"release by an empty write", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 1), anyGen))
		}, true},
		{"move away", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 1), anyGen, vcpus(b, 1)))
		}, true},
		{"reshape", func(ctx context.Context, e *placement.Engine) error {
			return e.Reshape(ctx, []placement.InventoryWrite{{
				Provider: a, Generation: anyGen, Inventories: map[string]placement.Inventory{"VCPU": placement.NewInventory(9)},
			}}, claimOf(id('c', 1), anyGen, vcpus(a, 2)))
		}, true},
		{"claim elsewhere", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, claimOf(id('c', 9), anyGen, vcpus(b, 1)))
		}, false},
		{"release elsewhere", func(ctx context.Context, e *placement.Engine) error {
			return e.DeleteAllocations(ctx, id('c', 2))
		}, false},
		{"another guard", func(ctx context.Context, e *placement.Engine) error {
			return e.SetAllocations(ctx, placement.AllocationWrite{Guards: []placement.Guard{{Key: "other", Provider: a}}})
		}, false},
		{"inventory", func(ctx context.Context, e *placement.Engine) error {
			_, err := e.SetInventories(ctx, a, map[string]placement.Inventory{"VCPU": placement.NewInventory(9)}, anyGen)
			return err
		}, false},
		{"traits", func(ctx context.Context, e *placement.Engine) error {
			_, err := e.SetTraits(ctx, child, []string{"STORAGE_DISK_SSD"}, anyGen)
			return err
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, e *placement.Engine) {
				t.Helper()
				newHost(t, e, 1, placement.UUID{}, 8)
				newHost(t, e, 2, a, 8)
				newHost(t, e, 3, placement.UUID{}, 8)
				require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 1), anyGen, vcpus(a, 1))))
				require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 2), anyGen, vcpus(b, 1))))
				boundGuard(t, e, "numa/a", a)
				boundGuard(t, e, "numa/child", child)
				before := [...]uint64{e.Guard("numa/a"), e.Guard("numa/child")}
				require.NoError(t, c.write(t.Context(), e))
				for k, key := range []string{"numa/a", "numa/child"} {
					require.Equal(t, c.advances, e.Guard(key) > before[k], "%s: %d, was %d", key, e.Guard(key), before[k])
				}
			})
		})
	}
}

// TestGuardOfHostCarried checks that a write that carries the host's guard
// may follow another at once, and that a stale one is refused after a foreign
// write.
func TestGuardOfHostCarried(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 8)
		boundGuard(t, e, "numa", host)
		carry := func(n int, version uint64) error {
			w := claimOf(id('c', n), placement.NewConsumer, vcpus(host, 1))
			w.Guards = []placement.Guard{{Key: "numa", Version: version}}
			return e.SetAllocations(t.Context(), w)
		}
		read := e.Guard("numa")
		require.NoError(t, carry(1, read))
		require.ErrorIs(t, carry(2, read), placement.ErrConcurrentUpdate)
		read = e.Guard("numa")
		require.NoError(t, carry(2, read))
		read = e.Guard("numa")
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 3), placement.NewConsumer, vcpus(host, 1))))
		require.ErrorIs(t, carry(4, read), placement.ErrConcurrentUpdate)
	})
}

// TestGuardMovesWithItsProvider binds a guard to a child that moves between
// trees, and becomes a tree of its own.
func TestGuardMovesWithItsProvider(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		a, b := newHost(t, e, 1, placement.UUID{}, 99), newHost(t, e, 2, placement.UUID{}, 99)
		child := newHost(t, e, 3, a, 99)
		boundGuard(t, e, "child", child)
		boundGuard(t, e, "a", a)
		n := 0
		advances := func(key string, provider placement.UUID) bool {
			n++
			was := e.Guard(key)
			require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(provider, 1))))
			return e.Guard(key) > was
		}
		for _, at := range []struct {
			parent           placement.UUID
			onA, onB, aChild bool // a claim on A, on B advances "child"; one on the child advances "a"
		}{
			{a, true, false, true},
			{b, false, true, false},
			{placement.UUID{}, false, false, false},
			{b, false, true, false},
			{a, true, false, true},
		} {
			_, err := e.UpdateProvider(t.Context(), child, placement.ProviderUpdate{Parent: &at.parent, AllowReparenting: true})
			require.NoError(t, err)
			require.True(t, advances("child", child))
			require.True(t, advances("a", a))
			require.Equal(t, at.onA, advances("child", a), "below %s", at.parent)
			require.Equal(t, at.onB, advances("child", b), "below %s", at.parent)
			require.Equal(t, at.aChild, advances("a", child), "below %s", at.parent)
		}
		// The whole tree of a goes below b, and its guards with it.
		_, err := e.UpdateProvider(t.Context(), a, placement.ProviderUpdate{Parent: &b})
		require.NoError(t, err)
		require.True(t, advances("a", b))
		require.True(t, advances("child", b))
	})
}

// TestAttachmentsGoWithTheClaim writes, replaces and deletes attachments, and
// sees refused writes leave all of them alone.
func TestAttachmentsGoWithTheClaim(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 4)
		write := func(n int, amount int64, attachments ...placement.Attachment) error {
			w := claimOf(id('c', n), placement.AnyGeneration, vcpus(host, amount))
			w.Attachments = attachments
			return e.SetAllocations(t.Context(), w)
		}
		value := []byte("one")
		require.NoError(t, write(1, 3, placement.Attachment{Key: "a", Value: value}, placement.Attachment{Key: "b", Value: []byte{}}))
		value[0] = 'X' // the engine has its own
		require.Equal(t, []byte("one"), e.Attachment("a"))
		require.NotNil(t, e.Attachment("b"))
		require.Empty(t, e.Attachment("b"))
		before := dump(e)
		require.ErrorIs(t, write(2, 2, placement.Attachment{Key: "a", Value: []byte("two")}, placement.Attachment{Key: "b"}), placement.ErrCapacity)
		same(t, before, dump(e), "refused")
		require.NoError(t, write(2, 1, placement.Attachment{Key: "a", Value: []byte("two")}, placement.Attachment{Key: "b"}, placement.Attachment{Key: "not there"}))
		require.Equal(t, []byte("two"), e.Attachment("a"))
		require.Nil(t, e.Attachment("b"))
		require.NoError(t, e.SetAllocations(t.Context(), placement.AllocationWrite{
			Attachments: []placement.Attachment{{Key: strings.Repeat("k", 255), Value: make([]byte, 64<<10)}},
		}))
	})
}

// TestGuardRefusals checks what is refused, that the error says why, and that
// nothing has changed, not even what else the write held.
func TestGuardRefusals(t *testing.T) {
	t.Parallel()
	host, long, big := id('h', 1), strings.Repeat("k", 256), make([]byte, 64<<10+1)
	for _, c := range []struct {
		name         string
		guards       []placement.Guard
		attachments  []placement.Attachment
		field, value string // "": a conflict
	}{
		{"guard without key", []placement.Guard{{}}, nil, "guard", ""},
		{"long guard", []placement.Guard{{Key: long}}, nil, "guard", long},
		{"guard twice", []placement.Guard{{Key: "g"}, {Key: "g"}}, nil, "guard", "g"},
		{"guard of nobody", []placement.Guard{{Key: "g", Provider: id('x', 1)}}, nil, "guard provider", id('x', 1).String()},
		{"present guard as a new one", []placement.Guard{{Key: "present"}}, nil, "", ""},
		{"new guard as a present one", []placement.Guard{{Key: "g", Version: 7}}, nil, "", ""},
		{"stale guard beside a good one", []placement.Guard{{Key: "g"}, {Key: "present", Version: 1 << 60}}, nil, "", ""},
		{"attachment without key", nil, []placement.Attachment{{Value: []byte("v")}}, "attachment", ""},
		{"long attachment key", nil, []placement.Attachment{{Key: long}}, "attachment", long},
		{"big attachment", nil, []placement.Attachment{{Key: "a", Value: big}}, "attachment", "a"},
		{"attachment twice", nil, []placement.Attachment{{Key: "a", Value: big[:1]}, {Key: "a"}}, "attachment", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, e *placement.Engine) {
				t.Helper()
				newHost(t, e, 1, placement.UUID{}, 4)
				boundGuard(t, e, "present", host)
				before, last := dump(e), e.LastChange()
				w := claimOf(id('c', 1), placement.NewConsumer, vcpus(host, 1))
				w.Guards, w.Attachments = c.guards, append([]placement.Attachment{{Key: "good", Value: []byte("v")}}, c.attachments...)
				err := e.SetAllocations(t.Context(), w)
				if c.field == "" {
					require.ErrorIs(t, err, placement.ErrConcurrentUpdate)
				} else {
					refused(t, err, c.field, c.value)
				}
				same(t, before, dump(e), "refused")
				require.Equal(t, last, e.LastChange())
			})
		})
	}
}

// TestGuardsGoWithTheirProvider deletes the providers that guards are bound
// to: a child, and a root.
func TestGuardsGoWithTheirProvider(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 4)
		child := newHost(t, e, 2, host, 4)
		other := newHost(t, e, 3, placement.UUID{}, 4)
		for key, provider := range map[string]placement.UUID{"host": host, "child": child, "child too": child, "other": other, "free": {}} {
			boundGuard(t, e, key, provider)
		}
		old := e.Guard("child")
		require.NoError(t, e.DeleteProvider(t.Context(), child))
		require.Zero(t, e.Guard("child"))
		require.Zero(t, e.Guard("child too"))
		require.NotZero(t, e.Guard("host"))
		newHost(t, e, 2, host, 4)
		require.Zero(t, e.Guard("child"), "a new provider has no guards")
		boundGuard(t, e, "child", child)
		require.Greater(t, e.Guard("child"), old, "versions do not come back")
		require.NoError(t, e.DeleteProvider(t.Context(), child))
		require.NoError(t, e.DeleteProvider(t.Context(), host))
		require.Zero(t, e.Guard("host"))
		require.NotZero(t, e.Guard("other"))
		require.NotZero(t, e.Guard("free"))
	})
}

// TestGuardMeetsDeletion makes guards of a provider while it is deleted and
// made again: none may be left without it.
func TestGuardMeetsDeletion(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 4)
		together(8, func(k int) {
			for n := range 50 {
				if k == 0 {
					assert.NoError(t, e.DeleteProvider(t.Context(), host))
					_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: host, Name: "again"})
					assert.NoError(t, err)
					continue
				}
				err := e.SetAllocations(t.Context(), placement.AllocationWrite{Guards: []placement.Guard{{Key: fmt.Sprint(k, " ", n), Provider: host}}})
				if err != nil {
					refused(t, err, "guard provider", host.String())
				}
			}
		})
	})
}
