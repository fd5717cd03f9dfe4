package placement

import (
	"context"
	"fmt"
)

// Violation is one broken invariant. ARCHITECTURE.md explains the invariants
// by name.
type Violation struct {
	Invariant string // "INV-1", ...
	Subject   string // the record
	Detail    string // what was found, and what should be
}

// String is one line for people.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Subject, v.Detail)
}

// Verify checks the invariants of records over a snapshot, which it reads to
// its end, and returns every violation, none when all is well. It holds one
// entry per provider in memory.
func Verify(ctx context.Context, s *Snapshot) ([]Violation, error) {
	v := verifier{
		providers: map[UUID]*verified{}, names: map[string]UUID{},
		classes: map[string]bool{}, traits: map[string]bool{}, consumers: map[UUID]bool{},
	}
	for _, c := range s.Classes {
		v.classes[c] = true
	}
	for _, t := range s.Traits {
		v.traits[t] = true
	}
	for p := range s.Providers() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		v.provider(&p)
	}
	v.trees()
	for c := range s.Consumers() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		v.consumer(&c)
	}
	v.usages()
	for g := range s.Guards() {
		if _, known := v.providers[g.Provider]; !known && !g.Provider.IsZero() || g.Version == 0 {
			v.found("INV-9", "guard "+g.Key, "version %d, bound to provider %s, which must exist", g.Version, g.Provider)
		}
	}
	for a := range s.Attachments() {
		if len(a.Key) > maxKey || len(a.Value) > maxAttachmentBytes {
			v.found("INV-9", "attachment "+a.Key, "%d bytes, allowed are %d", len(a.Value), maxAttachmentBytes)
		}
	}
	return v.violations, nil
}

// Verify checks every invariant: those of records over a snapshot, and that
// the indexes agree with the records (INV-8).
func (e *Engine) Verify(ctx context.Context) ([]Violation, error) {
	s := e.Snapshot()
	defer s.Close()
	found, err := Verify(ctx, s)
	if err != nil {
		return nil, err
	}
	return e.auditIndexes(ctx, found)
}

type verifier struct {
	providers       map[UUID]*verified
	names           map[string]UUID
	classes, traits map[string]bool
	consumers       map[UUID]bool
	violations      []Violation
}

type verified struct {
	parent, root UUID
	used         map[string]int64 // as the inventories say, less what consumers hold

	climbed, onPath bool // state of climb
}

func (v *verifier) found(invariant, subject, format string, args ...any) {
	v.violations = append(v.violations, Violation{invariant, subject, fmt.Sprintf(format, args...)})
}

func (v *verifier) provider(p *ProviderRecord) {
	subject := "provider " + p.UUID.String()
	if _, twice := v.providers[p.UUID]; twice {
		v.found("INV-4", subject, "its UUID occurs twice")
	}
	if other, twice := v.names[p.Name]; twice {
		v.found("INV-4", subject, "its name %q is that of %s too", p.Name, other)
	}
	v.names[p.Name] = p.UUID
	row := &verified{parent: p.Parent, root: p.Root, used: make(map[string]int64, len(p.Inventories))}
	v.providers[p.UUID] = row
	for _, i := range p.Inventories {
		if !v.classes[i.Class] {
			v.found("INV-5", subject, "inventory of unknown class %q", i.Class)
		}
		if err := i.Inventory.Validate(); err != nil {
			v.found("INV-7", subject, "inventory of %s: %v", i.Class, err)
		}
		row.used[i.Class] = i.Used
	}
	for _, t := range p.Traits {
		if !v.traits[t] {
			v.found("INV-5", subject, "unknown trait %q", t)
		}
	}
}

// trees checks INV-3: a root is its own root, a child has its parent's, and
// following parents ends at the root.
func (v *verifier) trees() {
	for id, p := range v.providers {
		subject := "provider " + id.String()
		if p.parent.IsZero() {
			if p.root != id {
				v.found("INV-3", subject, "has no parent, but root %s", p.root)
			}
			continue
		}
		parent, known := v.providers[p.parent]
		if !known {
			v.found("INV-3", subject, "parent %s does not exist", p.parent)
			continue
		}
		if parent.root != p.root {
			v.found("INV-3", subject, "root is %s, that of its parent is %s", p.root, parent.root)
		}
		v.climb(id)
	}
}

// climb follows the parents of id up to a root, or to where an earlier climb
// has been.
func (v *verifier) climb(id UUID) {
	var path []*verified
	for at := v.providers[id]; at != nil && !at.climbed; at = v.providers[at.parent] {
		if at.onPath {
			v.found("INV-3", "provider "+id.String(), "is below a provider that is its own ancestor")
			break
		}
		at.onPath = true
		path = append(path, at)
	}
	for _, p := range path {
		p.climbed, p.onPath = true, false
	}
}

func (v *verifier) consumer(c *ConsumerRecord) {
	subject := "consumer " + c.UUID.String()
	if v.consumers[c.UUID] {
		v.found("INV-4", subject, "its UUID occurs twice")
	}
	v.consumers[c.UUID] = true
	if c.Project == "" || c.User == "" || len(c.Allocations) == 0 || c.Generation < 1 {
		v.found("INV-6", subject, "project %q, user %q, generation %d, %d allocations", c.Project, c.User, c.Generation, len(c.Allocations))
	}
	for _, a := range c.Allocations {
		p, known := v.providers[a.Provider]
		if !known {
			v.found("INV-2", subject, "allocation on provider %s, which does not exist", a.Provider)
			continue
		}
		if _, has := p.used[a.Class]; !has {
			v.found("INV-2", subject, "allocation of %s on provider %s, which has none", a.Class, a.Provider)
			continue
		}
		if a.Amount < 1 {
			v.found("INV-6", subject, "allocation of %d %s", a.Amount, a.Class)
		}
		p.used[a.Class] -= a.Amount
	}
}

func (v *verifier) usages() {
	for id, p := range v.providers {
		for class, rest := range p.used {
			if rest != 0 {
				v.found("INV-1", "provider "+id.String(), "usage of %s is off by %d from the sum of its allocations", class, rest)
			}
		}
	}
}
