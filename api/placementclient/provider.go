package placementclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
)

// providerBody is a provider as the API has it.
type providerBody struct {
	UUID       placement.UUID  `json:"uuid"`
	Name       string          `json:"name"`
	Generation int64           `json:"generation"`
	Parent     *placement.UUID `json:"parent_provider_uuid"`
	Root       placement.UUID  `json:"root_provider_uuid"`
}

// provider converts b; the API tells one time, which is the latest change.
func (b *providerBody) provider(changed time.Time) placement.Provider {
	p := placement.Provider{UUID: b.UUID, Name: b.Name, Generation: b.Generation, Root: b.Root, UpdatedAt: changed}
	if b.Parent != nil {
		p.Parent = *b.Parent
	}
	return p
}

func modified(h http.Header) time.Time {
	t, _ := time.Parse(http.TimeFormat, h.Get("Last-Modified")) // zero: unknown
	return t
}

func providerPath(uuid placement.UUID, more string) string {
	return "/resource_providers/" + uuid.String() + more
}

// Provider returns provider uuid, or placement.ErrNotFound.
func (c *Client) Provider(ctx context.Context, uuid placement.UUID) (placement.Provider, error) {
	var body providerBody
	var header http.Header
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, ""), answer: &body, header: &header})
	return body.provider(modified(header)), err
}

// Providers returns the providers that match f.
func (c *Client) Providers(ctx context.Context, f placement.ProviderFilter) ([]placement.Provider, error) {
	q := url.Values{}
	if f.Name != "" {
		q.Set("name", f.Name)
	}
	if !f.UUID.IsZero() {
		q.Set("uuid", f.UUID.String())
	}
	g := placement.RequestGroup{
		Resources: f.Resources, Required: f.Required, Forbidden: f.Forbidden,
		MemberOf: f.MemberOf, ForbiddenAggregates: f.ForbiddenAggregates, InTree: f.InTree,
	}
	addGroup(q, &g)
	var body struct {
		Providers []providerBody `json:"resource_providers"`
	}
	if err := c.do(ctx, exchange{method: http.MethodGet, path: "/resource_providers?" + q.Encode(), answer: &body}); err != nil {
		return nil, err
	}
	list := make([]placement.Provider, len(body.Providers))
	for i := range body.Providers {
		list[i] = body.Providers[i].provider(time.Time{})
	}
	return list, nil
}

// CreateProvider adds a provider with p's UUID, Name and Parent.
func (c *Client) CreateProvider(ctx context.Context, p placement.Provider) (placement.Provider, error) {
	body := map[string]any{"uuid": p.UUID, "name": p.Name}
	if !p.Parent.IsZero() {
		body["parent_provider_uuid"] = p.Parent
	}
	var made providerBody
	var header http.Header
	err := c.do(ctx, exchange{method: http.MethodPost, path: "/resource_providers", body: body, answer: &made, header: &header})
	return made.provider(modified(header)), err
}

// UpdateProvider renames or moves provider uuid. A move from one parent to
// another, or to none, needs AllowReparenting and version 1.37.
func (c *Client) UpdateProvider(ctx context.Context, uuid placement.UUID, u placement.ProviderUpdate) (placement.Provider, error) {
	name := u.Name
	if name == nil {
		p, err := c.Provider(ctx, uuid)
		if err != nil {
			return p, err
		}
		name = &p.Name
	}
	body := map[string]any{"name": *name}
	if u.Parent != nil {
		body["parent_provider_uuid"] = nil
		if !u.Parent.IsZero() {
			body["parent_provider_uuid"] = *u.Parent
		}
	}
	minor, err := c.Minor(ctx)
	if err != nil {
		return placement.Provider{}, err
	}
	if !u.AllowReparenting {
		minor = min(minor, 36)
	}
	var changed providerBody
	var header http.Header
	err = c.do(ctx, exchange{method: http.MethodPut, path: providerPath(uuid, ""), body: body, answer: &changed, minor: minor, header: &header})
	return changed.provider(modified(header)), err
}

// DeleteProvider removes provider uuid.
func (c *Client) DeleteProvider(ctx context.Context, uuid placement.UUID) error {
	return c.do(ctx, exchange{method: http.MethodDelete, path: providerPath(uuid, "")})
}

// inventoryBody is an inventory as the API has it.
type inventoryBody struct {
	Total    int64   `json:"total"`
	Reserved int64   `json:"reserved"`
	MinUnit  int64   `json:"min_unit"`
	MaxUnit  int64   `json:"max_unit"`
	StepSize int64   `json:"step_size"`
	Ratio    float64 `json:"allocation_ratio"`
}

func inventoryBodies(inv map[string]placement.Inventory) map[string]inventoryBody {
	bodies := make(map[string]inventoryBody, len(inv))
	for class, i := range inv {
		bodies[class] = inventoryBody{i.Total, i.Reserved, i.MinUnit, i.MaxUnit, i.StepSize, i.AllocationRatio}
	}
	return bodies
}

// Inventories returns the inventories of provider uuid by class, and its
// generation.
func (c *Client) Inventories(ctx context.Context, uuid placement.UUID) (map[string]placement.Inventory, int64, error) {
	var body struct {
		Generation  int64                    `json:"resource_provider_generation"`
		Inventories map[string]inventoryBody `json:"inventories"`
	}
	if err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/inventories"), answer: &body}); err != nil {
		return nil, 0, err
	}
	inv := make(map[string]placement.Inventory, len(body.Inventories))
	for class, i := range body.Inventories {
		inv[class] = placement.Inventory{Total: i.Total, Reserved: i.Reserved, MinUnit: i.MinUnit, MaxUnit: i.MaxUnit, StepSize: i.StepSize, AllocationRatio: i.Ratio}
	}
	return inv, body.Generation, nil
}

// replace puts what belongs to provider uuid, and returns its generation
// afterwards.
func (c *Client) replace(ctx context.Context, uuid placement.UUID, what string, value any, gen placement.Generation) (int64, error) {
	var answer struct {
		Generation int64 `json:"resource_provider_generation"`
	}
	put := func(gen int64) error {
		body := map[string]any{what: value, "resource_provider_generation": gen}
		return c.do(ctx, exchange{method: http.MethodPut, path: providerPath(uuid, "/"+what), body: body, answer: &answer})
	}
	if gen != placement.AnyGeneration {
		return answer.Generation, put(int64(gen))
	}
	err := c.retry(ctx, func() error {
		p, err := c.Provider(ctx, uuid)
		if err != nil {
			return err
		}
		return put(p.Generation)
	})
	return answer.Generation, err
}

// SetInventories replaces all inventories of provider uuid and returns its
// generation.
func (c *Client) SetInventories(ctx context.Context, uuid placement.UUID, inv map[string]placement.Inventory, gen placement.Generation) (int64, error) {
	return c.replace(ctx, uuid, "inventories", inventoryBodies(inv), gen)
}

// SetTraits replaces all traits of provider uuid and returns its generation.
func (c *Client) SetTraits(ctx context.Context, uuid placement.UUID, traits []string, gen placement.Generation) (int64, error) {
	return c.replace(ctx, uuid, "traits", append([]string{}, traits...), gen)
}

// SetAggregates replaces all aggregates of provider uuid and returns its
// generation.
func (c *Client) SetAggregates(ctx context.Context, uuid placement.UUID, aggs []placement.UUID, gen placement.Generation) (int64, error) {
	return c.replace(ctx, uuid, "aggregates", append([]placement.UUID{}, aggs...), gen)
}

// Traits returns the traits of provider uuid, and its generation.
func (c *Client) Traits(ctx context.Context, uuid placement.UUID) ([]string, int64, error) {
	var body struct {
		Traits     []string `json:"traits"`
		Generation int64    `json:"resource_provider_generation"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/traits"), answer: &body})
	return body.Traits, body.Generation, err
}

// Aggregates returns the aggregates of provider uuid, and its generation.
func (c *Client) Aggregates(ctx context.Context, uuid placement.UUID) ([]placement.UUID, int64, error) {
	var body struct {
		Aggregates []placement.UUID `json:"aggregates"`
		Generation int64            `json:"resource_provider_generation"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/aggregates"), answer: &body})
	return body.Aggregates, body.Generation, err
}

// Usages returns what is allocated of each inventory of provider uuid, and
// its generation.
func (c *Client) Usages(ctx context.Context, uuid placement.UUID) (map[string]int64, int64, error) {
	var body struct {
		Usages     map[string]int64 `json:"usages"`
		Generation int64            `json:"resource_provider_generation"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: providerPath(uuid, "/usages"), answer: &body})
	return body.Usages, body.Generation, err
}

// AllTraits returns every trait.
func (c *Client) AllTraits(ctx context.Context) ([]string, error) {
	var body struct {
		Traits []string `json:"traits"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: "/traits", answer: &body})
	return body.Traits, err
}

// Classes returns every resource class.
func (c *Client) Classes(ctx context.Context) ([]string, error) {
	var body struct {
		Classes []struct {
			Name string `json:"name"`
		} `json:"resource_classes"`
	}
	err := c.do(ctx, exchange{method: http.MethodGet, path: "/resource_classes", answer: &body})
	names := make([]string, len(body.Classes))
	for i := range names {
		names[i] = body.Classes[i].Name
	}
	return names, err
}

// CreateTrait makes a custom trait known.
func (c *Client) CreateTrait(ctx context.Context, name string) error {
	return c.do(ctx, exchange{method: http.MethodPut, path: "/traits/" + url.PathEscape(name)})
}

// DeleteTrait forgets a custom trait.
func (c *Client) DeleteTrait(ctx context.Context, name string) error {
	return c.do(ctx, exchange{method: http.MethodDelete, path: "/traits/" + url.PathEscape(name)})
}

// CreateClass makes a custom resource class known.
func (c *Client) CreateClass(ctx context.Context, name string) error {
	return c.do(ctx, exchange{method: http.MethodPut, path: "/resource_classes/" + url.PathEscape(name)})
}

// DeleteClass forgets a custom resource class.
func (c *Client) DeleteClass(ctx context.Context, name string) error {
	return c.do(ctx, exchange{method: http.MethodDelete, path: "/resource_classes/" + url.PathEscape(name)})
}

// addGroup adds the parameters of a request group.
func addGroup(q url.Values, g *placement.RequestGroup) {
	var amounts []string
	for _, r := range g.Resources {
		amounts = append(amounts, r.Class+":"+strconv.FormatInt(r.Amount, 10))
	}
	if len(amounts) > 0 {
		q.Set("resources"+g.Suffix, strings.Join(amounts, ","))
	}
	var plain []string
	for _, list := range g.Required {
		if len(list) == 1 {
			plain = append(plain, list[0])
		} else {
			q.Add("required"+g.Suffix, "in:"+strings.Join(list, ","))
		}
	}
	for _, trait := range g.Forbidden {
		plain = append(plain, "!"+trait)
	}
	if len(plain) > 0 {
		q.Add("required"+g.Suffix, strings.Join(plain, ","))
	}
	for _, list := range g.MemberOf {
		q.Add("member_of"+g.Suffix, "in:"+join(list))
	}
	if len(g.ForbiddenAggregates) > 0 {
		q.Add("member_of"+g.Suffix, "!in:"+join(g.ForbiddenAggregates))
	}
	if !g.InTree.IsZero() {
		q.Set("in_tree"+g.Suffix, g.InTree.String())
	}
}

func join(list []placement.UUID) string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].String()
	}
	return strings.Join(names, ",")
}
