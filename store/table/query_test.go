package table

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// compare is the order of two things by one column, written without the
// ordered forms.
func compare(a, b thing, column string) int {
	switch column {
	case "owner":
		return strings.Compare(a.Owner, b.Owner)
	case "size":
		return cmp.Compare(a.Size, b.Size)
	case "hidden":
		return cmp.Compare(map[bool]int{true: 1}[a.Hidden], map[bool]int{true: 1}[b.Hidden])
	case "created":
		return a.Created.Compare(b.Created)
	}
	return strings.Compare(a.ID, b.ID)
}

func inOrder(order []Sort) func(a, b thing) int {
	return func(a, b thing) int {
		desc := false
		for _, s := range order {
			desc = s.Desc
			if c := compare(a, b, s.Column); c != 0 {
				return map[bool]int{false: c, true: -c}[desc]
			}
			if s.Column == Key {
				return 0
			}
		}
		c := strings.Compare(a.ID, b.ID)
		return map[bool]int{false: c, true: -c}[desc]
	}
}

// twin answers a query the obvious way.
func twin(rows []thing, q Query[thing]) []thing {
	var found []thing
	for _, v := range rows {
		fits := q.Match == nil || q.Match(&v)
		for _, w := range q.Where {
			is := map[string]string{"owner": Text(v.Owner), "size": Int(v.Size), "hidden": Bool(v.Hidden), "created": Time(v.Created)}
			fits = fits && is[w.Column] == w.Value
		}
		if fits && (q.After == nil || inOrder(q.Sort)(*q.After, v) < 0) {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, inOrder(q.Sort))
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found
}

func randomQuery(rng *rand.Rand) Query[thing] {
	q := Query[thing]{Limit: rng.IntN(12)}
	columns := []string{"owner", "size", "hidden", "created", Key}
	rng.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	all := rng.IntN(2) == 0
	for _, c := range columns[:rng.IntN(4)] {
		q.Sort = append(q.Sort, Sort{c, all != (rng.IntN(4) == 0)})
	}
	like := randomThing(rng)
	if rng.IntN(3) == 0 {
		q.Where = append(q.Where, Equal{"owner", Text(like.Owner)})
	}
	if rng.IntN(3) == 0 {
		q.Where = append(q.Where, Equal{"hidden", Bool(like.Hidden)})
	}
	if rng.IntN(8) == 0 {
		q.Where = append(q.Where, Equal{"size", Int(like.Size)}, Equal{"size", Int(int64(rng.IntN(3)))})
	}
	if rng.IntN(4) == 0 {
		q.Match = func(v *thing) bool { return v.Size > 0 }
	}
	if rng.IntN(2) == 0 {
		after := randomThing(rng) // most often not a row at all
		q.After = &after
	}
	return q
}

func TestPageAgainstTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		db, tab := openDB(t, sharedStore())
		if seed%2 == 0 {
			tab.worth = 3 // grow indexes, drop them, and go on
		}
		for range 40 {
			var rows []thing
			for range rng.IntN(12) {
				rows = append(rows, randomThing(rng))
			}
			put(t, db, tab, rows...)
			all := tab.page(t, db, Query[thing]{})
			if len(all) > 0 && rng.IntN(2) == 0 {
				_, err := db.Update(t.Context(), func(tx *Tx) error { return tab.Delete(tx, all[rng.IntN(len(all))].ID) })
				require.NoError(t, err)
				all = tab.page(t, db, Query[thing]{})
			}
			for range 50 {
				q := randomQuery(rng)
				require.Equal(t, twin(all, q), tab.page(t, db, q), "seed %d, query %+v", seed, q)
			}
		}
	}
}

// TestGrown has a table grow an index for an order that is asked for again, and
// keep it current while others read.
func TestGrown(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	db, tab := openDB(t, sharedStore())
	var all []thing
	for n := range 2 * worthIndex {
		all = append(all, randomThing(rng))
		all[n].ID, all[n].Size = fmt.Sprint(n), rng.Int64N(1000)
	}
	put(t, db, tab, all...)
	q := Query[thing]{Sort: []Sort{{"created", false}, {"size", true}}, Limit: 10}
	for n := range 3 {
		require.Equal(t, twin(all, q), tab.page(t, db, q))
		require.Len(t, tab.state.garden.all(), min(n, 1), "the second time")
	}
	tab.worth = 3
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := range 200 {
				by := []Sort{{"created", n%2 == 0}, {"hidden", n%4 < 2}, {"size", n%8 < 4}}
				tab.page(t, db, Query[thing]{Sort: by, Limit: 3})
			}
		})
	}
	for n := range 50 {
		all[n].Size = 2000 - int64(n)
		put(t, db, tab, all[n])
	}
	readers.Wait()
	require.Len(t, tab.state.garden.all(), grownIndexes)
	q.After = &all[3]
	require.Equal(t, twin(all, q), tab.page(t, db, q))
}

// TestPagesJoin reads page after page while the row that each begins after is
// deleted.
func TestPagesJoin(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 4))
	db, tab := openDB(t, sharedStore())
	for range 300 {
		put(t, db, tab, randomThing(rng))
	}
	for n, order := range [][]Sort{nil, ownerThenCreated, {{"size", true}}, {{"created", false}, {"size", true}}} {
		want := tab.page(t, db, Query[thing]{Sort: order})
		var got []thing
		for q := (Query[thing]{Sort: order, Limit: 7}); ; {
			rows := tab.page(t, db, q)
			if len(rows) == 0 {
				break
			}
			got = append(got, rows...)
			q.After = &rows[len(rows)-1]
			if n == 3 {
				_, err := db.Update(t.Context(), func(tx *Tx) error { return tab.Delete(tx, q.After.ID) })
				require.NoError(t, err)
			}
		}
		require.Equal(t, want, got)
	}
}

func TestUnknownColumn(t *testing.T) {
	t.Parallel()
	db, tab := openDB(t, sharedStore())
	for _, q := range []Query[thing]{{Sort: []Sort{{Column: "colour"}}}, {Where: []Equal{{"colour", Text("red")}}}} {
		err := db.View(func(tx *Tx) error { _, err := tab.Page(tx, q); return err })
		require.ErrorIs(t, err, ErrUnknownColumn)
		require.ErrorContains(t, err, `"colour"`)
	}
}

// BenchmarkPage reads a page of 100 from the middle of a table.
func BenchmarkPage(b *testing.B) {
	for _, rows := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint("rows=", rows), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			db, tab := openDB(b, sharedStore())
			all := make([]thing, rows)
			for i := range all {
				all[i] = randomThing(rng)
				all[i].ID, all[i].Size = fmt.Sprint(i), rng.Int64()
			}
			put(b, db, tab, all...)
			q := Query[thing]{Sort: []Sort{{"size", true}}, Limit: 100, After: &all[rows/2]}
			require.Equal(b, twin(all, q), tab.page(b, db, q))
			b.ReportAllocs()
			for b.Loop() {
				tab.page(b, db, q)
			}
		})
	}
}
