package twin

import (
	"fmt"
	"maps"

	"github.com/kilonova-cloud/kilonova/placement"
)

// SetAllocations replaces what the consumers of the write hold, all or none.
// Guards and attachments are ignored: Placement has none.
//
// Source: placement, handlers/allocation.py, set_allocations.
func (w *World) SetAllocations(write placement.AllocationWrite) error {
	return w.atomically(func(w *World) error {
		if err := checkConsumers(write.Consumers); err != nil {
			return err
		}
		if err := w.checkPresence(write.Consumers); err != nil {
			return err
		}
		return w.replaceAllocations(write.Consumers)
	})
}

// DeleteAllocations removes a consumer and all it holds. No provider's
// generation changes.
//
// Source: placement, objects/allocation.py, delete_all;
// handlers/allocation.py, delete_allocations.
func (w *World) DeleteAllocations(u placement.UUID) error {
	if w.consumers[u] == nil {
		return fmt.Errorf("consumer %s: %w", u, placement.ErrNotFound)
	}
	delete(w.consumers, u)
	return nil
}

// Reshape replaces inventories and allocations in one step, so that
// allocations can move with their inventories. It goes the way of the source:
// first the union of old and new inventories, then the allocations, then the
// new inventories alone. So a provider whose new inventories are not empty
// gains two generations, one whose inventories all go gains one, and either
// gains one more when the allocations name it.
//
// Source: placement, objects/reshaper.py, reshape; handlers/reshaper.py.
func (w *World) Reshape(inventories []placement.InventoryWrite, write placement.AllocationWrite) error {
	return w.atomically(func(w *World) error {
		if err := w.checkReshape(inventories, write); err != nil {
			return err
		}
		for _, iw := range inventories {
			if err := w.setInterim(iw); err != nil {
				return err
			}
		}
		if err := w.replaceAllocations(write.Consumers); err != nil {
			return err
		}
		for _, iw := range inventories {
			if err := w.replaceInventories(w.providers[iw.Provider], iw.Inventories); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *World) checkReshape(inventories []placement.InventoryWrite, write placement.AllocationWrite) error {
	seen := map[placement.UUID]bool{}
	for _, iw := range inventories {
		if seen[iw.Provider] {
			return badInput("inventories", iw.Provider, "a provider at most once")
		}
		seen[iw.Provider] = true
		if err := checkInventories(iw.Inventories); err != nil {
			return err
		}
	}
	if err := checkConsumers(write.Consumers); err != nil {
		return err
	}
	for _, iw := range inventories {
		if _, err := w.providerAt(iw.Provider, iw.Generation); err != nil {
			return err
		}
	}
	return w.checkPresence(write.Consumers)
}

// setInterim gives a provider its old and new inventories together.
func (w *World) setInterim(iw placement.InventoryWrite) error {
	if len(iw.Inventories) == 0 {
		return nil
	}
	p := w.providers[iw.Provider]
	union := maps.Clone(p.inventories)
	maps.Copy(union, iw.Inventories)
	return w.replaceInventories(p, union)
}

// checkConsumers looks at the values alone.
//
// Source: placement, schemas/allocation.py, ALLOCATION_SCHEMA_V1_38.
func checkConsumers(consumers []placement.ConsumerAllocations) error {
	seen := map[placement.UUID]bool{}
	for _, c := range consumers {
		if c.Consumer.IsZero() || seen[c.Consumer] {
			return badInput("consumer_uuid", c.Consumer, "a consumer at most once, and not the zero UUID")
		}
		seen[c.Consumer] = true
		if err := checkOwner(c); err != nil {
			return err
		}
		type place struct {
			provider placement.UUID
			class    string
		}
		places := map[place]bool{}
		for _, a := range c.Allocations {
			at := place{a.Provider, a.Class}
			if a.Amount < 1 || places[at] {
				return badInput("allocations", a, "a provider and class at most once, the amount at least 1")
			}
			places[at] = true
		}
	}
	return nil
}

// checkOwner wants project and user of a consumer that will hold something.
func checkOwner(c placement.ConsumerAllocations) error {
	if len(c.Allocations) == 0 {
		return nil
	}
	if err := checkText("project_id", c.Project, 255); err != nil {
		return err
	}
	return checkText("user_id", c.User, 255)
}

// checkPresence compares the consumers' generations, then looks for the
// providers, then for the classes.
//
// Source: placement, handlers/util.py, ensure_consumer;
// handlers/allocation.py, _resource_providers_by_uuid.
func (w *World) checkPresence(consumers []placement.ConsumerAllocations) error {
	for _, c := range consumers {
		present := w.consumers[c.Consumer]
		ok := c.Generation == placement.AnyGeneration ||
			present == nil && c.Generation == placement.NewConsumer ||
			present != nil && int64(c.Generation) == present.generation
		if !ok {
			return fmt.Errorf("consumer %s: %w", c.Consumer, placement.ErrConcurrentUpdate)
		}
	}
	for _, c := range consumers {
		for _, a := range c.Allocations {
			if w.providers[a.Provider] == nil {
				return badInput("resource_provider", a.Provider, "an existing provider")
			}
			if !w.classes[a.Class] {
				return badInput("resource_class", a.Class, "an existing resource class")
			}
		}
	}
	return nil
}

// replaceAllocations takes away what the consumers hold, sees whether the new
// allocations fit, and grants them. Generations: one up for each provider
// that the new allocations name or that an emptied consumer held, and one up
// for each consumer. A provider that a consumer merely moved away from keeps
// its generation. Consumers without allocations vanish.
//
// Source: placement, objects/allocation.py, _set_allocations.
func (w *World) replaceAllocations(consumers []placement.ConsumerAllocations) error {
	before := w.Clone()
	visited := map[placement.UUID]bool{}
	for _, c := range consumers {
		if present := w.consumers[c.Consumer]; present != nil {
			if len(c.Allocations) == 0 {
				for _, a := range present.allocations {
					visited[a.Provider] = true
				}
			}
			present.allocations = nil
		}
	}
	if err := w.checkCapacity(consumers, before); err != nil {
		return err
	}
	for _, c := range consumers {
		for _, a := range c.Allocations {
			visited[a.Provider] = true
		}
		w.grant(c)
	}
	for u := range visited {
		w.providers[u].generation++
	}
	return nil
}

// grant records the new allocations of one consumer.
//
// Source: placement, handlers/util.py, ensure_consumer, update_consumers.
func (w *World) grant(c placement.ConsumerAllocations) {
	if len(c.Allocations) == 0 {
		delete(w.consumers, c.Consumer)
		return
	}
	k := w.consumers[c.Consumer]
	if k == nil {
		k = &consumer{uuid: c.Consumer}
		w.consumers[c.Consumer] = k
	}
	k.project, k.user = c.Project, c.User
	if c.Type != "" {
		k.kind = c.Type
	}
	k.generation++
	k.allocations = append([]placement.Allocation(nil), c.Allocations...)
}

// checkCapacity asks for an inventory for each allocation, for the amount of
// each to keep min_unit, max_unit and step_size, and for the sum of all new
// allocations on an inventory to fit beside what others hold. A sum that does
// not fit is accepted nevertheless when the usage of the inventory does not
// grow by the write.
//
// Source: placement, objects/allocation.py, _check_capacity_exceeded.
func (w *World) checkCapacity(consumers []placement.ConsumerAllocations, before *World) error {
	for _, c := range consumers {
		for _, a := range c.Allocations {
			refuse := placement.CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount}
			inv, ok := w.providers[a.Provider].inventories[a.Class]
			if !ok {
				refuse.Rule = placement.RuleNoInventory
				return &refuse
			}
			if refuse.Rule = unitRule(inv, a.Amount); refuse.Rule != "" {
				return &refuse
			}
			refuse.Sum = sumAsked(consumers, a)
			refuse.Used = w.used(a.Provider, a.Class)
			refuse.Capacity = int64(capacity(inv))
			after := refuse.Used + refuse.Sum
			if float64(after) > capacity(inv) && after > before.used(a.Provider, a.Class) {
				refuse.Rule = placement.RuleCapacity
				return &refuse
			}
		}
	}
	return nil
}

// sumAsked is what all consumers of a write ask of the inventory of a.
func sumAsked(consumers []placement.ConsumerAllocations, a placement.Allocation) int64 {
	var sum int64
	for _, c := range consumers {
		for _, b := range c.Allocations {
			if b.Provider == a.Provider && b.Class == a.Class {
				sum += b.Amount
			}
		}
	}
	return sum
}
