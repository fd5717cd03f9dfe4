package table

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// thing is a row with a column of every sort.
type thing struct {
	ID      string
	Owner   string
	Size    int64
	Hidden  bool
	Created time.Time
	rest    []byte
}

var ownerThenCreated = []Sort{{Column: "owner"}, {Column: "created", Desc: true}}

func things() *Table[thing] {
	return New(Spec[thing]{
		Name: "things", Kind: 1,
		Key: func(v *thing) string { return v.ID },
		Encode: func(v *thing) []byte {
			var e Encoder
			e.Text(v.ID)
			e.Text(v.Owner)
			e.Int(v.Size)
			e.Bool(v.Hidden)
			e.Time(v.Created)
			e.Rest(v.rest)
			return e.Bytes()
		},
		Decode: func(d *Decoder) thing {
			return thing{d.Text(), d.Name(), d.Int(), d.Bool(), d.Time(), d.Rest()}
		},
		Columns: []Column[thing]{
			{"owner", func(v *thing) string { return Text(v.Owner) }},
			{"size", func(v *thing) string { return Int(v.Size) }},
			{"hidden", func(v *thing) string { return Bool(v.Hidden) }},
			{"created", func(v *thing) string { return Time(v.Created) }},
		},
		Indexes: [][]Sort{ownerThenCreated, {{Column: "size"}}, {{Column: "hidden"}, {Column: "size", Desc: true}}},
	})
}

func randomThing(rng *rand.Rand) thing {
	return thing{
		ID:      fmt.Sprintf("t%03d", rng.IntN(200)),
		Owner:   []string{"", "a", "a\x00", "a\x00\xff", "b", "\xff\xff"}[rng.IntN(6)],
		Size:    int64(rng.IntN(7)) - 3,
		Hidden:  rng.IntN(3) == 0,
		Created: time.Unix(int64(rng.IntN(9))-4, int64(rng.IntN(2))).UTC(),
	}
}

var schema = Schema{Name: "test", Steps: []Step{{Name: "first"}}}

func sharedStore() store.Store { return mem.New(mem.Config{Limits: store.Limits{Shared: true}}) }

// openDB syncs and opens a database with a table of things.
func openDB(t testing.TB, s store.Store) (*DB, *Table[thing]) {
	t.Helper()
	tab := things()
	cfg := Config{Store: s, Schema: schema, Tables: []Definition{tab}}
	_, err := Sync(t.Context(), cfg, false)
	require.NoError(t, err)
	db, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db, tab
}

func (t *Table[R]) page(tb testing.TB, db *DB, q Query[R]) []R {
	tb.Helper()
	var rows []R
	require.NoError(tb, db.View(func(tx *Tx) (err error) {
		rows, err = t.Page(tx, q)
		return err
	}))
	return rows
}

// put writes rows, a few at a time.
func put(tb testing.TB, db *DB, tab *Table[thing], rows ...thing) {
	tb.Helper()
	for len(rows) > 0 {
		n := min(len(rows), 100)
		_, err := db.Update(context.WithoutCancel(tb.Context()), func(tx *Tx) error {
			for _, v := range rows[:n] {
				if err := tab.Put(tx, v); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(tb, err)
		rows = rows[n:]
	}
}
