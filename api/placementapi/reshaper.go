package placementapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// reshape is POST /reshaper: inventories and allocations move as one change.
//
// Source: placement, handlers/reshaper.py, reshape.
func (c *call) reshape() error {
	doc, err := c.document(pick(schemasReshape, c.version.Minor))
	if err != nil {
		return err
	}
	moved, err := c.readInventories(doc.Get("inventories"))
	if err != nil {
		return err
	}
	list, err := c.readConsumers(doc.Get("allocations"))
	if err != nil {
		return err
	}
	wr, err := c.allocationWrite(list)
	if err != nil {
		return err
	}
	if err := c.s.engine.Reshape(c.r.Context(), moved, wr); err != nil {
		return c.notReshaped(err, moved, wr.Consumers)
	}
	return c.empty(http.StatusNoContent)
}

// readInventories reads the inventories of a reshape and refuses providers
// that do not exist, and old generations.
func (c *call) readInventories(doc *jsonschema.Value) ([]placement.InventoryWrite, error) {
	list := make([]placement.InventoryWrite, 0, len(doc.Keys))
	for i, key := range doc.Keys {
		one := &doc.Items[i]
		uuid, ok := pathUUID(key)
		p, err := c.s.engine.Provider(uuid)
		if !ok || err != nil {
			return nil, badCode(codeProviderNotFound, "Resource provider "+key+" in inventories not found: "+noProvider(key))
		}
		gen := generationOf(one.Get("resource_provider_generation"))
		if gen != placement.Generation(p.Generation) {
			return nil, reshapeConflict(&p, gen)
		}
		inv, err := inventoriesOf(one.Get("inventories"))
		if err != nil {
			return nil, err
		}
		list = append(list, placement.InventoryWrite{Provider: uuid, Generation: gen, Inventories: inv})
	}
	return list, nil
}

func reshapeConflict(p *placement.Provider, gen placement.Generation) error {
	return conflict(codeConcurrentUpdate, fmt.Sprintf("resource provider generation conflict for provider %s: actual: %d, given: %d", p.UUID, p.Generation, given(gen)))
}

func (c *call) notReshaped(err error, moved []placement.InventoryWrite, consumers []placement.ConsumerAllocations) error {
	if errors.Is(err, placement.ErrInUse) {
		for i := range moved {
			if len(c.inUse(moved[i].Provider, moved[i].Inventories)) > 0 {
				return conflict(codeInventoryInUse, "update conflict: "+c.inUseText(moved[i].Provider, moved[i].Inventories))
			}
		}
		for i := range moved { // or what it would itself allocate
			if classes := homeless(&moved[i], consumers); len(classes) > 0 {
				return conflict(codeInventoryInUse, "update conflict: "+inUseText(moved[i].Provider, classes))
			}
		}
		return conflict(codeInventoryInUse, "update conflict: "+err.Error())
	}
	if errors.Is(err, placement.ErrConcurrentUpdate) {
		for i := range moved {
			if p, errRead := c.s.engine.Provider(moved[i].Provider); errRead == nil && placement.Generation(p.Generation) != moved[i].Generation {
				return reshapeConflict(&p, moved[i].Generation)
			}
		}
	}
	return c.notAllocated(err, consumers, "malformed reshaper data: ")
}

// homeless lists the classes that consumers allocate of a provider whose new
// inventories lack them.
func homeless(w *placement.InventoryWrite, consumers []placement.ConsumerAllocations) (classes []string) {
	for i := range consumers {
		for _, a := range consumers[i].Allocations {
			if _, kept := w.Inventories[a.Class]; a.Provider == w.Provider && !kept && !slices.Contains(classes, a.Class) {
				classes = append(classes, a.Class)
			}
		}
	}
	return classes
}
