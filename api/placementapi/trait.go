package placementapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
)

const textBadTrait = `The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"`

// listTraits is GET /traits.
//
// Source: placement, handlers/trait.py, list_traits.
func (c *call) listTraits() error {
	if err := c.checkQuery(schemaListTraits); err != nil {
		return err
	}
	var keep func(string) bool
	if c.query.Has("name") {
		form := c.query.Last("name")
		op, value, found := strings.Cut(form, ":")
		if !found {
			return bad(`Badly formatted name parameter. Expected name query string parameter in form: ?name=[in|startswith]:[name1,name2|prefix]. Got: "` + form + `"`)
		}
		switch op {
		case "in":
			names := strings.Split(value, ",")
			keep = func(name string) bool { return slices.Contains(names, name) }
		case "startswith":
			keep = func(name string) bool { return strings.HasPrefix(name, value) }
		}
	}
	names := c.s.engine.AllTraits()
	if c.query.Has("associated") {
		used := c.s.engine.UsedTraits()
		switch strings.ToLower(c.query.Last("associated")) {
		case "true":
			names = used
		case "false":
			names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(used, name) })
		default:
			return bad(`The query parameter "associated" only accepts "true" or "false"`)
		}
	}
	if keep != nil {
		names = slices.DeleteFunc(names, func(name string) bool { return !keep(name) })
	}
	c.out = appendStrings(append(c.out, `{"traits": `...), names)
	c.out = append(c.out, '}')
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

func (c *call) showTrait() error {
	name := c.path("name")
	if !c.s.engine.HasTrait(name) {
		return missing(noTrait(name))
	}
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) putTrait() error {
	name := strings.Clone(c.path("name"))
	if len(name) > 255 || !isCustomName(name) {
		return bad(textBadTrait)
	}
	created, err := c.s.engine.CreateTrait(c.r.Context(), name)
	if err != nil {
		return err
	}
	c.location("/traits/" + name)
	if c.at(15) {
		c.fresh(c.now)
	}
	if created {
		return c.empty(http.StatusCreated)
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) deleteTrait() error {
	name := c.path("name")
	err := c.s.engine.DeleteTrait(c.r.Context(), name)
	switch {
	case err == nil:
		return c.empty(http.StatusNoContent)
	case errors.Is(err, placement.ErrNotFound):
		return missing(noTrait(name))
	case errors.Is(err, placement.ErrInUse):
		return conflict("", "The trait "+name+" is in use by a resource provider.")
	case isInput(err):
		return bad("Cannot delete standard trait " + name + ".")
	}
	return err
}

func (c *call) sendTraits(p *placement.Provider, names []string) error {
	c.out = appendStrings(append(c.out, `{"traits": `...), names)
	c.out = append(c.out, `, "resource_provider_generation": `...)
	c.out = append(appendInt(c.out, p.Generation), '}')
	if c.at(15) {
		modified := p.UpdatedAt
		if len(names) == 0 {
			modified = c.now
		}
		c.fresh(modified)
	}
	return c.send(http.StatusOK)
}

func (c *call) listProviderTraits() error {
	p, err := c.providerHere(":")
	if err != nil {
		return err
	}
	names, p, err := c.s.engine.Traits(p.UUID)
	if err != nil {
		return err
	}
	return c.sendTraits(&p, names)
}

// setProviderTraits is PUT /resource_providers/{uuid}/traits. The body is
// checked before the provider is looked for.
//
// Source: placement, handlers/trait.py, update_traits_for_resource_provider.
func (c *call) setProviderTraits() error {
	doc, err := c.document(schemaTraits)
	if err != nil {
		return err
	}
	p, err := c.provider()
	if err != nil {
		return err
	}
	gen := generationOf(doc.Get("resource_provider_generation"))
	if gen != placement.Generation(p.Generation) {
		return conflict(codeConcurrentUpdate, textGenerationChanged)
	}
	names := doc.Get("traits").Strings()
	if unknown := slices.DeleteFunc(slices.Clone(names), c.s.engine.HasTrait); len(unknown) > 0 {
		slices.Sort(unknown)
		return bad("No such trait " + strings.Join(slices.Compact(unknown), ", "))
	}
	p, err = c.s.engine.SetTraits(c.r.Context(), p.UUID, names, gen)
	if errors.Is(err, placement.ErrConcurrentUpdate) {
		return conflict(codeConcurrentUpdate, textGenerationChanged)
	}
	if in := input(err); in != nil {
		return bad("No such trait " + in.Value)
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	return c.sendTraits(&p, slices.Compact(names))
}

func (c *call) deleteProviderTraits() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	if _, err := c.s.engine.SetTraits(c.r.Context(), p.UUID, nil, placement.AnyGeneration); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
