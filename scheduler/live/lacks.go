package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// lacks returns why the engine would not let a host take the shape.
func (a *account) lacks(ctx context.Context, r *row) scheduler.Reason {
	sh := a.p.shape
	if !sh.plain || !r.flat {
		return a.tree(ctx, r)
	}
	if _, has := a.with[r.uuid]; a.with != nil && !has {
		return a.unsuited(r)
	}
	for k := range sh.need {
		if why := r.short(&sh.need[k]); !why.Passes() {
			return why
		}
	}
	return scheduler.Reason{}
}

// short returns why a flat host has no room for an amount, as [row.fits]
// decides.
func (r *row) short(need *placement.Resource) scheduler.Reason {
	s := r.find(need.Class)
	if s == nil {
		return scheduler.Reason{Why: "has no %o", Of: need.Class}
	}
	if free := s.kind.capacity - s.inUse(); need.Amount > free {
		return scheduler.Reason{Why: "lacks %o: %h free, %w asked for", Have: float64(free), Want: float64(need.Amount), Of: need.Class}
	}
	if inv, n := &s.kind.Inventory, need.Amount; n < inv.MinUnit || n > inv.MaxUnit || inv.StepSize > 1 && n%inv.StepSize != 0 {
		return scheduler.Reason{
			Why: "does not give %w of %o at once: min_unit, max_unit and step_size are %t", Want: float64(n), Of: need.Class,
			Text: fmt.Sprintf("%d, %d and %d", inv.MinUnit, inv.MaxUnit, inv.StepSize),
		}
	}
	return scheduler.Reason{}
}

// unsuited returns which trait or aggregate a flat host lacks.
func (a *account) unsuited(r *row) scheduler.Reason {
	where := &a.p.shape.where
	g := &where.Groups[0]
	traits, _, err := a.cfg.Engine.Traits(r.uuid)
	if err != nil {
		return scheduler.Reason{Why: "is gone"}
	}
	required := g.Required
	for _, trait := range where.RootRequired {
		required = append(required[:len(required):len(required)], []string{trait})
	}
	for _, list := range required {
		if !slices.ContainsFunc(list, func(t string) bool { return slices.Contains(traits, t) }) {
			return scheduler.Reason{Why: "lacks trait %a", Asked: strings.Join(list, " or ")}
		}
	}
	for _, trait := range slices.Concat(g.Forbidden, where.RootForbidden) {
		if slices.Contains(traits, trait) {
			return scheduler.Reason{Why: "has the forbidden trait %a", Asked: trait}
		}
	}
	return a.outside(g, r)
}

// outside returns in which aggregate a host should be, or should not.
func (a *account) outside(g *placement.RequestGroup, r *row) scheduler.Reason {
	in, _, err := a.cfg.Engine.Aggregates(r.uuid)
	if err != nil {
		return scheduler.Reason{Why: "is gone"}
	}
	for _, list := range g.MemberOf {
		if !slices.ContainsFunc(list, func(u placement.UUID) bool { return slices.Contains(in, u) }) {
			return scheduler.Reason{Why: "is in none of the aggregates %a", Asked: fmt.Sprint(list)}
		}
	}
	for _, aggregate := range g.ForbiddenAggregates {
		if slices.Contains(in, aggregate) {
			return scheduler.Reason{Why: "is in the forbidden aggregate %a", Asked: aggregate.String()}
		}
	}
	return scheduler.Reason{Why: "had other traits or aggregates a moment ago"}
}

// tree returns why a tree of providers, with those that share with it, has
// nothing for the shape.
func (a *account) tree(ctx context.Context, r *row) scheduler.Reason {
	where := a.p.shape.where
	for k := range where.Groups {
		if in := where.Groups[k].InTree; !in.IsZero() && in != r.uuid {
			return scheduler.Reason{Why: "is not the tree %a that is asked for", Asked: in.String()}
		}
	}
	where.Anchor = r.uuid
	for _, err := range a.cfg.Engine.Candidates(ctx, where) {
		return cannot(scheduler.Reason{}, err)
	}
	for _, n := range total(where.Groups) {
		free := int64(0)
		if s := r.find(n.Class); s != nil {
			free = s.kind.capacity - s.inUse()
		}
		if free < n.Amount {
			return scheduler.Reason{Why: "lacks %o: %h free in its own tree, %w asked for", Have: float64(free), Want: float64(n.Amount), Of: n.Class}
		}
	}
	return scheduler.Reason{Why: "its providers do not have it all in the right places, or not the traits and aggregates"}
}
