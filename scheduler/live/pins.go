package live

import (
	"context"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Pinner gives away what the engine does not count: NUMA cells, CPUs and
// devices of a host. It is safe for concurrent use.
type Pinner interface {
	// Wants reports whether a request wants any of it.
	Wants(s *scheduler.RequestSpec) bool
	// Pin chooses what instance r.Instance gets on h, or says why it cannot.
	// What others got that h's record does not list yet is in taken, as Pin
	// returned it. The compute service has to obey the choice.
	Pin(r *scheduler.Request, h *scheduler.HostState, taken [][]byte) ([]byte, scheduler.Reason, error)
}

// Chooser is a [Pinner] of what the engine counts too, such as devices that
// are resource providers: what it gives away has to be what is claimed.
type Chooser interface {
	Pinner
	// Narrows reports whether a request wants any of it. Then Pin is given
	// hosts with one of the engine's candidates at a time, and the first that
	// it takes is claimed.
	Narrows(s *scheduler.RequestSpec) bool
}

// PinsKey is the key of the guard of a host's pins, and of the attachment
// that lists them: UUID of the consumer, length and bytes of each.
func PinsKey(root placement.UUID) string { return "pins/" + root.String() }

// pins are what was given away on a host, as a plan sees it.
type pins struct {
	key     string
	root    placement.UUID
	version uint64
	held    []pin
	fresh   bool // the plan adds to them
}

type pin struct {
	consumer placement.UUID
	value    []byte
}

// pinsOf reads the pins of a host. The version is read first: what changes
// later, be it any allocation on the host, makes the claim fail.
func (s *Scheduler) pinsOf(p *plan, i uint32) *pins {
	if known := p.pins[i]; known != nil {
		return known
	}
	root := s.view.rows[i].uuid
	list := &pins{key: PinsKey(root), root: root}
	list.version = s.cfg.Engine.Guard(list.key)
	attached := s.cfg.Engine.Attachment(list.key)
	here := s.cfg.Engine.AppendConsumers(nil, root)
	for consumer, value := range PinsIn(attached) {
		if slices.Contains(here, consumer) && !slices.Contains(p.instances, consumer) {
			list.held = append(list.held, pin{consumer, value})
		}
	}
	if p.pins == nil {
		p.pins = map[uint32]*pins{}
	}
	p.pins[i] = list
	return list
}

// given is what an instance gets on a host besides amounts.
type given struct {
	pins []byte
	got  []placement.Allocation // that the pins go with; nil: any
}

// pin asks the pinner for the present instance.
func (s *Scheduler) pin(ctx context.Context, p *plan, i uint32) (given, scheduler.Reason, error) {
	r := s.view.rows[i]
	list := s.pinsOf(p, i)
	var taken [][]byte
	for k := range list.held {
		if _, reported := r.record.Instances[list.held[k].consumer.String()]; !reported {
			taken = append(taken, list.held[k].value)
		}
	}
	if p.chooses {
		return s.pinCandidate(ctx, p, r, taken)
	}
	value, why, err := s.cfg.Pinner.Pin(&p.request, &r.state, taken)
	return given{pins: value}, why, err
}

// mostCandidates is how many a pinner is asked about on one host.
const mostCandidates = 1000

// pinCandidate asks the pinner about the host's candidates, one after the
// other, until it takes one; the reason is what it said of the last.
func (s *Scheduler) pinCandidate(ctx context.Context, p *plan, r *row, taken [][]byte) (given, scheduler.Reason, error) {
	where := p.shape.where
	where.Anchor, where.Limit, where.Representative = r.uuid, mostCandidates, false
	last := scheduler.Reason{Why: "what the host has does not go together"}
	for c, err := range s.cfg.Engine.Candidates(ctx, where) {
		if err != nil {
			return given{}, last, err
		}
		h := r.state
		h.Candidates = []scheduler.Candidate{candidateOf(c)}
		value, why, err := s.cfg.Pinner.Pin(&p.request, &h, taken)
		if err != nil || why.Passes() {
			return given{value, slices.Clone(c.Allocations)}, why, err
		}
		last = why
	}
	return given{}, last, nil
}

func candidateOf(c *placement.Candidate) scheduler.Candidate {
	mappings := make(map[string][]string, len(c.Mappings))
	for k := range c.Mappings {
		m := &c.Mappings[k]
		for _, provider := range m.Providers {
			mappings[m.Suffix] = append(mappings[m.Suffix], provider.String())
		}
	}
	return scheduler.Candidate{Mappings: mappings}
}

// carry makes the pins part of a claim.
func (l *pins) carry(w *placement.AllocationWrite) {
	value := make([]byte, 0, 64*len(l.held))
	for k := range l.held {
		value = append(value, l.held[k].consumer[:]...)
		value = binary.AppendUvarint(value, uint64(len(l.held[k].value)))
		value = append(value, l.held[k].value...)
	}
	w.Guards = append(w.Guards, placement.Guard{Key: l.key, Version: l.version, Provider: l.root})
	w.Attachments = append(w.Attachments, placement.Attachment{Key: l.key, Value: value})
}

// PinsIn yields what an attachment of pins lists: instances, and what the
// pinner gave them. Instances that left the host may still be there.
func PinsIn(attachment []byte) iter.Seq2[placement.UUID, []byte] {
	const id = len(placement.UUID{})
	return func(yield func(placement.UUID, []byte) bool) {
		for b := attachment; len(b) > id; {
			size, n := binary.Uvarint(b[id:])
			if n <= 0 || size > uint64(len(b)-id-n) {
				return // nobody wrote this
			}
			end := id + n + int(size)
			if !yield(placement.UUID(b[:id]), b[id+n:end:end]) {
				return
			}
			b = b[end:]
		}
	}
}

// Pins returns what the pinner gave an instance on a host, nil when it has
// nothing there.
func Pins(e *placement.Engine, root, instance placement.UUID) []byte {
	for consumer, value := range PinsIn(e.Attachment(PinsKey(root))) {
		if consumer == instance {
			return value
		}
	}
	return nil
}
