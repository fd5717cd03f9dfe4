package placementapi

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// inventoryOf reads an inventory that its schema has checked.
func inventoryOf(v *jsonschema.Value) placement.Inventory {
	inv := placement.NewInventory(v.Get("total").Int())
	for name, field := range map[string]*int64{
		"reserved": &inv.Reserved, "min_unit": &inv.MinUnit, "max_unit": &inv.MaxUnit, "step_size": &inv.StepSize,
	} {
		if given := v.Get(name); given != nil {
			*field = given.Int()
		}
	}
	if ratio := v.Get("allocation_ratio"); ratio != nil {
		inv.AllocationRatio = ratio.Float()
	}
	return inv
}

// inventoriesOf reads an object of inventories by class.
func inventoriesOf(v *jsonschema.Value) (map[string]placement.Inventory, error) {
	inv := make(map[string]placement.Inventory, len(v.Keys))
	for i, class := range v.Keys {
		if !isName(class) {
			return nil, bad("Unknown resource class in inventory: " + noClass(class))
		}
		inv[class] = inventoryOf(&v.Items[i])
	}
	return inv, nil
}

// generationOf reads a generation. Negative ones, which nothing has and the
// engine means something else by, become others that nothing has.
func generationOf(v *jsonschema.Value) placement.Generation {
	n := placement.Generation(v.Int())
	if n < 0 {
		n = math.MinInt64 - n
	}
	return n
}

// given is the generation that generationOf has read.
func given(gen placement.Generation) int64 {
	if gen < math.MinInt64/2 {
		gen = math.MinInt64 - gen
	}
	return int64(gen)
}

// checkCapacity refuses inventories without capacity, as the version has it.
//
// Source: placement, handlers/inventory.py, _validate_inventory_capacity.
func (c *call) checkCapacity(p *placement.Provider, inv map[string]placement.Inventory) error {
	least, text := int64(1), "greater than or equal to total."
	if c.at(26) {
		least, text = 0, "greater than total."
	}
	for _, class := range sorted(c.s.order, inv) {
		if inv[class].Capacity() < least {
			return fmt.Errorf("Invalid inventory for '%s' on resource provider '%s'. The reserved value is %s", class, p.UUID, text) //nolint:staticcheck // a text that clients know
		}
	}
	return nil
}

func appendInventory(b []byte, inv *placement.Inventory) []byte {
	b = append(b, `{"total": `...)
	b = appendInt(b, inv.Total)
	b = append(b, `, "reserved": `...)
	b = appendInt(b, inv.Reserved)
	b = append(b, `, "min_unit": `...)
	b = appendInt(b, inv.MinUnit)
	b = append(b, `, "max_unit": `...)
	b = appendInt(b, inv.MaxUnit)
	b = append(b, `, "step_size": `...)
	b = appendInt(b, inv.StepSize)
	b = append(b, `, "allocation_ratio": `...)
	return appendFloat(b, inv.AllocationRatio)
}

func (c *call) sendInventories(p *placement.Provider, inv map[string]placement.Inventory) error {
	c.out = append(c.out, `{"resource_provider_generation": `...)
	c.out = appendInt(c.out, p.Generation)
	c.out = append(c.out, `, "inventories": {`...)
	for i, class := range sorted(c.s.order, inv) {
		c.out = appendString(separate(c.out, i), class)
		c.out = append(c.out, ": "...)
		one := inv[class]
		c.out = append(appendInventory(c.out, &one), '}')
	}
	c.out = append(c.out, "}}"...)
	if c.at(15) {
		modified := p.UpdatedAt
		if len(inv) == 0 {
			modified = time.Time{} // nothing was ever modified
		}
		c.fresh(modified)
	}
	return c.send(http.StatusOK)
}

// sendInventory leaves the generation out when it is 0, as Placement does.
func (c *call) sendInventory(status int, p *placement.Provider, inv *placement.Inventory) error {
	c.out = appendInventory(c.out, inv)
	if p.Generation != 0 {
		c.out = append(c.out, `, "resource_provider_generation": `...)
		c.out = appendInt(c.out, p.Generation)
	}
	c.out = append(c.out, '}')
	if c.at(15) {
		c.fresh(p.UpdatedAt)
	}
	return c.send(status)
}

func (c *call) listInventories() error {
	p, err := c.providerHere(" :")
	if err != nil {
		return err
	}
	inv, p, err := c.s.engine.Inventories(p.UUID)
	if err != nil {
		return err
	}
	return c.sendInventories(&p, inv)
}

func (c *call) showInventory() error {
	p, err := c.providerHere(" :")
	if err != nil {
		return err
	}
	inv, p, err := c.s.engine.Inventories(p.UUID)
	if err != nil {
		return err
	}
	class := c.path("resource_class")
	one, has := inv[class]
	if !has {
		return missing("No inventory of class " + class + " for " + c.path("uuid"))
	}
	return c.sendInventory(http.StatusOK, &p, &one)
}

// createInventory is POST /resource_providers/{uuid}/inventories.
func (c *call) createInventory() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	doc, err := c.document(schemaNewInv)
	if err != nil {
		return err
	}
	class, inv := doc.Get("resource_class").Str(), inventoryOf(doc)
	text := "Unable to create inventory for resource provider " + p.UUID.String() + ": "
	if err := c.checkCapacity(&p, map[string]placement.Inventory{class: inv}); err != nil {
		return bad(text + err.Error())
	}
	p, err = c.s.engine.AddInventory(c.r.Context(), p.UUID, class, inv)
	switch {
	case err == nil:
		c.location("/resource_providers/" + p.UUID.String() + "/inventories/" + class)
		return c.sendInventory(http.StatusCreated, &p, &inv)
	case errors.Is(err, placement.ErrExists):
		return conflict(codeConcurrentUpdate, "Update conflict: "+err.Error())
	case isInput(err):
		return bad(text + inventoryText(err))
	}
	return err
}

// inventoryText says what is wrong with an inventory.
func inventoryText(err error) string {
	if in := input(err); in != nil && in.Field == "resource_class" {
		return noClass(in.Value)
	}
	return err.Error()
}

// generationConflict is what PUT of inventories says to an old generation.
func generationConflict() error {
	return conflict(codeConcurrentUpdate, "resource provider generation conflict")
}

// setInventories is PUT /resource_providers/{uuid}/inventories.
//
// Source: placement, handlers/inventory.py, set_inventories.
func (c *call) setInventories() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	doc, err := c.document(schemaInventories)
	if err != nil {
		return err
	}
	gen := generationOf(doc.Get("resource_provider_generation"))
	if gen != placement.Generation(p.Generation) {
		return generationConflict()
	}
	inv, err := inventoriesOf(doc.Get("inventories"))
	if err != nil {
		return err
	}
	if err := c.checkCapacity(&p, inv); err != nil {
		return bad("Unable to update inventory for resource provider " + p.UUID.String() + ": " + err.Error())
	}
	changed, err := c.s.engine.SetInventories(c.r.Context(), p.UUID, inv, gen)
	switch {
	case err == nil:
		return c.sendInventories(&changed, inv)
	case errors.Is(err, placement.ErrConcurrentUpdate):
		return conflict(codeConcurrentUpdate, "update conflict: "+textConcurrentProvider)
	case errors.Is(err, placement.ErrInUse):
		return conflict(codeInventoryInUse, "update conflict: "+c.inUseText(p.UUID, inv))
	case isInput(err):
		return bad("Unknown resource class in inventory for resource provider " + p.UUID.String() + ": " + inventoryText(err))
	}
	return err
}

// inUseText names the classes that are in use and would go.
func (c *call) inUseText(uuid placement.UUID, keep map[string]placement.Inventory) string {
	return inUseText(uuid, c.inUse(uuid, keep))
}

func inUseText(uuid placement.UUID, classes []string) string {
	return "Inventory for '" + strings.Join(classes, ", ") + "' on resource provider '" + uuid.String() + "' in use."
}

// inUse lists the classes of a provider that have allocations and are not
// kept.
func (c *call) inUse(uuid placement.UUID, keep map[string]placement.Inventory) (classes []string) {
	used, _, err := c.s.engine.Usages(uuid)
	if err != nil {
		return nil
	}
	for _, class := range sorted(c.s.order, used) {
		if _, kept := keep[class]; !kept && used[class] > 0 {
			classes = append(classes, class)
		}
	}
	return classes
}

func (c *call) deleteInventories() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	_, err = c.s.engine.SetInventories(c.r.Context(), p.UUID, nil, placement.AnyGeneration)
	if errors.Is(err, placement.ErrInUse) {
		return conflict(codeInventoryInUse, c.inUseText(p.UUID, nil))
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// updateInventory is PUT /resource_providers/{uuid}/inventories/{resource_class}.
//
// Source: placement, handlers/inventory.py, update_inventory.
func (c *call) updateInventory() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	doc, err := c.document(schemaInventory)
	if err != nil {
		return err
	}
	gen := generationOf(doc.Get("resource_provider_generation"))
	if gen != placement.Generation(p.Generation) {
		return generationConflict()
	}
	class, inv := c.path("resource_class"), inventoryOf(doc)
	if err := c.checkCapacity(&p, map[string]placement.Inventory{class: inv}); err != nil {
		return bad("Unable to update inventory for resource provider " + p.UUID.String() + ": " + err.Error())
	}
	changed, err := c.s.engine.UpdateInventory(c.r.Context(), p.UUID, class, inv, gen)
	switch in := input(err); {
	case err == nil:
		return c.sendInventory(http.StatusOK, &changed, &inv)
	case errors.Is(err, placement.ErrConcurrentUpdate):
		return conflict(codeConcurrentUpdate, "update conflict: "+textConcurrentProvider)
	case errors.Is(err, placement.ErrNotFound):
		return bad("No inventory record with resource class for resource provider " + p.UUID.String() + ": No inventory of class " + class + " found.")
	case in != nil && in.Field == "resource_class":
		return outside(missing(noClass(class)))
	case in != nil:
		return bad("Unable to update inventory for resource provider " + p.UUID.String() + ": " + err.Error())
	}
	return err
}

func (c *call) deleteInventory() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	class := c.path("resource_class")
	_, err = c.s.engine.DeleteInventory(c.r.Context(), p.UUID, class)
	switch {
	case err == nil:
		return c.empty(http.StatusNoContent)
	case errors.Is(err, placement.ErrInUse):
		return conflict(codeConcurrentUpdate, "Unable to delete inventory of class "+class+
			": Inventory for '"+class+"' on resource provider '"+p.UUID.String()+"' in use.")
	case errors.Is(err, placement.ErrNotFound):
		return missing("No inventory of class " + class + " found for delete: No inventory of class " + class + " found for delete")
	case isInput(err):
		return missing("No inventory of class " + class + " found for delete: " + noClass(class))
	}
	return err
}
