//go:build integration

package rabbit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// site is a cell: where its broker and its database are, and how it goes away
// and comes back.
type site struct {
	name        string
	transport   string
	database    []string
	leave, back func() error // nil: it stays
}

// testCellsAway has four cells, each with a vhost and a database of its own,
// over networks that fail: one broker falls silent, one refuses, one database
// falls silent.
func testCellsAway(t *testing.T, n *node) {
	t.Helper()
	etcd := startEtcd(t)
	link := func(to ...string) *etcdtest.Link {
		l, err := etcdtest.NewLink(t.Context(), to)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		return l
	}
	broker := fmt.Sprintf("127.0.0.1:%d", n.port)
	silent, refuses, database := link(broker), link(broker), link(etcd.Endpoints()...)
	url := func(vhost, at string) string {
		return fmt.Sprintf("rabbit://%s:%s@%s/%s?rabbit_interval_max=1", nodeUser, escape(nodePassword), at, vhost)
	}
	cut := func(how, heal func()) (leave, back func() error) {
		return func() error { how(); return nil }, func() error { heal(); return nil }
	}
	sites := []site{
		{name: "north", transport: url("cell1", broker), database: etcd.Endpoints()},
		{name: "east", transport: url("cell2", silent.Endpoints()[0]), database: etcd.Endpoints()},
		{name: "south", transport: url("cell3", refuses.Endpoints()[0]), database: etcd.Endpoints()},
		{name: "west", transport: url("cell4", broker), database: database.Endpoints()},
	}
	sites[1].leave, sites[1].back = cut(silent.Stall, silent.Heal)
	sites[2].leave, sites[2].back = cut(refuses.Drop, refuses.Heal)
	sites[3].leave, sites[3].back = cut(database.Stall, database.Heal)
	takeAway(t, sites, 3*time.Second, time.Second)
}

// TestCells is testCellsAway with processes: for three minutes one broker is
// dead, one is stopped, and one database is dead.
func TestCells(t *testing.T) {
	if os.Getenv("KILONOVA_SOAK") == "" {
		t.Skip("set KILONOVA_SOAK, or use make soak-cells")
	}
	stays, dies, pauses := newNode(t), newNode(t), newNode(t)
	etcd, mortal := startEtcd(t), startEtcd(t)
	takeAway(t, []site{
		{name: "north", transport: stays.url("cell1"), database: etcd.Endpoints()},
		{
			name: "east", transport: dies.url("cell2"), database: etcd.Endpoints(),
			leave: func() error { dies.signal(t, syscall.SIGKILL); dies.gone(t); return nil },
			back:  func() error { dies.start(t); return nil },
		},
		{
			name: "south", transport: pauses.url("cell3"), database: etcd.Endpoints(),
			leave: func() error { pauses.signal(t, syscall.SIGSTOP); return nil },
			back:  func() error { pauses.signal(t, syscall.SIGCONT); return nil },
		},
		{
			name: "west", transport: stays.url("cell4"), database: mortal.Endpoints(),
			leave: func() error { return mortal.Kill(0) },
			back:  func() error { return mortal.Restart(context.WithoutCancel(t.Context()), 0) },
		},
	}, 3*time.Minute, router.DefaultLongestWait)
}

func startEtcd(t *testing.T) *etcdtest.Cluster {
	t.Helper()
	server := os.Getenv("ETCD_SERVER")
	require.NotEmpty(t, server, "ETCD_SERVER is the server; .ci/rabbitmq.sh sets it")
	c, err := etcdtest.Start(t.Context(), etcdtest.Config{Server: server, Dir: t.TempDir(), Members: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// rows is how many instances each cell has at first.
const rows = 50

// takeAway takes cells away for a while. Lists are partial in time, calls to
// the cell that stays go on, all is well again by itself, and nothing is left.
func takeAway(t *testing.T, sites []site, away, longestWait time.Duration) {
	t.Helper()
	before := used()
	c := openCloud(t, sites, longestWait)
	all := map[string]int{}
	var gone []string
	for _, s := range sites {
		all[s.name] = rows
		if s.leave != nil {
			gone = append(gone, s.name)
		}
	}
	require.Eventually(t, func() bool { _, missing, _ := c.list(t); return missing == nil }, time.Minute, 10*time.Millisecond)
	counts, _, _ := c.list(t)
	require.Equal(t, all, counts)
	well := used()
	calm := c.work(t, sites[0].name, func() { time.Sleep(time.Second) })

	trouble := c.work(t, sites[0].name, func() {
		for _, s := range sites {
			if s.leave != nil {
				require.NoError(t, s.leave())
			}
		}
		c.watch(t, gone, away)
		for _, name := range gone {
			require.ErrorIs(t, c.ping(t, name), router.ErrAway)
		}
	})
	t.Logf("calls to %s took %v before and %v while others were away, of %d and %d the median",
		sites[0].name, calm.median().Round(time.Microsecond), trouble.median().Round(time.Microsecond), len(calm), len(trouble))
	require.Less(t, trouble.median(), 5*calm.median()+50*time.Millisecond)

	for _, s := range sites {
		if s.back != nil {
			require.NoError(t, s.back())
		}
	}
	c.recover(t)
	all[sites[0].name] += len(calm) + len(trouble)
	counts, _, _ = c.list(t)
	require.Equal(t, all, counts, "what was acknowledged is there")
	for _, s := range sites {
		require.NoError(t, c.ping(t, s.name))
		require.Equal(t, int64(1), c.dials[s.name].Load(), "clients of %s", s.name)
	}
	well.noneLeft(t)
	c.close(t)
	before.noneLeft(t)
}

// watch lists all the time while cells are away: the first list is partial in
// time, and all later ones are at once.
func (c *cells) watch(t *testing.T, gone []string, away time.Duration) {
	t.Helper()
	late, stop := lateness(t)
	defer stop()
	_, missing, took := c.list(t)
	require.Subset(t, missing, gone)
	require.Less(t, took, 2*time.Second+late())
	t.Logf("%s away: the first list took %v", strings.Join(gone, ", "), took.Round(time.Millisecond))
	var slowest time.Duration
	lists, more, slow := 0, 0, 0
	for since := time.Now(); time.Since(since) < away; time.Sleep(20 * time.Millisecond) {
		_, missing, took = c.list(t)
		require.Subset(t, missing, gone)
		slowest = max(slowest, took)
		if took > time.Second {
			slow++
		}
		if lists++; len(missing) > len(gone) {
			more++
			t.Logf("after %v %v are missing; the machine was busy for up to %v: %v", time.Since(since), missing, late(), c.router.Status()[0].Err)
		}
	}
	t.Logf("away for %v: the slowest of %d more lists took %v", away, lists, slowest.Round(time.Millisecond))
	require.LessOrEqual(t, slow, lists/20, "they wait for nobody, but when this process had no processor")
	require.LessOrEqual(t, more, lists/20, "lists without others, when this process had no processor for %v", late())
}

// recover waits until all cells answer, and says when each was back.
func (c *cells) recover(t *testing.T) {
	t.Helper()
	from, last := time.Now(), []string{"?"}
	for len(last) > 0 {
		_, missing, _ := c.list(t)
		if !slices.Equal(missing, last) {
			t.Logf("%v after all were back: missing are %q", time.Since(from).Round(time.Millisecond), missing)
			last = missing
		}
		if time.Since(from) > time.Minute {
			t.Fatalf("missing are %q: %+v", missing, c.router.Status())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// latencies of calls that were answered.
type latencies []time.Duration

func (l latencies) median() time.Duration {
	sorted := slices.Sorted(slices.Values(l))
	return sorted[len(sorted)/2]
}

// work creates instances in a cell, one after the other, while meanwhile runs,
// and returns how long each took. None may fail.
func (c *cells) work(t *testing.T, name string, meanwhile func()) (took latencies) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() {
		for ctx.Err() == nil {
			c.created++
			from := time.Now()
			made := celldb.Instance{UUID: fmt.Sprintf("%s-%06d", name, rows+c.created), Created: from.UTC()}
			err := c.call(context.WithoutCancel(ctx), name, "create", made, nil)
			for errors.Is(err, router.ErrAway) && time.Since(from) < slack { // this process had no processor for so long
				time.Sleep(5 * time.Millisecond)
				err = c.call(context.WithoutCancel(ctx), name, "create", made, nil)
			}
			if err != nil {
				t.Errorf("create an instance in %s: %v", name, err)
				return
			}
			took = append(took, time.Since(from))
			time.Sleep(5 * time.Millisecond)
		}
	})
	defer worker.Wait()
	defer stop()
	meanwhile()
	return took
}

// lateness begins to watch for how long this process has to wait for a
// processor, until stop; late tells the longest wait so far.
func lateness(t *testing.T) (late func() time.Duration, stop func()) {
	t.Helper()
	var longest atomic.Int64
	ctx, end := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			from := time.Now()
			time.Sleep(10 * time.Millisecond)
			longest.Store(max(longest.Load(), int64(time.Since(from))))
		}
	})
	return func() time.Duration { return time.Duration(longest.Load()) }, func() { end(); watch.Wait() }
}

// usage is what this process uses.
type usage struct{ goroutines, files int }

func used() usage {
	files, _ := os.ReadDir("/proc/self/fd")
	return usage{runtime.NumGoroutine(), len(files)}
}

// noneLeft waits until no more is used than then.
func (u usage) noneLeft(t *testing.T) {
	t.Helper()
	var now usage
	for range 200 {
		now = used()
		if now.goroutines <= u.goroutines && now.files <= u.files {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("in use are %+v, before it was %+v: %s", now, u, stacks[:runtime.Stack(stacks, true)])
}

// list returns how many instances each cell told of, and which are missing.
func (c *cells) list(t *testing.T) (counts map[string]int, missing []string, took time.Duration) {
	t.Helper()
	from := time.Now()
	page, err := c.pages.Page(t.Context(), c.router, nil, 1_000_000)
	took = time.Since(from)
	require.NoError(t, err)
	counts = map[string]int{}
	for i := range page.Rows {
		name, _, _ := strings.Cut(page.Rows[i].UUID, "-")
		counts[name]++
		require.False(t, i > 0 && page.Rows[i].Created.After(page.Rows[i-1].Created))
	}
	for _, m := range page.Missing {
		if !errors.Is(m.Err, router.ErrAway) {
			t.Errorf("cell %s: %v, want %v", m.Cell, m.Err, router.ErrAway)
		}
		missing = append(missing, m.Cell.Name)
	}
	return counts, missing, took
}
