package bustest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

func testStop(t *testing.T, b bed) {
	t.Helper()
	service := bus.Service{Methods: map[string]bus.Handler{"echo": echo}}
	for range 3 {
		stop := b.handle(t, service)
		if _, err := b.call(t, b.envelope("echo")); err != nil {
			t.Fatal(err)
		}
		stop()
		stop()
		if _, err := b.call(t, b.envelope("echo")); !errors.Is(err, bus.ErrNoHandler) {
			t.Errorf("after stop: %v, want %v", err, bus.ErrNoHandler)
		}
	}
}

// testStopUnderWay stops a service while a handler runs and a message waits.
func testStopUnderWay(t *testing.T, b bed) {
	t.Helper()
	var began atomic.Bool
	stop := b.handle(t, bus.Service{Workers: 1, Methods: map[string]bus.Handler{"slow": func(ctx context.Context, _ bus.Envelope) ([]byte, error) {
		began.Store(true)
		b.hold(func() bool { return ctx.Err() != nil })
		return []byte("x"), nil
	}}})
	var first, second ends
	b.caller.Bus.Start(b.envelope("slow"), first.done)
	b.wait(t, began.Load)
	b.caller.Bus.Start(b.envelope("slow"), second.done)
	b.caller.Time.Sleep(200 * moment) // for it to arrive
	stop()
	b.wait(t, first.reached(1))
	b.wait(t, second.reached(1))
	if first.all[0] != nil {
		t.Errorf("the one that ran: %v", first.all[0])
	}
	if !errors.Is(second.all[0], bus.ErrNoHandler) {
		t.Errorf("the one that waited: %v, want %v", second.all[0], bus.ErrNoHandler)
	}
}

func testClose(t *testing.T, b bed) {
	t.Helper()
	var began, cancelled atomic.Bool
	b.handle(t, bus.Service{Methods: map[string]bus.Handler{"slow": func(ctx context.Context, _ bus.Envelope) ([]byte, error) {
		began.Store(true)
		b.hold(func() bool { return ctx.Err() != nil })
		cancelled.Store(true)
		return nil, ctx.Err()
	}}})
	var result ends
	b.caller.Bus.Start(b.envelope("slow"), result.done)
	b.wait(t, began.Load)
	for range 2 {
		if err := b.caller.Bus.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b.wait(t, result.reached(1))
	if !errors.Is(result.all[0], bus.ErrClosed) {
		t.Errorf("the call under way: %v, want %v", result.all[0], bus.ErrClosed)
	}
	if _, err := b.call(t, b.envelope("slow")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a call later: %v, want %v", err, bus.ErrClosed)
	}
	if err := b.caller.Bus.Cast(b.envelope("slow")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a cast later: %v, want %v", err, bus.ErrClosed)
	}
	if _, err := b.caller.Bus.Handle(t.Context(), "other", bus.Service{Methods: map[string]bus.Handler{"echo": echo}}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("handle later: %v, want %v", err, bus.ErrClosed)
	}
	if err := b.server.Bus.Close(); err != nil {
		t.Fatal(err)
	}
	b.wait(t, cancelled.Load)
}
