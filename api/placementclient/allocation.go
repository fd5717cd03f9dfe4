package placementclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kilonova-cloud/kilonova/placement"
)

// errExtras refuses what the API cannot carry.
var errExtras = errors.New("guards and attachments are not part of the Placement API")

// resourcesBody is what one provider gives.
type resourcesBody struct {
	Generation int64            `json:"generation,omitempty"`
	Resources  map[string]int64 `json:"resources"`
}

// consumerBody is a consumer with its allocations as the API has it.
type consumerBody struct {
	Allocations map[placement.UUID]resourcesBody `json:"allocations"`
	Project     string                           `json:"project_id"`
	User        string                           `json:"user_id"`
	Generation  *int64                           `json:"consumer_generation"` // null: a new consumer
	Type        string                           `json:"consumer_type,omitempty"`
}

// unknownType is how the API calls a consumer without a type.
const unknownType = "unknown"

// Consumer returns a consumer and what it holds, or placement.ErrNotFound.
func (c *Client) Consumer(ctx context.Context, uuid placement.UUID) (placement.Consumer, []placement.Holding, error) {
	var body consumerBody
	var header http.Header
	if err := c.do(ctx, exchange{method: http.MethodGet, path: "/allocations/" + uuid.String(), answer: &body, header: &header}); err != nil {
		return placement.Consumer{}, nil, err
	}
	if len(body.Allocations) == 0 || body.Generation == nil {
		return placement.Consumer{}, nil, placement.ErrNotFound
	}
	if body.Type == unknownType {
		body.Type = ""
	}
	consumer := placement.Consumer{UUID: uuid, Project: body.Project, User: body.User, Type: body.Type, Generation: *body.Generation, UpdatedAt: modified(header)}
	var held []placement.Holding
	for provider, r := range body.Allocations {
		for class, amount := range r.Resources {
			held = append(held, placement.Holding{Allocation: placement.Allocation{Provider: provider, Class: class, Amount: amount}, Generation: r.Generation})
		}
	}
	return consumer, held, nil
}

// SetAllocations replaces what the consumers of wr hold: all of it or
// nothing. A consumer without a type keeps the one it has.
func (c *Client) SetAllocations(ctx context.Context, wr placement.AllocationWrite) error {
	return c.write(ctx, &wr, func(consumers map[placement.UUID]consumerBody, minor int) error {
		if len(wr.Consumers) == 1 {
			uuid := wr.Consumers[0].Consumer
			return c.do(ctx, exchange{method: http.MethodPut, path: "/allocations/" + uuid.String(), body: consumers[uuid], minor: minor})
		}
		return c.do(ctx, exchange{method: http.MethodPost, path: "/allocations", body: consumers, minor: minor})
	})
}

// Reshape replaces inventories and allocations in one atomic change. The
// generations of the providers must be named.
func (c *Client) Reshape(ctx context.Context, inv []placement.InventoryWrite, wr placement.AllocationWrite) error {
	type provider struct {
		Generation  placement.Generation     `json:"resource_provider_generation"`
		Inventories map[string]inventoryBody `json:"inventories"`
	}
	moved := make(map[placement.UUID]provider, len(inv))
	for i := range inv {
		moved[inv[i].Provider] = provider{inv[i].Generation, inventoryBodies(inv[i].Inventories)}
	}
	return c.write(ctx, &wr, func(consumers map[placement.UUID]consumerBody, minor int) error {
		body := map[string]any{"inventories": moved, "allocations": consumers}
		return c.do(ctx, exchange{method: http.MethodPost, path: "/reshaper", body: body, minor: minor})
	})
}

// write calls send with the consumers of wr until no other writer is in the
// way. Only generations that wr names make it fail then.
func (c *Client) write(ctx context.Context, wr *placement.AllocationWrite, send func(map[placement.UUID]consumerBody, int) error) error {
	if len(wr.Guards)+len(wr.Attachments) > 0 {
		return errExtras
	}
	minor, err := c.Minor(ctx)
	if err != nil {
		return err
	}
	lost := false
	err = c.retry(ctx, func() error {
		consumers := make(map[placement.UUID]consumerBody, len(wr.Consumers))
		typed := true
		for i := range wr.Consumers {
			body, err := c.consumerBody(ctx, &wr.Consumers[i])
			if err != nil {
				return err
			}
			typed = typed && body.Type != ""
			consumers[wr.Consumers[i].Consumer] = body
		}
		version := minor
		if !typed || minor < 38 { // before 1.38 a write says nothing of types
			version = min(minor, 37)
			for uuid, body := range consumers {
				body.Type = ""
				consumers[uuid] = body
			}
		}
		err := send(consumers, version)
		if errors.Is(err, placement.ErrConcurrentUpdate) && c.lost(ctx, wr) {
			lost = true
			return nil // trying again would not mend it
		}
		return err
	})
	if lost {
		return fmt.Errorf("a consumer is not at the generation that the caller read: %w", placement.ErrConcurrentUpdate)
	}
	return err
}

// lost reports whether a consumer of wr is not at the generation that wr
// names.
func (c *Client) lost(ctx context.Context, wr *placement.AllocationWrite) bool {
	for i := range wr.Consumers {
		w := &wr.Consumers[i]
		if w.Generation == placement.AnyGeneration {
			continue
		}
		present, _, err := c.Consumer(ctx, w.Consumer)
		switch {
		case errors.Is(err, placement.ErrNotFound) && w.Generation == placement.NewConsumer:
		case err == nil && placement.Generation(present.Generation) == w.Generation:
		default:
			return true
		}
	}
	return false
}

// consumerBody makes the body of one consumer; it reads the generation that
// the caller does not name.
func (c *Client) consumerBody(ctx context.Context, w *placement.ConsumerAllocations) (consumerBody, error) {
	body := consumerBody{Allocations: map[placement.UUID]resourcesBody{}, Project: w.Project, User: w.User, Type: w.Type}
	for _, a := range w.Allocations {
		r, known := body.Allocations[a.Provider]
		if !known {
			r.Resources = map[string]int64{}
			body.Allocations[a.Provider] = r
		}
		r.Resources[a.Class] = a.Amount
	}
	switch w.Generation {
	case placement.NewConsumer:
		return body, nil
	case placement.AnyGeneration:
		present, _, err := c.Consumer(ctx, w.Consumer)
		if errors.Is(err, placement.ErrNotFound) {
			return body, nil
		}
		body.Generation = &present.Generation
		return body, err
	default:
		gen := int64(w.Generation)
		body.Generation = &gen
		return body, nil
	}
}

// DeleteAllocations removes a consumer with all that it holds.
func (c *Client) DeleteAllocations(ctx context.Context, consumer placement.UUID) error {
	return c.do(ctx, exchange{method: http.MethodDelete, path: "/allocations/" + consumer.String()})
}

// ConsumerGenerations returns the consumers that hold something on provider
// uuid, with their generations.
func (c *Client) ConsumerGenerations(ctx context.Context, uuid placement.UUID) (map[placement.UUID]int64, error) {
	var body struct {
		Allocations map[placement.UUID]struct {
			Generation int64 `json:"consumer_generation"`
		} `json:"allocations"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/allocations"), answer: &body})
	generations := make(map[placement.UUID]int64, len(body.Allocations))
	for consumer, r := range body.Allocations {
		generations[consumer] = r.Generation
	}
	return generations, err
}

// ProviderConsumers returns what each consumer holds on provider uuid, by
// class, and the provider's generation.
func (c *Client) ProviderConsumers(ctx context.Context, uuid placement.UUID) (map[placement.UUID]map[string]int64, int64, error) {
	var body struct {
		Allocations map[placement.UUID]resourcesBody `json:"allocations"`
		Generation  int64                            `json:"resource_provider_generation"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/allocations"), answer: &body})
	held := make(map[placement.UUID]map[string]int64, len(body.Allocations))
	for consumer, r := range body.Allocations {
		held[consumer] = r.Resources
	}
	return held, body.Generation, err
}
