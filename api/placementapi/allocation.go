package placementapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// listAllocations is GET /allocations/{consumer_uuid}; nobody holds nothing.
//
// Source: placement, handlers/allocation.py, list_for_consumer.
func (c *call) listAllocations() error {
	var consumer placement.Consumer
	var held []placement.Holding
	if u, ok := pathUUID(c.path("consumer_uuid")); ok {
		var err error
		consumer, held, err = c.s.engine.Holdings(u)
		if err != nil && !errors.Is(err, placement.ErrNotFound) {
			return err
		}
	}
	c.out = append(c.out, `{"allocations": {`...)
	for i := range held {
		h := &held[i]
		if i == 0 || held[i-1].Provider != h.Provider {
			if i > 0 {
				c.out = append(c.out, "}}, "...)
			}
			c.out = appendUUID(c.out, &h.Provider)
			c.out = append(c.out, `: {"generation": `...)
			c.out = appendInt(c.out, h.Generation)
			c.out = append(c.out, `, "resources": {`...)
		} else {
			c.out = append(c.out, ", "...)
		}
		c.out = appendString(c.out, h.Class)
		c.out = append(c.out, ": "...)
		c.out = appendInt(c.out, h.Amount)
	}
	modified := c.now
	if len(held) > 0 {
		c.out = append(c.out, "}}"...)
		modified = consumer.UpdatedAt
	}
	c.out = append(c.out, '}')
	if len(held) > 0 {
		c.appendConsumer(&consumer)
	}
	c.out = append(c.out, '}')
	if c.at(15) {
		c.fresh(modified)
	}
	return c.send(http.StatusOK)
}

// appendConsumer appends the attributes that the version shows.
func (c *call) appendConsumer(consumer *placement.Consumer) {
	if c.at(12) {
		c.out = appendString(append(c.out, `, "project_id": `...), consumer.Project)
		c.out = appendString(append(c.out, `, "user_id": `...), consumer.User)
	}
	if c.at(28) {
		c.out = appendInt(append(c.out, `, "consumer_generation": `...), consumer.Generation)
	}
	if c.at(38) {
		kind := consumer.Type
		if kind == "" {
			kind = kindUnknown
		}
		c.out = appendString(append(c.out, `, "consumer_type": `...), kind)
	}
}

// listProviderAllocations is GET /resource_providers/{uuid}/allocations.
func (c *call) listProviderAllocations() error {
	name := c.path("uuid")
	p, err := c.provider()
	if err != nil {
		return missing("Resource provider '" + name + "' not found: " + noProvider(name))
	}
	held, p, err := c.s.engine.ProviderAllocations(p.UUID)
	if err != nil {
		return err
	}
	var modified time.Time
	c.out = append(c.out, `{"allocations": {`...)
	for i := range held {
		h := &held[i]
		c.out = appendUUID(separate(c.out, i), &h.Consumer.UUID)
		c.out = append(c.out, `: {"resources": {`...)
		for k, r := range h.Used {
			c.out = appendString(separate(c.out, k), r.Class)
			c.out = append(c.out, ": "...)
			c.out = appendInt(c.out, r.Amount)
		}
		c.out = append(c.out, '}')
		if c.at(28) {
			c.out = appendInt(append(c.out, `, "consumer_generation": `...), h.Consumer.Generation)
		}
		c.out = append(c.out, '}')
		if h.Consumer.UpdatedAt.After(modified) {
			modified = h.Consumer.UpdatedAt
		}
	}
	c.out = append(c.out, `}, "resource_provider_generation": `...)
	c.out = append(appendInt(c.out, p.Generation), '}')
	if len(held) == 0 {
		modified = c.now
	}
	if c.at(15) {
		c.fresh(modified)
	}
	return c.send(http.StatusOK)
}

// consumerWrite is what a request wants a consumer to hold.
type consumerWrite struct {
	placement.ConsumerAllocations
	missing string // a provider that cannot be, by the form of its UUID
}

// readConsumer reads the allocations of one consumer, which their schema has
// checked.
func (c *call) readConsumer(uuid placement.UUID, doc *jsonschema.Value) consumerWrite {
	w := consumerWrite{ConsumerAllocations: placement.ConsumerAllocations{
		Consumer: uuid, Project: c.s.cfg.IncompleteProject, User: c.s.cfg.IncompleteUser, Generation: placement.AnyGeneration,
	}}
	if p := doc.Get("project_id"); p != nil {
		w.Project, w.User = p.Str(), doc.Get("user_id").Str()
	}
	w.Type = doc.Get("consumer_type").Str()
	if gen := doc.Get("consumer_generation"); gen != nil {
		w.Generation = placement.NewConsumer
		if gen.Kind != jsonschema.Null {
			w.Generation = generationOf(gen)
		}
	}
	allocs := doc.Get("allocations")
	for i := range allocs.Items {
		name, one := "", &allocs.Items[i]
		if allocs.Kind == jsonschema.Object {
			name = allocs.Keys[i]
		} else { // a list, below 1.12; of a repeated provider the last entry counts
			name = one.Get("resource_provider").Get("uuid").Str()
		}
		provider, ok := pathUUID(name)
		if !ok && w.missing == "" {
			w.missing = name
		}
		if allocs.Kind == jsonschema.Array {
			w.Allocations = slices.DeleteFunc(w.Allocations, func(a placement.Allocation) bool { return a.Provider == provider })
		}
		resources := one.Get("resources")
		for k, class := range resources.Keys {
			w.Allocations = append(w.Allocations, placement.Allocation{Provider: provider, Class: class, Amount: resources.Items[k].Int()})
		}
	}
	return w
}

// readConsumers reads an object of consumers by UUID.
func (c *call) readConsumers(doc *jsonschema.Value) ([]consumerWrite, error) {
	list := make([]consumerWrite, 0, len(doc.Keys))
	for i, key := range doc.Keys {
		uuid, ok := pathUUID(key)
		if !ok {
			return nil, bad("Malformed consumer_uuid: " + key)
		}
		list = append(list, c.readConsumer(uuid, &doc.Items[i]))
	}
	return list, nil
}

// setAllocations is PUT /allocations/{consumer_uuid}.
//
// Source: placement, handlers/allocation.py, _set_allocations_for_consumer.
func (c *call) setAllocations() error {
	name := c.path("consumer_uuid")
	uuid, err := placement.ParseUUID(name)
	if err != nil {
		return bad("Malformed consumer_uuid: " + name)
	}
	doc, err := c.document(pick(schemasPut, c.version.Minor))
	if err != nil {
		return err
	}
	return c.writeAllocations([]consumerWrite{c.readConsumer(uuid, doc)}, " for consumer "+uuid.String()+":")
}

// setManyAllocations is POST /allocations.
func (c *call) setManyAllocations() error {
	doc, err := c.document(pick(schemasPost, c.version.Minor))
	if err != nil {
		return err
	}
	list, err := c.readConsumers(doc)
	if err != nil {
		return err
	}
	return c.writeAllocations(list, "")
}

func (c *call) writeAllocations(list []consumerWrite, forWhom string) error {
	wr, err := c.allocationWrite(list)
	if err != nil {
		return err
	}
	if err := c.s.engine.SetAllocations(c.r.Context(), wr); err != nil {
		if full := (*placement.CapacityError)(nil); errors.As(err, &full) {
			err = c.noInventory(wr.Consumers, full)
		}
		return c.notAllocated(err, wr.Consumers, "Unable to allocate inventory"+forWhom+" ")
	}
	return c.empty(http.StatusNoContent)
}

// allocationWrite makes a write of what a request wants. A provider that
// cannot be is refused here, after the generations.
func (c *call) allocationWrite(list []consumerWrite) (placement.AllocationWrite, error) {
	wr := placement.AllocationWrite{Consumers: make([]placement.ConsumerAllocations, 0, len(list))}
	lost := ""
	for i := range list {
		wr.Consumers = append(wr.Consumers, list[i].ConsumerAllocations)
		if lost == "" {
			lost = list[i].missing
		}
	}
	if lost == "" {
		return wr, nil
	}
	if err := c.generationMismatch(wr.Consumers); err != nil {
		return wr, err
	}
	return wr, noAllocationProvider(lost)
}

// noInventory is the refusal for the first provider that has no inventory of
// any class of the write: that comes before those for want of room. Without
// any it is full.
//
// Source: placement, objects/allocation.py, _check_capacity_exceeded.
func (c *call) noInventory(consumers []placement.ConsumerAllocations, full *placement.CapacityError) error {
	var all []placement.Allocation
	for i := range consumers {
		all = append(all, consumers[i].Allocations...)
	}
	for _, a := range all {
		inv, _, err := c.s.engine.Inventories(a.Provider)
		has := func(o placement.Allocation) bool { _, has := inv[o.Class]; return has }
		if err == nil && !slices.ContainsFunc(all, has) && c.s.engine.HasClass(a.Class) {
			return &placement.CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount, Rule: placement.RuleNoInventory}
		}
	}
	return full
}

func noAllocationProvider(uuid string) error {
	return bad("Allocation for resource provider '" + uuid + "' that does not exist.")
}

// notAllocated says why a write of allocations was refused.
func (c *call) notAllocated(err error, consumers []placement.ConsumerAllocations, unknownClass string) error {
	if errors.Is(err, placement.ErrConcurrentUpdate) {
		if mismatch := c.generationMismatch(consumers); mismatch != nil {
			return mismatch
		}
		return conflict(codeConcurrentUpdate, "Inventory and/or allocations changed while attempting to allocate: "+textConcurrent)
	}
	full := (*placement.CapacityError)(nil)
	isFull, in := errors.As(err, &full), input(err)
	if !isFull && in == nil {
		return err
	}
	if lost := c.lostProvider(consumers); lost != nil { // comes before all else
		return lost
	}
	if isFull {
		return conflict("", "Unable to allocate inventory: "+capacityText(full))
	}
	if in.Field == "resource_class" {
		return bad(unknownClass + noClass(in.Value))
	}
	return bad(err.Error())
}

// lostProvider refuses the first provider of a write that does not exist.
func (c *call) lostProvider(consumers []placement.ConsumerAllocations) error {
	for i := range consumers {
		for _, a := range consumers[i].Allocations {
			if _, err := c.s.engine.Provider(a.Provider); errors.Is(err, placement.ErrNotFound) {
				return noAllocationProvider(a.Provider.String())
			}
		}
	}
	return nil
}

// generationMismatch refuses the first consumer whose generation is not the
// expected one.
//
// Source: placement, handlers/util.py, ensure_consumer.
func (c *call) generationMismatch(consumers []placement.ConsumerAllocations) error {
	const text = "consumer generation conflict - expected %s but got %s"
	for i := range consumers {
		w := &consumers[i]
		if w.Generation == placement.AnyGeneration {
			continue
		}
		got := "None"
		if w.Generation != placement.NewConsumer {
			got = strconv.FormatInt(given(w.Generation), 10)
		}
		present, _, err := c.s.engine.Consumer(w.Consumer)
		switch {
		case errors.Is(err, placement.ErrNotFound) && w.Generation != placement.NewConsumer:
			return conflict(codeConcurrentUpdate, fmt.Sprintf(text, "null", got))
		case err == nil && placement.Generation(present.Generation) != w.Generation:
			return conflict(codeConcurrentUpdate, fmt.Sprintf(text, strconv.FormatInt(present.Generation, 10), got))
		}
	}
	return nil
}

func (c *call) deleteAllocations() error {
	name := c.path("consumer_uuid")
	err := placement.ErrNotFound
	if u, ok := pathUUID(name); ok {
		err = c.s.engine.DeleteAllocations(c.r.Context(), u)
	}
	if errors.Is(err, placement.ErrNotFound) {
		return missing("No allocations for consumer '" + strings.ToValidUTF8(name, "?") + "'")
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
