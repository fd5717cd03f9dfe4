// Package bustest is the suite that every adapter of the bus passes.
package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// Time is how the code of a process waits, and what runs beside it.
type Time interface {
	Now() time.Time
	Sleep(d time.Duration)
	Go(f func())
}

// Side is a bus, and the time of the process that has it.
type Side struct {
	Bus  bus.Bus
	Time Time
}

// Real is the side of a bus in the time of this machine.
func Real(b bus.Bus) Side { return Side{b, machine{}} }

// Open calls test with two buses that reach each other, or the same one
// twice, from where it may wait in the time of the caller. Handlers run in
// that of the server. The buses are closed by the test, so cleaning up twice
// must be fine.
type Open func(t *testing.T, test func(caller, server Side))

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, bed){
		"answer":            testAnswer,
		"errors":            testErrors,
		"refuse to send":    testRefuse,
		"refuse to handle":  testHandle,
		"cast":              testCast,
		"timeout":           testTimeout,
		"caller gives up":   testGiveUp,
		"repeated":          testRepeated,
		"versions":          testVersions,
		"many":              testMany,
		"busy":              testBusy,
		"stop":              testStop,
		"stop under way":    testStopUnderWay,
		"close":             testClose,
		"handler calls too": testNested,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open(t, func(caller, server Side) {
				test(t, bed{caller, server, "topic-" + bus.NewID().String()})
			})
		})
	}
}

// bed is what a test lies on.
type bed struct {
	caller, server Side
	topic          string
}

const (
	soon   = 10 * time.Second // longer than anything takes that is not meant to
	moment = time.Millisecond
)

// wait waits until something is so.
func (b bed) wait(t *testing.T, is func() bool) {
	t.Helper()
	for from := b.caller.Time.Now(); !is(); b.caller.Time.Sleep(moment) {
		if b.caller.Time.Now().Sub(from) > soon {
			t.Fatal("nothing came")
		}
	}
}

// hold keeps a handler from going on until something is so.
func (b bed) hold(is func() bool) {
	for !is() {
		b.server.Time.Sleep(moment)
	}
}

func (b bed) call(t *testing.T, e bus.Envelope) ([]byte, error) {
	t.Helper()
	return bus.Call(t.Context(), b.caller.Bus, e)
}

// ends are how calls ended, or handlers.
type ends struct {
	mu  sync.Mutex
	all []error
}

func (e *ends) add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, err)
}

// done notes how a call ended.
func (e *ends) done(_ []byte, err error) { e.add(err) }

func (e *ends) reached(n int) func() bool {
	return func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.all) >= n
	}
}

func (b bed) handle(t *testing.T, s bus.Service) (stop func()) {
	t.Helper()
	if s.Version == (bus.Version{}) {
		s.Version = bus.Version{Major: 1}
	}
	stop, err := b.server.Bus.Handle(t.Context(), b.topic, s)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func (b bed) envelope(method string) bus.Envelope {
	return bus.Envelope{ID: bus.NewID(), Topic: b.topic, Method: method, Version: bus.Version{Major: 1}, Timeout: soon}
}

func echo(_ context.Context, e bus.Envelope) ([]byte, error) { return e.Body, nil }

func testAnswer(t *testing.T, b bed) {
	t.Helper()
	var got bus.Envelope
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"echo": func(_ context.Context, e bus.Envelope) ([]byte, error) {
		got = e
		return e.Body, nil
	}}})
	for _, size := range []int{0, 1, 5000, 1 << 20} {
		e := b.envelope("echo")
		e.Body = bytes.Repeat([]byte{'x'}, size)
		reply, err := b.call(t, e)
		if err != nil || !bytes.Equal(reply, e.Body) {
			t.Fatalf("a body of %d bytes: got %d bytes, %v", size, len(reply), err)
		}
		if got.ID != e.ID || got.Topic != e.Topic || got.Method != e.Method || got.Version != e.Version || got.Timeout != e.Timeout {
			t.Errorf("arrived %+v, want %+v", got, e)
		}
	}
}

func testErrors(t *testing.T, b bed) {
	t.Helper()
	if _, err := b.call(t, b.envelope("x")); !errors.Is(err, bus.ErrNoHandler) {
		t.Errorf("nobody listens: %v, want %v", err, bus.ErrNoHandler)
	}
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{
		"plain": func(context.Context, bus.Envelope) ([]byte, error) { return nil, errors.New("a reason") },
		"coded": func(context.Context, bus.Envelope) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &bus.RemoteError{Code: "NotFound", Message: "host h1 is not known"})
		},
	}})
	if _, err := b.call(t, b.envelope("other")); !errors.Is(err, bus.ErrNoMethod) {
		t.Errorf("no such method: %v, want %v", err, bus.ErrNoMethod)
	}
	for method, want := range map[string]bus.RemoteError{"plain": {Message: "a reason"}, "coded": {Code: "NotFound", Message: "host h1 is not known"}} {
		_, err := b.call(t, b.envelope(method))
		if got := (*bus.RemoteError)(nil); !errors.As(err, &got) || *got != want {
			t.Errorf("%s: %v, want %+v", method, err, want)
		}
	}
}

func testRefuse(t *testing.T, b bed) {
	t.Helper()
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"echo": echo}})
	for field, spoil := range map[string]func(*bus.Envelope){
		"id":      func(e *bus.Envelope) { e.ID = bus.ID{} },
		"topic":   func(e *bus.Envelope) { e.Topic = "a b" },
		"method":  func(e *bus.Envelope) { e.Method = "" },
		"timeout": func(e *bus.Envelope) { e.Timeout = 0 },
		"body":    func(e *bus.Envelope) { e.Body = make([]byte, bus.MaxBody+1) },
	} {
		e := b.envelope("echo")
		spoil(&e)
		_, err := b.call(t, e)
		for _, err := range []error{err, b.caller.Bus.Cast(e)} {
			if got := (*bus.FieldError)(nil); !errors.As(err, &got) || got.Field != field {
				t.Errorf("%s: %v, want a field error", field, err)
			}
		}
	}
}

func testHandle(t *testing.T, b bed) {
	t.Helper()
	good := bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{"echo": echo}}
	for _, c := range []struct {
		field, topic string
		service      bus.Service
	}{
		{"topic", "", good},
		{"methods", b.topic, bus.Service{}},
		{"method", b.topic, bus.Service{Methods: map[string]bus.Handler{"a b": echo}}},
		{"handler of x", b.topic, bus.Service{Methods: map[string]bus.Handler{"x": nil}}},
		{"workers", b.topic, bus.Service{Methods: good.Methods, Workers: -1}},
		{"oldest major", b.topic, bus.Service{Methods: good.Methods, OldestMajor: 2}},
	} {
		_, err := b.server.Bus.Handle(t.Context(), c.topic, c.service)
		if got := (*bus.FieldError)(nil); !errors.As(err, &got) || got.Field != c.field {
			t.Errorf("%s: %v, want a field error", c.field, err)
		}
	}
	b.handle(t, good)
	if _, err := b.server.Bus.Handle(t.Context(), b.topic, good); !errors.Is(err, bus.ErrHandled) {
		t.Errorf("the same topic again: %v, want %v", err, bus.ErrHandled)
	}
}

func testCast(t *testing.T, b bed) {
	t.Helper()
	if err := b.caller.Bus.Cast(b.envelope("x")); err != nil {
		t.Errorf("a cast to nobody: %v", err)
	}
	var mu sync.Mutex
	var got []string
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"tell": func(_ context.Context, e bus.Envelope) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e.ID.String())
		return nil, nil
	}}})
	var sent []string
	for range 100 {
		e := b.envelope("tell")
		if err := b.caller.Bus.Cast(e); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, e.ID.String())
	}
	b.wait(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= len(sent)
	})
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(sent)
	slices.Sort(got)
	if !slices.Equal(sent, got) {
		t.Errorf("arrived %q, want %q", got, sent)
	}
}

func testTimeout(t *testing.T, b bed) {
	t.Helper()
	var ended ends
	var release atomic.Bool
	defer release.Store(true)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(ctx context.Context, _ bus.Envelope) ([]byte, error) {
		b.hold(func() bool { return ctx.Err() != nil })
		ended.add(ctx.Err())
		b.hold(release.Load)
		return []byte("late"), nil
	}}})
	e := b.envelope("slow")
	e.Timeout = 200 * time.Millisecond
	from := b.caller.Time.Now()
	_, err := b.call(t, e)
	took := b.caller.Time.Now().Sub(from)
	if !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("got %v, want %v", err, bus.ErrTimeout)
	}
	if took < e.Timeout/2 || took > e.Timeout+2*time.Second {
		t.Errorf("it took %v, the timeout was %v", took, e.Timeout)
	}
	b.wait(t, ended.reached(1))
	if !errors.Is(ended.all[0], context.DeadlineExceeded) {
		t.Errorf("the handler's context ended with %v", ended.all[0])
	}
}

func testGiveUp(t *testing.T, b bed) {
	t.Helper()
	var began, end atomic.Bool
	defer end.Store(true)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(context.Context, bus.Envelope) ([]byte, error) {
		began.Store(true)
		b.hold(end.Load)
		return nil, nil
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var result ends
	b.caller.Time.Go(func() { result.done(bus.Call(ctx, b.caller.Bus, b.envelope("slow"))) })
	b.wait(t, began.Load)
	cancel()
	b.wait(t, result.reached(1))
	if !errors.Is(result.all[0], context.Canceled) {
		t.Errorf("got %v, want %v", result.all[0], context.Canceled)
	}
}

func testRepeated(t *testing.T, b bed) {
	t.Helper()
	var effects atomic.Int64
	b.handle(t, bus.Service{Window: 8, Methods: map[string]bus.Handler{"do": func(context.Context, bus.Envelope) ([]byte, error) {
		effects.Add(1)
		return nil, nil
	}}})
	first := b.envelope("do")
	if _, err := b.call(t, first); err != nil {
		t.Fatal(err)
	}
	if _, err := b.call(t, first); !errors.Is(err, bus.ErrRepeated) {
		t.Errorf("the second: %v, want %v", err, bus.ErrRepeated)
	}
	for range 3 {
		if err := b.caller.Bus.Cast(first); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		if _, err := b.call(t, b.envelope("do")); err != nil {
			t.Fatal(err)
		}
	}
	if got := effects.Load(); got != 9 {
		t.Errorf("%d effects, want 9", got)
	}
	if _, err := b.call(t, first); err != nil {
		t.Errorf("outside the window: %v", err)
	}
}

func testVersions(t *testing.T, b bed) {
	t.Helper()
	b.handle(t, bus.Service{Version: bus.Version{Major: 3, Minor: 4}, OldestMajor: 2, Methods: map[string]bus.Handler{"echo": echo}})
	for got, understood := range map[bus.Version]bool{
		{Major: 1, Minor: 9}: false, {Major: 2}: true, {Major: 3}: true, {Major: 3, Minor: 4}: true,
		{Major: 3, Minor: 255}: true, {Major: 4}: false,
	} {
		e := b.envelope("echo")
		e.Version = got
		_, err := b.call(t, e)
		if understood {
			if err != nil {
				t.Errorf("%s: %v", got, err)
			}
			continue
		}
		want := bus.VersionError{Got: got, Have: bus.Version{Major: 3, Minor: 4}, OldestMajor: 2}
		if version := (*bus.VersionError)(nil); !errors.Is(err, bus.ErrVersion) || !errors.As(err, &version) || *version != want {
			t.Errorf("%s: %v, want %v", got, err, &want)
		}
	}
}

func testMany(t *testing.T, b bed) {
	t.Helper()
	var running atomic.Int64
	var tooMany atomic.Bool
	b.handle(t, bus.Service{Workers: 4, Methods: map[string]bus.Handler{"echo": func(_ context.Context, e bus.Envelope) ([]byte, error) {
		if running.Add(1) > 4 {
			tooMany.Store(true)
		}
		defer running.Add(-1)
		b.server.Time.Sleep(moment / 10)
		return e.Body, nil
	}}})
	var done atomic.Int64
	for i := range 16 {
		b.caller.Time.Go(func() {
			defer done.Add(1)
			for j := range 50 {
				e := b.envelope("echo")
				e.Body = fmt.Appendf(nil, "%d %d", i, j)
				if reply, err := b.call(t, e); err != nil || !bytes.Equal(reply, e.Body) {
					t.Errorf("got %q, %v, want %q", reply, err, e.Body)
				}
			}
		})
	}
	b.wait(t, func() bool { return done.Load() == 16 })
	if tooMany.Load() {
		t.Error("more than 4 handlers ran at once")
	}
}

func testBusy(t *testing.T, b bed) {
	t.Helper()
	var began, end atomic.Bool
	defer end.Store(true)
	b.handle(t, bus.Service{Workers: 1, Waiting: 2, Methods: map[string]bus.Handler{"slow": func(context.Context, bus.Envelope) ([]byte, error) {
		began.Store(true)
		b.hold(end.Load)
		return nil, nil
	}}})
	var results ends
	start := func() { b.caller.Bus.Start(b.envelope("slow"), results.done) }
	start()
	b.wait(t, began.Load)
	for range 5 {
		start()
	}
	b.wait(t, results.reached(3))
	end.Store(true)
	b.wait(t, results.reached(6))
	for n, err := range results.all {
		if n < 3 && !errors.Is(err, bus.ErrBusy) {
			t.Errorf("got %v, want %v", err, bus.ErrBusy)
		}
		if n >= 3 && err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
}

func testNested(t *testing.T, b bed) {
	t.Helper()
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{
		"outer": func(ctx context.Context, e bus.Envelope) ([]byte, error) {
			e.ID, e.Method = bus.NewID(), "inner"
			return bus.Call(ctx, b.server.Bus, e)
		},
		"inner": echo,
	}})
	e := b.envelope("outer")
	e.Body = []byte("x")
	if reply, err := b.call(t, e); err != nil || string(reply) != "x" {
		t.Errorf("got %q, %v", reply, err)
	}
}
