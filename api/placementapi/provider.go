package placementapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// pathUUID reads a UUID as paths have it: with hyphens.
func pathUUID(s string) (placement.UUID, bool) {
	if !isPathUUID(s) {
		return placement.UUID{}, false
	}
	u, _ := placement.ParseUUID(s) // isPathUUID has checked it
	return u, !u.IsZero()
}

// provider returns the provider of the path. What it refuses counts as
// refused around the handler.
func (c *call) provider() (placement.Provider, error) {
	name := c.path("uuid")
	if u, ok := pathUUID(name); ok {
		p, err := c.s.engine.Provider(u)
		if err == nil || !errors.Is(err, placement.ErrNotFound) {
			return p, err
		}
	}
	return placement.Provider{}, outside(missing(noProvider(name)))
}

// providerHere is provider for handlers that refuse by themselves, in words
// that differ by what stands after "found".
func (c *call) providerHere(colon string) (placement.Provider, error) {
	p, err := c.provider()
	if refusal := (*api.Error)(nil); errors.As(err, &refusal) {
		name := c.path("uuid")
		return p, missing("No resource provider with uuid " + name + " found" + colon + " " + noProvider(name))
	}
	return p, err
}

// links are the relations of a provider, by the version that brought them.
var links = []struct {
	since int
	rel   string
}{{0, "inventories"}, {0, "usages"}, {1, "aggregates"}, {6, "traits"}, {11, "allocations"}}

func (c *call) appendProvider(b []byte, p *placement.Provider) []byte {
	b = append(b, `{"uuid": `...)
	b = appendUUID(b, &p.UUID)
	b = append(b, `, "name": `...)
	b = appendString(b, p.Name)
	b = append(b, `, "generation": `...)
	b = appendInt(b, p.Generation)
	b = append(b, `, "links": [{"rel": "self", "href": "`...)
	start := len(b)
	b = append(b, c.s.cfg.PathPrefix...)
	b = append(b, "/resource_providers/"...)
	b = append(b, p.UUID.String()...)
	self := b[start:]
	b = append(b, `"}`...)
	for _, l := range links {
		if !c.at(l.since) {
			continue
		}
		b = append(b, `, {"rel": "`...)
		b = append(b, l.rel...)
		b = append(b, `", "href": "`...)
		b = append(b, self...)
		b = append(b, '/')
		b = append(b, l.rel...)
		b = append(b, `"}`...)
	}
	b = append(b, ']')
	if c.at(14) {
		b = append(b, `, "parent_provider_uuid": `...)
		b = appendParent(b, &p.Parent)
		b = append(b, `, "root_provider_uuid": `...)
		b = appendUUID(b, &p.Root)
	}
	return append(b, '}')
}

func (c *call) sendProvider(p *placement.Provider, cached int) error {
	c.out = c.appendProvider(c.out, p)
	if c.at(cached) {
		c.fresh(p.UpdatedAt)
	}
	return c.send(http.StatusOK)
}

func (c *call) showProvider() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	return c.sendProvider(&p, 15)
}

// createProvider is POST /resource_providers.
//
// Source: placement, handlers/resource_provider.py, create_resource_provider.
func (c *call) createProvider() error {
	schema := schemaPostProvider
	if c.at(14) {
		schema = schemaPostProvider14
	}
	doc, err := c.document(schema)
	if err != nil {
		return err
	}
	p := placement.Provider{Name: strings.Clone(doc.Get("name").Str())}
	if given := doc.Get("uuid"); given != nil {
		p.UUID, _ = placement.ParseUUID(given.Str()) // the schema has checked it
	} else {
		_, _ = rand.Read(p.UUID[:]) // never fails
		p.UUID[6], p.UUID[8] = p.UUID[6]&0x0f|0x40, p.UUID[8]&0x3f|0x80
	}
	if parent := doc.Get("parent_provider_uuid"); parent != nil && parent.Kind != jsonschema.Null {
		known := false
		if p.Parent, known = pathUUID(parent.Str()); !known {
			return notCreatable(&p, textNoParent)
		}
	}
	made, err := c.s.engine.CreateProvider(c.r.Context(), p)
	if err != nil {
		return c.notCreated(&p, err)
	}
	c.location("/resource_providers/" + made.UUID.String())
	if !c.at(20) {
		return c.empty(http.StatusCreated)
	}
	return c.sendProvider(&made, 20)
}

func (c *call) notCreated(p *placement.Provider, err error) error {
	if in := input(err); in != nil && p.Name == "" {
		return bad("Unable to create resource provider \"\", " + p.UUID.String() + ": Object action create failed because: name is required")
	}
	if errors.Is(err, placement.ErrExists) {
		twice := "name: " + p.Name
		if _, err := c.s.engine.Provider(p.UUID); err == nil { // a database names the first of two
			twice = "uuid: " + p.UUID.String()
		}
		return conflict(codeDuplicateName, "Conflicting resource provider "+twice+" already exists.")
	}
	in := input(err)
	if in == nil {
		return err
	}
	reason := in.Error()
	switch {
	case in.Field == "parent_provider_uuid" && p.Parent == p.UUID:
		reason = "parent provider UUID cannot be same as UUID. Please set parent provider UUID to None if there is no parent."
	case in.Field == "parent_provider_uuid":
		reason = textNoParent
	case p.Name == "":
		reason = "name is required"
	}
	return notCreatable(p, reason)
}

func notCreatable(p *placement.Provider, reason string) error {
	return bad(fmt.Sprintf(`Unable to create resource provider "%s", %s: Object action create failed because: %s`, p.Name, p.UUID, reason))
}

const textNoParent = "parent provider UUID does not exist."

// updateProvider is PUT /resource_providers/{uuid}.
//
// Source: placement, handlers/resource_provider.py, update_resource_provider.
func (c *call) updateProvider() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	schema := schemaPutProvider
	if c.at(14) {
		schema = schemaPutProvider14
	}
	doc, err := c.document(schema)
	if err != nil {
		return err
	}
	name := strings.Clone(doc.Get("name").Str())
	u := placement.ProviderUpdate{Name: &name, AllowReparenting: c.at(37)}
	if v := doc.Get("parent_provider_uuid"); v != nil {
		parent, known := pathUUID(v.Str()) // other forms name no provider
		if !known && v.Kind != jsonschema.Null {
			return c.notMoved("create", textNoParent)
		}
		u.Parent = &parent
	}
	changed, err := c.s.engine.UpdateProvider(c.r.Context(), p.UUID, u)
	switch {
	case err == nil:
		return c.sendProvider(&changed, 15)
	case errors.Is(err, placement.ErrExists):
		return conflict(codeDuplicateName, "Conflicting resource provider "+name+" already exists.")
	case errors.Is(err, placement.ErrNotFound):
		return outside(missing(noProvider(c.path("uuid"))))
	}
	in := input(err)
	if in == nil {
		return err
	}
	if in.Field != "parent_provider_uuid" {
		return c.notMoved("update", in.Error())
	}
	return c.whyNotMoved(&p, *u.Parent)
}

// whyNotMoved says why a provider cannot be put below parent.
func (c *call) whyNotMoved(p *placement.Provider, parent placement.UUID) error {
	if parent.IsZero() {
		return c.notMoved("update", "un-parenting a provider is not currently allowed.")
	}
	if _, err := c.s.engine.Provider(parent); err != nil {
		return c.notMoved("create", textNoParent)
	}
	if !p.Parent.IsZero() && !c.at(37) {
		return c.notMoved("update", "re-parenting a provider is not currently allowed.")
	}
	return c.notMoved("update", "creating loop in the provider tree is not allowed.")
}

func (c *call) notMoved(action, reason string) error {
	return bad("Unable to save resource provider " + c.path("uuid") + ": Object action " + action + " failed because: " + reason)
}

func (c *call) deleteProvider() error {
	name := c.path("uuid")
	u, ok := pathUUID(name)
	err := placement.ErrNotFound
	if ok {
		err = c.s.engine.DeleteProvider(c.r.Context(), u)
	}
	switch {
	case err == nil:
		return c.empty(http.StatusNoContent)
	case errors.Is(err, placement.ErrNotFound):
		return missing(noProvider(name) + " for delete")
	case errors.Is(err, placement.ErrInUse):
		return conflict(codeProviderInUse, "Unable to delete resource provider "+name+": Resource provider has allocations.")
	case errors.Is(err, placement.ErrHasChildren):
		return conflict(codeCannotDelete, "Unable to delete parent resource provider "+name+": It has child resource providers.")
	}
	return err
}

// listProviders is GET /resource_providers.
//
// Source: placement, handlers/resource_provider.py, list_resource_providers.
func (c *call) listProviders() error {
	if err := c.checkQuery(pick(schemasProviders, c.version.Minor)); err != nil {
		return err
	}
	f, nothing, err := c.providerFilter()
	if err != nil {
		return err
	}
	var list []placement.Provider
	if !nothing {
		if list, err = c.s.engine.Providers(f); err != nil {
			return providerFilterError(err)
		}
	}
	var modified time.Time
	c.out = append(c.out, `{"resource_providers": [`...)
	for i := range list {
		c.out = c.appendProvider(separate(c.out, i), &list[i])
		if list[i].UpdatedAt.After(modified) {
			modified = list[i].UpdatedAt
		}
	}
	c.out = append(c.out, "]}"...)
	if len(list) == 0 {
		modified = c.now
	}
	if c.at(15) {
		c.fresh(modified)
	}
	return c.send(http.StatusOK)
}

func providerFilterError(err error) error {
	in := input(err)
	switch {
	case in == nil:
		return err
	case strings.HasPrefix(in.Field, "resources"):
		return bad("Invalid resource class in resources parameter: " + noClass(in.Value))
	default:
		return bad(`Invalid trait(s) in "required" parameter: ` + noTrait(in.Value))
	}
}

// providerFilter reads the query string. The flag is set when it names what
// cannot be, such as a UUID in a form that no provider has.
func (c *call) providerFilter() (f placement.ProviderFilter, nothing bool, err error) {
	if c.query.Has("member_of") {
		if f.MemberOf, f.ForbiddenAggregates, err = c.memberOf(""); err != nil {
			return f, false, err
		}
	}
	if c.query.Has("required") {
		if f.Required, f.Forbidden, err = c.traits(""); err != nil {
			return f, false, err
		}
	}
	for _, name := range [...]string{"uuid", "in_tree"} {
		if value := c.query.Last(name); value != "" {
			u, ok := pathUUID(value)
			nothing = nothing || !ok
			if name == "uuid" {
				f.UUID = u
			} else {
				f.InTree = u
			}
		}
	}
	f.Name = c.query.Last("name")
	if c.query.Has("resources") {
		f.Resources, err = parseResources(c.query.Last("resources"))
	}
	return f, nothing, err
}
