package router

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
)

// Cell0 is the UUID of the cell that holds instances that never got a host. It
// has a database and no computes.
//
// Source: nova, objects/cell_mapping.py, CellMapping.CELL0_UUID.
const Cell0 = "00000000-0000-0000-0000-000000000000"

// Cell says where a cell is. A value never changes.
type Cell struct {
	UUID string
	Name string // for people
	// Database and Transport are the addresses of its database and of its
	// broker; a router only compares them. They may hold passwords.
	Database, Transport string
	// Disabled cells get no new instances. Calls and lists reach them as before.
	//
	// Source: nova, scheduler/host_manager.py, HostManager.refresh_cells_caches.
	Disabled bool
}

// String returns name and UUID, and no address.
func (c Cell) String() string { return c.Name + " (" + c.UUID + ")" }

// GoString is String, so that no verb of fmt prints an address.
func (c Cell) GoString() string { return c.String() }

// LogValue is String, so that no log holds an address.
func (c Cell) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Schedulable reports whether new instances may get a host in the cell.
func (c Cell) Schedulable() bool { return !c.Disabled && c.UUID != Cell0 }

// address is what a client is dialled by.
type address struct{ database, transport string }

func (c Cell) address() address { return address{c.Database, c.Transport} }

// Source tells which cells there are.
type Source interface {
	// Cells returns all of them, and the revision at which that was so.
	Cells(ctx context.Context) (cells []Cell, revision uint64, err error)
	// Changed waits until they may have changed after a revision. An error says
	// that nobody knows.
	Changed(ctx context.Context, revision uint64) error
}

// placed is a cell of a snapshot, with what serves it.
type placed[C any] struct {
	cell   Cell
	member *member[C]
}

// snapshot is a set of cells. It never changes.
type snapshot[C any] struct {
	cells  []placed[C] // in the order in which they were set
	byUUID map[string]int
}

// member returns what serves a cell; nil when there is none.
func (s *snapshot[C]) member(uuid string) *member[C] {
	if i, ok := s.byUUID[uuid]; ok {
		return s.cells[i].member
	}
	return nil
}

// among returns the cells for which which holds; nil: all of them.
func (s *snapshot[C]) among(which func(Cell) bool) []placed[C] {
	if which == nil {
		return s.cells
	}
	return slices.DeleteFunc(slices.Clone(s.cells), func(p placed[C]) bool { return !which(p.cell) })
}

// check returns what is wrong with a set of cells.
func check(cells []Cell) error {
	names := make(map[string]string, len(cells))
	for _, c := range cells {
		if c.UUID == "" {
			return fmt.Errorf("UUID of cell %q is empty, allowed is any other text", c.Name)
		}
		if other, twice := names[c.UUID]; twice {
			return fmt.Errorf("UUID of cells %q and %q is %q, each must have its own", other, c.Name, c.UUID)
		}
		names[c.UUID] = c.Name
	}
	return nil
}

// gone returns the members that before has and after has not.
func gone[C any](before, after *snapshot[C]) []*member[C] {
	var old []*member[C]
	for _, uuid := range slices.Sorted(maps.Keys(before.byUUID)) {
		if after.member(uuid) == nil {
			old = append(old, before.member(uuid))
		}
	}
	return old
}
