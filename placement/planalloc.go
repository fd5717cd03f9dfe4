package placement

import (
	"fmt"
	"hash/maphash"
	"slices"
	"unicode/utf8"

	"github.com/kilonova-cloud/kilonova/store"
)

const (
	maxKey             = 255
	maxAttachmentBytes = 64 << 10
)

// setAllocations plans a write of allocations: all of it or an error.
//
// Source: placement, objects/allocation.py, replace_all and
// _check_capacity_exceeded; handlers/util.py, ensure_consumer.
func (t *tx) setAllocations(wr *AllocationWrite) error {
	if err := t.checkDistinct(wr.Consumers); err != nil {
		return err
	}
	t.found = t.found[:0]
	for k := range wr.Consumers { // all generations before anything else
		old, err := t.consumer(&wr.Consumers[k])
		if err != nil {
			return err
		}
		t.found = append(t.found, old)
	}
	for k := range wr.Consumers {
		if err := t.replaceConsumer(&wr.Consumers[k], t.found[k]); err != nil {
			return err
		}
	}
	if err := t.checkCapacity(); err != nil {
		return err
	}
	return t.carry(wr)
}

func (t *tx) checkDistinct(consumers []ConsumerAllocations) error {
	if len(consumers) < 2 {
		return nil
	}
	if t.seen == nil {
		t.seen = make(map[UUID]int, len(consumers))
	}
	clear(t.seen)
	for k := range consumers {
		t.seen[consumers[k].Consumer] = k
	}
	if len(t.seen) != len(consumers) {
		return badInput("consumers", len(consumers), "each consumer once in a write")
	}
	return nil
}

// consumer takes the consumer of ca for the tx and checks its generation. It
// returns nil for one that is not there yet.
func (t *tx) consumer(ca *ConsumerAllocations) (old *consumer, err error) {
	if ca.Consumer.IsZero() {
		return nil, badInput("consumer_uuid", ca.Consumer, "a UUID that is not all zero")
	}
	if err := t.lockConsumer(t.w.hashUUID(&ca.Consumer)); err != nil {
		return nil, err
	}
	if i, known := t.w.findConsumer(ca.Consumer); known {
		old = t.w.consumers.at(i)
	}
	return old, checkConsumerGeneration(ca, old)
}

// replaceConsumer plans what a consumer, nil for a new one, holds from now on.
func (t *tx) replaceConsumer(ca *ConsumerAllocations, old *consumer) error {
	if len(ca.Allocations) == 0 {
		return t.emptyConsumer(old)
	}
	r, err := t.consumerRecord(ca, old)
	if err != nil {
		return err
	}
	if old != nil {
		if err := t.free(old, 0); err != nil {
			return err
		}
	}
	t.consumers = append(t.consumers, r)
	return nil
}

func checkConsumerGeneration(ca *ConsumerAllocations, old *consumer) error {
	switch {
	case ca.Generation == AnyGeneration:
		return nil
	case ca.Generation == NewConsumer:
		if old == nil {
			return nil
		}
		return fmt.Errorf("consumer %s has generation %d, expected is a new one: %w", ca.Consumer, old.generation, ErrConcurrentUpdate)
	case old == nil:
		return fmt.Errorf("consumer %s does not exist, expected is generation %d: %w", ca.Consumer, ca.Generation, ErrConcurrentUpdate)
	case Generation(old.generation) != ca.Generation:
		return fmt.Errorf("consumer %s has generation %d, expected is %d: %w", ca.Consumer, old.generation, ca.Generation, ErrConcurrentUpdate)
	}
	return nil
}

// emptyConsumer plans the removal of a consumer. One that is not there is
// gone already.
func (t *tx) emptyConsumer(old *consumer) error {
	if old == nil {
		return nil
	}
	i, _ := t.w.findConsumer(old.uuid)
	t.gone = append(t.gone, i)
	return t.free(old, 1)
}

// free gives back what a consumer holds now and advances its providers by
// bump.
func (t *tx) free(old *consumer, bump int64) error {
	for _, a := range old.allocs {
		if err := t.lockTree(t.w.provider(a.provider).root, false); err != nil {
			return err
		}
		t.advanceOnce(a.provider, bump)
		t.sum(a.provider, a.class).freed += a.amount
	}
	return nil
}

// advanceOnce touches a provider; however many consumers of one write use it,
// its generation grows by one.
func (t *tx) advanceOnce(i uint32, bump int64) {
	s := t.state(i)
	s.bump = max(s.bump, bump)
}

func (t *tx) consumerRecord(ca *ConsumerAllocations, old *consumer) (consumerRecord, error) {
	r := consumerRecord{
		uuid: ca.Consumer, project: ca.Project, user: ca.User, kind: ca.Type,
		generation: 1, created: t.now, updated: t.now,
	}
	if old != nil {
		r.generation, r.created, r.before = old.generation+1, old.created, old.version
		if r.kind == "" {
			r.kind = t.w.types.names[old.kind]
		}
	}
	if err := checkConsumer(ca); err != nil {
		return r, err
	}
	r.allocs = make([]allocRow, 0, len(ca.Allocations))
	for k := range ca.Allocations {
		row, err := t.allocRow(ca.Consumer, &ca.Allocations[k])
		if err != nil {
			return r, err
		}
		at, dup := slices.BinarySearchFunc(r.allocs, row, compareRows)
		if dup {
			return r, badInput("allocations", ca.Allocations[k].Class, "each provider and class once for a consumer")
		}
		r.allocs = slices.Insert(r.allocs, at, row)
	}
	return r, nil
}

func compareRows(a, b allocRow) int {
	if a.provider != b.provider {
		return int(int64(a.provider) - int64(b.provider))
	}
	return int(int64(a.class) - int64(b.class))
}

func checkConsumer(ca *ConsumerAllocations) error {
	if n := utf8.RuneCountInString(ca.Project); n < 1 || n > maxName {
		return badInput("project_id", ca.Project, "1 to 255 characters")
	}
	if n := utf8.RuneCountInString(ca.User); n < 1 || n > maxName {
		return badInput("user_id", ca.User, "1 to 255 characters")
	}
	if len(ca.Type) > maxName || !onlyNameChars(ca.Type) {
		return badInput("consumer_type", ca.Type, "A-Z, 0-9 and _, at most 255 characters")
	}
	return nil
}

// find looks provider u up. Allocations mostly name the same one again.
func (t *tx) find(u UUID) (uint32, bool) {
	if n := len(t.sums); n > 0 {
		if i := t.sums[n-1].provider; t.w.provider(i).uuid == u {
			return i, true
		}
	}
	return t.w.findProvider(u)
}

func (t *tx) allocRow(who UUID, a *Allocation) (allocRow, error) {
	i, known := t.find(a.Provider)
	if !known {
		return allocRow{}, badInput("resource_provider", a.Provider, "an existing provider")
	}
	class, known := t.w.classes.ids[a.Class]
	if !known {
		return allocRow{}, badInput("resource_class", a.Class, "an existing resource class")
	}
	if a.Amount < 1 {
		return allocRow{}, badInput("used", a.Amount, "1 or more, for consumer "+who.String())
	}
	if err := t.lockTree(t.w.provider(i).root, false); err != nil {
		return allocRow{}, err
	}
	if inv, has := t.inventory(i, class); !has {
		return allocRow{}, &CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount, Sum: a.Amount, Rule: RuleNoInventory}
	} else if rule := inv.unitRule(a.Amount); rule != "" {
		return allocRow{}, &CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount, Sum: a.Amount, Capacity: inv.Capacity(), Rule: rule}
	}
	t.advanceOnce(i, 1)
	s := t.sum(i, class)
	s.asked = addSat(s.asked, a.Amount)
	return allocRow{i, class, a.Amount}, nil
}

// inventory is the inventory that the tx leaves on provider i, with the ones
// that a reshape is about to remove.
func (t *tx) inventory(i, class uint32) (Inventory, bool) {
	row := t.w.provider(i).row(class)
	if len(t.defs) > 0 {
		uuid := t.w.provider(i).uuid
		for k := range t.defs {
			if t.defs[k].uuid != uuid {
				continue
			}
			for _, ci := range t.defs[k].inv {
				if ci.class == class {
					return ci.inv, true
				}
			}
		}
	}
	if row == nil {
		return Inventory{}, false
	}
	return t.w.shapes.rows[row.shape].inv, true
}

// checkCapacity demands that every inventory holds what is asked of it, or
// that the write does not make it fuller than it is.
func (t *tx) checkCapacity() error {
	for k := range t.sums {
		s := &t.sums[k]
		if s.asked <= s.freed {
			continue
		}
		inv, _ := t.inventory(s.provider, s.class)
		used := t.pendingUse(s.provider, s.class) - s.freed
		if row := t.w.provider(s.provider).row(s.class); row != nil {
			used += row.used
		}
		if capacity := inv.Capacity(); s.asked > capacity-used {
			return &CapacityError{
				Provider: t.w.provider(s.provider).uuid, Class: t.w.classes.names[s.class],
				Amount: s.asked, Sum: s.asked, Used: used, Capacity: capacity, Rule: RuleCapacity,
			}
		}
	}
	return nil
}

// carry plans the guards and attachments of a write, and advances the guards
// of the trees that it touches without carrying them.
func (t *tx) carry(wr *AllocationWrite) error {
	for k := range wr.Guards {
		if err := t.checkGuard(&wr.Guards[k]); err != nil {
			return err
		}
	}
	if len(t.w.guardsOf) > 0 {
		for k := range t.states {
			if err := t.advanceGuards(t.states[k].i); err != nil {
				return err
			}
		}
	}
	for _, a := range wr.Attachments {
		if n := len(a.Key); n < 1 || n > maxKey || len(a.Value) > maxAttachmentBytes {
			return badInput("attachment", a.Key, "a key of 1 to 255 bytes and a value of at most 64 KiB")
		}
		if slices.ContainsFunc(t.attached, func(o Attachment) bool { return o.Key == a.Key }) {
			return badInput("attachment", a.Key, "each attachment once in a write")
		}
		if err := t.lock(lockKeyed, t.w.hashKey(kindAttachment, a.Key), true); err != nil {
			return err
		}
		t.attached = append(t.attached, Attachment{a.Key, slices.Clone(a.Value)})
	}
	return nil
}

func (t *tx) checkGuard(g *Guard) error {
	if n := len(g.Key); n < 1 || n > maxKey {
		return badInput("guard", g.Key, "a key of 1 to 255 bytes")
	}
	if slices.ContainsFunc(t.guards, func(o guardChange) bool { return o.key == g.Key }) {
		return badInput("guard", g.Key, "each guard once in a write")
	}
	if err := t.lock(lockKeyed, t.w.hashKey(kindGuard, g.Key), !g.Keep); err != nil {
		return err
	}
	bound := g.Provider
	var version uint64
	if present := t.w.guards[g.Key]; present != nil {
		version, bound = present.version, present.bound
	}
	if version != g.Version {
		return fmt.Errorf("guard %q has version %d, expected is %d: %w", g.Key, version, g.Version, ErrConcurrentUpdate)
	}
	if g.Keep && !bound.IsZero() {
		return badInput("guard", g.Key, "Keep for a guard that is bound to no provider")
	}
	if version == 0 && !bound.IsZero() {
		i, known := t.w.findProvider(bound)
		if !known {
			return badInput("guard provider", bound, "an existing provider")
		}
		if err := t.keep(i); err != nil {
			return err
		}
	}
	t.guards = append(t.guards, guardChange{key: g.Key, bound: bound, keep: g.Keep})
	return nil
}

func (t *tx) advanceGuards(i uint32) error {
	if i == none {
		return nil
	}
	for _, key := range t.w.guardsOf[t.w.provider(i).root] {
		if slices.ContainsFunc(t.guards, func(g guardChange) bool { return g.key == key }) {
			continue
		}
		if err := t.lock(lockKeyed, t.w.hashKey(kindGuard, key), true); err != nil {
			return err
		}
		t.guards = append(t.guards, guardChange{key: key, bound: t.w.guards[key].bound})
	}
	return nil
}

func (w *world) hashKey(kind store.Kind, key string) uint64 {
	return maphash.String(w.nameSeed, key) ^ uint64(kind)
}

func (t *tx) deleteAllocations(uuid UUID) error {
	if err := t.lockConsumer(t.w.hashUUID(&uuid)); err != nil {
		return err
	}
	i, known := t.w.findConsumer(uuid)
	if !known {
		return fmt.Errorf("consumer %s: %w", uuid, ErrNotFound)
	}
	t.gone = append(t.gone, i)
	if err := t.free(t.w.consumers.at(i), 0); err != nil {
		return err
	}
	return t.carry(&AllocationWrite{})
}
