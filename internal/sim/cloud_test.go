package sim_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/internal/sim"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The cloud of these tests: clients ask a conductor for instances; it chooses
// and claims with scheduler/live on a placement engine, has a host create the
// guest, and undoes what does not work out. Its records and those of the hosts
// are in stores. A bug is planted by name.
type bug string

const (
	sound          bug = ""
	droppedUndo    bug = "a build that fails is not undone on the host"
	ignoredUnknown bug = "an Unknown commit counts as committed"
	noIdempotency  bug = "a host does not look whether a message is older than what it did"
	staleTimer     bug = "a timer forgets its epoch"
	earlyAnswer    bug = "the conductor answers before the commit"
)

// state is how far an instance has come.
type state byte

const (
	scheduling state = iota + 1
	building
	active
	undoing // then: failed, deleted or scheduling
	failed
	deleted
)

func (s state) String() string {
	return [...]string{"absent", "scheduling", "building", "active", "undoing", "failed", "deleted"}[s]
}

// row is what a conductor keeps of an instance.
type row struct {
	state, then state
	attempts    byte
	host        byte   // number of the host plus 1; 0: none
	epoch       uint32 // of what the host is told
}

func (r row) encode() []byte {
	return append([]byte{byte(r.state), byte(r.then), r.attempts, r.host}, binary.LittleEndian.AppendUint32(nil, r.epoch)...)
}

func decodeRow(b []byte) row {
	return row{state(b[0]), state(b[1]), b[2], b[3], binary.LittleEndian.Uint32(b[4:])}
}

// guest is what a host keeps of an instance: also, for ever, that it is gone,
// so that an old message does not bring it back.
type guest struct {
	present bool
	epoch   uint32
}

func (g guest) encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, g.epoch)
	if g.present {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeGuest(b []byte) guest { return guest{b[4] == 1, binary.LittleEndian.Uint32(b)} }

func key(id uint64) store.Key {
	return store.Key{Kind: 1, ID: string(binary.BigEndian.AppendUint64(nil, id))}
}

func number(k store.Key) uint64 { return binary.BigEndian.Uint64([]byte(k.ID)) }

// table is a store that also shows the checks what is in it.
type table[R any] struct {
	store.Store
	decode  func([]byte) R
	rows    map[uint64]R
	last    uint64
	changed bool
}

func newTable[R any](decode func([]byte) R) *table[R] {
	return &table[R]{Store: mem.New(mem.Config{History: 2048}), decode: decode, rows: map[uint64]R{}}
}

func (t *table[R]) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	res, err := t.Store.Commit(ctx, b)
	if err == nil && res.Outcome == store.Committed && res.Revision > t.last {
		t.last, t.changed = res.Revision, true
		for _, p := range b.Puts {
			t.rows[number(p.Key)] = t.decode(p.Value)
		}
	}
	return res, err
}

// cloud is everything there is, for the checks.
type cloud struct {
	bug     bug
	engine  *placement.Engine
	rows    *table[row]
	guests  []*table[guest]
	hostIDs []string
	clients []*client
	change  uint64

	instances []uint64 // all that may ever be
}

func uuid(kind byte, n uint64) placement.UUID {
	u := placement.UUID{kind, 1}
	binary.BigEndian.PutUint64(u[8:], n)
	return u
}

func hostName(n int) string { return "host" + strconv.Itoa(n) }

const hostVCPUs, instanceVCPUs = 8, 2

// What clients ask for.
const buildMethod, deleteMethod = "please build", "please delete"

// scenario is the cloud with a bug.
func scenario(planted bug) *sim.Scenario {
	rates := sim.Rough()
	rates[sim.FeedEnded], rates[sim.FeedLate], rates[sim.FeedCompacted] = 0, 0, 0 // nobody follows a feed
	return &sim.Scenario{
		Counts: []sim.Count{{Name: "hosts", N: 3}, {Name: "clients", N: 2}, {Name: "instances of each", N: 6}},
		Build: func(s *sim.Sim, counts []int) error {
			return build(s, planted, counts)
		},
		Rates:  rates,
		Settle: 3 * time.Minute,
		Words:  words,
	}
}

func words(m machine.Message) string {
	if m.Method == "alive" {
		return hostName(int(m.ID))
	}
	text := fmt.Sprint("instance ", m.ID)
	switch {
	case m.Method == "status":
		text += fmt.Sprint(" (", state(m.Body[0]), ")")
	case len(m.Body) == 4:
		text += fmt.Sprint(" epoch ", binary.LittleEndian.Uint32(m.Body))
	}
	return text
}

func build(s *sim.Sim, planted bug, counts []int) error {
	ctx := context.Background()
	engine, err := placement.Open(ctx, placement.Config{Seed: 1, Now: s.Now, FeedSize: 64})
	if err != nil {
		return err
	}
	c := &cloud{bug: planted, engine: engine, rows: newTable(decodeRow)}
	for n := range counts[0] {
		if _, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid('h', uint64(n)), Name: hostName(n)}); err != nil {
			return err
		}
		inv := map[string]placement.Inventory{"VCPU": placement.NewInventory(hostVCPUs), "MEMORY_MB": placement.NewInventory(1024)}
		if _, err := engine.SetInventories(ctx, uuid('h', uint64(n)), inv, placement.AnyGeneration); err != nil {
			return err
		}
		disk := newTable(decodeGuest)
		c.guests = append(c.guests, disk)
		start := func() machine.Machine { return newHost(planted, n) }
		c.hostIDs = append(c.hostIDs, uuid('h', uint64(n)).String())
		if err := s.Add(sim.Process{Name: hostName(n), New: start, Store: disk}); err != nil {
			return err
		}
	}
	if err := s.Add(sim.Process{Name: "conductor", New: func() machine.Machine { return newConductor(c, counts[0]) }, Store: c.rows}); err != nil {
		return err
	}
	for n := range counts[1] {
		own := &client{first: uint64(1000 * n), instances: make([]wish, counts[2])}
		c.clients = append(c.clients, own)
		for k := range own.instances {
			c.instances = append(c.instances, own.first+uint64(k))
		}
		if err := s.Add(sim.Process{Name: fmt.Sprint("client", n), New: func() machine.Machine { return own }, Steady: true}); err != nil {
			return err
		}
	}
	c.addChecks(s)
	return nil
}
