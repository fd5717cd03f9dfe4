package live

import (
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// A row is what the scheduler knows of one host. It is only touched under the
// scheduler's lock, so that its state may change in place. What decides whether
// a host will do is in front, close together: of many hosts nothing else is
// looked at.
type row struct {
	uuid      placement.UUID
	gone      bool // no record or no tree of providers: not a host
	flat      bool // one provider that nobody else serves: stock says what fits
	stale     bool // read the engine before use
	redefined bool // and the record
	known     bool // state.Instances is up to date
	weighed   bool
	score     float64 // by weighers that do not look at the request; valid when weighed
	stock     []stock // in first, as long as there is room
	touched   uint64  // number of the latest entry of the log about this host
	defined   uint64  // number of the latest one that is about more than usage
	first     [3]stock
	claims    []claim              // of this scheduler, not yet known to be committed
	record    *scheduler.HostState // that state was made from
	state     scheduler.HostState
}

// renew makes the row that of a host of which nothing is known.
func (r *row) renew(uuid placement.UUID) {
	*r = row{uuid: uuid}
	r.stock = r.first[:0]
}

// stock is an inventory of a host, summed up over its tree.
type stock struct {
	class string
	kind  *kind
	used  int64 // committed
	ahead int64 // by claims of this scheduler
	heard int64 // what the engine said is used, claims of others included; 0: nothing
}

// kind is an inventory without its usage. A cloud has a few kinds of host.
type kind struct {
	placement.Inventory
	capacity int64
}

// claim is an allocation on a host that is not known to be committed.
type claim struct {
	consumer placement.UUID
	amounts  []placement.Resource
}

// inUse is the most that may be in use.
func (k *stock) inUse() int64 { return max(k.used+k.ahead, k.heard) }

func (r *row) find(class string) *stock {
	for k := range r.stock {
		if r.stock[k].class == class {
			return &r.stock[k]
		}
	}
	return nil
}

// fits reports whether the host, a flat one, has room for all of it.
func (r *row) fits(need []placement.Resource) bool {
	for k := range need {
		s := r.find(need[k].Class)
		if s == nil || need[k].Amount > s.kind.capacity-s.inUse() {
			return false
		}
		inv, n := &s.kind.Inventory, need[k].Amount
		if n < inv.MinUnit || n > inv.MaxUnit || inv.StepSize > 1 && n%inv.StepSize != 0 {
			return false
		}
	}
	return true
}

// take counts a claim that is on its way, give takes it back.
func (r *row) take(c claim) {
	r.claims = append(r.claims, c)
	r.add(c.amounts, 1)
	r.amounts()
}

func (r *row) give(consumer placement.UUID) {
	for k := range r.claims {
		if r.claims[k].consumer == consumer {
			r.add(r.claims[k].amounts, -1)
			r.claims[k] = r.claims[len(r.claims)-1]
			r.claims[len(r.claims)-1] = claim{}
			r.claims = r.claims[:len(r.claims)-1]
			break
		}
	}
	r.amounts()
}

func (r *row) add(amounts []placement.Resource, sign int64) {
	for _, a := range amounts {
		if s := r.find(a.Class); s != nil {
			s.ahead += sign * a.Amount
		}
	}
	r.state.NumInstances += sign
	r.known = false
}

// amounts sets what the state says of usage.
func (r *row) amounts() {
	r.weighed = false
	for k := range r.stock {
		s := &r.stock[k]
		used, inv := s.inUse(), &s.kind.Inventory
		switch s.class {
		case "VCPU":
			r.state.VCPUsTotal, r.state.VCPUsUsed, r.state.CPUAllocationRatio = inv.Total, used, inv.AllocationRatio
		case "MEMORY_MB":
			r.state.TotalRAMMiB, r.state.FreeRAMMiB, r.state.RAMAllocationRatio = inv.Total, inv.Total-inv.Reserved-used, inv.AllocationRatio
		case "DISK_GB":
			r.state.FreeDiskMiB, r.state.DiskUsedMiB = (inv.Total-inv.Reserved-used)*1024, used*1024
			r.state.DiskAllocationRatio = inv.AllocationRatio
		}
	}
}

// A reader brings rows up to date.
type reader struct {
	engine    *placement.Engine
	hosts     *Hosts // nil: every root is a host
	tree      placement.TreeState
	kinds     map[placement.Inventory]*kind
	consumers []placement.UUID
}

// read brings the row up to date.
func (d *reader) read(r *row) {
	if r.redefined || r.record == nil {
		d.readRecord(r)
	}
	r.stale, r.redefined = false, false
	found := d.engine.ReadTree(r.uuid, &d.tree)
	if r.gone = !found || r.record == nil; r.gone {
		return
	}
	r.flat = d.tree.Providers == 1 && !d.tree.Served
	d.readStock(r)
	r.state.NumInstances = int64(d.tree.Consumers)
	r.known = false
	for k := range r.claims {
		r.add(r.claims[k].amounts, 1)
	}
	r.amounts()
}

func (d *reader) readRecord(r *row) {
	if d.hosts != nil {
		r.record = d.hosts.Host(r.uuid)
	} else if p, err := d.engine.Provider(r.uuid); err == nil && p.Root == r.uuid {
		r.record = &scheduler.HostState{Host: p.Name, Node: p.Name, UUID: r.uuid.String()}
	} else {
		r.record = nil
	}
	if r.record != nil {
		r.state = *r.record
		r.state.Instances = nil
	}
}

// readStock sums the tree's inventories up by class. Rows of a class that was
// there before are the cheap case: most hosts never change their inventories.
func (d *reader) readStock(r *row) {
	n := 0
	for k := range d.tree.Stock {
		t := &d.tree.Stock[k]
		if at := r.position(t.Class, n); at >= 0 { // another provider of the tree
			s := &r.stock[at]
			sum := s.kind.Inventory
			sum.Total += t.Inventory.Total
			sum.Reserved += t.Inventory.Reserved
			s.kind = d.kind(sum, s.kind.capacity+t.Capacity)
			s.used += t.Used
			continue
		}
		if n == len(r.stock) {
			r.stock = append(r.stock, stock{})
		}
		s := &r.stock[n]
		n++
		if s.class != t.Class || s.kind.Inventory != t.Inventory {
			s.class, s.kind = t.Class, d.kind(t.Inventory, t.Capacity)
		}
		s.used, s.ahead, s.heard = t.Used, 0, 0
	}
	r.stock = r.stock[:n]
}

func (r *row) position(class string, n int) int {
	for k := range n {
		if r.stock[k].class == class {
			return k
		}
	}
	return -1
}

func (d *reader) kind(inv placement.Inventory, capacity int64) *kind {
	k := d.kinds[inv]
	if k == nil || k.capacity != capacity {
		k = &kind{inv, capacity}
		d.kinds[inv] = k
	}
	return k
}

// readInstances fills in the instances of the host, with those on their way.
func (d *reader) readInstances(r *row) {
	if r.known {
		return
	}
	r.known = true
	d.consumers = d.engine.AppendConsumers(d.consumers[:0], r.uuid)
	for k := range r.claims {
		d.consumers = append(d.consumers, r.claims[k].consumer)
	}
	if r.state.Instances == nil {
		r.state.Instances = make(map[string]scheduler.Instance, len(d.consumers))
	}
	clear(r.state.Instances)
	for _, c := range d.consumers {
		uuid := c.String()
		r.state.Instances[uuid] = r.record.Instances[uuid]
	}
}
