package celldb

import (
	"context"
	"errors"

	"github.com/kilonova-cloud/kilonova/store/table"
)

// unmapBatch is how many compute nodes are changed at once.
const unmapBatch = 50

// Instance returns an instance, deleted or not, and whether there is one.
func (db *DB) Instance(uuid string) (i Instance, found bool, err error) {
	err = db.View(func(tx *table.Tx) error {
		i, found = db.Instances.Get(tx, uuid)
		return nil
	})
	return i, found, err
}

// Oldest returns at most limit instances, deleted ones as well, in the order
// in which they were created, after one of them; nil is before the first.
func (db *DB) Oldest(after *Instance, limit int) (page []Instance, err error) {
	err = db.View(func(tx *table.Tx) error {
		page, err = db.Instances.Page(tx, table.Query[Instance]{Sort: []table.Sort{{Column: Created}}, After: after, Limit: limit})
		return err
	})
	return page, err
}

// HasInstances reports whether a host, or for "" the cell, has instances that
// are not deleted.
func (db *DB) HasInstances(host string) (bool, error) {
	where := []table.Equal{{Column: Deleted, Value: table.Bool(false)}}
	if host != "" {
		where = append(where, table.Equal{Column: Host, Value: table.Text(host)})
	}
	var page []Instance
	err := db.View(func(tx *table.Tx) (err error) {
		page, err = db.Instances.Page(tx, table.Query[Instance]{Where: where, Limit: 1})
		return err
	})
	return len(page) > 0, err
}

// PresentNodes returns the compute nodes of a host, or for "" of all hosts,
// that are not deleted, by host.
func (db *DB) PresentNodes(host string) (nodes []ComputeNode, err error) {
	q := table.Query[ComputeNode]{
		Sort:  []table.Sort{{Column: Host}},
		Match: func(n *ComputeNode) bool { return n.Deleted.IsZero() },
	}
	if host != "" {
		q.Where = []table.Equal{{Column: Host, Value: table.Text(host)}}
	}
	err = db.View(func(tx *table.Tx) error {
		nodes, err = db.Nodes.Page(tx, q)
		return err
	})
	return nodes, err
}

// ComputeServices returns the services that run instances and are not
// deleted, by host.
func (db *DB) ComputeServices() (services []Service, err error) {
	err = db.View(func(tx *table.Tx) error {
		services, err = db.Services.Page(tx, table.Query[Service]{
			Where: []table.Equal{{Column: Binary, Value: table.Text(ComputeBinary)}},
			Sort:  []table.Sort{{Column: Host}},
			Match: func(s *Service) bool { return s.Deleted.IsZero() },
		})
		return err
	})
	return services, err
}

// SetMapped notes whether the hosts of compute nodes are mapped. Nodes that
// are not there any more are left out.
func (db *DB) SetMapped(ctx context.Context, mapped bool, uuids ...string) error {
	_, err := db.Update(ctx, func(tx *table.Tx) error {
		var err error
		for _, uuid := range uuids {
			if n, found := db.Nodes.Get(tx, uuid); found && n.Mapped != mapped {
				n.Mapped = mapped
				err = errors.Join(err, db.Nodes.Put(tx, n))
			}
		}
		return err
	})
	return err
}

// Unmap notes that the compute nodes of a host, or for "" of all hosts, are
// not mapped, so that they are discovered again.
func (db *DB) Unmap(ctx context.Context, host string) error {
	nodes, err := db.PresentNodes(host)
	for err == nil && len(nodes) > 0 {
		n := min(unmapBatch, len(nodes))
		uuids := make([]string, n)
		for i := range uuids {
			uuids[i] = nodes[i].UUID
		}
		err = db.SetMapped(ctx, false, uuids...)
		nodes = nodes[n:]
	}
	return err
}
