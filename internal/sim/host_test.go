package sim_test

import (
	"encoding/binary"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
)

// host is a compute service. Its disk says which guests there are.
type host struct {
	writer
	number int
	ready  bool
	bug    bug
}

func newHost(planted bug, n int) *host {
	return &host{writer: newWriter(planted), number: n, bug: planted}
}

// Step implements [machine.Machine].
func (h *host) Step(in *machine.Event, out *machine.Effects) {
	switch in.Kind {
	case machine.Start:
		out.Load(0)
	case machine.Loaded:
		h.load(in)
		h.ready = true
		h.beat(out)
	case machine.Received:
		if h.ready {
			h.take(in, out)
		}
	case machine.Fired:
		if what, id, version := untoken(in.Token); what == retry {
			h.retry(out, id, version)
		} else {
			h.beat(out)
		}
	case machine.Committed:
		if h.committed(in, out) {
			h.answer(in.Token, out)
		}
	}
}

func (h *host) beat(out *machine.Effects) {
	out.Send(machine.Message{To: "conductor", Method: "alive", ID: uint64(h.number)})
	out.Timer(token(beat, 0, 0), 4*time.Second)
}

// take creates or destroys a guest, if the message is newer than what was done.
func (h *host) take(in *machine.Event, out *machine.Effects) {
	r, epoch := h.record(in.Message.ID), binary.LittleEndian.Uint32(in.Message.Body)
	if r.flight != nil {
		return // it will be asked again
	}
	if r.version != 0 {
		switch done := decodeGuest(r.value); {
		case done.epoch == epoch:
			h.answer(in.Message.ID, out)
			return
		case done.epoch > epoch && h.bug != noIdempotency:
			return
		}
	}
	create := in.Message.Method == "create" && in.Rand.IntN(8) > 0
	h.put(in, out, in.Message.ID, guest{create, epoch}.encode())
}

// answer tells the conductor what is on the disk.
func (h *host) answer(id uint64, out *machine.Effects) {
	r := h.record(id)
	if r.version == 0 {
		return
	}
	g, method := decodeGuest(r.value), "absent"
	if g.present {
		method = "present"
	}
	out.Send(machine.Message{To: "conductor", Method: method, ID: id, Body: binary.LittleEndian.AppendUint32(nil, g.epoch)})
}
