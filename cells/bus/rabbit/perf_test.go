//go:build integration

package rabbit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// bare is what amqp091 does with nothing on top: a client and a server, each
// on a connection of its own, and direct reply-to.
type bare struct {
	publish *amqp.Channel
	queue   string
	body    []byte
	answers []chan []byte // by correlation id
}

func newBare(b *testing.B, n *node, callers int) *bare {
	b.Helper()
	dial := func() *amqp.Channel {
		conn, err := amqp.DialConfig(fmt.Sprintf("amqp://127.0.0.1:%d", n.port), amqp.Config{
			SASL: []amqp.Authentication{&amqp.PlainAuth{Username: nodeUser, Password: nodePassword}}, Vhost: "cell1",
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		ch, err := conn.Channel()
		if err != nil {
			b.Fatal(err)
		}
		return ch
	}
	client, server := dial(), dial()
	r := &bare{publish: client, queue: "kn.bare", body: make([]byte, 100), answers: make([]chan []byte, callers)}
	for i := range r.answers {
		r.answers[i] = make(chan []byte, 1)
	}
	if _, err := server.QueueDeclare(r.queue, false, true, false, false, nil); err != nil {
		b.Fatal(err)
	}
	requests, err := server.Consume(r.queue, "", true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	answers, err := client.Consume(replyTo, "", true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for d := range requests {
			_ = server.Publish("", d.ReplyTo, false, false, amqp.Publishing{CorrelationId: d.CorrelationId, Body: d.Body})
		}
	}()
	go func() {
		for d := range answers {
			at, _ := strconv.Atoi(d.CorrelationId)
			r.answers[at] <- d.Body
		}
	}()
	return r
}

func (r *bare) call(caller int) error {
	err := r.publish.Publish("", r.queue, false, false, amqp.Publishing{CorrelationId: strconv.Itoa(caller), ReplyTo: replyTo, Body: r.body})
	if err == nil {
		err = whole(<-r.answers[caller], r.body)
	}
	return err
}

func whole(got, want []byte) error {
	if len(got) != len(want) {
		return fmt.Errorf("got %d bytes of %d", len(got), len(want))
	}
	return nil
}

// ours is two buses, each with a connection of its own.
type ours struct {
	caller *Bus
	body   []byte
}

func newOurs(b *testing.B, n *node) *ours {
	b.Helper()
	open := func() *Bus {
		cfg, err := Parse(n.url("cell1"), nil)
		if err != nil {
			b.Fatal(err)
		}
		one, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = one.Close() })
		for one.Ready() != nil {
			time.Sleep(10 * time.Millisecond)
		}
		return one
	}
	o := &ours{caller: open(), body: make([]byte, 100)}
	_, err := open().Handle(b.Context(), "worker", bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{"do": echo}})
	if err != nil {
		b.Fatal(err)
	}
	return o
}

func (o *ours) call(int) error {
	e := bus.Envelope{ID: bus.NewID(), Topic: "worker", Method: "do", Version: bus.Version{Major: 1}, Timeout: 10 * time.Second, Body: o.body}
	got, err := bus.Call(context.Background(), o.caller, e)
	if err == nil {
		err = whole(got, o.body)
	}
	return err
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Error(err)
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkCall is one call at a time, over the bus and bare in turn.
func BenchmarkCall(b *testing.B) {
	n := newNode(b)
	r, o := newBare(b, n, 1), newOurs(b, n)
	for range 200 { // warm
		check(b, r.call(0))
		check(b, o.call(0))
	}
	var bareTook, oursTook []float64
	for b.Loop() {
		from := time.Now()
		errBare := r.call(0)
		between := time.Now()
		errOurs := o.call(0)
		bareTook = append(bareTook, float64(between.Sub(from).Nanoseconds())/1000)
		oursTook = append(oursTook, float64(time.Since(between).Nanoseconds())/1000)
		check(b, errors.Join(errBare, errOurs))
	}
	b.ReportMetric(median(bareTook), "bare-us")
	b.ReportMetric(median(oursTook), "bus-us")
	b.ReportMetric(median(oursTook)-median(bareTook), "over-us")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRate is calls with 16 in flight, over the bus and bare in turn.
func BenchmarkRate(b *testing.B) {
	const callers, slice = 16, 500 * time.Millisecond
	n := newNode(b)
	r, o := newBare(b, n, callers), newOurs(b, n)
	rate := func(call func(int) error) float64 {
		var done atomic.Int64
		var all sync.WaitGroup
		from := time.Now()
		for i := range callers {
			all.Go(func() {
				for time.Since(from) < slice {
					check(b, call(i))
					done.Add(1)
				}
			})
		}
		all.Wait()
		return float64(done.Load()) / time.Since(from).Seconds()
	}
	rate(r.call)
	rate(o.call)
	var bareRate, oursRate, share []float64
	for b.Loop() {
		bareRate = append(bareRate, rate(r.call))
		oursRate = append(oursRate, rate(o.call))
		share = append(share, oursRate[len(oursRate)-1]/bareRate[len(bareRate)-1])
	}
	b.ReportMetric(median(bareRate), "bare/s")
	b.ReportMetric(median(oursRate), "bus/s")
	b.ReportMetric(median(share), "share")
	b.ReportMetric(0, "ns/op")
}
