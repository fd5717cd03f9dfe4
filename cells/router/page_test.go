package router

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a row with a column of every kind.
type server struct {
	ID       string
	Name     string
	Size     int64
	Locked   bool
	Created  time.Time
	Launched time.Time // zero: never
	Note     string    // not sorted by
}

var columns = Columns[server]{
	{"uuid", func(s *server) Value { return Text(s.ID) }, func(s *server, v Value) { s.ID = v.AsText() }, []Kind{KindText}},
	{"name", func(s *server) Value { return Text(s.Name) }, func(s *server, v Value) { s.Name = v.AsText() }, []Kind{KindText}},
	{"size", func(s *server) Value { return Int(s.Size) }, func(s *server, v Value) { s.Size = v.AsInt() }, []Kind{KindInt}},
	{"locked", func(s *server) Value { return Bool(s.Locked) }, func(s *server, v Value) { s.Locked = v.AsBool() }, []Kind{KindBool}},
	{"created", func(s *server) Value { return Time(s.Created) }, func(s *server, v Value) { s.Created = v.AsTime() }, []Kind{KindTime}},
	{"launched", func(s *server) Value {
		if s.Launched.IsZero() {
			return Value{}
		}
		return Time(s.Launched)
	}, func(s *server, v Value) {
		if v.Kind == KindTime {
			s.Launched = v.AsTime()
		}
	}, []Kind{KindNull, KindTime}},
}

// before is the order of two servers by one column, written without Values.
func before(a, b *server, column string) int {
	yes := map[bool]int{true: 1}
	switch column {
	case "name":
		return strings.Compare(a.Name, b.Name)
	case "size":
		return int(a.Size - b.Size)
	case "locked":
		return yes[a.Locked] - yes[b.Locked]
	case "created":
		return a.Created.Compare(b.Created)
	case "launched":
		return a.Launched.Compare(b.Launched) // the zero time is long ago
	}
	return strings.Compare(a.ID, b.ID)
}

// inOrder compares servers as Nova's documentation of sort keys has it.
func inOrder(by []Sort) func(a, b server) int {
	return func(a, b server) int {
		desc := false
		for _, s := range append(slices.Clip(by), Sort{"uuid", len(by) > 0 && by[len(by)-1].Desc}) {
			if desc = s.Desc; before(&a, &b, s.Column) != 0 {
				return before(&a, &b, s.Column) * map[bool]int{false: 1, true: -1}[desc]
			}
		}
		return 0
	}
}

func randomServer(rng *rand.Rand, id string) server {
	s := server{
		ID: id, Name: []string{"", "a", "a\x00", "b", "\xff"}[rng.IntN(5)], Size: int64(rng.IntN(5)) - 2,
		Locked: rng.IntN(2) == 0, Created: time.Unix(int64(rng.IntN(9))-4, int64(rng.IntN(2))).UTC(), Note: id,
	}
	if rng.IntN(2) == 0 {
		s.Launched = time.Unix(int64(rng.IntN(3)), 0).UTC()
	}
	return s
}

func randomSort(rng *rand.Rand) []Sort {
	var by []Sort
	for _, i := range rng.Perm(len(columns))[:rng.IntN(4)] {
		by = append(by, Sort{columns[i].Name, rng.IntN(2) == 0})
	}
	return by
}

// base is a cell's database of servers.
type base struct {
	rows  []server
	cmp   func(a, b server) int
	asked int
	fail  func(asked int) error // nil: never
}

func (d *base) fetch(_ context.Context, after *server, limit int) ([]server, error) {
	d.asked++
	if d.fail != nil {
		if err := d.fail(d.asked); err != nil {
			return nil, err
		}
	}
	rows := slices.SortedFunc(slices.Values(d.rows), d.cmp)
	if after != nil {
		rows = slices.DeleteFunc(rows, func(s server) bool { return d.cmp(*after, s) >= 0 })
	}
	return rows[:min(limit, len(rows))], nil
}

// bases are cells with servers.
func bases(t testing.TB, n int) ([]*base, *Router[*base]) {
	t.Helper()
	return basesWithin(t, n, time.Minute) // also where a busy machine makes all of them slow
}

func basesWithin(t testing.TB, n int, timeout time.Duration) ([]*base, *Router[*base]) {
	t.Helper()
	dbs := make([]*base, n)
	byUUID := map[string]*base{}
	var cells []Cell
	for i := range dbs {
		dbs[i] = &base{}
		c := Cell{UUID: fmt.Sprintf("cell%d", i), Name: fmt.Sprintf("c%d", i)}
		cells, byUUID[c.UUID] = append(cells, c), dbs[i]
	}
	r, err := New(Config[*base]{
		Timeout: timeout,
		Dial:    func(_ context.Context, c Cell) (*base, error) { return byUUID[c.UUID], nil },
		Probe:   func(context.Context, *base) error { return nil },
		Judge:   absent(errRefused),
	})
	require.NoError(t, err)
	require.NoError(t, r.Set(t.Context(), cells))
	t.Cleanup(func() { r.Close() })
	return dbs, r
}

// listBy returns the list in an order, and makes the bases answer in it.
func listBy(t testing.TB, dbs []*base, by []Sort) *List[*base, server] {
	t.Helper()
	order, err := columns.Order(by...)
	require.NoError(t, err)
	for _, d := range dbs {
		d.cmp = inOrder(by)
	}
	return &List[*base, server]{
		Order: order,
		Fetch: func(ctx context.Context, d *base, after *server, limit int) ([]server, error) {
			return d.fetch(ctx, after, limit)
		},
		Get: func(_ context.Context, d *base, key string) (server, error) {
			if i := slices.IndexFunc(d.rows, func(s server) bool { return s.ID == key }); i >= 0 {
				return d.rows[i], nil
			}
			return server{}, fmt.Errorf("server %q: %w", key, ErrNotFound)
		},
	}
}

// TestPagesAgainstTwin walks random lists page by page, by both kinds of
// marker, while rows that it has passed are deleted.
func TestPagesAgainstTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		dbs, r := bases(t, 1+rng.IntN(6))
		var want []server
		skew := rng.IntN(3) == 0
		for i := range rng.IntN(400) {
			s := randomServer(rng, fmt.Sprintf("id%03d", i))
			want = append(want, s)
			where := rng.IntN(len(dbs))
			if skew && rng.IntN(20) > 0 {
				where = 0
			}
			dbs[where].rows = append(dbs[where].rows, s)
		}
		by := randomSort(rng)
		list := listBy(t, dbs, by)
		slices.SortFunc(want, inOrder(by))
		limit := 1 + rng.IntN(90)
		var got []server
		marker := ""
		for pages := 0; ; pages++ {
			after, err := list.After(t.Context(), r, marker)
			require.NoError(t, err)
			page, err := list.Page(t.Context(), r, after, limit)
			require.NoError(t, err)
			require.NoError(t, page.Err())
			got = append(got, page.Rows...)
			if len(page.Rows) < limit {
				break
			}
			last := &page.Rows[len(page.Rows)-1]
			marker = last.ID
			if rng.IntN(2) == 0 {
				marker = list.Order.Marker(last)
				for _, d := range dbs {
					d.rows = slices.DeleteFunc(d.rows, func(s server) bool { return s.ID == last.ID })
				}
			}
		}
		require.Equal(t, want, got, "seed %d, sorted by %v, limit %d", seed, by, limit)
	}
}

// TestRounds counts how often cells are asked for a page.
func TestRounds(t *testing.T) {
	t.Parallel()
	dbs, r := bases(t, 4)
	for i := range 8000 {
		dbs[i%4].rows = append(dbs[i%4].rows, server{ID: fmt.Sprintf("id%04d", i)})
	}
	list := listBy(t, dbs, nil)
	page, err := list.Page(t.Context(), r, nil, 1000)
	require.NoError(t, err)
	require.Len(t, page.Rows, 1000)
	for _, d := range dbs {
		require.Equal(t, 1, d.asked, "rows are spread")
	}
	dbs[2].rows, dbs[0].rows = append(dbs[2].rows, dbs[0].rows...), nil
	dbs[2].rows, dbs[1].rows = append(dbs[2].rows, dbs[1].rows...), nil
	_, err = list.Page(t.Context(), r, nil, 1000)
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 3, 2}, []int{dbs[0].asked, dbs[1].asked, dbs[2].asked, dbs[3].asked}, "only the one that has run dry is asked again")
}

// TestPageWithCellsAway names the cells that are missing and lists the others.
func TestPageWithCellsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dbs, r := basesWithin(t, 4, 0)
		for i := range 40 {
			dbs[i%4].rows = append(dbs[i%4].rows, server{ID: fmt.Sprintf("id%02d", i)})
		}
		list := listBy(t, dbs, nil)
		plain := list.Fetch
		list.Fetch = func(ctx context.Context, d *base, after *server, limit int) ([]server, error) {
			if d == dbs[1] {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return plain(ctx, d, after, limit)
		}
		dbs[2].fail = func(int) error { return errNo }
		start := time.Now()
		page, err := list.Page(t.Context(), r, nil, 100)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
		require.Len(t, page.Rows, 20)
		require.Len(t, page.Missing, 2)
		require.ErrorIs(t, page.Missing[0].Err, ErrAway)
		require.Equal(t, "c1", page.Missing[0].Cell.Name)
		require.ErrorIs(t, page.Missing[1].Err, errNo)
		require.ErrorContains(t, page.Err(), "c2 (cell2): that is not allowed")

		_, err = list.Page(t.Context(), r, nil, 0)
		require.ErrorContains(t, err, "limit is 0")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = list.Page(gone, r, nil, 1)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestLaterTrouble has a cell that gives its first rows and no more.
func TestLaterTrouble(t *testing.T) {
	t.Parallel()
	dbs, r := bases(t, 2)
	for i := range 400 {
		dbs[i/200].rows = append(dbs[i/200].rows, server{ID: fmt.Sprintf("id%03d", i)})
	}
	dbs[0].fail = func(asked int) error { return map[bool]error{true: errRefused}[asked > 1] }
	page, err := listBy(t, dbs, nil).Page(t.Context(), r, nil, 200)
	require.NoError(t, err)
	first := share(200, 2)
	require.Len(t, page.Rows, 200)
	require.Equal(t, dbs[0].rows[:first], page.Rows[:first])
	require.Equal(t, dbs[1].rows[:200-first], page.Rows[first:])
	require.Len(t, page.Missing, 1)
	require.ErrorIs(t, page.Missing[0].Err, ErrAway)
}

// TestStrangeCells has cells that break the contract of a list.
func TestStrangeCells(t *testing.T) {
	t.Parallel()
	dbs, r := bases(t, 2)
	a, b, c := server{ID: "a"}, server{ID: "b"}, server{ID: "c"}
	list := listBy(t, dbs, nil)
	dbs[0].rows, dbs[1].rows = []server{a, c}, []server{b, c}
	page, err := list.Page(t.Context(), r, nil, 10)
	require.NoError(t, err)
	require.Equal(t, []server{a, b, c}, page.Rows, "two cells have the same row")

	dbs[0].cmp = inOrder([]Sort{{"uuid", true}})
	page, err = list.Page(t.Context(), r, nil, 10)
	require.NoError(t, err)
	require.Equal(t, []server{b, c}, page.Rows)
	require.ErrorIs(t, page.Err(), ErrDisorder)
}

// TestFind looks for rows where it is told, and everywhere.
func TestFind(t *testing.T) {
	t.Parallel()
	dbs, r := bases(t, 3)
	list := listBy(t, dbs, nil)
	dbs[1].rows = []server{{ID: "here", Size: 5}}
	row, err := list.Find(t.Context(), r, "here")
	require.NoError(t, err)
	require.Equal(t, int64(5), row.Size)
	_, err = list.Find(t.Context(), r, "nowhere")
	require.ErrorIs(t, err, ErrNotFound)

	list.Where = func(_ context.Context, key string) (string, error) {
		if key == "here" {
			return "cell1", nil
		}
		return "", ErrNotFound
	}
	row, err = list.After(t.Context(), r, "here")
	require.NoError(t, err)
	require.Equal(t, int64(5), row.Size)
	_, err = list.After(t.Context(), r, "nowhere")
	require.ErrorIs(t, err, ErrNotFound)
	row, err = list.After(t.Context(), r, "")
	require.NoError(t, err)
	require.Nil(t, row)

	require.ErrorIs(t, r.Call(t.Context(), "cell0", func(context.Context, *base) error { return errRefused }), ErrAway)
	list.Where = nil
	list.Get = func(context.Context, *base, string) (server, error) { return server{}, errRefused }
	_, err = list.Find(t.Context(), r, "nowhere")
	require.ErrorIs(t, err, ErrAway, "it may be in a cell that did not answer")
	require.NotErrorIs(t, err, ErrNotFound)
}
