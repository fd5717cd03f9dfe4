package badger

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	for _, version := range []uint64{1, 0x0102030405060708, math.MaxUint64} {
		for _, revision := range []uint64{0, 1, 0x01020304050607, 1<<56 - 1} {
			e := newEntry(version, revision)
			require.Equal(t, version, e.version())
			require.Equal(t, revision, e.revision())
		}
	}
}

func TestHasher(t *testing.T) {
	t.Parallel()
	h := newHasher()
	seen := map[keyHash]store.Key{}
	for kind := range 256 {
		for _, id := range []string{"", "\x00", "\x01", "a", "b", "ab"} {
			k := store.Key{Kind: store.Kind(kind), ID: id}
			hash := h.key(k)
			require.NotContains(t, seen, hash, "%v and %v", k, seen[hash])
			require.Equal(t, hash, h.key(k))
			seen[hash] = k
		}
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	table, a, b := newTable(0), keyHash{1}, keyHash{2}
	table.put(a, newEntry(1, 1))
	table.rollback([]undo{
		table.set(a, newEntry(2, 2)), table.set(b, newEntry(2, 2)),
		table.set(a, entry{}), table.set(b, newEntry(3, 3)), table.set(a, newEntry(3, 3)),
	})
	require.Equal(t, newEntry(1, 1), table.get(a))
	require.Zero(t, table.get(b))
}

// TestTable compares a table with a Go map under random changes. Few hashes,
// and all in one part, make long runs of slots that wrap around.
func TestTable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		got, want := newTable(seed*200), map[keyHash]entry{}
		for step := range 4000 {
			k := keyHash{0: byte(rng.IntN(4)), 3: byte(rng.IntN(256)), 8: byte(rng.IntN(4))}
			e := newEntry(uint64(step)+1, rng.Uint64N(3))
			old, known := want[k]
			require.Equal(t, old, got.get(k), "seed %d, step %d", seed, step)
			switch {
			case rng.IntN(1000) < int(seed)*50:
				got.remove(k)
				delete(want, k)
			case rng.IntN(2) == 0:
				require.Equal(t, !known, got.add(k, e), "seed %d, step %d", seed, step)
				if !known {
					want[k] = e
				}
			default:
				require.Equal(t, undo{k, old}, got.set(k, e), "seed %d, step %d", seed, step)
				want[k] = e
			}
		}
		for k, e := range want {
			require.Equal(t, e, got.get(k), "seed %d", seed)
		}
		used := 0
		for i := range got.parts {
			used += got.parts[i].used
		}
		require.Len(t, want, used, "seed %d", seed)
	}
}
