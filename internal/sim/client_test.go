package sim_test

import (
	"encoding/binary"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
)

// client wants instances, and some of them away again. It knows what it was
// told, and asks until it has what it wants.
type client struct {
	first     uint64
	instances []wish
	changed   bool // something for the checks
}

type wish struct {
	told      state
	version   uint64
	wasActive bool
	deleting  bool
}

// Step implements [machine.Machine].
func (c *client) Step(in *machine.Event, out *machine.Effects) {
	c.changed = true
	switch in.Kind {
	case machine.Start:
		for n := range c.instances {
			out.Timer(token(wake, uint64(n), 0), time.Duration(in.Rand.Int64N(int64(20*time.Second))))
		}
	case machine.Fired:
		_, n, _ := untoken(in.Token)
		c.ask(int(n), in, out)
	case machine.Received:
		w := &c.instances[in.Message.ID-c.first]
		if version := binary.LittleEndian.Uint64(in.Message.Body[1:]); version >= w.version {
			w.told, w.version = state(in.Message.Body[0]), version // else it was overtaken
		}
		w.wasActive = w.wasActive || w.told == active
	default:
	}
}

func (c *client) ask(n int, in *machine.Event, out *machine.Effects) {
	w, m := &c.instances[n], machine.Message{To: "conductor", Method: buildMethod, ID: c.first + uint64(n)}
	switch w.told {
	case failed, deleted:
		return
	case active:
		w.deleting = w.deleting || in.Rand.IntN(4) == 0
	default:
	}
	if w.deleting {
		m.Method = deleteMethod
	}
	if w.told != active || w.deleting {
		out.Send(m)
	}
	out.Timer(token(wake, uint64(n), 0), 2*time.Second)
}
