package sim_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/internal/sim"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

const (
	ticks  = 60 // of a ticker in one life, a second apart
	struck = 10 // the message, commit or step that a fault hits
)

// tick is a message of a ticker as it arrived, in true time since the beginning.
type tick struct {
	id       uint64
	at, says time.Duration // says: by the clock of the ticker
}

// ticking is what a ticker does, as others see it.
type ticking struct {
	begun   time.Time
	arrived []tick
	ends    [ticks + 1]string // of commits
}

// ticker sends a message and commits a record every second.
type ticker struct{ to *ticking }

// Step implements [machine.Machine].
func (k ticker) Step(in *machine.Event, out *machine.Effects) {
	switch in.Kind {
	case machine.Start:
		out.Timer(1, time.Second)
	case machine.Fired:
		n := in.Token
		out.Send(machine.Message{To: "listener", ID: n, Body: binary.LittleEndian.AppendUint64(nil, uint64(in.Now.UnixNano()))})
		record := store.Key{Kind: 1, ID: fmt.Sprint(n)}
		b := store.Batch{Version: n, Expect: []store.Expectation{{Key: record}}, Puts: []store.Put{{Key: record, Value: []byte{1}}}}
		binary.LittleEndian.PutUint64(b.ID[:], in.Rand.Uint64()|1)
		out.Commit(n, b)
		if n < ticks {
			out.Timer(n+1, time.Second)
		}
	case machine.Committed:
		k.to.ends[in.Token] = in.Result.Outcome.String()
		if in.Err != nil {
			k.to.ends[in.Token] = "error"
		}
	default:
	}
}

// listener notes what arrives.
type listener struct{ of *ticking }

// Step implements [machine.Machine].
func (l listener) Step(in *machine.Event, _ *machine.Effects) {
	if in.Kind == machine.Received {
		says := time.Unix(0, int64(binary.LittleEndian.Uint64(in.Message.Body)))
		l.of.arrived = append(l.of.arrived, tick{in.Message.ID, in.Now.Sub(l.of.begun), says.Sub(l.of.begun)})
	}
}

// tickWith plays a ticker with exactly one fault, or none, and returns what the
// store holds in the end too.
func tickWith(t *testing.T, faults ...sim.Fault) (seen ticking, kept map[string]bool) {
	t.Helper()
	disk := mem.New(mem.Config{})
	sc := sim.Scenario{Settle: time.Hour, Build: func(s *sim.Sim, _ []int) error {
		seen.begun = s.Now()
		return errors.Join(
			s.Add(sim.Process{Name: "ticker", New: func() machine.Machine { return ticker{&seen} }, Store: disk}),
			s.Add(sim.Process{Name: "listener", New: func() machine.Machine { return listener{&seen} }, Steady: true}))
	}}
	var trace strings.Builder
	rep, err := sc.Run(sim.Options{Seed: 3, Steps: 1 << 20, Only: append([]sim.Fault{}, faults...), Trace: &trace})
	require.NoError(t, err)
	require.ElementsMatch(t, faults, rep.Faults)
	require.Equal(t, len(faults), strings.Count(trace.String(), "FAULT"))
	for _, f := range faults {
		require.Contains(t, trace.String(), "FAULT "+f.Kind.String())
	}
	kept = map[string]bool{}
	var revision uint64
	for r, err := range disk.Load(context.Background(), &revision) {
		require.NoError(t, err)
		kept[r.Key.ID] = true
	}
	return seen, kept
}

// times returns when each arrival of a tick was, and how often it came.
func (k *ticking) times(id uint64) (at []time.Duration) {
	for _, a := range k.arrived {
		if a.id == id {
			at = append(at, a.at)
		}
	}
	return at
}

// gap is the longest time between two arrivals.
func (k *ticking) gap() (longest time.Duration) {
	for i := 1; i < len(k.arrived); i++ {
		longest = max(longest, k.arrived[i].at-k.arrived[i-1].at)
	}
	return longest
}

// wrong is by how much the ticker's clock is wrong when a tick is sent.
func (k *ticking) wrong(id uint64) time.Duration {
	at := slices.IndexFunc(k.arrived, func(a tick) bool { return a.id == id })
	return (k.arrived[at].says - k.arrived[at].at).Abs()
}

const flight = time.Millisecond // how long a message takes at most

// TestEachFault: every kind of fault does to a process what it is said to, and
// nothing else.
func TestEachFault(t *testing.T) {
	t.Parallel()
	for kind, effect := range map[sim.FaultKind]func(t *testing.T, seen ticking){
		sim.Lost:    func(t *testing.T, seen ticking) { t.Helper(); require.Empty(t, seen.times(struck)) },
		sim.Doubled: func(t *testing.T, seen ticking) { t.Helper(); require.Len(t, seen.times(struck), 2) },
		sim.Reordered: func(t *testing.T, seen ticking) {
			t.Helper()
			require.Greater(t, seen.times(struck)[0], struck*time.Second+flight)
			require.LessOrEqual(t, seen.times(struck)[0], struck*time.Second+flight+20*time.Millisecond)
		},
		sim.Delayed: func(t *testing.T, seen ticking) {
			t.Helper()
			require.Greater(t, seen.times(struck)[0], struck*time.Second+20*time.Millisecond)
			require.LessOrEqual(t, seen.times(struck)[0], struck*time.Second+flight+10*time.Second)
		},
		sim.Crashed: func(t *testing.T, seen ticking) {
			t.Helper()
			require.Len(t, seen.times(1), 2, "it begins anew")
			require.Len(t, seen.times(ticks), 1)
			require.Greater(t, seen.gap(), time.Second+flight)
			require.LessOrEqual(t, seen.gap(), 22*time.Second)
		},
		sim.Paused: func(t *testing.T, seen ticking) {
			t.Helper()
			require.Len(t, seen.arrived, ticks)
			require.Greater(t, seen.gap(), time.Second+flight)
			require.LessOrEqual(t, seen.gap(), 21*time.Second+flight)
		},
		sim.ClockJumped: func(t *testing.T, seen ticking) {
			t.Helper()
			require.LessOrEqual(t, seen.wrong(1), flight)
			require.Greater(t, seen.wrong(ticks), flight)
			require.LessOrEqual(t, seen.wrong(ticks), 20*time.Second)
			require.LessOrEqual(t, seen.gap(), time.Second+flight, "timers go on")
		},
		sim.Drifting: func(t *testing.T, seen ticking) {
			t.Helper()
			require.Greater(t, seen.wrong(ticks), 5*seen.wrong(struck)/2, "ever more")
			require.LessOrEqual(t, seen.wrong(ticks), ticks*time.Second/50+flight)
			require.Equal(t, ticks*time.Second, seen.arrived[ticks-1].says.Round(time.Millisecond), "timers are by that clock")
		},
	} {
		count := uint64(struck)
		if kind == sim.Drifting {
			count = 0
		}
		seen, kept := tickWith(t, sim.Fault{Kind: kind, Process: "ticker", Count: count})
		t.Run(kind.String(), func(t *testing.T) { effect(t, seen) })
		require.Len(t, kept, ticks, "%v", kind)
	}
	seen, kept := tickWith(t)
	require.Len(t, seen.arrived, ticks)
	require.LessOrEqual(t, seen.gap(), time.Second+flight)
	require.LessOrEqual(t, seen.wrong(ticks), flight)
	require.Len(t, kept, ticks)
}

// TestEachFaultOfCommits: a commit that a fault hits ends as it is said to, and
// the store has it or not.
func TestEachFaultOfCommits(t *testing.T) {
	t.Parallel()
	for kind, want := range map[sim.FaultKind]struct {
		ends string
		kept bool
	}{
		sim.UnknownApplied: {store.Unknown.String(), true},
		sim.UnknownLost:    {store.Unknown.String(), false},
		sim.UnknownLate:    {store.Unknown.String(), true},
		sim.Conflicted:     {store.Conflict.String(), false},
		sim.Full:           {"error", false},
	} {
		seen, kept := tickWith(t, sim.Fault{Kind: kind, Process: "ticker", Count: struck})
		require.Len(t, seen.arrived, ticks)
		for n := 1; n <= ticks; n++ {
			if n == struck {
				require.Equal(t, want.ends, seen.ends[n], "%v", kind)
				require.Equal(t, want.kept, kept[fmt.Sprint(n)], "%v", kind)
				continue
			}
			require.Equal(t, store.Committed.String(), seen.ends[n])
			require.True(t, kept[fmt.Sprint(n)])
		}
	}
}

// TestTwice: what depends on more than the seed is noticed.
func TestTwice(t *testing.T) {
	t.Parallel()
	built := 0
	sc := sim.Scenario{Settle: time.Hour, Build: func(s *sim.Sim, _ []int) error {
		built++
		return s.Add(sim.Process{Name: "ticker", New: func() machine.Machine { return ticker{new(ticking)} }, Store: mem.New(mem.Config{})})
	}}
	rep, err := sc.Twice(sim.Options{Seed: 1})
	require.NoError(t, err)
	require.Nil(t, rep.Failure)
	require.Equal(t, 2, built)
	sc.Build = func(s *sim.Sim, _ []int) error {
		built++
		return s.Add(sim.Process{Name: cmp.Or(map[int]string{4: "else"}[built], "ticker"), New: func() machine.Machine { return ticker{new(ticking)} }, Store: mem.New(mem.Config{})})
	}
	rep, err = sc.Twice(sim.Options{Seed: 1})
	require.NoError(t, err)
	require.Equal(t, "determinism", rep.Failure.Check)
}
