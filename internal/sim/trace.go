package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/store"
)

// trace sums up what happens, and writes it down when somebody reads it.
type trace struct {
	hash  uint64
	out   io.Writer                      // nil: nobody reads
	words func(m machine.Message) string // what is in a message
	err   error
}

func (t *trace) add(x uint64) { t.hash = bits.RotateLeft64(t.hash^x, 27) * 0x9e3779b97f4a7c15 }

func hashText[T string | []byte](h uint64, text T) uint64 {
	var word [8]byte
	for len(text) >= 8 {
		copy(word[:], text[:8])
		h = bits.RotateLeft64(h^binary.LittleEndian.Uint64(word[:]), 27) * 0x9e3779b97f4a7c15
		text = text[8:]
	}
	word = [8]byte{7: byte(len(text)) + 1}
	copy(word[:], text)
	return mix(h ^ binary.LittleEndian.Uint64(word[:]))
}

// step notes an event that a process takes.
func (t *trace) step(s *Sim, p *process, in *machine.Event) {
	t.add(uint64(s.now))
	t.add(uint64(p.index)<<8 | uint64(in.Kind))
	switch in.Kind {
	case machine.Received:
		t.add(in.Message.ID)
		t.hash = hashText(hashText(t.hash, in.Message.Method), in.Message.Body)
	case machine.Fired:
		t.add(in.Token)
	case machine.Committed:
		t.add(in.Token)
		t.add(uint64(in.Result.Outcome)<<56 ^ in.Result.Revision)
	case machine.Loaded:
		t.add(in.Revision)
		t.add(uint64(len(in.Records)))
	case machine.Start:
	}
	if t.out == nil {
		return
	}
	switch in.Kind {
	case machine.Received:
		t.line(s, fmt.Sprintf("%s takes %s of %s from %s", p.name, in.Message.Method, t.words(in.Message), in.Message.From))
	case machine.Fired:
		t.line(s, fmt.Sprintf("%s: timer %x", p.name, in.Token))
	case machine.Committed:
		what := fmt.Sprint(in.Result.Outcome, " at revision ", in.Result.Revision)
		if in.Err != nil {
			what = in.Err.Error()
		}
		t.line(s, fmt.Sprintf("%s: commit %x: %s", p.name, in.Token, what))
	case machine.Loaded:
		t.line(s, fmt.Sprintf("%s: loaded %d records at revision %d", p.name, len(in.Records), in.Revision))
	case machine.Start:
		t.line(s, fmt.Sprintf("%s starts, for the %d. time", p.name, p.boot))
	}
}

func (t *trace) fault(s *Sim, p *process, kind FaultKind, pause time.Duration) {
	if t.out != nil {
		t.line(s, fmt.Sprintf("  FAULT %v of %s, %v", kind, p.name, pause))
	}
}

func (t *trace) message(s *Sim, p *process, kind FaultKind, m *machine.Message) {
	if t.out != nil {
		t.line(s, fmt.Sprintf("  FAULT %v: %s of %s from %s to %s", kind, m.Method, t.words(*m), p.name, m.To))
	}
}

func (t *trace) commit(s *Sim, p *process, c *commit) {
	if t.out != nil {
		t.line(s, fmt.Sprintf("  FAULT %v: commit of %s", c.fault, p.name))
	}
}

func (t *trace) late(s *Sim, p *process, res store.Result, err error) {
	t.add(uint64(res.Outcome)<<56 ^ res.Revision)
	if t.out != nil {
		t.line(s, fmt.Sprintf("  an earlier commit of %s comes to the store: %v at revision %d %v", p.name, res.Outcome, res.Revision, err))
	}
}

// line writes one line with the time and the number of the step.
func (t *trace) line(s *Sim, text string) {
	if t.out != nil && t.err == nil {
		_, t.err = fmt.Fprintf(t.out, "%12.6f %5d  %s\n", time.Duration(s.now).Seconds(), s.steps, text)
	}
}
