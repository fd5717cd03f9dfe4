package placement

import (
	"context"
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"
)

// Clone returns a copy that stays valid after the iteration goes on.
func (c *Candidate) Clone() Candidate {
	out := Candidate{Root: c.Root, Allocations: slices.Clone(c.Allocations), Mappings: slices.Clone(c.Mappings)}
	for k := range out.Mappings {
		out.Mappings[k].Providers = slices.Clone(out.Mappings[k].Providers)
	}
	return out
}

// Candidates yields the ways to satisfy req, in an order that depends on the
// engine's history, req.Order and, with req.Random, req.Seed only. The
// candidate is the engine's and valid until the next step; Clone keeps it. A
// request that Placement would refuse, or an end of ctx, yields one error.
//
// The search is lazy: what is not asked for is not computed, and a limit
// bounds the work. Each tree with the sharing providers that serve it is seen
// at one moment; different trees may be seen at different moments. The loop
// body may write to the engine.
//
// Source: placement, objects/allocation_candidate.py (1.39), without its
// faults (docs/compat.md).
func (e *Engine) Candidates(ctx context.Context, req CandidateRequest) iter.Seq2[*Candidate, error] {
	return func(yield func(*Candidate, error) bool) {
		s, _ := e.scans.Get().(*scan)
		e.mu.RLock()
		s.start(ctx, e, &req)
		err := s.q.compile()
		s.rewind()
		e.mu.RUnlock()
		if err == nil && !s.q.nothing {
			err = s.run(yield)
		}
		s.forget()
		e.scans.Put(s)
		if err != nil {
			yield(nil, err)
		}
	}
}

// A scan walks the anchors of a query and yields candidates.
type scan struct {
	e    *Engine
	ctx  context.Context //nolint:containedctx // lives as long as one call
	q    query
	left int // candidates still to yield; negative: all

	first, at, end uint32 // words: where the scan began, is, and ends
	skip           uint64 // bits of the first word before the start
	wrapped        bool
	lone, drive    uint64   // matches of the word before at that are not looked at yet
	pending        []uint32 // anchors found and not opened yet, the last one is next
	hits           []hit    // lone providers found and not yielded yet
	visited        map[uint32]struct{}

	out       Candidate           // of a search
	solo      Candidate           // of a lone provider
	soloReady bool                // solo is filled in for this request
	seen      map[string]struct{} // candidates of sharing providers alone
	tree      *search             // the tree that is open, or its memory
	turn      []*search           // breadth first: trees with more to give
}

// start prepares a scan for a request; mu is held for reading. The scan keeps
// its world when the engine loads another.
func (s *scan) start(ctx context.Context, e *Engine, req *CandidateRequest) {
	s.e, s.ctx, s.left, s.q.w, s.q.req = e, ctx, -1, e.world, req
	if req.Limit > 0 {
		s.left = req.Limit
	}
}

// forget keeps the memory of a use and nothing else of it.
func (s *scan) forget() {
	*s = scan{
		q: query{
			groups: s.q.groups, rootRequired: s.q.rootRequired, rootForbidden: s.q.rootForbidden,
			subtrees: s.q.subtrees, lone: s.q.lone, drive: s.q.drive, spare: s.q.spare, roots: s.q.roots,
		},
		pending: s.pending[:0], hits: s.hits[:0],
		out: s.out, solo: s.solo, tree: s.tree,
	}
}

type hit struct {
	number uint32
	uuid   UUID
}

const (
	firstHits = 4    // lone providers gathered under one lock, at first
	maxHits   = 256  // and later
	maxWords  = 1024 // words looked at under one lock
)

// rewind starts at the first provider, or at a random one.
func (s *scan) rewind() {
	s.end = (s.q.w.providers.n + 63) / 64
	if s.q.req.Random && s.end > 0 {
		start, _ := bits.Mul64(mix(0x6b696c6f, s.q.req.Seed), uint64(s.q.w.providers.n))
		s.first, s.skip = uint32(start/64), 1<<(start%64)-1
	}
	s.at = s.first
	if s.q.fixed {
		s.pending = append(s.pending[:0], s.q.roots...)
		s.at, s.wrapped, s.first = 0, true, 0
	}
}

// run yields until the caller or the request has enough. It returns the error
// that ended it, if any.
func (s *scan) run(yield func(*Candidate, error) bool) error {
	size := firstHits
	for {
		if s.left > 0 {
			size = min(size, s.left)
		}
		found, more, err := s.gather(size)
		if err != nil {
			return err
		}
		size = min(2*size, maxHits)
		for k := range s.hits {
			if !s.yieldLone(&s.hits[k], yield) {
				return nil
			}
		}
		if found && !s.open(yield) {
			return nil
		}
		if !more {
			s.rounds(yield)
			return nil
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
}

// gather collects up to size lone providers, up to the next tree, at one
// moment. found tells that there is a tree after them.
func (s *scan) gather(size int) (found, more bool, err error) {
	s.hits = s.hits[:0]
	s.e.mu.RLock()
	defer s.e.mu.RUnlock()
	if s.q.epoch != s.q.w.symbolEpoch {
		if err := s.q.compile(); err != nil {
			return false, false, err
		}
	}
	if s.tree == nil {
		s.tree = new(search)
	}
	for words := 0; ; {
		switch {
		case len(s.hits) >= size:
			return false, true, nil
		case len(s.pending) > 0:
			root := s.pending[len(s.pending)-1]
			s.pending = s.pending[:len(s.pending)-1]
			if s.visit(root) && s.tree.capture(&s.q, root) {
				return true, true, nil
			}
		case s.lone != 0 && (s.drive == 0 || trailing(s.lone) < trailing(s.drive)):
			i := (s.at-1)*64 + trailing(s.lone)
			s.lone &= s.lone - 1
			if s.q.groups[0].fitsAll(s.q.w, i) {
				s.hits = append(s.hits, hit{i, s.q.w.provider(i).uuid})
			}
		case s.drive != 0:
			s.anchors((s.at-1)*64 + trailing(s.drive))
			s.drive &= s.drive - 1
		case words == maxWords:
			return false, true, nil
		default:
			words++
			if !s.nextWord() {
				return false, len(s.hits) > 0, nil
			}
		}
	}
}

// anchors queues the trees that provider i can serve.
func (s *scan) anchors(i uint32) {
	w := s.q.w
	if s.q.shared && w.hasTrait(i, w.sharing) {
		s.pending = append(s.pending, w.anchorsOf(i)...)
		slices.Reverse(s.pending) // the lowest is next, as pending was empty
	}
	s.pending = append(s.pending, w.provider(i).root)
}

// visit reports whether root is a provider that was not looked at yet.
func (s *scan) visit(root uint32) bool {
	if _, known := s.visited[root]; known {
		return false
	}
	if s.visited == nil {
		s.visited = map[uint32]struct{}{}
	}
	s.visited[root] = struct{}{}
	p := s.q.w.provider(root)
	return s.q.w.present.has(root) && p.parent == none
}

// nextWord reads both masks at the next word with a match, or up to the end
// of a page, and reports whether there were any words left.
func (s *scan) nextWord() bool {
	if s.at >= s.end && !s.wrapped { // from the start up to where the scan began
		s.at, s.wrapped, s.end = 0, true, s.first
		if s.skip != 0 {
			s.end++
		}
	}
	if s.at >= s.end || s.q.fixed {
		return false
	}
	p := s.at / pageWords
	lone, drive := s.q.lone.words(p), s.q.drive.words(p)
	for some := (lone | drive) >> (s.at % pageWords) << (s.at % pageWords); some != 0; some &= some - 1 {
		k := trailing(some)
		w := p*pageWords + k
		if w >= s.end {
			break
		}
		keep := ^uint64(0)
		if w == s.first {
			if keep = ^s.skip; s.wrapped {
				keep = s.skip
			}
		}
		if lone&(1<<k) != 0 {
			s.lone = s.q.lone.word(w) & keep
		}
		if drive&(1<<k) != 0 {
			s.drive = s.q.drive.word(w) & keep
		}
		if s.lone|s.drive != 0 {
			s.at = w + 1
			return true
		}
	}
	s.at = min((p+1)*pageWords, s.end)
	return true
}

// yieldLone yields the candidate of one provider for the one group. From one
// to the next only the provider changes.
func (s *scan) yieldLone(h *hit, yield func(*Candidate, error) bool) bool {
	c := &s.solo
	if !s.soloReady {
		s.beginSolo()
	}
	c.Root, c.Mappings[0].Providers[0] = h.uuid, h.uuid
	for k := range c.Allocations {
		c.Allocations[k].Provider = h.uuid
	}
	return s.count(yield(c, nil))
}

// beginSolo fills in what all candidates of lone providers share.
func (s *scan) beginSolo() {
	c, g := &s.solo, &s.q.req.Groups[0]
	c.Allocations, s.soloReady = c.Allocations[:0], true
	for _, r := range g.Resources {
		c.Allocations = append(c.Allocations, Allocation{Class: r.Class, Amount: r.Amount})
	}
	if len(c.Mappings) == 0 {
		c.Mappings = []Mapping{{Providers: make([]UUID, 1)}}
	}
	c.Mappings[0].Suffix = g.Suffix
}

func (s *scan) count(goOn bool) bool {
	s.left--
	return goOn && s.left != 0
}

// open yields all candidates of the captured tree, or breadth first its first
// one.
func (s *scan) open(yield func(*Candidate, error) bool) bool {
	s.tree.begin()
	for {
		gave, goOn := s.step(s.tree, yield)
		if !gave || !goOn {
			return goOn
		}
		if s.q.req.Order == BreadthFirst {
			s.turn, s.tree = append(s.turn, s.tree), nil
			return true
		}
	}
}

// step yields the next candidate of one tree.
func (s *scan) step(sr *search, yield func(*Candidate, error) bool) (gave, goOn bool) {
	for sr.next() {
		if c := s.build(sr); c != nil {
			return true, s.count(yield(c, nil))
		}
	}
	return false, true
}

// rounds goes on with the trees that have more, one candidate each in turn.
func (s *scan) rounds(yield func(*Candidate, error) bool) {
	for len(s.turn) > 0 {
		again := s.turn[:0]
		for _, sr := range s.turn {
			gave, goOn := s.step(sr, yield)
			if !goOn || s.ctx.Err() != nil {
				return
			}
			if gave {
				again = append(again, sr)
			}
		}
		s.turn = again
	}
}

// build makes the candidate of a search's present choices. It returns nil for
// one that must not be given.
func (s *scan) build(sr *search) *Candidate {
	if s.q.req.SingleProvider && !sr.oneOfTree() {
		return nil
	}
	if sr.sharedAlone() && !s.firstTime(sr) {
		return nil
	}
	c := &s.out
	c.Root, c.Allocations = sr.uuid, c.Allocations[:0]
	c.Mappings = slices.Grow(c.Mappings[:0], len(s.q.groups))[:len(s.q.groups)]
	for k := range c.Mappings {
		c.Mappings[k].Suffix, c.Mappings[k].Providers = s.q.groups[k].suffix, c.Mappings[k].Providers[:0]
	}
	for k := range sr.levels {
		l, n := &sr.levels[k], sr.chosen(k)
		m := &c.Mappings[l.group]
		if !slices.Contains(m.Providers, n.uuid) {
			m.Providers = append(m.Providers, n.uuid)
		}
		for _, x := range l.want {
			c.add(n.uuid, x.name, x.amount)
		}
	}
	return c
}

func (c *Candidate) add(provider UUID, class string, amount int64) {
	for k := range c.Allocations {
		if a := &c.Allocations[k]; a.Provider == provider && a.Class == class {
			a.Amount += amount
			return
		}
	}
	c.Allocations = append(c.Allocations, Allocation{provider, class, amount})
}

// oneOfTree reports whether no two providers with resources are of one tree.
//
// Source: placement, objects/research_context.py, exclude_nested_providers.
func (s *search) oneOfTree() bool {
	for k := range s.levels {
		for j := range k {
			a, b := s.chosen(k), s.chosen(j)
			if a != b && a.root == b.root && len(s.levels[k].want) > 0 && len(s.levels[j].want) > 0 {
				return false
			}
		}
	}
	return true
}

// sharedAlone reports whether the present choices are of sharing providers
// only, so that another anchor may give the same candidate.
func (s *search) sharedAlone() bool {
	if !s.q.shared {
		return false
	}
	for k := range s.levels {
		if !s.chosen(k).sharing {
			return false
		}
	}
	return true
}

// firstTime remembers the present choices.
func (s *scan) firstTime(sr *search) bool {
	key := make([]byte, 0, 4*len(sr.levels))
	for k := range sr.levels {
		key = binary.LittleEndian.AppendUint32(key, sr.chosen(k).number)
	}
	if _, known := s.seen[string(key)]; known {
		return false
	}
	if s.seen == nil {
		s.seen = map[string]struct{}{}
	}
	s.seen[string(key)] = struct{}{}
	return true
}
