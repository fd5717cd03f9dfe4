package sim_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// BenchmarkEvents plays clouds, faults and checks included. Figures are steps
// per second of processor time, garbage collection included. The bare cloud is
// two machines that only send messages: what the simulator itself costs.
func BenchmarkEvents(b *testing.B) {
	for name, sc := range map[string]*sim.Scenario{
		"bare": bareScenario(), "conductor": scenario(sound), "market": marketScenario(sound), "owner": ownerScenario(sound),
	} {
		b.Run(name, func(b *testing.B) {
			played, seed, from := 0, uint64(0), processorTime(b)
			for b.Loop() {
				rep, err := sc.Run(sim.Options{Seed: seed, Steps: steps})
				require.NoError(b, err)
				require.Nil(b, rep.Failure)
				played += rep.Played
				seed++
			}
			b.ReportMetric(float64(played)/(processorTime(b)-from).Seconds(), "events/cpu-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func bareScenario() *sim.Scenario {
	return &sim.Scenario{Rates: sim.Rough(), Settle: time.Second, Build: func(s *sim.Sim, _ []int) error {
		add := func(name, other string) error {
			return s.Add(sim.Process{Name: name, New: func() machine.Machine { return &ball{other: other} }})
		}
		return errors.Join(add("a", "b"), add("b", "a"))
	}}
}

// ball throws what it gets back, and begins anew when nothing comes.
type ball struct {
	other string
	last  uint64
}

// Step implements [machine.Machine].
func (p *ball) Step(in *machine.Event, out *machine.Effects) {
	switch in.Kind {
	case machine.Received:
		p.last = in.Message.ID
		out.Send(machine.Message{To: p.other, Method: "catch", ID: p.last + 1})
	default:
		if in.Token == p.last {
			out.Send(machine.Message{To: p.other, Method: "catch", ID: p.last + 1})
		}
		out.Timer(p.last, time.Second)
	}
}
