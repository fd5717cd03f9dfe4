//go:build integration

package etcdtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// largeWork is a write that is larger than one batch, by a process that kills
// itself before or after one of its commits; 0: it does not.
type largeWork struct {
	What   string
	Size   int // consumers, or members of a tree
	KillAt int
	After  bool
}

func many(first byte, size, host int, generation placement.Generation) (wr placement.AllocationWrite) {
	for n := range size {
		wr.Consumers = append(wr.Consumers, placement.ConsumerAllocations{
			Consumer: id(first, n), Project: "p", User: "u", Generation: generation,
			Allocations: []placement.Allocation{{Provider: id('h', host), Class: "VCPU", Amount: 1}},
		})
	}
	return wr
}

func vcpus(n int) map[string]placement.Inventory {
	return map[string]placement.Inventory{"VCPU": placement.NewInventory(int64(n))}
}

// prepare makes the world that the work is done in.
func (l largeWork) prepare(t *testing.T, e *placement.Engine) {
	t.Helper()
	for h := range 2 {
		newProvider(t, e, id('h', h), placement.UUID{})
		_, err := e.SetInventories(t.Context(), id('h', h), vcpus(l.Size), placement.AnyGeneration)
		require.NoError(t, err)
	}
	switch l.What {
	case "reshape":
		require.NoError(t, e.SetAllocations(t.Context(), many('c', l.Size, 0, placement.NewConsumer)))
	case "re-parent":
		newProvider(t, e, id('t', 0), placement.UUID{})
		for n := 1; n < l.Size; n++ {
			newProvider(t, e, id('t', n), id('t', (n-1)/8))
		}
	}
}

func newProvider(t *testing.T, e *placement.Engine, u, parent placement.UUID) {
	t.Helper()
	_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: u, Name: u.String(), Parent: parent})
	require.NoError(t, err)
}

func (l largeWork) write(ctx context.Context, e *placement.Engine) error {
	switch l.What {
	case "claim":
		return e.SetAllocations(ctx, many('c', l.Size, 0, placement.NewConsumer))
	case "reshape":
		return e.Reshape(ctx, []placement.InventoryWrite{
			{Provider: id('h', 0), Generation: placement.AnyGeneration, Inventories: map[string]placement.Inventory{}},
			{Provider: id('h', 1), Generation: placement.AnyGeneration, Inventories: vcpus(l.Size + 1)},
		}, many('c', l.Size, 1, 1))
	default:
		parent := id('h', 1)
		_, err := e.UpdateProvider(ctx, id('t', 0), placement.ProviderUpdate{Parent: &parent, AllowReparenting: true})
		return err
	}
}

// done reports whether the write took effect; half of it is a failure.
func (l largeWork) done(t *testing.T, e *placement.Engine) bool {
	t.Helper()
	if l.What == "re-parent" {
		first, err := e.Provider(id('t', 0))
		require.NoError(t, err)
		last, err := e.Provider(id('t', l.Size-1))
		require.NoError(t, err)
		require.Equal(t, first.Root, last.Root)
		return first.Root == id('h', 1)
	}
	var held [2]int
	for n := range l.Size {
		_, allocations, err := e.Consumer(id('c', n))
		if errors.Is(err, placement.ErrNotFound) {
			continue
		}
		require.NoError(t, err)
		require.Len(t, allocations, 1)
		held[allocations[0].Provider[7]]++
	}
	if l.What == "claim" {
		require.True(t, held[0] == 0 || held[0] == l.Size, "half: %v", held)
		return held[0] > 0
	}
	require.Contains(t, [][2]int{{l.Size, 0}, {0, l.Size}}, held)
	return held[1] > 0
}

// mortal is a store whose process ends at one of the commits.
type mortal struct {
	*etcd.Store
	work largeWork
	n    atomic.Int64
}

// Commit counts, and kills the process when its time has come.
func (m *mortal) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	mine := m.n.Add(1) == int64(m.work.KillAt)
	if mine && !m.work.After {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	res, err := m.Store.Commit(ctx, b)
	if mine {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return res, err
}

// do is what the child process does; it says how many commits it took.
func (l largeWork) do(ctx context.Context, cfg etcd.Config) error {
	s, err := etcd.Open(ctx, cfg)
	if err != nil {
		return err
	}
	m := &mortal{Store: s, work: l}
	e, err := placement.Open(ctx, placement.Config{Store: m, Now: time.Now})
	if err != nil {
		return err
	}
	m.n.Store(0)
	if err := l.write(ctx, e); err != nil {
		return err
	}
	for left := true; left; {
		if left, err = intents(ctx, s); err != nil {
			return err
		}
	}
	fmt.Println(m.n.Load())
	return errors.Join(e.Close(), s.Close())
}

// run has a child do the work below a prefix, and returns how many commits it
// took; 0: it was killed. One that is slow renews a lease and takes more.
func (l largeWork) run(t *testing.T, cfg etcd.Config) (commits int) {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childWork+"="+string(text), childAt+"="+strings.Join(cfg.Endpoints, ","), childPrefix+"="+cfg.Prefix)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	in := bufio.NewReader(out)
	_, _ = fmt.Fscan(in, &commits)
	if err := cmd.Wait(); err != nil { // it may have said so, and die while it closes
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, -1, exit.ExitCode(), "the child ended by itself")
		require.Positive(t, l.KillAt, "the child was killed by somebody else")
		return 0
	}
	require.Positive(t, commits)
	require.True(t, l.KillAt == 0 || commits < l.KillAt, "it was to die at %d of its %d commits", l.KillAt, commits)
	return commits
}

// fill writes records to a store under a prefix, a batch at a time.
func fill(t *testing.T, cfg etcd.Config, records []store.Record) {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	size := s.Limits().Records
	for n := 0; n < len(records); n += size {
		b := store.Batch{Version: 1, ID: store.BatchID(id('f', n))}
		for _, r := range records[n:min(n+size, len(records))] {
			b.Version = max(b.Version, r.Version)
			b.Puts = append(b.Puts, store.Put{Key: r.Key, Value: r.Value})
		}
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
}

// recordsOf returns what an engine on a shared store keeps of a world.
func recordsOf(t *testing.T, build func(e *placement.Engine)) (records []store.Record) {
	t.Helper()
	s := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: time.Now})
	require.NoError(t, err)
	build(e)
	require.NoError(t, e.Close())
	var rev uint64
	for r, err := range s.Load(t.Context(), &rev) {
		require.NoError(t, err)
		records = append(records, r)
	}
	return records
}

// TestIntentsKilled kills processes in the middle of writes that take many
// commits: another engine finds them whole or not at all, and can do them.
func TestIntentsKilled(t *testing.T) {
	c := start(t)
	sides := []bool{true} // of the commit to die at: after it, before it
	if soak() {
		sides = append(sides, false)
	}
	for _, l := range []largeWork{
		{What: "claim", Size: 1000}, {What: "reshape", Size: 300}, {What: "re-parent", Size: 1500},
	} {
		if soak() && l.What == "re-parent" {
			l.Size = 10_000
		}
		t.Run(l.What, func(t *testing.T) {
			records := recordsOf(t, func(e *placement.Engine) { l.prepare(t, e) })
			worlds := 0
			world := func() etcd.Config {
				worlds++
				cfg := etcd.Config{Endpoints: c.Endpoints(), Prefix: fmt.Sprint(l.What, "/", worlds)}
				fill(t, cfg, records)
				return cfg
			}
			commits := l.run(t, world())
			whole, none := 0, 0
			for _, k := range points(commits) {
				for _, after := range sides {
					l.KillAt, l.After = k, after
					cfg := world()
					if took := l.run(t, cfg); took > 0 {
						t.Logf("not killed at %d: it took %d commits", k, took)
					} else if l.inherited(t, cfg) {
						whole++
					} else {
						none++
					}
				}
			}
			t.Logf("%s of %d: %d commits, killed at %v; %d whole, %d not at all", l.What, l.Size, commits, points(commits), whole, none)
			require.Positive(t, whole)
			require.True(t, none > 0 || commits == 1)
		})
	}
}

// points are the commits to die at: each of up to 40, or else the first, the
// last and some between; few in the short form.
func points(commits int) (out []int) {
	step := max(1, commits/40)
	if !soak() {
		step = max(1, (commits-1)/2)
	}
	for k := 1; k < commits; k += step {
		out = append(out, k)
	}
	return append(out, commits)
}

// inherited opens an engine for which the dead one's lease has ended, reports
// whether the write took effect, and does it if not.
func (l largeWork) inherited(t *testing.T, cfg etcd.Config) bool {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: func() time.Time { return time.Now().Add(time.Hour) }})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	done := l.done(t, e)
	if !done {
		require.NoError(t, l.write(t.Context(), e), "killed at %d, after: %v", l.KillAt, l.After)
		require.True(t, l.done(t, e))
	}
	found, err := e.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	require.Eventually(t, func() bool {
		left, err := intents(t.Context(), s)
		return err == nil && !left
	}, 20*time.Second, 10*time.Millisecond, "a chunk is left")
	return done
}

// intents reports whether a store has chunks of intents. A writer has its
// answer before it has replaced them all.
func intents(ctx context.Context, s *etcd.Store) (found bool, err error) {
	var rev uint64
	for r, err := range s.Load(ctx, &rev) {
		if err != nil {
			return false, err
		}
		found = found || r.Key.Kind == 201
	}
	return found, nil
}
