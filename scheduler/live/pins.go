package live

import (
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

// pin asks the pinner for the present instance.
func (s *Scheduler) pin(p *plan, i uint32) ([]byte, scheduler.Reason, error) {
	r := s.view.rows[i]
	list := s.pinsOf(p, i)
	var taken [][]byte
	for k := range list.held {
		if _, reported := r.record.Instances[list.held[k].consumer.String()]; !reported {
			taken = append(taken, list.held[k].value)
		}
	}
	return s.cfg.Pinner.Pin(&p.request, &r.state, taken)
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
