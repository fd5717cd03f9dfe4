package cells

import (
	"context"
	"errors"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// Source tells a router which cells are mapped, with URLs that are no
// templates. A cell that is being deleted is disabled.
func (m *Mapper) Source() router.Source { return source{m} }

type source struct{ m *Mapper }

// Cells returns every cell. It returns an error when the URL of one is a
// template that cannot be filled in.
func (s source) Cells(context.Context) (cells []router.Cell, revision uint64, err error) {
	var all []apidb.CellMapping
	err = s.m.cfg.API.View(func(tx *table.Tx) error {
		revision = tx.Revision()
		all, err = s.m.cfg.API.Cells.Page(tx, table.Query[apidb.CellMapping]{})
		return err
	})
	for _, c := range all {
		c, wrong := s.m.resolve(c)
		err = errors.Join(err, wrong)
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
