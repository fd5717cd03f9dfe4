package placementapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

func (c *call) appendClass(b []byte, name string) []byte {
	b = appendString(append(b, `{"name": `...), name)
	b = append(b, `, "links": [{"rel": "self", "href": `...)
	b = appendString(b, c.s.cfg.PathPrefix+"/resource_classes/"+name)
	return append(b, "}]}"...)
}

func (c *call) listClasses() error {
	c.out = append(c.out, `{"resource_classes": [`...)
	for i, name := range c.s.engine.Classes() {
		c.out = c.appendClass(separate(c.out, i), name)
	}
	c.out = append(c.out, "]}"...)
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

func (c *call) createClass() error {
	doc, err := c.document(schemaClass)
	if err != nil {
		return err
	}
	name := strings.Clone(doc.Get("name").Str())
	created, err := c.s.engine.CreateClass(c.r.Context(), name)
	if err != nil {
		return err
	}
	if !created {
		return conflict("", "Conflicting resource class already exists: "+name)
	}
	c.location("/resource_classes/" + name)
	return c.empty(http.StatusCreated)
}

func (c *call) showClass() error {
	name := c.path("name")
	if !c.s.engine.HasClass(name) {
		return outside(missing(noClass(name)))
	}
	c.out = c.appendClass(c.out, name)
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

// putClass makes sure that a class exists; below 1.7 it gives one another
// name.
//
// Source: placement, handlers/resource_class.py, update_resource_class.
func (c *call) putClass() error {
	if !c.at(7) {
		if err := c.requireJSON(); err != nil {
			return err
		}
		return c.renameClass()
	}
	name := strings.Clone(c.path("name"))
	doc := jsonschema.Value{Kind: jsonschema.Object, Keys: []string{"name"}, Items: []jsonschema.Value{{Kind: jsonschema.String, Text: name}}}
	if violation := schemaClass.Validate(&doc); violation != nil {
		return bad("JSON does not validate: " + violation.String())
	}
	created, err := c.s.engine.CreateClass(c.r.Context(), name)
	if err != nil {
		return err
	}
	c.location("/resource_classes/" + name)
	if created {
		return c.empty(http.StatusCreated)
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) renameClass() error {
	doc, err := c.document(schemaClass)
	if err != nil {
		return err
	}
	name, to := c.path("name"), strings.Clone(doc.Get("name").Str())
	if !c.s.engine.HasClass(name) {
		return outside(missing(noClass(name)))
	}
	err = c.s.engine.RenameClass(c.r.Context(), name, to)
	switch {
	case err == nil:
		c.out = c.appendClass(c.out, to)
		return c.send(http.StatusOK)
	case errors.Is(err, placement.ErrExists):
		return conflict("", "Resource class already exists: "+to)
	case errors.Is(err, placement.ErrInUse):
		return conflict("", "Cannot rename resource class "+name+". Class is in use in inventory.")
	case isInput(err):
		return bad("Cannot update standard resource class " + name)
	}
	return err
}

func (c *call) deleteClass() error {
	name := c.path("name")
	err := c.s.engine.DeleteClass(c.r.Context(), name)
	const text = "Error in delete resource class: "
	switch {
	case err == nil:
		return c.empty(http.StatusNoContent)
	case errors.Is(err, placement.ErrNotFound):
		return outside(missing(noClass(name)))
	case errors.Is(err, placement.ErrInUse):
		return conflict("", text+"Cannot delete resource class "+name+". Class is in use in inventory.")
	case isInput(err):
		return bad(text + "Cannot delete standard resource class " + name + ".")
	}
	return err
}
