package cells

import (
	"context"
	"errors"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// Source tells a router which cells are mapped, as [Mapper.Cells] does: one
// whose URL cannot be filled in cannot be reached, and the others can. A cell
// that is being deleted is disabled.
func (m *Mapper) Source() router.Source { return source{m} }

type source struct{ m *Mapper }

// Cells returns every cell.
func (s source) Cells(context.Context) (cells []router.Cell, revision uint64, err error) {
	var all []apidb.CellMapping
	err = s.m.cfg.API.View(func(tx *table.Tx) error {
		revision = tx.Revision()
		all, err = s.m.cfg.API.Cells.Page(tx, table.Query[apidb.CellMapping]{})
		return err
	})
	for _, c := range all {
		c, _ = s.m.resolve(c)
		cells = append(cells, router.Cell{
			UUID: c.UUID, Name: c.Name, Database: c.Database, Transport: c.Transport, Disabled: c.Disabled || c.Closed,
		})
	}
	return cells, revision, err
}

// Changed waits until a mapping of a cell has changed since revision. When that
// cannot be told any more it may have.
func (s source) Changed(ctx context.Context, revision uint64) error {
	for changes, err := range s.m.cfg.API.Watch(ctx, revision) {
		switch {
		case errors.Is(err, table.ErrTooFarBehind):
			return nil
		case err != nil:
			return err
		case s.m.cfg.API.CellsIn(changes):
			return nil
		}
	}
	return ctx.Err()
}
