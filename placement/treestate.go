package placement

import "slices"

// TreeState is a tree of providers at one moment, for those who keep an index
// of their own and follow the feed. [Engine.ReadTree] fills it and reuses its
// memory.
type TreeState struct {
	Providers int  // in the tree
	Served    bool // a sharing provider outside of it may serve the tree
	Consumers int  // with allocations in the tree
	Stock     []Stock
}

// Stock is an inventory with its usage. In a tree of several providers there
// is one for each that has the class.
type Stock struct {
	Class     string
	Inventory Inventory
	Capacity  int64
	Used      int64
}

// ReadTree fills t with the tree whose root is given, root first. It returns
// false when root is no root of a tree. It does not allocate once t has been
// used, but for counting the consumers of several providers.
func (e *Engine) ReadTree(root UUID, t *TreeState) bool {
	t.Providers, t.Served, t.Consumers, t.Stock = 0, false, 0, t.Stock[:0]
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	i, known := w.findProvider(root)
	if !known || w.provider(i).root != i {
		return false
	}
	sharing := w.traitBits(w.sharing)
	shared := sharing != nil && sharing.n > 0
	if w.provider(i).child == none {
		t.add(w, i)
		t.Served = shared && w.provider(i).aggSet != 0
		t.Consumers = w.provider(i).holders.len()
		return true
	}
	w.members(i, func(m uint32) bool {
		t.add(w, m)
		t.Served = t.Served || shared && w.provider(m).aggSet != 0
		return true
	})
	t.Consumers = len(w.holdersBelow(i))
	return true
}

func (t *TreeState) add(w *world, m uint32) {
	t.Providers++
	p := w.provider(m)
	for k := range p.inv {
		row := &p.inv[k]
		s := &w.shapes.rows[row.shape]
		t.Stock = append(t.Stock, Stock{w.classes.names[row.class], s.inv, s.capacity, row.used})
	}
}

// holdersBelow returns the numbers of all consumers with allocations in the
// subtree of i, each once.
func (w *world) holdersBelow(i uint32) []uint32 {
	var list []uint32
	w.members(i, func(m uint32) bool {
		w.provider(m).holders.all(func(c uint32) bool {
			list = append(list, c)
			return true
		})
		return true
	})
	slices.Sort(list)
	return slices.Compact(list)
}

// AppendConsumers appends the consumers with allocations on members of the
// tree whose root is given to buf, each once.
func (e *Engine) AppendConsumers(buf []UUID, root UUID) []UUID {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	i, known := w.findProvider(root)
	if !known {
		return buf
	}
	for _, c := range w.holdersBelow(i) {
		buf = append(buf, w.consumers.at(c).uuid)
	}
	return buf
}
