package placement

import (
	"fmt"
	"time"
)

// Provider returns provider uuid, or [ErrNotFound].
func (e *Engine) Provider(uuid UUID) (Provider, error) {
	var p Provider
	err := e.read(uuid, func(w *world, i uint32) { p = w.view(i) })
	return p, err
}

// read runs f on provider uuid at one moment.
func (e *Engine) read(uuid UUID, f func(*world, uint32)) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	i, known := e.world.findProvider(uuid)
	if !known {
		return fmt.Errorf("provider %s: %w", uuid, ErrNotFound)
	}
	f(e.world, i)
	return nil
}

func (w *world) view(i uint32) (v Provider) {
	w.fill(&v, i)
	return v
}

// fill is view without a copy.
func (w *world) fill(v *Provider, i uint32) {
	p := w.provider(i)
	v.UUID, v.Name, v.Root, v.Parent, v.Generation = p.uuid, p.name, w.provider(p.root).uuid, UUID{}, p.generation
	v.CreatedAt, v.UpdatedAt = time.Unix(0, p.created), time.Unix(0, p.updated)
	if p.parent != none {
		v.Parent = w.provider(p.parent).uuid
	}
}

// Inventories returns the inventories of provider uuid by resource class,
// never nil, with the provider at the same moment; or [ErrNotFound].
func (e *Engine) Inventories(uuid UUID) (map[string]Inventory, Provider, error) {
	inv, p := map[string]Inventory{}, Provider{}
	err := e.read(uuid, func(w *world, i uint32) {
		p = w.view(i)
		for _, row := range w.provider(i).inv {
			inv[w.classes.names[row.class]] = w.shapes.rows[row.shape].inv
		}
	})
	return inv, p, err
}

// Usages returns what is allocated of each inventory of provider uuid, zeros
// included, with the provider at the same moment; or [ErrNotFound].
func (e *Engine) Usages(uuid UUID) (map[string]int64, Provider, error) {
	used, p := map[string]int64{}, Provider{}
	err := e.read(uuid, func(w *world, i uint32) {
		p = w.view(i)
		for _, row := range w.provider(i).inv {
			used[w.classes.names[row.class]] = row.used
		}
	})
	return used, p, err
}

// Traits returns the traits of provider uuid in the order of their numbers,
// with the provider at the same moment; or [ErrNotFound].
func (e *Engine) Traits(uuid UUID) ([]string, Provider, error) {
	var names []string
	var p Provider
	err := e.read(uuid, func(w *world, i uint32) {
		p = w.view(i)
		names = w.traitsOf(i)
	})
	return names, p, err
}

// Aggregates returns the aggregates of provider uuid in no particular order,
// with the provider at the same moment; or [ErrNotFound].
func (e *Engine) Aggregates(uuid UUID) ([]UUID, Provider, error) {
	var aggs []UUID
	var p Provider
	err := e.read(uuid, func(w *world, i uint32) {
		p = w.view(i)
		aggs = w.aggregatesOf(i)
	})
	return aggs, p, err
}

// Held is what one consumer holds on a provider.
type Held struct {
	Consumer Consumer
	Used     []Resource // ordered by class number
}

// ProviderAllocations returns the consumers with allocations on provider uuid
// and what they hold there, ordered by when they first came, with the
// provider at the same moment; or [ErrNotFound].
func (e *Engine) ProviderAllocations(uuid UUID) ([]Held, Provider, error) {
	var held []Held
	var p Provider
	err := e.read(uuid, func(w *world, i uint32) {
		p = w.view(i)
		w.provider(i).holders.all(func(c uint32) bool {
			h := Held{Consumer: w.viewConsumer(c)}
			for _, a := range w.consumers.at(c).allocs {
				if a.provider == i {
					h.Used = append(h.Used, Resource{w.classes.names[a.class], a.amount})
				}
			}
			held = append(held, h)
			return true
		})
	})
	return held, p, err
}

func (w *world) viewConsumer(i uint32) Consumer {
	c := w.consumers.at(i)
	return Consumer{
		UUID: c.uuid, Project: w.projects.names[c.project], User: w.users.names[c.user], Type: w.types.names[c.kind],
		Generation: int64(c.generation), CreatedAt: time.Unix(0, c.created), UpdatedAt: time.Unix(0, c.updated),
	}
}

// Consumer returns a consumer and what it holds, or [ErrNotFound].
func (e *Engine) Consumer(uuid UUID) (Consumer, []Allocation, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	i, known := w.findConsumer(uuid)
	if !known {
		return Consumer{}, nil, fmt.Errorf("consumer %s: %w", uuid, ErrNotFound)
	}
	return w.viewConsumer(i), w.viewAllocs(w.consumers.at(i).allocs), nil
}

func (w *world) viewAllocs(rows []allocRow) []Allocation {
	list := make([]Allocation, len(rows))
	for k, a := range rows {
		list[k] = Allocation{w.provider(a.provider).uuid, w.classes.names[a.class], a.amount}
	}
	return list
}

// ProjectConsumers returns the UUIDs of a project's consumers; user "" means
// every user. The order is by user, then by when they first came.
func (e *Engine) ProjectConsumers(projectID, userID string) []UUID {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	pr, user, ok := w.lookupProject(projectID, userID)
	if !ok {
		return nil
	}
	var list []UUID
	each := func(key uint64) bool {
		list = append(list, w.consumers.at(uint32(key)).uuid)
		return true
	}
	if userID == "" {
		pr.consumers.Ascend(each)
	} else {
		pr.consumers.AscendRange(uint64(user)<<32, uint64(user+1)<<32, each)
	}
	return list
}

func (w *world) lookupProject(projectID, userID string) (*project, uint32, bool) {
	id, known := w.projects.ids[projectID]
	user, knownUser := w.users.ids[userID]
	if !known || int(id) >= len(w.byProject) || w.byProject[id] == nil || userID != "" && !knownUser {
		return nil, 0, false
	}
	return w.byProject[id], user, true
}

// ProjectUsages returns what the consumers that match f hold, one entry per
// consumer type, ordered by type; none when there are no consumers. It costs
// the number of users and types of the project, not of its consumers.
//
// Source: placement, objects/usage.py, _get_by_consumer_type.
func (e *Engine) ProjectUsages(f UsageFilter) []Usage {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	pr, user, ok := w.lookupProject(f.Project, f.User)
	if !ok {
		return nil
	}
	byKind := map[string]*Usage{}
	for key, row := range pr.usage {
		kind := w.types.names[uint32(key)]
		if f.User != "" && uint32(key>>32) != user || f.Type != nil && *f.Type != kind {
			continue
		}
		u := byKind[kind]
		if u == nil {
			u = &Usage{Type: kind, Used: map[string]int64{}}
			byKind[kind] = u
		}
		u.Consumers += row.consumers
		for class, n := range row.used {
			if n > 0 {
				u.Used[w.classes.names[class]] += n
			}
		}
	}
	return sortedUsages(byKind)
}

// Guard returns the version of a guard, 0 when there is none.
func (e *Engine) Guard(key string) uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.world.guardVersion(key)
}

func (w *world) guardVersion(key string) uint64 {
	if g := w.guards[key]; g != nil {
		return g.version
	}
	return 0
}

// Attachment returns an attachment, nil when there is none. The bytes must
// not be changed.
func (e *Engine) Attachment(key string) []byte {
	e.mu.RLock()
	defer e.mu.RUnlock()
	a, _ := e.world.attachments.Get(Attachment{Key: key})
	return a.Value
}
