package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestServerKilled kills the server with requests under way on many
// connections, again and again on the same state. After each restart every
// write that was answered with success is there, a write without an answer is
// there as a whole or not at all, and every invariant holds.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	state := filepath.Join(t.TempDir(), "state")
	writers := make([]*writer, scaled(16, 64, 64))
	p := startProcess(t, state)
	for k := range killedHosts {
		if err := p.client().provider(hostID(k), "", map[string]int{"VCPU": 1 << 20, "DISK_GB": 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	for w := range writers {
		writers[w] = &writer{number: w}
		if err := writers[w].begin(p.client()); err != nil {
			t.Fatal(err)
		}
	}
	writes, unanswered, done := 0, 0, 0
	for round := range scaled(2, 4, 20) {
		writes += killUnderLoad(t, p, writers, time.Duration(50+rng.IntN(700))*time.Millisecond)
		if code, stdout, stderr := call(t, "manage", "placement", "verify", "--state-dir", state); code != 0 {
			t.Fatalf("seed %d, round %d: verify: exit %d, %s%s", seed, round, code, stdout, stderr)
		}
		p = startProcess(t, state)
		for _, w := range writers {
			happened, err := w.recover(p.client())
			if err != nil {
				t.Fatalf("seed %d, round %d, writer %d after %d writes: %v", seed, round, w.number, w.at.steps, err)
			}
			unanswered++
			done += happened
		}
	}
	t.Logf("%d writes were answered and are there; of %d that were not, %d are there as a whole and the others not at all", writes, unanswered, done)
	if writes == 0 {
		t.Error("nothing was written")
	}
}

// killUnderLoad lets the writers write until the server is killed, some time
// after the first answer, and returns how many writes were answered.
func killUnderLoad(t *testing.T, p *process, writers []*writer, after time.Duration) int {
	t.Helper()
	var wg sync.WaitGroup
	var answered atomic.Int64
	first := make(chan struct{})
	for _, w := range writers {
		wg.Go(func() {
			c := p.client()
			for {
				err := w.write(c)
				if fault := (*refused)(nil); errors.As(err, &fault) {
					t.Errorf("writer %d, write %d: %v", w.number, w.at.steps, err)
					return
				}
				if err != nil {
					return // the connection broke
				}
				if answered.Add(1) == 1 {
					close(first)
				}
			}
		})
	}
	<-first
	time.Sleep(after)
	p.kill()
	wg.Wait()
	return int(answered.Load())
}

const (
	killedHosts = 8
	slots       = 4 // consumers of a writer
	gpus        = slots - 1
	reshape     = 3 // of four writes the one that names generations of providers
)

func hostID(k int) string { return fmt.Sprintf("00000001-0000-4000-8000-%012d", k) }

// writer has a tree of two providers, one of which has GPUs, and consumers.
// Nobody else writes these, so it knows what the server has to say.
type writer struct {
	number int
	at     moment // after the last write that was answered
}

// moment is what is there after some writes.
type moment struct {
	steps  int
	held   [slots]holding // the last one's are the GPUs
	holder int            // which of the two providers has GPUs
}

// holding is what a consumer has.
type holding struct {
	Allocations map[string]resources `json:"allocations"` // by provider
	Generation  int                  `json:"consumer_generation"`
}

type resources struct {
	Resources map[string]int `json:"resources"`
}

func (w *writer) provider(k int) string {
	return fmt.Sprintf("00000002-%04d-4000-8000-%012d", w.number, k)
}

func (w *writer) consumer(slot int) string {
	return fmt.Sprintf("00000003-%04d-4000-8000-%012d", w.number, slot)
}

// begin makes the tree and lets a consumer have its GPUs.
func (w *writer) begin(c *client) error {
	for slot := range gpus {
		w.at.held[slot].Allocations = map[string]resources{}
	}
	w.at.held[gpus] = holding{w.oneOf("VGPU", w.provider(0), 8), 1}
	if err := c.provider(w.provider(0), "", map[string]int{"VGPU": 8}); err != nil {
		return err
	}
	if err := c.provider(w.provider(1), w.provider(0), nil); err != nil {
		return err
	}
	_, err := c.call(http.MethodPut, "/allocations/"+w.consumer(gpus), w.body(&holding{}, &w.at.held[gpus]), nil)
	return err
}

func (w *writer) oneOf(class, provider string, amount int) map[string]resources {
	return map[string]resources{provider: {map[string]int{class: amount}}}
}

// somewhere is a new place on two hosts, different with each step.
func (w *writer) somewhere(slot, step int) map[string]resources {
	a := w.oneOf("VCPU", hostID((w.number+step)%killedHosts), 1+(step+slot)%7)
	a[hostID((w.number+step+1)%killedHosts)] = resources{map[string]int{"DISK_GB": 1 + step%5, "VCPU": 1}}
	return a
}

// body is what a write says of one consumer.
func (w *writer) body(before, after *holding) object {
	b := object{
		"allocations": after.Allocations, "project_id": fmt.Sprint("project-", w.number), "user_id": "user",
		"consumer_type": "INSTANCE", "consumer_generation": nil,
	}
	if before.Generation > 0 {
		b["consumer_generation"] = before.Generation
	}
	return b
}

// request is one write.
type request struct {
	method, path string
	body         any
}

// next is the next write and what is there after it. The generations are
// those of the writer's two providers.
func (w *writer) next(generations [2]int) (request, moment) {
	m := w.at
	m.steps++
	put := func(slot int, allocations map[string]resources) object {
		m.held[slot] = holding{allocations, m.held[slot].Generation + 1}
		return w.body(&w.at.held[slot], &m.held[slot])
	}
	switch m.steps % 4 {
	case 0:
		return request{http.MethodPut, "/allocations/" + w.consumer(0), put(0, w.somewhere(0, m.steps))}, m
	case 1:
		both := object{w.consumer(1): put(1, w.somewhere(1, m.steps)), w.consumer(2): put(2, w.somewhere(2, m.steps))}
		return request{http.MethodPost, "/allocations", both}, m
	case 2:
		m.held[1] = holding{Allocations: map[string]resources{}}
		return request{http.MethodDelete, "/allocations/" + w.consumer(1), nil}, m
	default: // reshape: the GPUs move from one provider to the other
		from, to := m.holder, 1-m.holder
		m.holder = to
		inventories := object{
			w.provider(from): object{"resource_provider_generation": generations[from], "inventories": object{}},
			w.provider(to):   object{"resource_provider_generation": generations[to], "inventories": object{"VGPU": object{"total": 8}}},
		}
		allocations := object{w.consumer(gpus): put(gpus, w.oneOf("VGPU", w.provider(to), 8))}
		return request{http.MethodPost, "/reshaper", object{"inventories": inventories, "allocations": allocations}}, m
	}
}

// write makes the next write.
func (w *writer) write(c *client) error {
	var generations [2]int
	if (w.at.steps+1)%4 == reshape {
		var err error
		if _, generations, err = w.inventories(c); err != nil {
			return err
		}
	}
	r, after := w.next(generations)
	if _, err := c.call(r.method, r.path, r.body, nil); err != nil {
		return err
	}
	w.at = after
	return nil
}

// inventories says which of the two providers has GPUs, and their generations.
func (w *writer) inventories(c *client) (holder int, generations [2]int, err error) {
	var have [2]bool
	for k := range generations {
		var answer struct {
			Generation  int            `json:"resource_provider_generation"`
			Inventories map[string]any `json:"inventories"`
		}
		if _, err := c.call(http.MethodGet, "/resource_providers/"+w.provider(k)+"/inventories", nil, &answer); err != nil {
			return 0, generations, err
		}
		generations[k], have[k] = answer.Generation, len(answer.Inventories) == 1
	}
	if have[0] == have[1] {
		return 0, generations, fmt.Errorf("providers with GPUs: %v, want one of the two", have)
	}
	if have[1] {
		holder = 1
	}
	return holder, generations, nil
}

// recover compares what the server has with what it must have, and says
// whether the write that was not answered has happened: 0 or 1.
func (w *writer) recover(c *client) (int, error) {
	got := w.at
	var err error
	if got.holder, _, err = w.inventories(c); err != nil {
		return 0, err
	}
	for slot := range got.held {
		got.held[slot] = holding{}
		if _, err := c.call(http.MethodGet, "/allocations/"+w.consumer(slot), nil, &got.held[slot]); err != nil {
			return 0, err
		}
	}
	if reflect.DeepEqual(got, w.at) {
		return 0, nil
	}
	_, after := w.next([2]int{})
	if got.steps = after.steps; !reflect.DeepEqual(got, after) {
		return 0, fmt.Errorf("got %+v, want %+v or %+v", got, w.at, after)
	}
	w.at = after
	return 1, nil
}
