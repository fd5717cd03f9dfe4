package sim_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// conductor brings every instance to its end, step by durable step.
type conductor struct {
	writer
	cloud     *cloud
	hosts     *live.Hosts
	scheduler *live.Scheduler
	now       time.Time
	heard     []time.Time // of each host; the scheduler was told
	ready     bool
}

const serviceDownTime = 15 * time.Second

func newConductor(c *cloud, hosts int) *conductor {
	return &conductor{writer: newWriter(c.bug), cloud: c, heard: make([]time.Time, hosts)}
}

func (c *conductor) start(in *machine.Event) {
	o := scheduler.Options{
		EnabledFilters: []string{"ComputeFilter"}, WeightClasses: []string{"RAMWeigher"},
		RAMWeightMultiplier: 1, ServiceDownTime: serviceDownTime,
	}
	c.hosts = live.NewHosts(64)
	cfg := live.Config{Engine: c.cloud.engine, Hosts: c.hosts, Now: func() time.Time { return c.now }, Seed: in.Rand.Uint64()}
	var err, err2, err3 error
	cfg.Filters, err = filter.Choose(&o)
	cfg.Weighers, err2 = weigh.Choose(&o)
	c.scheduler, err3 = live.New(cfg)
	if err := errors.Join(err, err2, err3); err != nil {
		panic(err) // the options are above
	}
	for n := range c.heard {
		c.alive(n)
	}
}

func (c *conductor) alive(n int) {
	if c.now.Sub(c.heard[n]) < serviceDownTime/3 {
		return // soon enough
	}
	c.heard[n] = c.now
	name := hostName(n)
	h := &scheduler.HostState{Host: name, Node: name, UUID: c.cloud.hostIDs[n], Service: scheduler.Service{LastReport: c.now}}
	if err := c.hosts.Put(h); err != nil {
		panic(err) // the UUID is ours
	}
}

// Step implements [machine.Machine].
func (c *conductor) Step(in *machine.Event, out *machine.Effects) {
	c.now = in.Now
	switch in.Kind {
	case machine.Start:
		c.start(in)
		out.Load(0)
	case machine.Loaded:
		c.load(in)
		c.ready = true
		for _, r := range in.Records {
			c.goOn(in, out, number(r.Key))
		}
	case machine.Received:
		if c.ready {
			c.take(in, out)
		}
	case machine.Fired:
		switch what, id, epoch := untoken(in.Token); what {
		case retry:
			c.retry(out, id, epoch)
		case again:
			c.again(in, out, id, epoch)
		}
	case machine.Committed:
		if c.committed(in, out) {
			c.tell(out, in.Token)
			c.goOn(in, out, in.Token)
		}
	}
}

// row returns what is durable of an instance, and whether it may be changed now.
func (c *conductor) row(id uint64) (row, bool) {
	r := c.records[id]
	if r == nil || r.version == 0 {
		return row{}, r == nil || r.flight == nil
	}
	return decodeRow(r.value), r.flight == nil
}

func (c *conductor) take(in *machine.Event, out *machine.Effects) {
	m := &in.Message
	if m.Method == "alive" {
		c.alive(int(m.ID))
		return
	}
	r, free := c.row(m.ID)
	switch {
	case !free:
		return // whoever sent it will send it again
	case m.Method == buildMethod && r.state == 0:
		c.put(in, out, m.ID, row{state: scheduling}.encode())
		if c.cloud.bug == earlyAnswer {
			out.Send(status(m.ID, scheduling, 0))
		}
	case m.Method == buildMethod:
		c.tell(out, m.ID)
	case m.Method == deleteMethod:
		switch r.state {
		case scheduling, building, active:
			c.undo(in, out, m.ID, deleted)
		default:
			c.tell(out, m.ID)
		}
	case m.Method == "present" && r.state == building && r.epoch == binary.LittleEndian.Uint32(m.Body):
		r.state = active
		c.put(in, out, m.ID, r.encode())
	case m.Method == "absent" && r.epoch == binary.LittleEndian.Uint32(m.Body):
		switch r.state {
		case building:
			c.undo(in, out, m.ID, failed)
		case undoing:
			c.release(in, out, m.ID)
		default:
		}
	}
}

// goOn does what the durable state of an instance asks for.
func (c *conductor) goOn(in *machine.Event, out *machine.Effects, id uint64) {
	r, free := c.row(id)
	if !free {
		return
	}
	c.record(id).tries = 0
	switch r.state {
	case scheduling:
		c.schedule(in, out, id)
	case building, undoing:
		if r.host == 0 {
			c.release(in, out, id)
			return
		}
		c.order(out, id, r)
	default:
	}
}

// order tells the host what should be, now and again.
func (c *conductor) order(out *machine.Effects, id uint64, r row) {
	method := "create"
	if r.state == undoing {
		method = "destroy"
	}
	out.Send(machine.Message{To: hostName(int(r.host) - 1), Method: method, ID: id, Body: binary.LittleEndian.AppendUint32(nil, r.epoch)})
	out.Timer(token(again, id, r.epoch), 2*time.Second)
}

// again is the timer of an instance that has not come on.
func (c *conductor) again(in *machine.Event, out *machine.Effects, id uint64, epoch uint32) {
	r, free := c.row(id)
	if !free {
		out.Timer(token(again, id, epoch), 2*time.Second)
		return
	}
	if r.epoch != epoch {
		if c.cloud.bug == staleTimer && r.state == active {
			c.undo(in, out, id, failed)
		}
		return
	}
	switch r.state {
	case scheduling:
		c.schedule(in, out, id)
	case building:
		if c.record(id).tries++; c.record(id).tries > 3 {
			c.undo(in, out, id, failed)
			return
		}
		c.order(out, id, r)
	case undoing:
		if r.host == 0 {
			c.release(in, out, id)
			return
		}
		c.order(out, id, r)
	default:
	}
}

// undo turns round: what was done is taken back, then the state is another.
func (c *conductor) undo(in *machine.Event, out *machine.Effects, id uint64, then state) {
	r, _ := c.row(id)
	if r.attempts++; then == failed && r.attempts < 2 {
		then = scheduling
	}
	r.state, r.then, r.epoch = undoing, then, r.epoch+1
	if c.cloud.bug == droppedUndo && then != deleted {
		r.host = 0
	}
	c.put(in, out, id, r.encode())
}

// schedule chooses a host and claims, unless an earlier life did already.
func (c *conductor) schedule(in *machine.Event, out *machine.Effects, id uint64) {
	r, _ := c.row(id)
	consumer := uuid('i', id)
	_, held, err := c.cloud.engine.Consumer(consumer)
	if err == nil {
		r.host = held[0].Provider[15] + 1
	} else {
		spec := &scheduler.RequestSpec{
			Flavor: scheduler.Flavor{VCPUs: instanceVCPUs, MemoryMiB: 64}, ProjectID: "p", UserID: "u",
			Instances: []string{consumer.String()},
		}
		chosen, err := c.scheduler.Schedule(context.Background(), &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)})
		if err != nil { // no valid host
			r.state, r.then = undoing, failed
			r.host = 0
			c.put(in, out, id, r.encode())
			return
		}
		r.host = chosen[0].UUID[15] + 1
	}
	r.state, r.epoch = building, r.epoch+1
	c.put(in, out, id, r.encode())
}

// release gives back the claim when nothing is on the host any more.
func (c *conductor) release(in *machine.Event, out *machine.Effects, id uint64) {
	r, _ := c.row(id)
	err := c.cloud.engine.DeleteAllocations(context.Background(), uuid('i', id))
	if err != nil && !errors.Is(err, placement.ErrNotFound) {
		panic(err) // an engine in memory has no other
	}
	r.state, r.then, r.host = r.then, 0, 0
	c.put(in, out, id, r.encode())
}

// tell tells the client how far its instance is.
func (c *conductor) tell(out *machine.Effects, id uint64) {
	if r, _ := c.row(id); r.state != 0 {
		out.Send(status(id, r.state, c.records[id].version))
	}
}

func status(id uint64, s state, version uint64) machine.Message {
	body := binary.LittleEndian.AppendUint64([]byte{byte(s)}, version)
	return machine.Message{To: clientOf(id), Method: "status", ID: id, Body: body}
}

func clientOf(id uint64) string { return fmt.Sprint("client", id/1000) }
