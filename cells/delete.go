package cells

import (
	"context"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// batch is how many rows are changed at once. Stores that limit a batch take
// as many with their expectations.
const batch = 50

// DeleteCell removes a cell. With force, its host mappings and the mappings of
// deleted instances go too. It returns [apidb.ErrNoCell], [ErrHasHosts],
// [ErrHasInstances] or [ErrHasMappings].
//
// While it runs the cell takes no mappings. When the process dies in it that
// stays so until it is run again.
//
// Source: nova, cmd/manage.py, CellV2Commands.delete_cell.
func (m *Mapper) DeleteCell(ctx context.Context, uuid string, force bool) error {
	err := m.setClosed(ctx, uuid, true)
	if err == nil {
		err = m.clear(ctx, uuid, force)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, apidb.ErrNoCell) {
		err = errors.Join(err, m.setClosed(context.WithoutCancel(ctx), uuid, false))
	}
	return fmt.Errorf("delete cell %s: %w", uuid, err)
}

func (m *Mapper) setClosed(ctx context.Context, uuid string, closed bool) error {
	return m.cfg.API.ChangeCells(ctx, func(tx *table.Tx, _ []apidb.CellMapping) error {
		c, found := m.cfg.API.Cells.Get(tx, uuid)
		if !found {
			return apidb.ErrNoCell
		}
		c.Closed = closed
		return m.cfg.API.Cells.Put(tx, c)
	})
}

// clear deletes a closed cell with what it has, if it may.
func (m *Mapper) clear(ctx context.Context, uuid string, force bool) error {
	hosts, instances, err := m.some(uuid)
	switch {
	case err != nil:
		return err
	case len(hosts) > 0 && !force:
		return ErrHasHosts
	case len(hosts)+len(instances) > 0:
		c, err := m.Cell(uuid)
		if err != nil {
			return err
		}
		err = m.in(ctx, c.Database, func(db *celldb.DB) error { return release(ctx, db, len(instances) > 0, force) })
		if err != nil {
			return err
		}
	}
	for done := false; !done; {
		if done, err = m.remove(ctx, uuid); err != nil {
			return err
		}
	}
	return nil
}

// release makes the compute nodes of a cell ones that can be found again. When
// the cell has mappings of instances, it is asked whether it may be deleted.
func release(ctx context.Context, db *celldb.DB, mapped, force bool) error {
	if mapped {
		some, err := db.HasInstances("")
		switch {
		case err != nil:
			return err
		case some:
			return ErrHasInstances
		case !force:
			return ErrHasMappings
		}
	}
	return db.Unmap(ctx, "")
}

// some returns a few of the hosts, and a few of the instances, that are mapped
// to a cell.
func (m *Mapper) some(uuid string) (hosts []apidb.HostMapping, instances []apidb.InstanceMapping, err error) {
	err = m.cfg.API.View(func(tx *table.Tx) error {
		hosts, instances, err = m.someAt(tx, uuid)
		return err
	})
	return hosts, instances, err
}

func (m *Mapper) someAt(tx *table.Tx, uuid string) (hosts []apidb.HostMapping, instances []apidb.InstanceMapping, err error) {
	where := []table.Equal{{Column: apidb.Cell, Value: table.Text(uuid)}}
	hosts, err = m.cfg.API.Hosts.Page(tx, table.Query[apidb.HostMapping]{Where: where, Limit: batch / 2})
	if err != nil {
		return nil, nil, err
	}
	instances, err = m.cfg.API.Instances.Page(tx, table.Query[apidb.InstanceMapping]{Where: where, Limit: batch / 2})
	return hosts, instances, err
}

// remove deletes a few mappings of a cell, or the cell when it has none. That
// the cell is closed at that moment means that no mapping is missed.
func (m *Mapper) remove(ctx context.Context, uuid string) (done bool, err error) {
	err = m.cfg.API.ChangeCells(ctx, func(tx *table.Tx, _ []apidb.CellMapping) error {
		switch c, found := m.cfg.API.Cells.Get(tx, uuid); {
		case !found:
			done = true
			return nil
		case !c.Closed:
			return fmt.Errorf("it was opened again meanwhile: %w", apidb.ErrCellOpen)
		}
		hosts, instances, err := m.someAt(tx, uuid)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			err = errors.Join(err, m.cfg.API.Hosts.Delete(tx, h.Host))
		}
		for _, i := range instances {
			err = errors.Join(err, m.cfg.API.Instances.Delete(tx, i.UUID))
		}
		if done = len(hosts)+len(instances) == 0; done {
			err = m.cfg.API.Cells.Delete(tx, uuid)
			if _, there := m.cfg.API.Marks.Get(tx, markOf(uuid)); there {
				err = errors.Join(err, m.cfg.API.Marks.Delete(tx, markOf(uuid)))
			}
		}
		return err
	})
	return done, err
}
