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

// Discovery says where to look for hosts.
type Discovery struct {
	Cell      string            // a UUID; "": every cell but cell0
	ByService bool              // services that run instances, not compute nodes that are not mapped
	Report    func(line string) // told what is done, in the words of nova-manage; nil: nobody is
}

// in opens the database of a cell for do.
func (m *Mapper) in(ctx context.Context, database string, do func(*celldb.DB) error) (err error) {
	db, closeDB, err := m.cfg.Open(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	return do(db)
}

// Hosts returns the hosts of a cell, or for "" of all, by name. It returns
// [apidb.ErrNoCell].
func (m *Mapper) Hosts(cell string) ([]apidb.HostMapping, error) {
	q := table.Query[apidb.HostMapping]{}
	if cell != "" {
		q.Where = []table.Equal{{Column: apidb.Cell, Value: table.Text(cell)}}
	}
	var hosts []apidb.HostMapping
	err := m.cfg.API.View(func(tx *table.Tx) (err error) {
		if _, found := m.cfg.API.Cells.Get(tx, cell); !found && cell != "" {
			return fmt.Errorf("%s: %w", cell, apidb.ErrNoCell)
		}
		hosts, err = m.cfg.API.Hosts.Page(tx, q)
		return err
	})
	return hosts, err
}

// DiscoverHosts maps hosts that are in the databases of cells and have no
// mapping, and returns the new ones. It may run several times at once. When
// one cell fails it goes on with the others. It returns [apidb.ErrNoCell].
//
// Source: nova, objects/host_mapping.py, discover_hosts.
func (m *Mapper) DiscoverHosts(ctx context.Context, d Discovery) ([]apidb.HostMapping, error) {
	if d.Report == nil {
		d.Report = func(string) {}
	}
	var all []apidb.CellMapping
	var err error
	if d.Cell == "" {
		all, err = m.cfg.API.AllCells()
		d.Report(fmt.Sprintf("Found %d cell mappings.", len(all)))
	} else {
		all = make([]apidb.CellMapping, 1)
		all[0], err = m.cfg.API.Cell(d.Cell)
	}
	if err != nil {
		return nil, fmt.Errorf("discover hosts: %w", err)
	}
	var added []apidb.HostMapping
	for _, c := range all {
		if c.UUID == apidb.Cell0 {
			d.Report("Skipping cell0 since it does not contain hosts.")
			continue
		}
		name := ": "
		if c.Name != "" {
			name = " '" + c.Name + "': "
		}
		d.Report("Getting computes from cell" + name + c.UUID)
		found, errCell := m.discover(ctx, c, d)
		d.Report(fmt.Sprintf("Found %d unmapped computes in cell: %s", len(found), c.UUID))
		added = append(added, found...)
		if errCell != nil {
			err = errors.Join(err, fmt.Errorf("discover hosts of cell %s: %w", c, errCell))
		}
	}
	return added, err
}

func (m *Mapper) discover(ctx context.Context, c apidb.CellMapping, d Discovery) (added []apidb.HostMapping, err error) {
	if c, err = m.resolve(c); err != nil {
		return nil, err
	}
	err = m.in(ctx, c.Database, func(db *celldb.DB) error {
		if d.ByService {
			added, err = m.mapServices(ctx, db, c.UUID, d.Report)
		} else {
			added, err = m.mapNodes(ctx, db, c.UUID, d.Report)
		}
		return err
	})
	return added, err
}

func (m *Mapper) mapServices(ctx context.Context, db *celldb.DB, cell string, report func(string)) (added []apidb.HostMapping, err error) {
	services, err := db.ComputeServices()
	for _, s := range services {
		isNew, errHost := m.mapHost(ctx, s.Host, cell)
		err = errors.Join(err, errHost)
		if isNew {
			report("Creating host mapping for service " + s.Host)
			added = append(added, apidb.HostMapping{Host: s.Host, Cell: cell})
		}
	}
	return added, err
}

func (m *Mapper) mapNodes(ctx context.Context, db *celldb.DB, cell string, report func(string)) (added []apidb.HostMapping, err error) {
	nodes, err := db.PresentNodes("")
	for _, n := range nodes {
		if n.Mapped {
			continue
		}
		report(fmt.Sprintf("Checking host mapping for compute host '%s': %s", n.Host, n.UUID))
		isNew, errHost := m.mapHost(ctx, n.Host, cell)
		if isNew {
			report(fmt.Sprintf("Creating host mapping for compute host '%s': %s", n.Host, n.UUID))
			added = append(added, apidb.HostMapping{Host: n.Host, Cell: cell})
		}
		if errHost == nil && m.isIn(n.Host, cell) {
			errHost = db.SetMapped(ctx, true, n.UUID)
		}
		err = errors.Join(err, errHost)
	}
	return added, err
}

// mapHost maps a host unless it is mapped, to whatever cell.
func (m *Mapper) mapHost(ctx context.Context, host, cell string) (added bool, err error) {
	added, err = m.cfg.API.MapHost(ctx, host, cell)
	if errors.Is(err, apidb.ErrMappedElsewhere) {
		err = nil
	}
	return added, err
}

// isIn reports whether a host is mapped to a cell.
func (m *Mapper) isIn(host, cell string) bool {
	h, found := m.host(host)
	return found && h.Cell == cell
}

func (m *Mapper) host(name string) (h apidb.HostMapping, found bool) {
	_ = m.cfg.API.View(func(tx *table.Tx) error { // a read of one row does not fail
		h, found = m.cfg.API.Hosts.Get(tx, name)
		return nil
	})
	return h, found
}

// DeleteHost takes a host out of its cell, whose compute nodes can be found
// again. It returns [apidb.ErrNoCell], [ErrNoHost], [apidb.ErrMappedElsewhere]
// or [ErrHasInstances].
//
// Source: nova, cmd/manage.py, CellV2Commands.delete_host.
func (m *Mapper) DeleteHost(ctx context.Context, cell, host string) error {
	c, err := m.Cell(cell)
	if err != nil {
		return fmt.Errorf("delete host %q: %w", host, err)
	}
	switch h, found := m.host(host); {
	case !found:
		return fmt.Errorf("delete host %q: %w", host, ErrNoHost)
	case h.Cell != cell:
		return fmt.Errorf("delete host %q from cell %s: %w", host, cell, apidb.ErrMappedElsewhere)
	}
	err = m.in(ctx, c.Database, func(db *celldb.DB) error {
		some, err := db.HasInstances(host)
		switch {
		case err != nil:
			return err
		case some:
			return ErrHasInstances
		}
		return db.Unmap(ctx, host)
	})
	if err == nil {
		_, err = m.cfg.API.Update(ctx, func(tx *table.Tx) error {
			if h, found := m.cfg.API.Hosts.Get(tx, host); !found || h.Cell != cell {
				return nil // somebody else has done it
			}
			return m.cfg.API.Hosts.Delete(tx, host)
		})
	}
	if err != nil {
		return fmt.Errorf("delete host %q: %w", host, err)
	}
	return nil
}

// Setup is what MapCellAndHosts has found and done.
type Setup struct {
	Cell   string              // UUID of the cell; "" when there are no hosts
	Hosts  []string            // that are mapped now and were not before
	Before []apidb.HostMapping // of compute nodes whose host was mapped before
}

// MapCellAndHosts maps every host of a database that is not mapped yet: to the
// cell of those that are, else to the cell with this database and transport,
// else to c, which it creates. Without hosts it does nothing.
//
// Source: nova, cmd/manage.py, CellV2Commands._map_cell_and_hosts, which makes
// a second cell with the same database where none of the hosts is mapped.
func (m *Mapper) MapCellAndHosts(ctx context.Context, c apidb.CellMapping) (Setup, error) {
	var s Setup
	where, err := m.resolve(c)
	if err != nil {
		return s, err
	}
	var nodes []celldb.ComputeNode
	err = m.in(ctx, where.Database, func(db *celldb.DB) (err error) {
		nodes, err = db.PresentNodes("")
		return err
	})
	if err != nil || len(nodes) == 0 {
		return s, err
	}
	for _, n := range nodes {
		if h, found := m.host(n.Host); found {
			s.Cell, s.Before = h.Cell, append(s.Before, h)
		} else if !slices.Contains(s.Hosts, n.Host) {
			s.Hosts = append(s.Hosts, n.Host)
		}
	}
	if len(s.Hosts) == 0 {
		return s, nil
	}
	if s.Cell == "" {
		if s.Cell, err = m.cellAt(ctx, c, where); err != nil {
			return s, err
		}
	}
	for _, host := range s.Hosts {
		if _, err := m.mapHost(ctx, host, s.Cell); err != nil {
			return s, err
		}
	}
	return s, nil
}

// cellAt returns the cell that has the addresses of where, which is c
// resolved. It creates c when there is none.
func (m *Mapper) cellAt(ctx context.Context, c, where apidb.CellMapping) (string, error) {
	all, err := m.Cells()
	if err != nil {
		return "", err
	}
	for _, other := range all {
		if other.Database == where.Database && other.Transport == where.Transport {
			return other.UUID, nil
		}
	}
	return c.UUID, m.CreateCell(ctx, c)
}
