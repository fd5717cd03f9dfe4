package placement

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// An Explanation says why a request has few candidates, or none.
type Explanation struct {
	Providers int                // that exist
	Groups    []GroupExplanation // in the order of the request
	Trees     []Stage            // what is left of the trees
}

// GroupExplanation is about one request group. The classes of the group
// without a suffix may come from different providers, so each is told of by
// itself; a group with a suffix is one chain of stages.
type GroupExplanation struct {
	Suffix string
	Chains [][]Stage
}

// Stage is a condition and how many meet it and all conditions before it in
// its chain.
type Stage struct {
	Condition string // in the words of the API's query
	Left      int
}

// explainer counts what each condition leaves.
type explainer struct {
	q        query
	out      *Explanation
	chains   []chain
	tree     search
	next     uint32 // the provider to look at next
	captured bool   // tree holds one to search
}

// chain is a chain of conditions on one provider.
type chain struct {
	stages []Stage
	met    []func(w *world, i uint32) bool
}

func (c *chain) add(condition string, met func(w *world, i uint32) bool) {
	c.stages = append(c.stages, Stage{Condition: condition})
	c.met = append(c.met, met)
}

func (c *chain) count(w *world, i uint32) {
	for k, met := range c.met {
		if !met(w, i) {
			return
		}
		c.stages[k].Left++
	}
}

// Explain counts how many providers each condition of req leaves, and then how
// many trees. It looks at every provider: its cost is that of a scan, linear
// in the providers and the conditions, plus the search of one candidate in
// each tree. Limit, order and random start of req play no role. A request that
// Placement would refuse is an [*InputError], as in [Engine.Candidates].
//
// Providers are looked at in several steps, so counts of a world that changes
// meanwhile are of no single moment.
func (e *Engine) Explain(ctx context.Context, req CandidateRequest) (*Explanation, error) {
	x := explainer{out: &Explanation{}}
	x.q.req = &req
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if more, err = x.step(e); err != nil {
			return nil, err
		}
		if x.captured {
			x.search()
		}
	}
	return x.out, nil
}

const explainRows = 512 // providers looked at under one lock

// step looks at the next providers, up to a tree that every group finds a
// provider in. It starts over when the meaning of a name has changed since.
func (x *explainer) step(e *Engine) (more bool, err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if x.q.w == nil {
		x.q.w = e.world // and no other, should the engine load one meanwhile
	}
	w := x.q.w
	if x.next == 0 || x.q.epoch != w.symbolEpoch {
		if err := x.q.compile(); err != nil {
			return false, err
		}
		x.prepare()
		x.next = 0
	}
	x.captured = false
	for end := min(x.next+explainRows, w.providers.n); x.next < end && !x.captured; x.next++ {
		if !w.present.has(x.next) {
			continue
		}
		x.out.Providers++
		for k := range x.chains {
			x.chains[k].count(w, x.next)
		}
		if w.provider(x.next).parent == none {
			x.root(x.next)
		}
	}
	return x.next < w.providers.n, nil
}

// search counts the captured tree if it has a candidate.
func (x *explainer) search() {
	for x.tree.begin(); x.tree.next(); {
		if !x.q.req.SingleProvider || x.tree.oneOfTree() {
			x.out.Trees[len(x.out.Trees)-1].Left++
			return
		}
	}
}

// prepare makes the chains of the compiled query.
func (x *explainer) prepare() {
	req := x.q.req
	*x.out = Explanation{Trees: []Stage{{Condition: "trees"}}}
	if len(req.RootRequired)+len(req.RootForbidden) > 0 {
		x.out.Trees = append(x.out.Trees, Stage{Condition: "root_required=" + strings.Join(append(slices.Clone(req.RootRequired), bang(req.RootForbidden)...), ",")})
	}
	x.out.Trees = append(x.out.Trees, Stage{Condition: "a provider for each group"}, Stage{Condition: "all groups together"})
	x.chains = x.chains[:0]
	for k := range x.q.groups {
		x.out.Groups = append(x.out.Groups, GroupExplanation{Suffix: x.q.groups[k].suffix})
		x.addGroup(k)
	}
}

func (x *explainer) addGroup(k int) {
	g := &x.q.groups[k]
	if g.single {
		var c chain
		for _, want := range g.want {
			c.resource(want)
		}
		x.required(&c, k, 0, len(g.required))
		x.alone(&c, k)
		x.addChain(k, c)
		return
	}
	for _, want := range g.want {
		var c chain
		c.resource(want)
		x.spread(&c, k)
		x.addChain(k, c)
	}
	for n := range g.required {
		var c chain
		x.required(&c, k, n, n+1)
		x.addChain(k, c)
	}
}

func (x *explainer) addChain(group int, c chain) {
	x.chains = append(x.chains, c)
	x.out.Groups[group].Chains = append(x.out.Groups[group].Chains, c.stages)
}

// resource adds the two conditions on an amount: that there is any, and that
// it is free and allowed.
func (c *chain) resource(want want) {
	c.add("inventory of "+want.name, func(w *world, i uint32) bool { return w.provider(i).row(want.class) != nil })
	c.add(fmt.Sprintf("%s:%d within min_unit, max_unit and step_size", want.name, want.amount), func(w *world, i uint32) bool {
		row := w.provider(i).row(want.class)
		return w.shapes.rows[row.shape].inv.unitRule(want.amount) == ""
	})
	c.add(fmt.Sprintf("%s:%d free", want.name, want.amount), func(w *world, i uint32) bool { return w.fits(i, want) })
}

// required adds some of the lists of traits that group k requires.
func (x *explainer) required(c *chain, k, from, to int) {
	for n := from; n < to; n++ {
		list := x.q.groups[k].required[n : n+1]
		c.add("required="+anyOf(x.q.req.Groups[k].Required[n]), func(w *world, i uint32) bool { return w.hasTraits(i, list, nil) })
	}
}

// alone adds the rest of what a group with a suffix asks of its one provider.
func (x *explainer) alone(c *chain, k int) {
	g, from := &x.q.groups[k], &x.q.req.Groups[k]
	x.forbidden(c, k)
	for n, list := range g.memberOf {
		c.add("member_of="+anyOf(texts(from.MemberOf[n])), func(w *world, i uint32) bool {
			return slices.ContainsFunc(list, func(a uint32) bool { return w.inAggregate(i, a) })
		})
	}
	if len(g.outside) > 0 {
		c.add("member_of=!"+anyOf(texts(from.ForbiddenAggregates)), func(w *world, i uint32) bool { return !g.inBad(w, i) })
	}
	x.inTree(c, k)
}

// spread adds what the group without a suffix asks of each provider that it
// takes something from: the aggregates may be those of its root.
func (x *explainer) spread(c *chain, k int) {
	g, from := &x.q.groups[k], &x.q.req.Groups[k]
	x.forbidden(c, k)
	if len(g.memberOf) > 0 {
		lists := make([]string, 0, len(from.MemberOf))
		for _, list := range from.MemberOf {
			lists = append(lists, "member_of="+anyOf(texts(list)))
		}
		c.add(strings.Join(lists, "&"), func(w *world, i uint32) bool { return g.inAll(w, i) || g.inAll(w, w.provider(i).root) })
	}
	if len(g.outside) > 0 {
		c.add("member_of=!"+anyOf(texts(from.ForbiddenAggregates)), func(w *world, i uint32) bool {
			return !g.inBad(w, i) && !g.inBad(w, w.provider(i).root)
		})
	}
	x.inTree(c, k)
}

func (x *explainer) forbidden(c *chain, k int) {
	if g := &x.q.groups[k]; len(g.forbidden) > 0 {
		c.add("required="+strings.Join(bang(x.q.req.Groups[k].Forbidden), ","), func(w *world, i uint32) bool { return !w.hasAny(i, g.forbidden) })
	}
}

func (x *explainer) inTree(c *chain, k int) {
	if from := &x.q.req.Groups[k]; !from.InTree.IsZero() {
		g := &x.q.groups[k]
		c.add("in_tree="+from.InTree.String(), func(w *world, i uint32) bool { return g.inTree == w.provider(i).root })
	}
}

// root counts tree i.
func (x *explainer) root(i uint32) {
	left := x.out.Trees
	left[0].Left++
	if !x.q.w.hasTraits(i, x.q.rootRequired, x.q.rootForbidden) {
		return
	}
	if len(left) == 4 {
		left[1].Left++
	}
	if x.q.nothing || !x.tree.capture(&x.q, i) {
		return
	}
	left[len(left)-2].Left++
	x.captured = true
}

// anyOf writes a list of alternatives as the API's query has them.
func anyOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "in:" + strings.Join(names, ",")
}

func bang(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, "!"+n)
	}
	return out
}

func texts(list []UUID) []string {
	out := make([]string, 0, len(list))
	for _, u := range list {
		out = append(out, u.String())
	}
	return out
}
