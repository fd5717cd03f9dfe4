package apidb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// The errors of the API database, beside those of store/table.
var (
	// ErrNoCell: there is no cell with this UUID.
	ErrNoCell = errors.New("cell not found")
	// ErrCellClosed: the cell is being deleted.
	ErrCellClosed = errors.New("cell is closed")
	// ErrCellOpen: the cell takes mappings, and so cannot be deleted.
	ErrCellOpen = errors.New("cell is open")
	// ErrMappedElsewhere: the host or instance is in another cell.
	ErrMappedElsewhere = errors.New("mapped to another cell")
)

const cellMappings = "cell_mappings"

// DB is an open API database.
type DB struct {
	*table.DB
	Cells     *table.Table[CellMapping]
	Hosts     *table.Table[HostMapping]
	Instances *table.Table[InstanceMapping]
	Marks     *table.Table[Mark]
}

func schema() table.Schema {
	return table.Schema{Name: "api", Steps: []table.Step{{Name: "mappings"}}}
}

func config(s store.Store) (*DB, table.Config) {
	db := &DB{Cells: newCells(), Hosts: newHosts(), Instances: newInstances(), Marks: newMarks()}
	return db, table.Config{Store: s, Schema: schema(), Tables: []table.Definition{db.Cells, db.Hosts, db.Instances, db.Marks}}
}

// Sync brings a store to the schema of the API database; see [table.Sync].
func Sync(ctx context.Context, s store.Store, contract bool) (table.Progress, error) {
	_, cfg := config(s)
	return table.Sync(ctx, cfg, contract)
}

// Version is the version of the program's schema.
func Version() int { return schema().Version() }

// Synced returns how far the schema of a store has come; see [table.Synced].
func Synced(ctx context.Context, s store.Store) (table.Progress, error) {
	_, cfg := config(s)
	return table.Synced(ctx, cfg)
}

// Open loads the API database from a store, which stays open when the
// database is closed. It returns what [table.Open] returns.
func Open(ctx context.Context, s store.Store) (*DB, error) {
	db, cfg := config(s)
	var err error
	db.DB, err = table.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// cellChanges is the mark that every change of cells writes, so that two
// changes at once see one another.
const cellChanges = "cell changes"

// ChangeCells runs change on the mappings of all cells and commits what it
// writes to them, as [table.DB.Update] does. Changes of cells exclude one
// another, so what change sees of other cells holds when it is committed.
func (db *DB) ChangeCells(ctx context.Context, change func(tx *table.Tx, all []CellMapping) error) error {
	_, err := db.Update(ctx, func(tx *table.Tx) error {
		all, err := db.Cells.Page(tx, table.Query[CellMapping]{})
		if err != nil {
			return err
		}
		m, _ := db.Marks.Get(tx, cellChanges)
		m.Name, m.Count = cellChanges, m.Count+1
		if err := db.Marks.Put(tx, m); err != nil {
			return err
		}
		return change(tx, all)
	})
	return err
}

// AllCells returns every cell by name, those of one name by UUID.
func (db *DB) AllCells() ([]CellMapping, error) {
	var all []CellMapping
	err := db.View(func(tx *table.Tx) (err error) {
		all, err = db.Cells.Page(tx, table.Query[CellMapping]{})
		return err
	})
	slices.SortStableFunc(all, func(a, b CellMapping) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// Cell returns one cell, with its URLs as they are kept. It returns [ErrNoCell].
func (db *DB) Cell(uuid string) (CellMapping, error) {
	var c CellMapping
	err := db.View(func(tx *table.Tx) error {
		var found bool
		if c, found = db.Cells.Get(tx, uuid); !found {
			return fmt.Errorf("%s: %w", uuid, ErrNoCell)
		}
		return nil
	})
	return c, err
}

// CellsIn reports whether a mapping of a cell is among changes.
func (db *DB) CellsIn(changes table.Changes) bool {
	return slices.ContainsFunc(changes.Rows, func(c table.Change) bool { return c.Table == cellMappings })
}

// Takes returns nil for a cell that takes mappings, and otherwise [ErrNoCell] or
// [ErrCellClosed]. What is written after it depends on the cell's staying so.
func (db *DB) Takes(tx *table.Tx, uuid string) error {
	switch c, found := db.Cells.Get(tx, uuid); {
	case !found:
		return fmt.Errorf("%s: %w", uuid, ErrNoCell)
	case c.Closed:
		return fmt.Errorf("%s: %w", c, ErrCellClosed)
	}
	return nil
}

// MapHost maps a host to a cell, and reports whether that is new. It returns
// [ErrNoCell], [ErrCellClosed] or [ErrMappedElsewhere].
func (db *DB) MapHost(ctx context.Context, host, cell string) (added bool, err error) {
	_, err = db.Update(ctx, func(tx *table.Tx) error {
		if err := db.Takes(tx, cell); err != nil {
			return err
		}
		was, found := db.Hosts.Get(tx, host)
		if added = !found; added {
			return db.Hosts.Put(tx, HostMapping{Host: host, Cell: cell})
		}
		if was.Cell != cell {
			return fmt.Errorf("it is in %s: %w", was.Cell, ErrMappedElsewhere)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("map host %q to cell %s: %w", host, cell, err)
	}
	return added, nil
}

// MapInstances writes mappings of instances as one change; their cells take
// mappings or are "". It returns [ErrNoCell] or [ErrCellClosed].
func (db *DB) MapInstances(ctx context.Context, mappings ...InstanceMapping) error {
	_, err := db.Update(ctx, func(tx *table.Tx) error {
		for _, m := range mappings {
			if m.Cell != "" {
				if err := db.Takes(tx, m.Cell); err != nil {
					return fmt.Errorf("instance %s: %w", m.UUID, err)
				}
			}
			if err := db.Instances.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("map instances: %w", err)
	}
	return nil
}
