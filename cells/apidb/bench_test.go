package apidb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

const (
	benchCells   = 100
	projectSize  = 1000 // instances of a project, which are spread over all cells
	benchPage    = 100
	mappingsForm = "5e4e5f1b-1d3c-4c5e-9d3e-%012d"
)

func benchUUID(i int) string    { return fmt.Sprintf(mappingsForm, i) }
func benchCell(i int) string    { return fmt.Sprintf("cell0000-1d3c-4c5e-9d3e-%012d", i%benchCells) }
func benchProject(i int) string { return fmt.Sprintf("%032d", i) }

// benchMapping is mapping i. Neither its project nor its time follows its UUID.
func benchMapping(i, n int) InstanceMapping {
	place := i * 7919 % n // n has no factor in common with it
	return InstanceMapping{
		UUID: benchUUID(i), Cell: benchCell(place), Project: benchProject(place / projectSize), User: benchProject(place % 10),
		Created: time.Unix(int64(i*31%n), int64(i)).UTC(),
	}
}

// fill makes an API database of n instances.
func fill(tb testing.TB, n int) store.Store {
	tb.Helper()
	s := mem.New(mem.Config{})
	_, err := Sync(tb.Context(), s, false)
	require.NoError(tb, err)
	db, err := Open(tb.Context(), s)
	require.NoError(tb, err)
	require.NoError(tb, db.ChangeCells(tb.Context(), func(tx *table.Tx, _ []CellMapping) (err error) {
		for i := range benchCells {
			err = errors.Join(err, db.Cells.Create(tx, CellMapping{UUID: benchCell(i), Name: fmt.Sprint(i)}))
		}
		return err
	}))
	require.NoError(tb, db.Close())
	for first := 0; first < n; first += 1000 { // as MapInstances would, which takes a minute for a million
		id := store.BatchID{1}
		binary.BigEndian.PutUint64(id[8:], uint64(first))
		b := store.Batch{ID: id, Version: uint64(1000 + first)}
		for i := first; i < min(first+1000, n); i++ {
			m := benchMapping(i, n)
			b.Puts = append(b.Puts, store.Put{Key: store.Key{Kind: instanceKind, ID: m.UUID}, Value: m.encode()})
		}
		res, err := s.Commit(tb.Context(), b)
		require.NoError(tb, err)
		require.Equal(tb, store.Committed, res.Outcome)
	}
	return s
}

// cpuNow returns the processor time of the process, garbage collection included.
func cpuNow(tb testing.TB) time.Duration {
	tb.Helper()
	var use syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// cost returns the median time of do in microseconds. Who else uses the machine,
// and the collector of garbage, do not come into it.
func cost(times int, do func(i int)) float64 {
	all := make([]time.Duration, times)
	for i := range all {
		begin := time.Now()
		do(i)
		all[i] = time.Since(begin)
	}
	slices.Sort(all)
	return float64(all[times/2].Nanoseconds()) / 1000
}

// warm makes the heap have room, so that what is measured after it does not
// wait for memory of the system.
func warm(bytes int) {
	var room [][]byte
	for range bytes >> 15 {
		piece := make([]byte, 1<<15)
		for i := 0; i < len(piece); i += 1 << 10 {
			piece[i] = 1
		}
		room = append(room, piece)
	}
	runtime.KeepAlive(room)
	runtime.GC()
}

// pages are the lists that are measured, for a random row: those after it, of
// its project, and of its cell.
var pages = []struct {
	name  string
	query func(m *InstanceMapping) table.Query[InstanceMapping]
}{
	{"uuid", func(m *InstanceMapping) table.Query[InstanceMapping] {
		return table.Query[InstanceMapping]{After: m}
	}},
	{"project-newest", func(m *InstanceMapping) table.Query[InstanceMapping] {
		return table.Query[InstanceMapping]{
			Where: []table.Equal{{Column: Project, Value: table.Text(m.Project)}}, Sort: []table.Sort{{Column: Created, Desc: true}},
		}
	}},
	{"cell-by-project", func(m *InstanceMapping) table.Query[InstanceMapping] {
		return table.Query[InstanceMapping]{
			Where: []table.Equal{{Column: Cell, Value: table.Text(m.Cell)}}, Sort: []table.Sort{{Column: Project}, {Column: Created}},
		}
	}},
}

// page reads a page.
func page(tb testing.TB, db *DB, q table.Query[InstanceMapping]) []InstanceMapping {
	tb.Helper()
	q.Limit = benchPage
	var rows []InstanceMapping
	if err := db.View(func(tx *table.Tx) (err error) {
		rows, err = db.Instances.Page(tx, q)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return rows
}

// checkPages compares pages with what a scan of all mappings gives.
func checkPages(tb testing.TB, db *DB, n int, rng *rand.Rand) {
	tb.Helper()
	all := make([]InstanceMapping, n)
	for i := range all {
		all[i] = benchMapping(i, n)
	}
	m := all[rng.IntN(n)]
	of := func(keep func(*InstanceMapping) bool, by func(a, b InstanceMapping) int) (want []string) {
		var rows []InstanceMapping
		for i := range all {
			if keep(&all[i]) {
				rows = append(rows, all[i])
			}
		}
		slices.SortFunc(rows, by)
		for _, r := range rows[:min(benchPage, len(rows))] {
			want = append(want, r.UUID)
		}
		return want
	}
	for i, want := range [][]string{
		of(func(r *InstanceMapping) bool { return r.UUID > m.UUID }, func(a, b InstanceMapping) int { return cmp.Compare(a.UUID, b.UUID) }),
		of(func(r *InstanceMapping) bool { return r.Project == m.Project }, func(a, b InstanceMapping) int { return b.Created.Compare(a.Created) }),
		of(func(r *InstanceMapping) bool { return r.Cell == m.Cell }, func(a, b InstanceMapping) int {
			return cmp.Or(cmp.Compare(a.Project, b.Project), a.Created.Compare(b.Created))
		}),
	} {
		var got []string
		for _, r := range page(tb, db, pages[i].query(&m)) {
			got = append(got, r.UUID)
		}
		require.Equal(tb, want, got, pages[i].name)
	}
}

// chosen returns mappings at random.
func chosen(rng *rand.Rand, n, times int) []InstanceMapping {
	rows := make([]InstanceMapping, times)
	for i := range rows {
		rows[i] = benchMapping(rng.IntN(n), n)
	}
	return rows
}

// mappings measures a world of n mappings and tells what it costs.
func mappings(tb testing.TB, n, times int, report func(value float64, unit string)) {
	tb.Helper()
	s := fill(tb, n)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := cpuNow(tb)
	db, err := Open(tb.Context(), s)
	require.NoError(tb, err)
	report((cpuNow(tb) - begin).Seconds(), "open-cpu-s")
	defer func() { require.NoError(tb, db.Close()) }()
	runtime.GC()
	runtime.ReadMemStats(&after)
	report(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/mapping")

	rng := rand.New(rand.NewPCG(1, uint64(n)))
	checkPages(tb, db, n, rng)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	warm(2 * len(pages) * times * 40 << 10)
	known := chosen(rng, n, times)
	report(cost(times, func(i int) {
		if err := db.View(func(tx *table.Tx) error {
			if m, found := db.Instances.Get(tx, known[i].UUID); !found || m.Cell != known[i].Cell {
				return ErrNoCell
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
	}), "get-us")
	runtime.ReadMemStats(&before)
	for _, p := range pages {
		rows := chosen(rng, n, times)
		report(cost(times, func(i int) { page(tb, db, p.query(&rows[i])) }), p.name+"-us")
	}
	runtime.ReadMemStats(&after)
	report(float64(after.TotalAlloc-before.TotalAlloc)/float64(len(pages)*times)/1024, "KiB/page")
	rows := chosen(rng, n, times)
	report(cost(times, func(i int) {
		rows[i].UUID += "x"
		if err := db.MapInstances(tb.Context(), rows[i]); err != nil {
			tb.Fatal(err)
		}
	}), "map-us")
}

// BenchmarkMappings measures the API database by its size.
func BenchmarkMappings(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				mappings(b, n, 500, b.ReportMetric)
			}
		})
	}
}

// TestMappingsBenchmark keeps the benchmark true on a small world.
func TestMappingsBenchmark(t *testing.T) {
	t.Parallel()
	got := map[string]float64{}
	mappings(t, 2000, 2, func(v float64, unit string) { got[unit] = v })
	require.Len(t, got, 8)
	require.Positive(t, got["B/mapping"])
}
