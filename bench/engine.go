package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Engine is what a replay needs of [placement.Engine].
type Engine interface {
	Builder
	Claimer
}

// Builder makes the cluster.
type Builder interface {
	CreateClass(ctx context.Context, name string) (created bool, err error)
	CreateTrait(ctx context.Context, name string) (created bool, err error)
	CreateProvider(ctx context.Context, p placement.Provider) (placement.Provider, error)
	SetInventories(ctx context.Context, u placement.UUID, inv map[string]placement.Inventory, gen placement.Generation) (placement.Provider, error)
	SetTraits(ctx context.Context, u placement.UUID, traits []string, gen placement.Generation) (placement.Provider, error)
}

// Claimer places tasks.
type Claimer interface {
	Candidates(ctx context.Context, req placement.CandidateRequest) iter.Seq2[*placement.Candidate, error]
	SetAllocations(ctx context.Context, w placement.AllocationWrite) error
	DeleteAllocations(ctx context.Context, consumer placement.UUID) error
	Usages(u placement.UUID) (map[string]int64, placement.Provider, error)
}

// The resource classes of a replay.
const (
	classCPU      = "CUSTOM_MILLICPU" // thousandths of a CPU
	classMemory   = "MEMORY_MB"
	classGPU      = "CUSTOM_MILLIGPU" // thousandths of a GPU
	classMilliGiB = "CUSTOM_MILLIGIB" // memory in traces of virtual machines
)

// The project and user of all consumers.
const owner = "bench"

// providerUUID names member 0 (the root) or a later one (a GPU) of a node, in
// a way that position can read back.
func providerUUID(node, member int) placement.UUID {
	u := placement.UUID{0: 'n', 6: 0x40, 8: 0x80}
	binary.BigEndian.PutUint32(u[10:], uint32(node))
	binary.BigEndian.PutUint16(u[14:], uint16(member))
	return u
}

func position(u placement.UUID) (node, member int) {
	return int(binary.BigEndian.Uint32(u[10:])), int(binary.BigEndian.Uint16(u[14:]))
}

func consumerUUID(n int) placement.UUID {
	u := placement.UUID{0: 'c', 6: 0x40, 8: 0x80}
	binary.BigEndian.PutUint32(u[12:], uint32(n))
	return u
}

// claim gives the allocations to consumer number n, which must be new.
func claim(ctx context.Context, e Claimer, n int, allocations []placement.Allocation) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer:    consumerUUID(n),
		Project:     owner,
		User:        owner,
		Generation:  placement.NewConsumer,
		Allocations: allocations,
	}}})
}

// expectUsage compares what the engine has in use with what the mirror has.
func expectUsage(e Claimer, u placement.UUID, want map[string]int64) error {
	got, _, err := e.Usages(u)
	if err != nil {
		return fmt.Errorf("usages of %s: %w", u, err)
	}
	for class, amount := range want {
		if got[class] != amount {
			return fmt.Errorf("wrong answer: provider %s has %d %s in use, claims sum up to %d", u, got[class], class, amount)
		}
	}
	return nil
}
