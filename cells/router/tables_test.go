package router_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// instance has the fields of Nova's that lists show and sort by.
type instance struct {
	UUID, Project, User, Name, Host, Flavor string
	VMState, TaskState                      string
	Power                                   int64
	Created, Updated, Launched              time.Time
}

func instances() *table.Table[instance] {
	return table.New(table.Spec[instance]{
		Name: "instances", Kind: 1,
		Key: func(v *instance) string { return v.UUID },
		Encode: func(v *instance) []byte {
			var e table.Encoder
			for _, s := range []string{v.UUID, v.Project, v.User, v.Name, v.Host, v.Flavor, v.VMState, v.TaskState} {
				e.Text(s)
			}
			e.Int(v.Power)
			for _, t := range []time.Time{v.Created, v.Updated, v.Launched} {
				e.Time(t)
			}
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) instance {
			return instance{
				d.Text(), d.Text(), d.Text(), d.Text(), d.Text(), d.Text(), d.Text(), d.Text(),
				d.Int(), d.Time(), d.Time(), d.Time(),
			}
		},
		Columns: []table.Column[instance]{
			{Name: "created_at", Value: func(v *instance) string { return table.Time(v.Created) }},
			{Name: "display_name", Value: func(v *instance) string { return table.Text(v.Name) }},
			{Name: "vm_state", Value: func(v *instance) string { return table.Text(v.VMState) }},
		},
		Indexes: [][]table.Sort{{{Column: "created_at"}}},
	})
}

// columns are what instances are sorted by.
var columns = router.Columns[instance]{
	{
		Name: "uuid", Kinds: []router.Kind{router.KindText},
		Get: func(v *instance) router.Value { return router.Text(v.UUID) }, Set: func(v *instance, x router.Value) { v.UUID = x.AsText() },
	},
	{
		Name: "created_at", Kinds: []router.Kind{router.KindTime},
		Get: func(v *instance) router.Value { return router.Time(v.Created) }, Set: func(v *instance, x router.Value) { v.Created = x.AsTime() },
	},
	{
		Name: "display_name", Kinds: []router.Kind{router.KindText},
		Get: func(v *instance) router.Value { return router.Text(v.Name) }, Set: func(v *instance, x router.Value) { v.Name = x.AsText() },
	},
	{
		Name: "vm_state", Kinds: []router.Kind{router.KindText},
		Get: func(v *instance) router.Value { return router.Text(v.VMState) }, Set: func(v *instance, x router.Value) { v.VMState = x.AsText() },
	},
}

// cellDB is the database of a cell, and the client to it.
type cellDB struct {
	db        *table.DB
	instances *table.Table[instance]
}

func newCellDB(tb testing.TB, rows []instance) *cellDB {
	tb.Helper()
	c := &cellDB{instances: instances()}
	cfg := table.Config{
		Store:  mem.New(mem.Config{Limits: store.Limits{Shared: true}}),
		Schema: table.Schema{Name: "cell", Steps: []table.Step{{Name: "first"}}}, Tables: []table.Definition{c.instances},
	}
	_, err := table.Sync(tb.Context(), cfg, false)
	require.NoError(tb, err)
	c.db, err = table.Open(tb.Context(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.db.Close() })
	for part := range slices.Chunk(rows, 1000) {
		_, err := c.db.Update(tb.Context(), func(tx *table.Tx) error {
			for _, v := range part {
				if err := c.instances.Create(tx, v); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(tb, err)
	}
	return c
}

// page reads a page of one cell.
func (c *cellDB) page(sort []router.Sort, after *instance, limit int) (rows []instance, err error) {
	q := table.Query[instance]{After: after, Limit: limit}
	for _, s := range sort {
		if s.Column == "uuid" {
			s.Column = table.Key
		}
		q.Sort = append(q.Sort, table.Sort(s))
	}
	err = c.db.View(func(tx *table.Tx) error {
		rows, err = c.instances.Page(tx, q)
		return err
	})
	return rows, err
}

func (c *cellDB) get(uuid string) (v instance, err error) {
	err = c.db.View(func(tx *table.Tx) error {
		var there bool
		if v, there = c.instances.Get(tx, uuid); !there {
			return router.ErrNotFound
		}
		return nil
	})
	return v, err
}

// listBy is the list of instances in an order.
func listBy(tb testing.TB, by ...router.Sort) *router.List[*cellDB, instance] {
	tb.Helper()
	order, err := columns.Order(by...)
	require.NoError(tb, err)
	sort := order.Sort()
	return &router.List[*cellDB, instance]{
		Order: order,
		Fetch: func(_ context.Context, c *cellDB, after *instance, limit int) ([]instance, error) {
			return c.page(sort, after, limit)
		},
		Get: func(_ context.Context, c *cellDB, uuid string) (instance, error) { return c.get(uuid) },
	}
}

func randomInstances(n int) []instance {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]instance, n)
	for i := range rows {
		created := time.Unix(1_700_000_000+int64(rng.IntN(20*n)), 0).UTC() // Nova keeps seconds
		rows[i] = instance{
			UUID:    fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rng.Uint32(), rng.Uint32()&0xffff, rng.Uint32()&0xfff, rng.Uint32()&0xfff, i),
			Project: fmt.Sprintf("%032x", rng.IntN(500)), User: fmt.Sprintf("%032x", rng.IntN(2000)), Name: fmt.Sprintf("server-%d", rng.IntN(n)),
			Host: fmt.Sprintf("compute-%04d", rng.IntN(2000)), Flavor: "m1.medium", Power: 1,
			VMState: []string{"active", "active", "active", "stopped", "error"}[rng.IntN(5)],
			Created: created, Updated: created.Add(time.Minute), Launched: created.Add(time.Minute),
		}
	}
	return rows
}

// cloud is rows spread over cells, and a router over them.
func cloud(tb testing.TB, rows []instance, cells int) *router.Router[*cellDB] {
	tb.Helper()
	parts := make([][]instance, cells)
	for i, v := range rows {
		parts[i%cells] = append(parts[i%cells], v)
	}
	dbs := map[string]*cellDB{}
	var list []router.Cell
	for i, part := range parts {
		c := router.Cell{UUID: fmt.Sprintf("cell-%d", i), Name: fmt.Sprintf("cell%d", i)}
		dbs[c.UUID] = newCellDB(tb, part)
		list = append(list, c)
	}
	r, err := router.New(router.Config[*cellDB]{
		Dial:  func(_ context.Context, c router.Cell) (*cellDB, error) { return dbs[c.UUID], nil },
		Probe: func(_ context.Context, c *cellDB) error { return c.db.Err() },
		Judge: absent(table.ErrClosed),
		// Nothing here is ever away, but the machine may be busy.
		Timeout: time.Minute,
	})
	require.NoError(tb, err)
	require.NoError(tb, r.Set(tb.Context(), list))
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// orders are those that are measured, with what they are in words.
var orders = []struct {
	name string
	by   []router.Sort
}{
	{"created_at", []router.Sort{{Column: "created_at", Desc: true}}}, // as Nova's API sorts when nobody says how
	{"vm_state,display_name", []router.Sort{{Column: "vm_state"}, {Column: "display_name", Desc: true}}},
}

// sorted returns rows as a list in an order has them.
func sorted(rows []instance, by []router.Sort) []instance {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b instance) int {
		if by[0].Column == "created_at" {
			return -cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.UUID, b.UUID))
		}
		return cmp.Or(strings.Compare(a.VMState, b.VMState), -strings.Compare(a.Name, b.Name), -strings.Compare(a.UUID, b.UUID))
	})
	return rows
}

// TestTables walks tables in four cells from end to end.
func TestTables(t *testing.T) {
	t.Parallel()
	rows := randomInstances(3000)
	r := cloud(t, rows, 4)
	for _, o := range orders {
		list := listBy(t, o.by...)
		want := sorted(rows, o.by)
		var got []instance
		for marker := ""; ; {
			after, err := list.After(t.Context(), r, marker)
			require.NoError(t, err)
			page, err := list.Page(t.Context(), r, after, 333)
			require.NoError(t, err)
			require.NoError(t, page.Err())
			got = append(got, page.Rows...)
			if len(page.Rows) < 333 {
				break
			}
			marker = page.Rows[332].UUID
		}
		require.Equal(t, want, got, o.name)
	}
}

// BenchmarkPage reads a page of 1,000 of 100,000 instances in 4 cells, beside
// the same page of a single table with all of them.
func BenchmarkPage(b *testing.B) {
	const limit = 1000
	n := 100_000
	if testing.Short() {
		n = 8000
	}
	rows := randomInstances(n)
	whole := newCellDB(b, rows)
	for _, cells := range []int{4, 100} {
		r := cloud(b, rows, cells)
		for _, o := range orders {
			list := listBy(b, o.by...)
			want := sorted(rows, o.by)
			for _, from := range []int{0, n / 2} {
				var after *instance
				if from > 0 {
					after = &want[from-1]
				}
				b.Run(fmt.Sprintf("by=%s/from=%d/cells=%d", o.name, from, cells), func(b *testing.B) {
					spent := cpuTime(b)
					for b.Loop() {
						page, err := list.Page(b.Context(), r, after, limit)
						if err != nil || len(page.Missing) > 0 || len(page.Rows) != limit || page.Rows[limit-1] != want[from+limit-1] {
							b.Fatal(err, page.Err(), len(page.Rows))
						}
					}
					b.ReportMetric(float64(cpuTime(b)-spent)/1e6/float64(b.N), "cpu-ms/op")
				})
				if cells != 4 {
					continue
				}
				b.Run(fmt.Sprintf("by=%s/from=%d/one-table", o.name, from), func(b *testing.B) {
					spent := cpuTime(b)
					for b.Loop() {
						if got, err := whole.page(list.Order.Sort(), after, limit); err != nil || got[limit-1] != want[from+limit-1] {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(cpuTime(b)-spent)/1e6/float64(b.N), "cpu-ms/op")
				})
			}
		}
	}
}

// cpuTime is what this process has used so far.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var use syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// absent returns a Judge by which one error says that a cell is away.
func absent(what error) func(error) router.Verdict {
	return func(err error) router.Verdict {
		if errors.Is(err, what) {
			return router.Absent
		}
		return router.Answered
	}
}
