package placement

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// fuzzHost is a provider that fuzzed records can refer to.
var fuzzHost = testUUID('h', 1)

// fuzzWorld has a host, a custom class and a custom trait.
func fuzzWorld(t testing.TB) *world {
	t.Helper()
	l := loader{w: newWorld(1)}
	host := providerRecord{uuid: fuzzHost, name: "host", inv: []classInventory{{0, NewInventory(8)}}}
	for _, rec := range []store.Record{
		{Key: store.Key{Kind: kindClass, ID: "CUSTOM_A"}, Value: []byte{recordFormat}},
		{Key: store.Key{Kind: kindTrait, ID: "CUSTOM_T"}, Value: []byte{recordFormat}},
		{Key: store.Key{Kind: kindProvider, ID: string(fuzzHost[:])}, Value: l.w.encodeProvider(&host)},
		{Key: store.Key{Kind: kindState, ID: string(fuzzHost[:])}, Value: encodeState(nil, 1, 1)},
	} {
		rec.Version = 1
		require.NoError(t, l.add(rec))
	}
	require.NoError(t, l.finish())
	return l.w
}

// FuzzRecords decodes arbitrary bytes as every kind of record. Nothing may
// panic, and what is accepted is written back to something equal.
func FuzzRecords(f *testing.F) {
	w := fuzzWorld(f)
	own := testUUID('x', 1)
	class, trait := w.classes.ids["CUSTOM_A"], w.traits.ids["CUSTOM_T"]
	inv := NewInventory(100)
	inv.Reserved, inv.AllocationRatio = 3, MaxRatio
	f.Add(uint8(kindClass), []byte("CUSTOM_NEW"), []byte{recordFormat})
	f.Add(uint8(kindTrait), []byte("CUSTOM_NEW"), []byte{recordFormat, 0})
	f.Add(uint8(kindProvider), own[:], w.encodeProvider(&providerRecord{
		name: "x", parent: fuzzHost, created: -5, inv: []classInventory{{0, inv}, {class, inv}}, traits: []uint32{3, trait}, aggs: []UUID{own},
	}))
	f.Add(uint8(kindState), fuzzHost[:], encodeState(nil, 1<<40, 7))
	f.Add(uint8(kindConsumer), own[:], w.encodeConsumer(nil, &consumerRecord{
		project: "p", user: "u", kind: "T", generation: 3, created: 5, updated: 9, allocs: []allocRow{{0, 0, 4}},
	}))
	f.Add(uint8(kindConsumer), own[:], w.encodeConsumer(nil, &consumerRecord{
		project: "p", user: "u", generation: 1, created: 5, updated: 9, allocs: []allocRow{{0, 0, 4}}, stamps: []stamp{{0, 1 << 40, 8}},
	}))
	f.Add(uint8(kindGuard), []byte("guard"), encodeGuard(fuzzHost))
	f.Add(uint8(kindAttachment), []byte("key"), []byte{recordFormat, 1, 2, 3})
	f.Add(uint8(kindName), []byte("name"), []byte{})
	f.Fuzz(func(t *testing.T, kind uint8, key, value []byte) {
		rec := store.Record{Key: store.Key{Kind: store.Kind(kind), ID: string(key)}, Version: 7, Value: value}
		roundTrip(t, w, rec)
		l := loader{w: fuzzWorld(t)}
		if l.add(rec) == nil && l.finish() == nil {
			e := &Engine{world: l.w, feed: newFeed(1)}
			_, err := e.Verify(t.Context())
			require.NoError(t, err)
		}
	})
}

// roundTrip decodes, encodes and decodes again.
func roundTrip(t *testing.T, w *world, rec store.Record) {
	t.Helper()
	switch rec.Key.Kind {
	case kindProvider:
		if first, err := w.decodeProvider(rec); err == nil {
			rec.Value = w.encodeProvider(first)
			second, err := w.decodeProvider(rec)
			require.NoError(t, err)
			require.Equal(t, first, second)
		}
	case kindConsumer:
		if first, err := w.decodeConsumer(rec); err == nil {
			rec.Value = w.encodeConsumer(nil, first)
			if len(rec.Value) != w.consumerBytes(first) {
				t.Fatalf("%d bytes, foreseen were %d", len(rec.Value), w.consumerBytes(first))
			}
			second, err := w.decodeConsumer(rec)
			require.NoError(t, err)
			require.Equal(t, first, second)
		}
	case kindState:
		if generation, updated, err := decodeState(rec.Value); err == nil {
			again, same, err := decodeState(encodeState(nil, generation, updated))
			require.NoError(t, err)
			require.Equal(t, []int64{generation, updated}, []int64{again, same})
		}
	case kindGuard:
		if bound, err := decodeGuard(rec.Value); err == nil {
			again, err := decodeGuard(encodeGuard(bound))
			require.NoError(t, err)
			require.Equal(t, bound, again)
		}
	}
}

// TestDecodeRefusesTwice checks that a class, trait, aggregate or allocation
// stands once in a record.
func TestDecodeRefusesTwice(t *testing.T) {
	t.Parallel()
	w := fuzzWorld(t)
	own, inv := testUUID('x', 1), NewInventory(1)
	for name, r := range map[string]providerRecord{
		"class":     {name: "x", inv: []classInventory{{0, inv}, {1, inv}, {0, inv}}},
		"trait":     {name: "x", traits: []uint32{4, 2, 4}},
		"aggregate": {name: "x", aggs: []UUID{own, own}},
		"no name":   {name: ""},
		"inventory": {name: "x", inv: []classInventory{{0, Inventory{Total: 1, MinUnit: 1, MaxUnit: 1, AllocationRatio: 1}}}},
	} {
		_, err := w.decodeProvider(store.Record{Key: store.Key{Kind: kindProvider, ID: string(own[:])}, Value: w.encodeProvider(&r)})
		require.ErrorIs(t, err, errRecord, name)
	}
	for name, r := range map[string]consumerRecord{
		"twice":         {project: "p", user: "u", generation: 1, allocs: []allocRow{{0, 0, 4}, {0, 0, 4}}},
		"nothing":       {project: "p", user: "u", generation: 1, allocs: []allocRow{{0, 0, 0}}},
		"much":          {project: "p", user: "u", generation: 1, allocs: []allocRow{{0, 0, MaxInt + 1}}},
		"none":          {project: "p", user: "u", generation: 1},
		"no project":    {user: "u", generation: 1, allocs: []allocRow{{0, 0, 1}}},
		"no generation": {project: "p", user: "u", allocs: []allocRow{{0, 0, 1}}},
		"stamp":         {project: "p", user: "u", generation: 1, allocs: []allocRow{{0, 0, 1}}, stamps: []stamp{{0, 0, 1}}},
		"no inventory":  {project: "p", user: "u", generation: 1, allocs: []allocRow{{0, 1, 1}}},
	} {
		value := w.encodeConsumer(nil, &r)
		require.Len(t, value, w.consumerBytes(&r), name)
		_, err := w.decodeConsumer(store.Record{Key: store.Key{Kind: kindConsumer, ID: string(own[:])}, Value: value})
		require.ErrorIs(t, err, errRecord, name)
	}
}
