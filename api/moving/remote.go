package moving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/placement"
)

// Remote is a Placement server.
type Remote struct {
	Client  *placementclient.Client
	Workers int // requests at once; 0: DefaultWorkers
	// Progress is told, from one goroutine at a time, how much of a step is
	// done; nil: nobody is.
	Progress func(step string, done, total int)
}

// DefaultWorkers suits a Placement of a few processes.
const DefaultWorkers = 8

// ErrRestless says that a provider changed each time it was read.
var ErrRestless = errors.New("it changes faster than it can be read")

const (
	tries = 20 // to read a provider at one generation
)

// Read returns all that the server holds. While others write to it, each
// provider and each consumer is of one moment, the world is not. What has
// the generation that known tells is taken from there; nil: nothing is. What
// was deleted and made anew meanwhile can have the old generation, so the last
// reading takes nil.
//
// It costs four requests for a provider and one for a consumer, one for a
// provider that is known.
func (r *Remote) Read(ctx context.Context, known *World) (*World, error) {
	if known == nil {
		known = NewWorld()
	}
	x := reading{r: r, known: known, w: NewWorld(), consumers: map[placement.UUID]int64{}}
	if err := x.symbols(ctx); err != nil {
		return nil, err
	}
	list, err := r.Client.Providers(ctx, placement.ProviderFilter{})
	if err != nil {
		return nil, err
	}
	if err := each(ctx, r.workers(), list, x.steps("resource providers", len(list)), x.provider); err != nil {
		return nil, err
	}
	var unread []placement.UUID
	for u, generation := range x.consumers {
		if c, is := known.Consumers[u]; is && c.Generation == generation {
			x.w.addConsumer(c)
		} else {
			unread = append(unread, u)
		}
	}
	slices.SortFunc(unread, compareUUIDs)
	if err := each(ctx, r.workers(), unread, x.steps("consumers", len(unread)), x.consumer); err != nil {
		return nil, err
	}
	return x.w, nil
}

func (r *Remote) workers() int {
	if r.Workers > 0 {
		return r.Workers
	}
	return DefaultWorkers
}

// reading is one reading of a server.
type reading struct {
	r     *Remote
	known *World

	mu        sync.Mutex // guards what follows
	w         *World
	consumers map[placement.UUID]int64 // with their generations
	done      int
}

// steps returns the function that counts one step's progress.
func (x *reading) steps(step string, total int) func() {
	x.done = 0
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.done++
		if x.r.Progress != nil {
			x.r.Progress(step, x.done, total)
		}
	}
}

func (x *reading) symbols(ctx context.Context) error {
	names, err := x.r.Client.Classes(ctx)
	if err != nil {
		return err
	}
	x.w.Classes = custom(names)
	if names, err = x.r.Client.AllTraits(ctx); err != nil {
		return err
	}
	x.w.Traits = custom(names)
	return nil
}

// provider reads one provider of the list, and who holds something of it. One
// that is gone meanwhile is left out.
func (x *reading) provider(ctx context.Context, p placement.Provider) error {
	err := x.readProvider(ctx, p)
	if errors.Is(err, placement.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read provider %s: %w", p.UUID, err)
	}
	return nil
}

func (x *reading) readProvider(ctx context.Context, p placement.Provider) error {
	record, is := x.known.Providers[p.UUID]
	if !is || record.Generation != p.Generation || record.Name != p.Name || record.Parent != p.Parent {
		var err error
		if record, err = x.r.record(ctx, p.UUID); err != nil {
			return err
		}
	}
	holders, err := x.r.Client.ConsumerGenerations(ctx, p.UUID)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.w.addProvider(record)
	for u, generation := range holders {
		x.consumers[u] = max(x.consumers[u], generation)
	}
	return nil
}

// record reads a provider at one generation.
func (r *Remote) record(ctx context.Context, uuid placement.UUID) (rec placement.ProviderRecord, err error) {
	for range tries {
		var ours bool
		if rec, ours, err = r.recordOnce(ctx, uuid); err != nil || ours {
			return rec, err
		}
	}
	return rec, ErrRestless
}

// recordOnce reports whether all that it read is of one generation.
func (r *Remote) recordOnce(ctx context.Context, uuid placement.UUID) (rec placement.ProviderRecord, same bool, err error) {
	inv, g1, err := r.Client.Inventories(ctx, uuid)
	if err != nil {
		return rec, false, err
	}
	traits, g2, err := r.Client.Traits(ctx, uuid)
	if err != nil {
		return rec, false, err
	}
	aggs, g3, err := r.Client.Aggregates(ctx, uuid)
	if err != nil {
		return rec, false, err
	}
	p, err := r.Client.Provider(ctx, uuid)
	if err != nil {
		return rec, false, err
	}
	rec = placement.ProviderRecord{Provider: p, Traits: traits, Aggregates: aggs}
	for class, i := range inv {
		rec.Inventories = append(rec.Inventories, placement.InventoryRecord{Class: class, Inventory: i})
	}
	return rec, g1 == p.Generation && g2 == p.Generation && g3 == p.Generation, nil
}

// consumer reads a consumer. One that is gone meanwhile is left out.
func (x *reading) consumer(ctx context.Context, u placement.UUID) error {
	c, held, err := x.r.Client.Consumer(ctx, u)
	if errors.Is(err, placement.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read consumer %s: %w", u, err)
	}
	record := placement.ConsumerRecord{Consumer: c}
	for _, h := range held {
		record.Allocations = append(record.Allocations, h.Allocation)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.w.addConsumer(record)
	return nil
}
