package sim_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/bustest"
	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// TestBus holds the bus in virtual time to what package bus promises.
func TestBus(t *testing.T) {
	t.Parallel()
	service := bus.Service{Version: bus.Version{Major: 2}, Workers: 1, Waiting: 1}
	for _, tt := range []struct {
		name  string
		turns func(e bus.Envelope) []bus.Envelope // what is called, all at once
		ends  []error
		after time.Duration // since the calls
	}{
		{"answer", func(e bus.Envelope) []bus.Envelope { return []bus.Envelope{e} }, []error{nil}, 2 * time.Millisecond},
		{"timeout", changed(func(e *bus.Envelope) { e.Method, e.Timeout = "sleep", time.Second }), []error{bus.ErrTimeout}, time.Second},
		{"no handler", changed(func(e *bus.Envelope) { e.Topic = "elsewhere" }), []error{bus.ErrNoHandler}, time.Millisecond},
		{"no method", changed(func(e *bus.Envelope) { e.Method = "fly" }), []error{bus.ErrNoMethod}, 2 * time.Millisecond},
		{"a newer major", changed(func(e *bus.Envelope) { e.Version.Major++ }), []error{bus.ErrVersion}, 2 * time.Millisecond},
		{"no topic", changed(func(e *bus.Envelope) { e.Topic = "" }), []error{&bus.FieldError{Field: "topic", Value: `""`, Allowed: "1 to 200 letters, digits and -_.:@"}}, 0},
		{"repeated", func(e bus.Envelope) []bus.Envelope { return []bus.Envelope{e, e} }, []error{nil, bus.ErrRepeated}, 2 * time.Millisecond},
		{"busy", func(e bus.Envelope) []bus.Envelope {
			e.Method = "nap"
			one, two, three := e, e, e
			two.ID[0], three.ID[0] = 2, 3
			return []bus.Envelope{one, two, three}
		}, []error{nil, nil, bus.ErrBusy}, 202 * time.Millisecond},
		{"refused", changed(func(e *bus.Envelope) { e.Method = "refuse" }), []error{&bus.RemoteError{Code: "No", Message: "not today"}}, 2 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ends []error
			var took time.Duration
			sc := sim.Scenario{Settle: time.Hour, Build: func(s *sim.Sim, _ []int) error {
				serve := func(e *sim.Env) { _, _ = e.Bus().Handle(t.Context(), "topic", handlers(e, service)) }
				call := func(e *sim.Env) {
					e.Sleep(time.Second)
					ends, took = callAll(e, tt.turns(bus.Envelope{
						ID: bus.ID{1}, Topic: "topic", Method: "echo", Version: bus.Version{Major: 2, Minor: 9}, Timeout: time.Minute, Body: []byte("x"),
					}))
				}
				return errors.Join(s.Add(sim.Process{Name: "server", Run: serve}), s.Add(sim.Process{Name: "client", Run: call}))
			}}
			_, err := sc.Run(sim.Options{Seed: 1})
			require.NoError(t, err)
			require.Len(t, ends, len(tt.ends))
			for _, want := range tt.ends {
				if want == nil {
					require.Contains(t, ends, want)
					continue
				}
				require.True(t, has(ends, want), "%v are not %v", ends, tt.ends)
			}
			require.LessOrEqual(t, took, tt.after)
			require.Greater(t, took, tt.after-2*time.Millisecond)
		})
	}
}

// TestBusConformance plays the suite of all buses in virtual time, within one
// process and between two.
func TestBusConformance(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			t.Parallel()
			bustest.Run(t, func(t *testing.T, test func(caller, server bustest.Side)) {
				t.Helper()
				envs, ended := make([]*sim.Env, processes), false
				side := func(e *sim.Env) bustest.Side { return bustest.Side{Bus: e.Bus(), Time: e} }
				sc := sim.Scenario{Settle: time.Hour, Build: func(s *sim.Sim, _ []int) (err error) {
					for n := range envs {
						err = errors.Join(err, s.Add(sim.Process{Name: fmt.Sprint(n), Run: func(e *sim.Env) {
							if envs[n] = e; n == processes-1 {
								test(side(e), side(envs[0]))
								ended = true
							}
						}}))
					}
					return err
				}}
				_, err := sc.Run(sim.Options{Seed: 1})
				require.NoError(t, err)
				require.True(t, ended, "the test waits for ever")
			})
		})
	}
}

func changed(change func(*bus.Envelope)) func(bus.Envelope) []bus.Envelope {
	return func(e bus.Envelope) []bus.Envelope {
		change(&e)
		return []bus.Envelope{e}
	}
}

func has(ends []error, want error) bool {
	for _, end := range ends {
		if errors.Is(end, want) || end != nil && end.Error() == want.Error() {
			return true
		}
	}
	return false
}

func handlers(e *sim.Env, s bus.Service) bus.Service {
	wait := func(d time.Duration) bus.Handler {
		return func(ctx context.Context, m bus.Envelope) ([]byte, error) {
			e.Wait(ctx, d, nil, nil)
			return m.Body, nil
		}
	}
	s.Methods = map[string]bus.Handler{
		"echo": func(_ context.Context, m bus.Envelope) ([]byte, error) { return m.Body, nil },
		"refuse": func(context.Context, bus.Envelope) ([]byte, error) {
			return nil, &bus.RemoteError{Code: "No", Message: "not today"}
		},
		"nap":   wait(100 * time.Millisecond),
		"sleep": wait(time.Hour),
	}
	return s
}

// callAll calls at once, and returns how each call ended and how long all took.
func callAll(e *sim.Env, all []bus.Envelope) ([]error, time.Duration) {
	from, done := e.Now(), make(chan struct{})
	var ends []error
	for _, one := range all {
		e.Bus().Start(one, func(reply []byte, err error) {
			if err == nil && string(reply) != "x" {
				err = errors.New("another answer")
			}
			if ends = append(ends, err); len(ends) == len(all) {
				close(done)
			}
		})
	}
	e.Wait(context.Background(), 0, done, nil)
	return ends, e.Now().Sub(from)
}
