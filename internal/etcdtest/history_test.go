package etcdtest_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// The world of these histories: a few consumers, each wholly on one host.
// Nobody is deleted, so a generation never comes back: who gives up what it
// holds moves to the yard, which has room for all.
const (
	consumers = 24
	hosts     = 5
	yard      = 0
	room      = 8 // units of a host that is not the yard
	nowhere   = -1
)

func roomOf(host int) int {
	if host == yard {
		return math.MaxInt
	}
	return room
}

// place is where a consumer is. Generation 0: it does not exist, and host is
// nowhere.
type place struct {
	generation   int64
	host, amount int
}

// move gives a consumer that was at from a place of the next generation. One
// that is not known to have happened may happen at any time after its call.
type move struct {
	consumer int
	from, to place
	unknown  bool
}

// look is what one read of a consumer or of a host saw.
type look struct {
	consumer int
	at       place
	host     int
	held     [consumers]int8
	ofHost   bool
}

// history collects what writers and readers did.
type history struct {
	mu  sync.Mutex
	ops []porcupine.Operation
}

func (h *history) add(client int, call, answer time.Time, what any) {
	op := porcupine.Operation{ClientId: client, Input: what, Call: call.UnixNano(), Return: answer.UnixNano()}
	if m, ok := what.(move); ok && m.unknown {
		op.Return = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// linearizable reports whether the history could be that of one machine that
// does one thing at a time, for each consumer and for each host.
func (h *history) linearizable(within time.Duration) error {
	ops := decided(h.ops)
	var errs []error
	for name, m := range map[string]porcupine.Model{"consumers": consumerModel(), "hosts": hostModel()} {
		if res := porcupine.CheckOperationsTimeout(m, ops, within); res != porcupine.Ok {
			errs = append(errs, fmt.Errorf("linearizable for %s: %v", name, res))
		}
	}
	return errors.Join(errs...)
}

// decided tells what became of moves whose outcome is unknown, so that the
// search need not try both: a generation of a consumer is made once, so a
// place that somebody saw was made by the one move there, and a generation
// that another move made, or that nobody saw, was not made by this one, or not
// before anybody looked. What cannot be told stays unknown.
func decided(ops []porcupine.Operation) []porcupine.Operation {
	type version struct {
		consumer   int
		generation int64
	}
	type whereabouts struct {
		consumer int
		place    place
	}
	made := map[version]bool{}
	candidates := map[whereabouts]int{}
	first := map[whereabouts]int64{} // when a place was seen at the latest, for the first time
	known := map[version]bool{}
	see := func(consumer int, p place, when int64) {
		w := whereabouts{consumer, p}
		if before, ok := first[w]; !ok || when < before {
			first[w] = when
		}
		known[version{consumer, p.generation}] = true
	}
	for _, op := range ops {
		switch in := op.Input.(type) {
		case move:
			see(in.consumer, in.from, op.Call)
			if in.unknown {
				candidates[whereabouts{in.consumer, in.to}]++
			} else {
				made[version{in.consumer, in.to.generation}] = true
			}
		case look:
			if !in.ofHost {
				see(in.consumer, in.at, op.Return)
			}
		}
	}
	newest := map[int]int64{}
	for v := range known {
		newest[v.consumer] = max(newest[v.consumer], v.generation)
	}
	out := make([]porcupine.Operation, 0, len(ops))
	for _, op := range ops {
		in, ok := op.Input.(move)
		if !ok || !in.unknown {
			out = append(out, op)
			continue
		}
		to := whereabouts{in.consumer, in.to}
		v := version{in.consumer, in.to.generation}
		when, seen := first[to]
		switch {
		case made[v], !seen && known[v], in.to.generation > newest[in.consumer]:
			continue
		case seen && candidates[to] == 1:
			in.unknown = false
			op.Input, op.Return = in, max(when, op.Call)
		}
		out = append(out, op)
	}
	return out
}

// consumerModel is a register with a generation: a move takes effect when the
// consumer is where the mover saw it.
func consumerModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, consumers)
			for _, op := range ops {
				switch in := op.Input.(type) {
				case move:
					parts[in.consumer] = append(parts[in.consumer], op)
				case look:
					if !in.ofHost {
						parts[in.consumer] = append(parts[in.consumer], op)
					}
				}
			}
			return parts
		},
		Init: func() any { return place{host: nowhere} },
		Step: func(state, input, _ any) (bool, any) {
			at, _ := state.(place)
			switch in := input.(type) {
			case look:
				return at == in.at, at
			case move:
				if at == in.from {
					return true, in.to
				}
				return in.unknown, at
			}
			return false, at
		},
	}
}

// hostModel is a set of holders that together hold no more than there is room
// for.
func hostModel() porcupine.Model {
	type visit struct { // an operation as one host sees it
		host int
		what any
	}
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, hosts)
			enter := func(host int, op porcupine.Operation) {
				op.Input = visit{host, op.Input}
				parts[host] = append(parts[host], op)
			}
			for _, op := range ops {
				switch in := op.Input.(type) {
				case move:
					enter(in.to.host, op)
					if in.from.host != in.to.host && in.from.host != nowhere {
						enter(in.from.host, op)
					}
				case look:
					if in.ofHost {
						enter(in.host, op)
					}
				}
			}
			return parts
		},
		Init: func() any { return [consumers]int8{} },
		Step: func(state, input, _ any) (bool, any) {
			held, _ := state.([consumers]int8)
			v, _ := input.(visit)
			if in, ok := v.what.(look); ok {
				return held == in.held, held
			}
			in, _ := v.what.(move)
			next := held
			if next[in.consumer] = 0; in.to.host == v.host {
				next[in.consumer] = int8(in.to.amount)
			}
			was := 0
			if in.from.host == v.host {
				was = in.from.amount
			}
			if int(held[in.consumer]) == was && sum(next) <= roomOf(v.host) {
				return true, next
			}
			return in.unknown, held
		},
	}
}

func sum(held [consumers]int8) (n int) {
	for _, amount := range held {
		n += int(amount)
	}
	return n
}

// TestHistories plants violations, which must be found.
func TestHistories(t *testing.T) {
	t.Parallel()
	at := func(generation int64, host, amount int) place { return place{generation, host, amount} }
	none := place{host: nowhere}
	holds := func(host int, amounts map[int]int8) look {
		l := look{ofHost: true, host: host}
		for c, n := range amounts {
			l.held[c] = n
		}
		return l
	}
	type step struct {
		call, answer int64
		what         any
	}
	for name, c := range map[string]struct {
		steps []step
		bad   string
	}{
		"two after each other": {steps: []step{
			{1, 2, move{1, none, at(1, 1, 5), false}},
			{3, 4, move{1, at(1, 1, 5), at(2, 2, 6), false}},
			{5, 6, look{consumer: 1, at: at(2, 2, 6)}},
			{5, 6, holds(1, nil)},
			{5, 6, holds(2, map[int]int8{1: 6})},
		}},
		"full": {steps: []step{{1, 2, move{1, none, at(1, 1, 5), false}}, {1, 3, move{2, none, at(1, 1, 3), false}}}},
		"over capacity": {bad: "hosts", steps: []step{
			{1, 2, move{1, none, at(1, 1, 5), false}}, {1, 3, move{2, none, at(1, 1, 4), false}},
		}},
		"over capacity until one left": {bad: "hosts", steps: []step{
			{1, 2, move{1, none, at(1, 1, 5), false}}, {3, 4, move{2, none, at(1, 1, 4), false}}, {5, 6, move{1, at(1, 1, 5), at(2, yard, 5), false}},
		}},
		"room made at the same time": {steps: []step{
			{1, 2, move{1, none, at(1, 1, 5), false}}, {3, 6, move{2, none, at(1, 1, 4), false}}, {4, 5, move{1, at(1, 1, 5), at(2, yard, 5), false}},
		}},
		"both won": {bad: "consumers", steps: []step{
			{1, 2, move{1, none, at(1, yard, 1), false}}, {1, 2, move{1, none, at(1, yard, 1), false}},
		}},
		"acknowledged and lost": {bad: "consumers", steps: []step{
			{1, 2, move{1, none, at(1, yard, 1), false}}, {3, 4, look{consumer: 1, at: none}},
		}},
		"acknowledged and lost on its host": {bad: "hosts", steps: []step{
			{1, 2, move{1, none, at(1, yard, 1), false}}, {3, 4, holds(yard, nil)},
		}},
		"refused and there": {bad: "consumers", steps: []step{{3, 4, look{consumer: 1, at: at(1, yard, 1)}}}},
		"unknown and there": {steps: []step{
			{1, 2, move{1, none, at(1, 1, 1), true}}, {3, 4, look{consumer: 1, at: at(1, 1, 1)}}, {3, 4, holds(1, map[int]int8{1: 1})},
		}},
		"unknown and not there": {steps: []step{
			{1, 2, move{1, none, at(1, 1, 1), true}}, {3, 4, look{consumer: 1, at: none}}, {3, 4, holds(1, nil)},
		}},
		"unknown, there and gone": {bad: "consumers", steps: []step{
			{1, 2, move{1, none, at(1, 1, 1), true}}, {3, 4, look{consumer: 1, at: at(1, 1, 1)}}, {5, 6, look{consumer: 1, at: none}},
		}},
		"unknown, seen before its call": {bad: "consumers", steps: []step{
			{1, 2, look{consumer: 1, at: at(1, 1, 1)}}, {3, 4, move{1, none, at(1, 1, 1), true}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h history
			for k, s := range c.steps {
				h.add(k, time.Unix(0, s.call), time.Unix(0, s.answer), s.what)
			}
			err := h.linearizable(time.Minute)
			if c.bad == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.bad)
			}
		})
	}
}
