package cells

import (
	"context"
	"fmt"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// MapInstances maps instances of a cell, deleted ones as well, from the oldest
// on, that are not mapped. It goes on where it last ended, or with reset from
// the beginning. It looks at most at limit instances, and reports whether there
// may be more; 0 means all of them. It returns [apidb.ErrNoCell].
//
// Source: nova, cmd/manage.py, CellV2Commands.map_instances, whose mark is one
// for all cells.
func (m *Mapper) MapInstances(ctx context.Context, cell string, limit int, reset bool) (more bool, err error) {
	c, err := m.Cell(cell)
	if err == nil {
		err = m.in(ctx, c.Database, func(db *celldb.DB) error {
			more, err = m.mapInstances(ctx, db, cell, limit, reset)
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("map instances of cell %s: %w", cell, err)
	}
	return more, nil
}

func (m *Mapper) mapInstances(ctx context.Context, db *celldb.DB, cell string, limit int, reset bool) (more bool, err error) {
	last := m.mark(cell)
	if reset {
		last = nil
	}
	for left := limit; left > 0 || limit == 0; {
		size := batch
		if limit > 0 {
			size = min(size, left)
		}
		page, err := db.Oldest(last, size)
		if err != nil {
			return false, err
		}
		if err := m.mapPage(ctx, cell, page, len(page) == size); err != nil {
			return false, err
		}
		if len(page) < size {
			return false, nil
		}
		last, left = &page[size-1], left-size
	}
	return true, nil
}

// markOf names the mark of a cell's instances.
func markOf(cell string) string { return "instances of " + cell }

// mark returns an instance with the key and the time of the last one that was
// mapped, nil for none.
func (m *Mapper) mark(cell string) (last *celldb.Instance) {
	_ = m.cfg.API.View(func(tx *table.Tx) error { // a read of one row does not fail
		if at, found := m.cfg.API.Marks.Get(tx, markOf(cell)); found {
			last = &celldb.Instance{UUID: at.Key, Created: at.Created}
		}
		return nil
	})
	return last
}

// mapPage maps the instances of a page that are not mapped, and notes the last
// of them if there may be more.
func (m *Mapper) mapPage(ctx context.Context, cell string, page []celldb.Instance, more bool) error {
	_, err := m.cfg.API.Update(ctx, func(tx *table.Tx) error {
		if err := m.cfg.API.Takes(tx, cell); err != nil {
			return err
		}
		for _, i := range page {
			if _, mapped := m.cfg.API.Instances.Get(tx, i.UUID); mapped {
				continue
			}
			err := m.cfg.API.Instances.Put(tx, apidb.InstanceMapping{UUID: i.UUID, Cell: cell, Project: i.Project, User: i.User, Created: i.Created})
			if err != nil {
				return err
			}
		}
		if more {
			last := page[len(page)-1]
			return m.cfg.API.Marks.Put(tx, apidb.Mark{Name: markOf(cell), Key: last.UUID, Created: last.Created})
		}
		if _, there := m.cfg.API.Marks.Get(tx, markOf(cell)); there {
			return m.cfg.API.Marks.Delete(tx, markOf(cell))
		}
		return nil
	})
	return err
}

// Verdict is where an instance is. Its number is the exit code of nova-manage.
type Verdict int

const (
	// InCell means that it is in its cell.
	InCell Verdict = iota
	// NotMapped means that it has no mapping.
	NotMapped
	// NotScheduled means that it has a mapping and no cell yet.
	NotScheduled
	// Deleted means that it was deleted, and its row is there.
	Deleted
	// Archived means that its row is not in the database of its cell.
	Archived
)

// VerifyInstance looks for an instance in the cell that it is mapped to, and
// returns that cell.
//
// Source: nova, cmd/manage.py, CellV2Commands.verify_instance.
func (m *Mapper) VerifyInstance(ctx context.Context, uuid string) (Verdict, apidb.CellMapping, error) {
	var mapping apidb.InstanceMapping
	var found bool
	_ = m.cfg.API.View(func(tx *table.Tx) error { // a read of one row does not fail
		mapping, found = m.cfg.API.Instances.Get(tx, uuid)
		return nil
	})
	switch {
	case !found:
		return NotMapped, apidb.CellMapping{}, nil
	case mapping.Cell == "":
		return NotScheduled, apidb.CellMapping{}, nil
	}
	verdict := InCell
	c, err := m.Cell(mapping.Cell)
	if err == nil {
		err = m.in(ctx, c.Database, func(db *celldb.DB) error {
			i, found, err := db.Instance(uuid)
			switch {
			case !found:
				verdict = Archived
			case !i.Deleted.IsZero():
				verdict = Deleted
			}
			return err
		})
	}
	if err != nil {
		return NotMapped, c, fmt.Errorf("verify instance %s: %w", uuid, err)
	}
	return verdict, c, nil
}
