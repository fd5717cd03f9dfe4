package cells

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// resolve returns a cell with URLs that are no templates. One that cannot be
// filled in is left as it is, and named in the error.
func (m *Mapper) resolve(c apidb.CellMapping) (apidb.CellMapping, error) {
	database, errDatabase := Resolve(c.Database, m.cfg.Base.Database)
	transport, errTransport := Resolve(c.Transport, m.cfg.Base.Transport)
	if errDatabase == nil {
		c.Database = database
	}
	if errTransport == nil {
		c.Transport = transport
	}
	if err := errors.Join(errDatabase, errTransport); err != nil {
		return c, fmt.Errorf("cell %s: %w", c, err)
	}
	return c, nil
}

// Cells returns every cell by name. Their URLs are no templates, but for those
// that cannot be filled in.
func (m *Mapper) Cells() ([]apidb.CellMapping, error) {
	all, err := m.cfg.API.AllCells()
	for i := range all {
		all[i], _ = m.resolve(all[i]) // who uses the URL will see
	}
	return all, err
}

// Cell returns one cell, with URLs that are no templates. It returns
// [apidb.ErrNoCell].
func (m *Mapper) Cell(uuid string) (apidb.CellMapping, error) {
	c, err := m.cfg.API.Cell(uuid)
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

// alone refuses a cell whose database or transport another cell has, or cannot
// be filled in and is new.
//
// Source: nova, cmd/manage.py,
// CellV2Commands._non_unique_transport_url_database_connection_checker.
func (m *Mapper) alone(c apidb.CellMapping, all []apidb.CellMapping) error {
	where := c
	c, err := m.resolve(c)
	isNew := !slices.ContainsFunc(all, func(o apidb.CellMapping) bool {
		return o.UUID == c.UUID && o.Database == where.Database && o.Transport == where.Transport
	})
	if err != nil && isNew {
		return err
	}
	for _, other := range all {
		if other.UUID == c.UUID {
			continue
		}
		other, _ = m.resolve(other) // one that cannot be resolved is compared as it is
		if other.Database == c.Database || other.Transport == c.Transport {
			return &apidb.TakenError{Cell: other.UUID}
		}
	}
	return nil
}
