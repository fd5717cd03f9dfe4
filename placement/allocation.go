package placement

import "time"

// Allocation is an amount of one class that a consumer holds on one provider.
type Allocation struct {
	Provider UUID
	Class    string
	Amount   int64 // in units of the class, at least 1
}

// Consumer is who holds allocations: a server, a migration, a GPU task.
type Consumer struct {
	UUID       UUID
	Project    string // 1 to 255 characters
	User       string // 1 to 255 characters
	Type       string // "": unknown
	Generation int64  // 1 after the first write
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// ConsumerAllocations replaces everything that one consumer holds. With no
// allocations the consumer is removed.
type ConsumerAllocations struct {
	Consumer    UUID
	Project     string
	User        string
	Type        string // "": leave as it is, unknown for a new consumer
	Generation  Generation
	Allocations []Allocation // a provider and class at most once
}

// AllocationWrite is one atomic change of allocations: taken whole or not at
// all.
type AllocationWrite struct {
	Consumers   []ConsumerAllocations // a consumer at most once
	Guards      []Guard
	Attachments []Attachment
}

// Guard makes a write depend on, and advance, the version of an opaque key.
// Two writers that read the same version cannot both succeed. The engine
// compares and versions guards and interprets none.
type Guard struct {
	Key     string // 1 to 255 bytes
	Version uint64 // as it was read; 0: the guard does not exist
	// Provider, when not zero, binds the guard to that provider's tree: a
	// write of allocations on the tree that does not carry the guard advances
	// it. Read when the guard is made.
	Provider UUID
	// Keep leaves the version as it is: any number of writes that read it may
	// succeed, until one without Keep advances it. So a guard fences off an
	// owner who was thought dead. It must not be bound to a provider.
	Keep bool
}

// Attachment stores an opaque record together with a write. A nil Value
// deletes it.
type Attachment struct {
	Key   string // 1 to 255 bytes
	Value []byte // at most 64 KiB
}

// InventoryWrite replaces the inventories of one provider in a reshape.
type InventoryWrite struct {
	Provider    UUID
	Generation  Generation
	Inventories map[string]Inventory
}

// Usage is what the consumers of a project hold, by consumer type.
type Usage struct {
	Type      string           // "": unknown, or all types together
	Consumers int64            // number of consumers
	Used      map[string]int64 // by class
}

// UsageFilter selects consumers for usages.
type UsageFilter struct {
	Project string
	User    string  // "": every user
	Type    *string // nil: every type; "": unknown
}
