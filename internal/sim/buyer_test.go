package sim_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// buyer is a client that claims, shows and releases instances.
type buyer struct {
	market *market
	first  uint64
	deals  []deal
}

// deal is what a client was told of an instance. Each of its claims has an ID
// of its own, as a message or commit of the one before may still come.
type deal struct {
	id    uint64 // of its first claim
	round uint64
	host  byte      // plus 1; 0: none, or it wants it away
	busy  time.Time // when it began to claim or release, zero: it does not
}

const maxRounds = 16

func (d *deal) claim() uint64 { return d.id + d.round }

func (b *buyer) run(e *sim.Env) {
	for k := range b.deals {
		b.deals[k].id = (b.first + uint64(k)) * maxRounds
		own := rand.New(rand.NewPCG(e.Rand().Uint64(), 0)) // so that one deal does not move others
		e.Go(func() { b.trade(e, &b.deals[k], own) })
	}
}

// trade takes an instance through its rounds. What is away is swept again and
// again, as late messages and commits may bring it back.
func (b *buyer) trade(e *sim.Env, d *deal, own *rand.Rand) {
	for {
		e.Sleep(time.Millisecond + time.Duration(own.Int64N(int64(10*time.Second))))
		switch own.IntN(3) {
		case 0:
			b.sweep(e, d)
		case 1:
			b.change(e, d)
		case 2:
			b.look(e, d)
		}
	}
}

func (b *buyer) sweep(e *sim.Env, d *deal) {
	for id := d.id; id < d.claim(); id++ {
		_, _ = b.call(e, "release", id) // if not now, then later
	}
}

func (b *buyer) change(e *sim.Env, d *deal) {
	d.busy = e.Now()
	b.turn(e, d)
	d.busy = time.Time{}
}

func (b *buyer) turn(e *sim.Env, d *deal) {
	switch {
	case d.host != 0:
		d.host, d.round = 0, d.round+1
		b.insist(e, "release", d.claim()-1)
	case d.round+1 < maxRounds:
		if reply := b.insist(e, "claim", d.claim()); reply != nil {
			d.host = reply[0]
			b.look(e, d)
		} else {
			d.round++
		}
	}
}

func (b *buyer) look(e *sim.Env, d *deal) {
	reply, err := b.call(e, "show", d.claim())
	if err == nil && d.host != 0 && reply[0] != d.host && b.market.violated == nil {
		b.market.violated = fmt.Errorf("claim %d is shown on %d, and its client was told %s", d.claim(), int(reply[0])-1, hostName(int(d.host)-1))
	}
}

// insist asks until there is an answer; nil is that there is no valid host.
func (b *buyer) insist(e *sim.Env, method string, id uint64) []byte {
	for {
		reply, err := b.call(e, method, id)
		if err == nil {
			return append([]byte{}, reply...) // not nil
		}
		var refused *bus.RemoteError
		if errors.As(err, &refused) && refused.Code == "NoValidHost" {
			return nil
		}
		e.Sleep(time.Second)
	}
}

func (b *buyer) call(e *sim.Env, method string, id uint64) ([]byte, error) {
	return bus.Call(context.Background(), e.Bus(), bus.Envelope{
		ID: newID(e.Rand()), Topic: schedulers, Method: method, Version: marketVersion, Timeout: 5 * time.Second,
		Body: binary.BigEndian.AppendUint64(nil, id),
	})
}

func newID(r *rand.Rand) (id bus.ID) {
	binary.LittleEndian.PutUint64(id[:], r.Uint64())
	binary.LittleEndian.PutUint64(id[8:], r.Uint64()|1)
	return id
}
