//go:build integration

package rabbit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/bustest"
	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// open returns a bus that is connected.
func (n *node) open(t *testing.T, cell string, observe bus.Observer) *Bus {
	t.Helper()
	cfg, err := Parse(n.url(cell), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Observe = t.Name(), observe
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ready(t, b)
	return b
}

func ready(t *testing.T, b *Bus) {
	t.Helper()
	from := time.Now()
	for b.Ready() != nil {
		if time.Since(from) > 30*time.Second {
			t.Fatal(b.Ready())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func echo(_ context.Context, e bus.Envelope) ([]byte, error) { return e.Body, nil }

func TestRabbit(t *testing.T) {
	a := newAuthority(t)
	a.broker(t, "localhost")
	a.client(t, "client")
	port := freePorts(t, 1)[0]
	n := newNode(t, fmt.Sprintf("listeners.ssl.default = 127.0.0.1:%d", port), "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true",
		"ssl_options.cacertfile = "+a.file("ca"), "ssl_options.certfile = "+a.file("localhost"), "ssl_options.keyfile = "+a.file("localhost-key"))
	t.Run("conformance", func(t *testing.T) {
		bustest.Run(t, func(t *testing.T, test func(caller, server bustest.Side)) {
			t.Helper()
			test(bustest.Real(n.open(t, "cell1", nil)), bustest.Real(n.open(t, "cell1", nil)))
		})
	})
	t.Run("a vhost per cell", func(t *testing.T) { testCells(t, n) })
	t.Run("four cells, some away", func(t *testing.T) { testCellsAway(t, n) })
	t.Run("wrong password", func(t *testing.T) { testPassword(t, n) })
	t.Run("TLS", func(t *testing.T) { testSecure(t, n, a, port) })
	t.Run("durable queues", func(t *testing.T) { testDurable(t, n) })
	t.Run("network is silent", func(t *testing.T) { testSilent(t, n) })
	t.Run("queue is deleted", func(t *testing.T) { testQueueDeleted(t, n) })
}

func testCells(t *testing.T, n *node) {
	t.Helper()
	one, two := n.open(t, "cell1", nil), n.open(t, "cell2", nil)
	service := bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{"echo": echo}}
	if _, err := one.Handle(t.Context(), "here", service); err != nil {
		t.Fatal(err)
	}
	e := bus.Envelope{ID: bus.NewID(), Topic: "here", Method: "echo", Version: bus.Version{Major: 1}, Timeout: 5 * time.Second}
	if _, err := bus.Call(t.Context(), two, e); !errors.Is(err, bus.ErrNoHandler) {
		t.Errorf("from another cell: %v, want %v", err, bus.ErrNoHandler)
	}
	if _, err := bus.Call(t.Context(), one, e); err != nil {
		t.Error(err)
	}
}

// readyBus returns a bus that is ready, until the test ends.
func readyBus(t *testing.T, url string, options Lookup) *Bus {
	t.Helper()
	cfg, err := Parse(url, options)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ready(t, b)
	return b
}

// testSecure calls over TLS, to the second of two brokers.
func testSecure(t *testing.T, n *node, a *authority, port int) {
	t.Helper()
	url := strings.Replace(n.url("cell1"), fmt.Sprintf("127.0.0.1:%d", n.port), fmt.Sprintf("localhost:%d", port), 1)
	files := map[string]string{"ssl": "true", "ssl_ca_file": a.file("ca"), "ssl_cert_file": a.file("client"), "ssl_key_file": a.file("client-key")}
	b := readyBus(t, url, func(name string) (string, bool) { value, set := files[name]; return value, set })
	answers(t, b, "secure")
	if list := n.ctl(t, "list_connections", "ssl", "user"); !strings.Contains(list, "true\t"+nodeUser) {
		t.Errorf("no connection with TLS: %s", list)
	}
}

// testDurable: queues are durable, still go with their last consumer or when
// nobody listens for long, and are bounded as others are.
func testDurable(t *testing.T, n *node) {
	t.Helper()
	b := readyBus(t, n.url("cell1")+"?amqp_durable_queues=true", nil)
	answers(t, b, "durable")
	list := n.ctl(t, "-p", "cell1", "list_queues", "name", "durable", "auto_delete", "arguments")
	for _, part := range []string{"kn.durable\ttrue\ttrue", `{"x-max-length",65536}`, `{"x-expires",1800000}`} { // arguments are in any order
		if !strings.Contains(list, part) {
			t.Errorf("the queues are %s, without %s", list, part)
		}
	}
}

// testSilent: when nothing is read any more, messages are refused at once from
// 4 MiB on, the connection is given up by its heartbeats, and there is another
// one when the network is back.
func testSilent(t *testing.T, n *node) {
	t.Helper()
	link, err := etcdtest.NewLink(t.Context(), []string{fmt.Sprintf("127.0.0.1:%d", n.port)})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	cfg, err := Parse(fmt.Sprintf("rabbit://%s:%s@%s/cell1?heartbeat_timeout_threshold=1&rabbit_interval_max=1", nodeUser, escape(nodePassword), link.Endpoints()[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan error, 10)
	cfg.Observe = func(e bus.Event) {
		if e.Kind == bus.Disconnected {
			lost <- e.Err
		}
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ready(t, b)
	link.Stall()
	e := bus.Envelope{ID: bus.NewID(), Topic: "anywhere", Method: "echo", Timeout: time.Minute, Body: make([]byte, 1<<20)}
	var slowest time.Duration
	stalled := time.Now()
	for sent := 0; err == nil; sent++ {
		from := time.Now()
		err = b.Cast(e)
		slowest = max(slowest, time.Since(from))
		if sent > 64 {
			t.Fatal("64 MiB were taken")
		}
	}
	if !errors.Is(err, bus.ErrUnavailable) || !strings.Contains(err.Error(), "the broker reads nothing") || slowest > time.Second {
		t.Errorf("got %v, want %v; the slowest cast took %v", err, bus.ErrUnavailable, slowest)
	}
	select {
	case err := <-lost:
		if !errors.Is(err, bus.ErrLost) {
			t.Errorf("got %v, want %v", err, bus.ErrLost)
		}
		t.Logf("given up after %v", time.Since(stalled))
	case <-time.After(20 * time.Second):
		t.Fatal("the connection is not given up")
	}
	link.Heal()
	ready(t, b)
	answers(t, b, "again")
}

// answers handles a topic on b, which answers.
func answers(t *testing.T, b *Bus, topic string) {
	t.Helper()
	if _, err := b.Handle(t.Context(), topic, bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{"echo": echo}}); err != nil {
		t.Fatal(err)
	}
	e := bus.Envelope{ID: bus.NewID(), Topic: topic, Method: "echo", Version: bus.Version{Major: 1}, Timeout: 5 * time.Second}
	if _, err := bus.Call(t.Context(), b, e); err != nil {
		t.Error(err)
	}
}

func testPassword(t *testing.T, n *node) {
	t.Helper()
	const wrong = "not-it-at-all"
	cfg, err := Parse(strings.ReplaceAll(n.url("cell1"), escape(nodePassword), wrong), nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 100)
	cfg.Observe = func(e bus.Event) {
		if e.Kind == bus.ConnectFailed && !strings.Contains(e.Err.Error(), ":1:") {
			failed <- e.Err
		}
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	select {
	case err := <-failed:
		if text := err.Error(); strings.Contains(text, wrong) || !strings.Contains(text, "not allowed") {
			t.Errorf("the error is %q", text)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no attempt failed")
	}
	e := bus.Envelope{ID: bus.NewID(), Topic: "here", Method: "echo", Timeout: time.Second}
	if _, err := bus.Call(t.Context(), b, e); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("a call: %v, want %v", err, bus.ErrUnavailable)
	}
	err = b.Ready()
	for from := time.Now(); !strings.Contains(err.Error(), "not allowed"); err = b.Ready() { // the other broker of the URL is not there
		if strings.Contains(err.Error(), wrong) || time.Since(from) > 20*time.Second {
			t.Fatalf("the error is %q", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if strings.Contains(err.Error(), wrong) {
		t.Errorf("the error is %q", err)
	}
}

func testQueueDeleted(t *testing.T, n *node) {
	t.Helper()
	b := n.open(t, "cell1", nil)
	service := bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{"echo": echo}}
	if _, err := b.Handle(t.Context(), "there", service); err != nil {
		t.Fatal(err)
	}
	n.ctl(t, "-p", "cell1", "delete_queue", "kn.there")
	for from := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		e := bus.Envelope{ID: bus.NewID(), Topic: "there", Method: "echo", Version: bus.Version{Major: 1}, Timeout: time.Second}
		_, err := bus.Call(t.Context(), b, e)
		if err == nil {
			return
		}
		if time.Since(from) > 15*time.Second {
			t.Fatalf("the queue does not come back: %v", err)
		}
	}
}
