package placement

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corruptible is a small world with a record of every kind.
func corruptible(t *testing.T) *Engine {
	t.Helper()
	e := newEngine(t)
	host := addHost(t, e, 1, map[string]Inventory{"VCPU": NewInventory(100), "MEMORY_MB": NewInventory(100)})
	child, ctx := testUUID('g', 1), t.Context()
	_, err := e.CreateProvider(ctx, Provider{UUID: child, Name: "child", Parent: host})
	require.NoError(t, err)
	addHost(t, e, 2, map[string]Inventory{"VCPU": NewInventory(100)})
	for _, create := range []func() (bool, error){
		func() (bool, error) { return e.CreateClass(ctx, "CUSTOM_A") },
		func() (bool, error) { return e.CreateTrait(ctx, "CUSTOM_T") },
	} {
		_, err := create()
		require.NoError(t, err)
	}
	_, err = e.SetInventories(ctx, child, map[string]Inventory{"CUSTOM_A": NewInventory(10)}, AnyGeneration)
	require.NoError(t, err)
	_, err = e.SetTraits(ctx, child, []string{"CUSTOM_T", "STORAGE_DISK_SSD"}, AnyGeneration)
	require.NoError(t, err)
	_, err = e.SetAggregates(ctx, child, []UUID{testUUID('a', 1)}, AnyGeneration)
	require.NoError(t, err)
	for n := range 2 {
		require.NoError(t, e.SetAllocations(ctx, AllocationWrite{
			Consumers: []ConsumerAllocations{{
				Consumer: testUUID('c', n), Project: "p", User: "u", Generation: NewConsumer,
				Allocations: []Allocation{{host, "VCPU", 3}, {child, "CUSTOM_A", 2}},
			}},
			Guards:      []Guard{{Key: string(rune('a' + n)), Provider: child}},
			Attachments: []Attachment{{Key: string(rune('a' + n)), Value: []byte("v")}},
		}))
	}
	return e
}

// TestVerifyFindsViolations breaks one invariant at a time, by hand, and
// demands that this one and no other is reported.
func TestVerifyFindsViolations(t *testing.T) {
	t.Parallel()
	const host, child, other = 0, 1, 2
	for _, c := range []struct {
		invariant, what string
		corrupt         func(w *world)
	}{
		{"", "nothing", func(*world) {}},
		{"INV-1", "usage above the sum", func(w *world) { w.use(host, w.provider(host), 0, 1) }},
		{"INV-1", "usage below the sum", func(w *world) { w.use(child, w.provider(child), w.classes.ids["CUSTOM_A"], -1) }},
		{"INV-1", "usage of nobody", func(w *world) { w.use(other, w.provider(other), 0, 5) }},
		{"INV-2", "inventory gone", func(w *world) { w.setInventories(child, nil) }},
		{"INV-2", "provider gone", func(w *world) {
			w.present.clear(child)
			for _, g := range w.guards {
				g.bound = UUID{}
			}
		}},
		{"INV-3", "root of another tree", func(w *world) { w.provider(child).root = other }},
		{"INV-3", "root with another root", func(w *world) { w.provider(other).root = child }},
		{"INV-3", "ancestor of itself", func(w *world) { w.provider(host).parent = child }},
		{"INV-3", "parent gone", func(w *world) {
			i := w.newProvider(&providerRecord{uuid: testUUID('x', 1), name: "x"})
			w.provider(child).parent = i
			w.present.clear(i)
		}},
		{"INV-4", "name twice", func(w *world) { w.provider(other).name = w.provider(host).name }},
		{"INV-4", "consumer twice", func(w *world) { w.consumers.at(1).uuid = w.consumers.at(0).uuid }},
		{"INV-5", "class unknown", func(w *world) {
			id := w.classes.ids["CUSTOM_A"]
			w.classes.remove(id)
		}},
		{"INV-5", "trait unknown", func(w *world) { w.traits.remove(w.traits.ids["CUSTOM_T"]) }},
		{"INV-6", "no project", func(w *world) { w.projects.names[w.consumers.at(0).project] = "" }},
		{"INV-6", "no user", func(w *world) { w.users.names[w.consumers.at(0).user] = "" }},
		{"INV-6", "no generation", func(w *world) { w.consumers.at(0).generation = 0 }},
		{"INV-6", "amount of 0", func(w *world) {
			a := &w.consumers.at(0).allocs[0]
			w.use(host, w.provider(host), a.class, -a.amount)
			a.amount = 0
		}},
		{"INV-7", "step of 0", func(w *world) { w.shapes.rows[w.provider(host).inv[0].shape].inv.StepSize = 0 }},
		{"INV-7", "negative capacity", func(w *world) { w.shapes.rows[w.provider(host).inv[1].shape].inv.Reserved = 1000 }},
		{"INV-8", "trait bitmap lacks", func(w *world) { w.traited[w.traits.ids["CUSTOM_T"]].clear(child) }},
		{"INV-8", "trait bitmap has", func(w *world) { w.traited[w.traits.ids["CUSTOM_T"]].set(host) }},
		{"INV-8", "aggregate bitmap", func(w *world) { w.aggregated[0].clear(child) }},
		{"INV-8", "class bitmap", func(w *world) { w.room[0].any.clear(host) }},
		{"INV-8", "room level", func(w *world) { w.room[0].level[3].clear(host) }},
		{"INV-8", "room level too high", func(w *world) { w.room[0].level[40].set(host) }},
		{"INV-8", "nested", func(w *world) { w.nested.clear(child) }},
		{"INV-8", "UUID index", func(w *world) {
			u := w.provider(host).uuid
			w.byUUID.remove(w.hashUUID(&u), host)
		}},
		{"INV-8", "name index", func(w *world) { w.byName.remove(w.hashName("host-2"), other) }},
		{"INV-8", "consumer index", func(w *world) {
			u := w.consumers.at(0).uuid
			w.byConsumer.remove(w.hashUUID(&u), 0)
		}},
		{"INV-8", "holder missing", func(w *world) { w.provider(host).holders.remove(1) }},
		{"INV-8", "holder too many", func(w *world) { w.provider(other).holders.insert(1) }},
		{"INV-8", "project list", func(w *world) {
			c := w.consumers.at(1)
			w.byProject[c.project].consumers.Delete(uint64(c.user)<<32 | 1)
		}},
		{"INV-8", "project sum", func(w *world) {
			for _, row := range w.byProject[w.consumers.at(0).project].usage {
				row.used[0]++
			}
		}},
		{"INV-8", "guards of a tree", func(w *world) { w.guardsOf[host] = w.guardsOf[host][:1] }},
		{"INV-8", "guard's tree", func(w *world) { w.guards["a"].root = other }},
		{"INV-9", "guard without version", func(w *world) { w.guards["a"].version = 0 }},
		{"INV-9", "guard of nobody", func(w *world) { w.guards["b"].bound = testUUID('x', 9) }},
		{"INV-9", "attachment too big", func(w *world) {
			w.attachments.ReplaceOrInsert(Attachment{Key: "a", Value: make([]byte, maxAttachmentBytes+1)})
		}},
		{"INV-9", "long key", func(w *world) { w.attachments.ReplaceOrInsert(Attachment{Key: strings.Repeat("k", maxKey+1)}) }},
	} {
		t.Run(strings.TrimSpace(c.invariant+" "+c.what), func(t *testing.T) {
			t.Parallel()
			e := corruptible(t)
			c.corrupt(e.world)
			found, err := Verify(t.Context(), e.Snapshot())
			require.NoError(t, err)
			if c.invariant == "INV-8" {
				require.Empty(t, found, "the records are in order")
				found, err = e.Verify(t.Context())
				require.NoError(t, err)
			}
			require.Equal(t, c.invariant != "", len(found) > 0)
			for _, v := range found {
				require.Equal(t, c.invariant, v.Invariant, v)
				require.NotEmpty(t, v.Subject)
				require.NotEmpty(t, v.Detail)
				require.Equal(t, v.Invariant+": "+v.Subject+": "+v.Detail, v.String())
			}
		})
	}
}
