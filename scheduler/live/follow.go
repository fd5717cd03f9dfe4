package live

import (
	"errors"
	"fmt"
	"math"

	"github.com/kilonova-cloud/kilonova/placement"
)

// A view is all hosts, kept current from the feeds, and the log of which of
// them changed. Whoever keeps something per host follows the log; a host that
// changed several times is looked at once, at its latest entry.
type view struct {
	reader
	rows   []*row
	free   []uint32
	byUUID map[placement.UUID]uint32

	pools uint64 // grows when something may have changed that trees share

	log  []uint32 // ring of hosts that changed
	next uint64   // number of the next entry; the first is 1

	loaded            bool
	engineAt, hostsAt uint64 // what was seen of the feeds
	changes           []placement.Change
	records           []placement.UUID
}

const logSize = 1 << 16

func newView(engine *placement.Engine, hosts *Hosts) *view {
	return &view{
		reader: reader{engine: engine, hosts: hosts, kinds: map[placement.Inventory]*kind{}},
		byUUID: map[placement.UUID]uint32{}, next: 1,
		changes: make([]placement.Change, 256), records: make([]placement.UUID, 256),
	}
}

// sync reads both feeds up to now.
func (v *view) sync() error {
	if !v.loaded {
		return v.reload()
	}
	err := v.syncEngine()
	if err == nil && v.hosts != nil {
		err = v.syncHosts()
	}
	if errors.Is(err, placement.ErrTooFarBehind) {
		return v.reload()
	}
	return err
}

func (v *view) syncEngine() error {
	for {
		n, err := v.engine.Changes(v.engineAt, v.changes)
		if err != nil || n == 0 {
			return err
		}
		for k := range v.changes[:n] {
			c := &v.changes[k]
			switch c.Kind {
			case placement.ChangeAllocations:
				v.touch(c.Root, false)
			case placement.ChangeDefinition, placement.ChangeRemoved:
				v.touch(c.Root, true)
			case placement.ChangeGuard, placement.ChangeAttachment: // read when they are needed
			}
		}
		v.engineAt = v.changes[n-1].Seq
	}
}

func (v *view) syncHosts() error {
	for {
		n, err := v.hosts.Changes(v.hostsAt, v.records)
		if err != nil || n == 0 {
			return err
		}
		for _, uuid := range v.records[:n] {
			v.touch(uuid, true)
		}
		v.hostsAt += uint64(n)
	}
}

// touch notes that a host is to be read again before it is used.
func (v *view) touch(uuid placement.UUID, defined bool) {
	i, known := v.byUUID[uuid]
	if !known || v.hosts == nil {
		v.pools++
	}
	if !known {
		if !defined {
			return
		}
		i = v.enter(uuid)
	}
	r := v.rows[i]
	r.stale, r.redefined = true, r.redefined || defined
	v.note(i, defined)
}

// note makes an entry in the log.
func (v *view) note(i uint32, defined bool) {
	r := v.rows[i]
	if r.touched = v.next; defined {
		r.defined = v.next
	}
	at := v.next % logSize
	for uint64(len(v.log)) <= at { // by one, or a gap left by a reload
		v.log = append(v.log, 0)
	}
	v.log[at] = i
	v.next++
}

func (v *view) enter(uuid placement.UUID) uint32 {
	i := uint32(len(v.rows))
	if n := len(v.free); n > 0 {
		i, v.free = v.free[n-1], v.free[:n-1]
	} else {
		v.rows = append(v.rows, new(row))
	}
	v.rows[i].renew(uuid)
	v.byUUID[uuid] = i
	return i
}

// at returns a row that is up to date.
func (v *view) at(i uint32) *row {
	r := v.rows[i]
	if r.stale {
		v.refresh(i)
	}
	return r
}

// refresh reads a host again. One that is gone gives its place away.
func (v *view) refresh(i uint32) {
	r := v.rows[i]
	v.read(r)
	if r.gone && len(r.claims) == 0 {
		delete(v.byUUID, r.uuid)
		v.free = append(v.free, i)
	}
}

// reload reads every host again, and follows the feeds from now on.
func (v *view) reload() error {
	v.loaded, v.engineAt = true, v.engine.LastChange()
	var list []placement.UUID
	if v.hosts != nil {
		list, v.hostsAt = v.hosts.List()
	} else {
		snap := v.engine.Snapshot()
		defer snap.Close()
		for p := range snap.Providers() {
			if p.Root == p.UUID {
				list = append(list, p.UUID)
			}
		}
	}
	for _, uuid := range list {
		if _, known := v.byUUID[uuid]; !known {
			v.enter(uuid)
		}
	}
	if len(v.rows) > math.MaxInt32 {
		return fmt.Errorf("%d hosts, allowed are: at most %d", len(v.rows), math.MaxInt32)
	}
	v.next += logSize + 1 // nobody can follow from before
	for _, i := range v.byUUID {
		r := v.rows[i]
		r.stale, r.redefined, r.touched, r.defined = true, true, v.next-1, v.next-1
	}
	return nil
}
