package cells

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// HostMapper maps a host to a cell, as [apidb.DB.MapHost] does: that database,
// or who asks the process that has it.
type HostMapper interface {
	MapHost(ctx context.Context, host, cell string) (added bool, err error)
}

// Registration is what a host says of itself when it starts.
type Registration struct {
	Service celldb.Service
	Nodes   []celldb.ComputeNode // of the service's host
}

// Register maps a host to the cell that it reports to and then writes its rows
// into the database of that cell, so that nobody has to discover it. A host
// does so whenever it starts, and again when that failed. Fields that a newer
// program has added to its rows stay. A host of another cell, or of one that
// takes none, is refused with the error of [apidb.DB.MapHost], and nothing is
// written.
func Register(ctx context.Context, api HostMapper, cell string, db *celldb.DB, r Registration) error {
	host := r.Service.Host
	if host == "" {
		return errors.New("register: the host of the service is empty, allowed is: its name")
	}
	if _, err := api.MapHost(ctx, host, cell); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	_, err := db.Update(ctx, func(tx *table.Tx) error {
		s, _ := db.Services.Get(tx, r.Service.UUID)
		s.UUID, s.Host, s.Binary, s.Deleted = r.Service.UUID, host, r.Service.Binary, time.Time{}
		err := db.Services.Put(tx, s)
		for _, now := range r.Nodes {
			n, _ := db.Nodes.Get(tx, now.UUID)
			n.UUID, n.Host, n.Node, n.Mapped, n.Deleted = now.UUID, host, now.Node, true, time.Time{}
			err = errors.Join(err, db.Nodes.Put(tx, n))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("register host %q: %w", host, err)
	}
	return nil
}
