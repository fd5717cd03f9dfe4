package placementapi

import (
	"errors"
	"net/http"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

func (c *call) sendAggregates(p *placement.Provider, list []placement.UUID) error {
	c.out = append(c.out, `{"aggregates": [`...)
	for i := range list {
		c.out = appendUUID(separate(c.out, i), &list[i])
	}
	c.out = append(c.out, ']')
	if c.at(19) {
		c.out = append(c.out, `, "resource_provider_generation": `...)
		c.out = appendInt(c.out, p.Generation)
	}
	c.out = append(c.out, '}')
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

func (c *call) listAggregates() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	list, p, err := c.s.engine.Aggregates(p.UUID)
	if err != nil {
		return err
	}
	return c.sendAggregates(&p, list)
}

// setAggregates is PUT /resource_providers/{uuid}/aggregates. Below 1.19 the
// body is a bare list, and the generation neither asked for nor advanced.
//
// Source: placement, handlers/aggregate.py, set_aggregates.
func (c *call) setAggregates() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	if !c.at(19) {
		doc, err := c.document(aggregateList)
		if err != nil {
			return err
		}
		list := aggregatesOf(doc)
		if p, err = c.s.engine.ReplaceAggregates(c.r.Context(), p.UUID, list); err != nil {
			return err
		}
		return c.sendAggregates(&p, list)
	}
	doc, err := c.document(schemaAggregates)
	if err != nil {
		return err
	}
	list := aggregatesOf(doc.Get("aggregates"))
	p, err = c.s.engine.SetAggregates(c.r.Context(), p.UUID, list, generationOf(doc.Get("resource_provider_generation")))
	if errors.Is(err, placement.ErrConcurrentUpdate) {
		return conflict(codeConcurrentUpdate, textGenerationChanged)
	}
	if err != nil {
		return err
	}
	return c.sendAggregates(&p, list)
}

const textGenerationChanged = "Resource provider's generation already changed. Please update the generation and try again."

func aggregatesOf(v *jsonschema.Value) []placement.UUID {
	list := make([]placement.UUID, 0, len(v.Items))
	for i := range v.Items {
		u, _ := placement.ParseUUID(v.Items[i].Str()) // the schema has checked it
		list = append(list, u)
	}
	return list
}
