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

// Open returns two buses that reach each other, or the same one twice. They
// are closed by the test, so cleaning up twice must be fine.
type Open func(t *testing.T) (caller, server bus.Bus)

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
		"close":             testClose,
		"handler calls too": testNested,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bed{topic: "topic-" + bus.NewID().String()}
			b.caller, b.server = open(t)
			test(t, b)
		})
	}
}

// bed is what a test lies on.
type bed struct {
	caller, server bus.Bus
	topic          string
}

const soon = 10 * time.Second // longer than anything takes that is not meant to

func (b bed) handle(t *testing.T, s bus.Service) (stop func()) {
	t.Helper()
	if s.Version == (bus.Version{}) {
		s.Version = bus.Version{Major: 1}
	}
	stop, err := b.server.Handle(t.Context(), b.topic, s)
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
		reply, err := bus.Call(t.Context(), b.caller, e)
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
	if _, err := bus.Call(t.Context(), b.caller, b.envelope("x")); !errors.Is(err, bus.ErrNoHandler) {
		t.Errorf("nobody listens: %v, want %v", err, bus.ErrNoHandler)
	}
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{
		"plain": func(context.Context, bus.Envelope) ([]byte, error) { return nil, errors.New("a reason") },
		"coded": func(context.Context, bus.Envelope) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &bus.RemoteError{Code: "NotFound", Message: "host h1 is not known"})
		},
	}})
	if _, err := bus.Call(t.Context(), b.caller, b.envelope("other")); !errors.Is(err, bus.ErrNoMethod) {
		t.Errorf("no such method: %v, want %v", err, bus.ErrNoMethod)
	}
	for method, want := range map[string]bus.RemoteError{"plain": {Message: "a reason"}, "coded": {Code: "NotFound", Message: "host h1 is not known"}} {
		_, err := bus.Call(t.Context(), b.caller, b.envelope(method))
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
		_, err := bus.Call(t.Context(), b.caller, e)
		for _, err := range []error{err, b.caller.Cast(e)} {
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
		_, err := b.server.Handle(t.Context(), c.topic, c.service)
		if got := (*bus.FieldError)(nil); !errors.As(err, &got) || got.Field != c.field {
			t.Errorf("%s: %v, want a field error", c.field, err)
		}
	}
	b.handle(t, good)
	if _, err := b.server.Handle(t.Context(), b.topic, good); !errors.Is(err, bus.ErrHandled) {
		t.Errorf("the same topic again: %v, want %v", err, bus.ErrHandled)
	}
}

func testCast(t *testing.T, b bed) {
	t.Helper()
	if err := b.caller.Cast(b.envelope("x")); err != nil {
		t.Errorf("a cast to nobody: %v", err)
	}
	arrived := make(chan bus.ID, 100)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"tell": func(_ context.Context, e bus.Envelope) ([]byte, error) {
		arrived <- e.ID
		return nil, nil
	}}})
	var sent []string
	for range 100 {
		e := b.envelope("tell")
		if err := b.caller.Cast(e); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, e.ID.String())
	}
	var got []string
	for range sent {
		got = append(got, wait(t, arrived).String())
	}
	slices.Sort(sent)
	slices.Sort(got)
	if !slices.Equal(sent, got) {
		t.Errorf("arrived %q, want %q", got, sent)
	}
}

func wait[T any](t *testing.T, from <-chan T) (value T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	select {
	case value = <-from:
	case <-ctx.Done():
		t.Fatal("nothing came")
	}
	return value
}

func testTimeout(t *testing.T, b bed) {
	t.Helper()
	ended, release := make(chan error, 1), make(chan bool)
	defer close(release)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(ctx context.Context, _ bus.Envelope) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		<-release
		return []byte("late"), nil
	}}})
	e := b.envelope("slow")
	e.Timeout = 200 * time.Millisecond
	early, cancelEarly := context.WithTimeout(t.Context(), e.Timeout/2)
	defer cancelEarly()
	late, cancelLate := context.WithTimeout(t.Context(), e.Timeout+2*time.Second)
	defer cancelLate()
	if _, err := bus.Call(late, b.caller, e); err == nil {
		t.Error("a late answer, want none")
	} else if early.Err() == nil {
		t.Errorf("got %v before half the timeout", err)
	} else if late.Err() != nil {
		t.Errorf("got %v long after the timeout", err)
	}
	if err := wait(t, ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler's context ended with %v", err)
	}
}

func testGiveUp(t *testing.T, b bed) {
	t.Helper()
	began, end := make(chan bool, 1), make(chan bool)
	defer close(end)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(context.Context, bus.Envelope) ([]byte, error) {
		began <- true
		<-end
		return nil, nil
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(func() {
		_, err := bus.Call(ctx, b.caller, b.envelope("slow"))
		result <- err
	})
	wait(t, began)
	cancel()
	if err := wait(t, result); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
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
	if _, err := bus.Call(t.Context(), b.caller, first); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Call(t.Context(), b.caller, first); !errors.Is(err, bus.ErrRepeated) {
		t.Errorf("the second: %v, want %v", err, bus.ErrRepeated)
	}
	for range 3 {
		if err := b.caller.Cast(first); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		if _, err := bus.Call(t.Context(), b.caller, b.envelope("do")); err != nil {
			t.Fatal(err)
		}
	}
	if got := effects.Load(); got != 9 {
		t.Errorf("%d effects, want 9", got)
	}
	if _, err := bus.Call(t.Context(), b.caller, first); err != nil {
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
		_, err := bus.Call(t.Context(), b.caller, e)
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
		return e.Body, nil
	}}})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 50 {
				e := b.envelope("echo")
				e.Body = fmt.Appendf(nil, "%d %d", i, j)
				if reply, err := bus.Call(t.Context(), b.caller, e); err != nil || !bytes.Equal(reply, e.Body) {
					t.Errorf("got %q, %v, want %q", reply, err, e.Body)
				}
			}
		})
	}
	all.Wait()
	if tooMany.Load() {
		t.Error("more than 4 handlers ran at once")
	}
}

func testBusy(t *testing.T, b bed) {
	t.Helper()
	end := make(chan bool)
	began := make(chan bool, 100)
	b.handle(t, bus.Service{Workers: 1, Waiting: 2, Methods: map[string]bus.Handler{"slow": func(context.Context, bus.Envelope) ([]byte, error) {
		began <- true
		<-end
		return nil, nil
	}}})
	results := make(chan error, 6)
	start := func() { b.caller.Start(b.envelope("slow"), func(_ []byte, err error) { results <- err }) }
	start()
	wait(t, began)
	for range 5 {
		start()
	}
	for range 3 {
		if err := wait(t, results); !errors.Is(err, bus.ErrBusy) {
			t.Errorf("got %v, want %v", err, bus.ErrBusy)
		}
	}
	close(end)
	for range 3 {
		if err := wait(t, results); err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
}

func testStop(t *testing.T, b bed) {
	t.Helper()
	service := bus.Service{Methods: map[string]bus.Handler{"echo": echo}}
	for range 3 {
		stop := b.handle(t, service)
		if _, err := bus.Call(t.Context(), b.caller, b.envelope("echo")); err != nil {
			t.Fatal(err)
		}
		stop()
		stop()
		if _, err := bus.Call(t.Context(), b.caller, b.envelope("echo")); !errors.Is(err, bus.ErrNoHandler) {
			t.Errorf("after stop: %v, want %v", err, bus.ErrNoHandler)
		}
	}
}

func testClose(t *testing.T, b bed) {
	t.Helper()
	began := make(chan bool, 1)
	cancelled := make(chan bool, 1)
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(ctx context.Context, _ bus.Envelope) ([]byte, error) {
		began <- true
		<-ctx.Done()
		cancelled <- true
		return nil, ctx.Err()
	}}})
	result := make(chan error, 1)
	b.caller.Start(b.envelope("slow"), func(_ []byte, err error) { result <- err })
	wait(t, began)
	for range 2 {
		if err := b.caller.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := wait(t, result); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("the call under way: %v, want %v", err, bus.ErrClosed)
	}
	if _, err := bus.Call(t.Context(), b.caller, b.envelope("slow")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a call later: %v, want %v", err, bus.ErrClosed)
	}
	if err := b.caller.Cast(b.envelope("slow")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a cast later: %v, want %v", err, bus.ErrClosed)
	}
	if _, err := b.caller.Handle(t.Context(), "other", bus.Service{Methods: map[string]bus.Handler{"echo": echo}}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("handle later: %v, want %v", err, bus.ErrClosed)
	}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, cancelled)
}

func testNested(t *testing.T, b bed) {
	t.Helper()
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{
		"outer": func(ctx context.Context, e bus.Envelope) ([]byte, error) {
			e.ID, e.Method = bus.NewID(), "inner"
			return bus.Call(ctx, b.server, e)
		},
		"inner": echo,
	}})
	e := b.envelope("outer")
	e.Body = []byte("x")
	if reply, err := bus.Call(t.Context(), b.caller, e); err != nil || string(reply) != "x" {
		t.Errorf("got %q, %v", reply, err)
	}
}
