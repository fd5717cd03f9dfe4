package live

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Hosts holds the records of hosts: liveness of services, I/O operations,
// failed builds, aggregates, metrics. What instances use is not read from
// them but from the engine. A ring of the latest changes tells followers what
// to look at again. Safe for concurrent use.
type Hosts struct {
	mu     sync.RWMutex
	byUUID map[placement.UUID]*scheduler.HostState
	ring   []placement.UUID
	next   uint64 // number of the next change; the first is 1
}

// NewHosts makes an empty table whose feed remembers so many changes, 0:
// 65,536.
func NewHosts(feedSize int) *Hosts {
	if feedSize <= 0 {
		feedSize = 1 << 16
	}
	return &Hosts{byUUID: map[placement.UUID]*scheduler.HostState{}, ring: make([]placement.UUID, feedSize), next: 1}
}

// Put adds a host or replaces its record. h.UUID names the root of the host's
// tree of resource providers; it returns a [*placement.InputError] when that
// is no UUID. The record must not be written to afterwards.
func (t *Hosts) Put(h *scheduler.HostState) error {
	uuid, err := placement.ParseUUID(h.UUID)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Host, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byUUID[uuid] = h
	t.push(uuid)
	return nil
}

// Remove forgets a host, if it is known. Nothing is placed there any more.
func (t *Hosts) Remove(uuid placement.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.byUUID[uuid]; known {
		delete(t.byUUID, uuid)
		t.push(uuid)
	}
}

func (t *Hosts) push(uuid placement.UUID) {
	t.ring[t.next%uint64(len(t.ring))] = uuid
	t.next++
}

// Host returns the record of a host, nil when there is none. It must not be
// written to.
func (t *Hosts) Host(uuid placement.UUID) *scheduler.HostState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byUUID[uuid]
}

// List returns all hosts in the order of their UUIDs, and the number of the newest
// change that they contain: follow the feed from there.
func (t *Hosts) List() ([]placement.UUID, uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]placement.UUID, 0, len(t.byUUID))
	for uuid := range t.byUUID {
		list = append(list, uuid)
	}
	slices.SortFunc(list, func(a, b placement.UUID) int { return bytes.Compare(a[:], b[:]) })
	return list, t.next - 1
}

// Changes copies the hosts of the changes after number after into buf, oldest
// first, and returns how many. It returns [placement.ErrTooFarBehind] when
// the ring no longer has them all: list the hosts again.
func (t *Hosts) Changes(after uint64, buf []placement.UUID) (int, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.next-1 > after && t.next-1-after > uint64(len(t.ring)) {
		return 0, fmt.Errorf("changes of hosts after %d, the ring starts at %d: %w", after, t.next-uint64(len(t.ring)), placement.ErrTooFarBehind)
	}
	n := 0
	for seq := after + 1; seq < t.next && n < len(buf); seq++ {
		buf[n] = t.ring[seq%uint64(len(t.ring))]
		n++
	}
	return n, nil
}
