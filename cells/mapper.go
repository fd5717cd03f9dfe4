package cells

import (
	"context"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// Addresses are the URLs of a database and of a broker. They may hold passwords.
type Addresses struct{ Database, Transport string }

// Config says what a Mapper works on.
type Config struct {
	API *apidb.DB
	// Open opens the database of a cell, whose URL is no template any more, and
	// returns what closes it.
	Open func(ctx context.Context, database string) (db *celldb.DB, closeDB func() error, err error)
	Base Addresses // what templates are filled from
}

// Mapper keeps the mappings of an API database.
type Mapper struct{ cfg Config }

// New returns a Mapper. Its error names what is missing in cfg.
func New(cfg Config) (*Mapper, error) {
	if cfg.API == nil || cfg.Open == nil {
		return nil, errors.New("Config.API or Config.Open is nil")
	}
	return &Mapper{cfg}, nil
}

// resolve returns a cell with URLs that are no templates.
func (m *Mapper) resolve(c apidb.CellMapping) (apidb.CellMapping, error) {
	var errDatabase, errTransport error
	c.Database, errDatabase = Resolve(c.Database, m.cfg.Base.Database)
	c.Transport, errTransport = Resolve(c.Transport, m.cfg.Base.Transport)
	if err := errors.Join(errDatabase, errTransport); err != nil {
		return c, fmt.Errorf("cell %s: %w", c, err)
	}
	return c, nil
}

// Cells returns every cell by name, with URLs that are no templates.
func (m *Mapper) Cells() ([]apidb.CellMapping, error) {
	all, err := m.cfg.API.AllCells()
	for i := range all {
		var wrong error
		all[i], wrong = m.resolve(all[i])
		err = errors.Join(err, wrong)
	}
	return all, err
}

// Cell returns one cell, with URLs that are no templates. It returns
// [apidb.ErrNoCell].
func (m *Mapper) Cell(uuid string) (apidb.CellMapping, error) {
	var c apidb.CellMapping
	err := m.cfg.API.View(func(tx *table.Tx) error {
		var found bool
		if c, found = m.cfg.API.Cells.Get(tx, uuid); !found {
			return fmt.Errorf("%s: %w", uuid, apidb.ErrNoCell)
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	return m.resolve(c)
}

// CreateCell adds a cell. It returns [table.ErrExists], or a
// [*apidb.TakenError] when another cell has the same database or transport.
func (m *Mapper) CreateCell(ctx context.Context, c apidb.CellMapping) error {
	err := m.cfg.API.ChangeCells(ctx, func(tx *table.Tx, all []apidb.CellMapping) error {
		if err := m.alone(c, all); err != nil {
			return err
		}
		return m.cfg.API.Cells.Create(tx, c)
	})
	if err != nil {
		return fmt.Errorf("create cell %s: %w", c, err)
	}
	return nil
}

// UpdateCell changes a cell. It returns [apidb.ErrNoCell], a
// [*apidb.TakenError] as CreateCell does, or the error of change.
func (m *Mapper) UpdateCell(ctx context.Context, uuid string, change func(*apidb.CellMapping) error) error {
	err := m.cfg.API.ChangeCells(ctx, func(tx *table.Tx, all []apidb.CellMapping) error {
		c, found := m.cfg.API.Cells.Get(tx, uuid)
		if !found {
			return apidb.ErrNoCell
		}
		if err := change(&c); err != nil {
			return err
		}
		if err := m.alone(c, all); err != nil {
			return err
		}
		return m.cfg.API.Cells.Put(tx, c)
	})
	if err != nil {
		return fmt.Errorf("update cell %s: %w", uuid, err)
	}
	return nil
}

// Taken returns a [*apidb.TakenError] when another cell has the database or the
// transport of c, as CreateCell and UpdateCell would.
func (m *Mapper) Taken(c apidb.CellMapping) error {
	all, err := m.cfg.API.AllCells()
	if err != nil {
		return err
	}
	return m.alone(c, all)
}

// alone refuses a cell whose database or transport another cell has.
//
// Source: nova, cmd/manage.py,
// CellV2Commands._non_unique_transport_url_database_connection_checker.
func (m *Mapper) alone(c apidb.CellMapping, all []apidb.CellMapping) error {
	c, err := m.resolve(c)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.UUID == c.UUID {
			continue
		}
		// one that cannot be resolved is compared as it is
		if resolved, err := m.resolve(other); err == nil {
			other = resolved
		}
		if other.Database == c.Database || other.Transport == c.Transport {
			return &apidb.TakenError{Cell: other.UUID}
		}
	}
	return nil
}
