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
	"syscall"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// TestFaults does to a broker under load what may happen to one. Calls end in
// time, with an answer or an error of the port; no message has two effects,
// whether the bus or its user repeats it; all is well again by itself.
func TestFaults(t *testing.T) {
	rounds := 1
	if os.Getenv("KILONOVA_SOAK") != "" {
		rounds = 10
	}
	n := newNode(t)
	before := runtime.NumGoroutine()
	l := newLoad(t, n)
	for round := range rounds {
		for _, fault := range []struct {
			name string
			sign bus.EventKind // that shows that it happened
			do   func()
		}{
			{"connections closed by the administrator", bus.Disconnected, func() { n.ctl(t, "close_all_connections", "--global", "test") }},
			{"killed with -9, started again", bus.Disconnected, func() {
				n.signal(t, syscall.SIGKILL)
				n.gone(t)
				n.start(t)
			}},
			{"paused for 3 s", bus.CallEnded, func() {
				n.signal(t, syscall.SIGSTOP)
				time.Sleep(3 * time.Second)
				n.signal(t, syscall.SIGCONT)
			}},
			{"memory alarm for 2 s", bus.Blocked, func() {
				n.ctl(t, "set_vm_memory_high_watermark", "absolute", "1MB")
				time.Sleep(2 * time.Second)
				n.ctl(t, "set_vm_memory_high_watermark", "absolute", "1GB")
			}},
			{"stopped, started again", bus.Disconnected, func() {
				n.signal(t, syscall.SIGTERM)
				n.gone(t)
				n.start(t)
			}},
		} {
			l.during(t, fmt.Sprintf("round %d: %s", round+1, fault.name), fault.do)
			if l.told(fault.sign) == 0 {
				t.Errorf("%s: nobody was told of an event %q with an error or reason", fault.name, fault.sign)
			}
		}
	}
	l.finish(t)
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before: %s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

const (
	callTimeout = 2 * time.Second
	slack       = 2 * time.Second // on a machine that does other things too
)

// load calls and casts all the time.
type load struct {
	caller, server *Bus
	stop           context.CancelFunc
	all            sync.WaitGroup

	mu      sync.Mutex
	effects map[bus.ID]int
	sent    int
	ends    map[string]int
	events  map[bus.EventKind]int // that tell of trouble
	slowest time.Duration
}

func newLoad(t *testing.T, n *node) *load {
	t.Helper()
	l := &load{effects: map[bus.ID]int{}, ends: map[string]int{}, events: map[bus.EventKind]int{}}
	observe := func(e bus.Event) {
		if e.Err == nil && e.Detail == "" {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events[e.Kind]++
	}
	l.caller, l.server = n.open(t, "cell1", observe), n.open(t, "cell1", observe)
	effect := func(_ context.Context, e bus.Envelope) ([]byte, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.effects[e.ID]++
		return e.Body, nil
	}
	_, err := l.server.Handle(t.Context(), "worker", bus.Service{
		Version: bus.Version{Major: 1}, Window: 1 << 16, Methods: map[string]bus.Handler{"do": effect},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	for range 8 {
		l.all.Go(func() { l.calls(ctx) })
	}
	l.all.Go(func() { l.casts(ctx) })
	return l
}

func envelope(timeout time.Duration) bus.Envelope {
	return bus.Envelope{ID: bus.NewID(), Topic: "worker", Method: "do", Version: bus.Version{Major: 1}, Timeout: timeout, Body: []byte("x")}
}

func (l *load) calls(ctx context.Context) {
	for ctx.Err() == nil {
		e := envelope(callTimeout)
		from := time.Now()
		_, err := bus.Call(context.WithoutCancel(ctx), l.caller, e)
		took := time.Since(from)
		l.mu.Lock()
		l.ends[kind(err)]++
		l.slowest = max(l.slowest, took)
		l.mu.Unlock()
		if err != nil { // as a careful caller: the same ID again
			_, _ = bus.Call(context.WithoutCancel(ctx), l.caller, e)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *load) casts(ctx context.Context) {
	for ctx.Err() == nil {
		e := envelope(10 * time.Second)
		for range 2 { // each one twice
			if l.caller.Cast(e) == nil {
				l.mu.Lock()
				l.sent++
				l.mu.Unlock()
			}
		}
		time.Sleep(time.Millisecond)
	}
}

func kind(err error) string {
	if err == nil {
		return "answered"
	}
	for _, known := range []error{bus.ErrUnavailable, bus.ErrNoHandler, bus.ErrTimeout, bus.ErrLost, bus.ErrBusy} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "OTHER: " + err.Error()
}

func (l *load) told(kind bus.EventKind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[kind]
}

// during does something, and waits until all is well again.
func (l *load) during(t *testing.T, name string, do func()) {
	t.Helper()
	l.mu.Lock()
	clear(l.ends)
	clear(l.events)
	l.slowest, l.sent = 0, 0
	l.mu.Unlock()
	do()
	from := time.Now()
	for well := 0; well < 20; { // one after the other
		_, err := bus.Call(t.Context(), l.caller, envelope(500*time.Millisecond))
		if well++; err != nil {
			well = 0
			time.Sleep(10 * time.Millisecond)
		}
		if time.Since(from) > 30*time.Second {
			t.Fatalf("%s: not well after 30 s: %v", name, err)
		}
	}
	recovery := time.Since(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slowest > callTimeout+slack {
		t.Errorf("%s: a call with a timeout of %s took %s", name, callTimeout, l.slowest)
	}
	var ends []string
	for end, count := range l.ends {
		ends = append(ends, fmt.Sprintf("%d %s", count, end))
		if strings.HasPrefix(end, "OTHER") {
			t.Errorf("%s: a call ended with %s", name, end)
		}
	}
	slices.Sort(ends)
	if l.ends["answered"] == 0 {
		t.Errorf("%s: no call was answered", name)
	}
	l.noTwice(t, name)
	t.Logf("%s: well again after %s; calls: %s, the slowest %s; %d casts sent", name,
		recovery.Round(time.Millisecond), strings.Join(ends, ", "), l.slowest.Round(time.Millisecond), l.sent)
}

// noTwice is called with mu held.
func (l *load) noTwice(t *testing.T, name string) {
	t.Helper()
	for id, count := range l.effects {
		if count > 1 {
			t.Errorf("%s: message %s had %d effects", name, id, count)
		}
	}
}

// finish ends the load, and checks that a healthy bus loses nothing.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.all.Wait()
	var ids []bus.ID
	for range 500 {
		e := envelope(10 * time.Second)
		ids = append(ids, e.ID)
		if err := l.caller.Cast(e); err != nil {
			t.Error(err)
		}
	}
	arrived := 0
	for range 200 {
		arrived = 0
		l.mu.Lock()
		for _, id := range ids {
			arrived += l.effects[id]
		}
		l.mu.Unlock()
		if arrived >= len(ids) {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	if arrived != len(ids) {
		t.Errorf("%d of %d casts arrived on a healthy bus", arrived, len(ids))
	}
	l.noTwice(t, "finish")
	for _, b := range []*Bus{l.caller, l.server} {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
