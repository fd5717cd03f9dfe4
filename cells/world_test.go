package cells

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// tight are the limits of etcd, the least of any store.
var tight = store.Limits{Records: 127, Weight: 127, Shared: true}

// world is a cloud of databases in memory.
type world struct {
	*Mapper
	api    store.Store
	stores map[string]store.Store // of cells, by URL
	mu     sync.Mutex
	opens  int // how often the database of a cell was opened
}

var errAway = errors.New("away")

// newWorld makes a cloud of cells a, b and so on.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	w := &world{api: mem.New(mem.Config{Limits: tight}), stores: map[string]store.Store{}}
	_, err := apidb.Sync(t.Context(), w.api, false)
	require.NoError(t, err)
	w.Mapper = w.mapper(t)
	for _, name := range names {
		url := "mem:" + name
		w.stores[url] = mem.New(mem.Config{Limits: tight})
		_, err := celldb.Sync(t.Context(), w.stores[url], false)
		require.NoError(t, err)
		require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: name, Name: name, Database: url, Transport: "bus:" + name}))
	}
	return w
}

// mapper opens the API database once more.
func (w *world) mapper(t *testing.T) *Mapper {
	t.Helper()
	api, err := apidb.Open(t.Context(), w.api)
	require.NoError(t, err)
	t.Cleanup(func() { _ = api.Close() })
	m, err := New(Config{API: api, Open: w.open, Base: Addresses{Database: "mem:base", Transport: "rabbit://u:p@h/v"}})
	require.NoError(t, err)
	return m
}

func (w *world) open(ctx context.Context, url string) (*celldb.DB, func() error, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stores[url]
	if s == nil {
		return nil, nil, errAway
	}
	w.opens++
	db, err := celldb.Open(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

// cell changes the database of a cell.
func (w *world) cell(t *testing.T, name string, change func(db *celldb.DB, tx *table.Tx) error) {
	t.Helper()
	db, closeDB, err := w.open(t.Context(), "mem:"+name)
	require.NoError(t, err)
	_, err = db.Update(t.Context(), func(tx *table.Tx) error { return change(db, tx) })
	require.NoError(t, errors.Join(err, closeDB()))
}

// nodes adds compute nodes to a cell, each "host" or "host/node".
func (w *world) nodes(t *testing.T, cell string, hosts ...string) {
	t.Helper()
	w.cell(t, cell, func(db *celldb.DB, tx *table.Tx) (err error) {
		for i, host := range hosts {
			n := celldb.ComputeNode{UUID: fmt.Sprintf("node-%s-%d", host, i), Host: host, Node: host}
			err = errors.Join(err, db.Nodes.Put(tx, n))
		}
		return err
	})
}

// mapped returns the hosts of compute nodes of a cell that are marked as mapped.
func (w *world) mapped(t *testing.T, cell string) (hosts []string) {
	t.Helper()
	w.cell(t, cell, func(db *celldb.DB, tx *table.Tx) error {
		hosts = nil
		nodes, err := db.Nodes.Page(tx, table.Query[celldb.ComputeNode]{Sort: []table.Sort{{Column: celldb.Host}}})
		for _, n := range nodes {
			if n.Mapped {
				hosts = append(hosts, n.Host)
			}
		}
		return err
	})
	return hosts
}

// instances adds n instances to a cell; the older the greater their UUIDs.
func (w *world) instances(t *testing.T, cell string, n int) {
	t.Helper()
	for i := range n {
		w.put(t, cell, celldb.Instance{UUID: fmt.Sprintf("i%04d", n-i), Project: "p", User: "u", Host: "h", Created: time.Unix(int64(i/3), 0).UTC()})
	}
}

func (w *world) put(t *testing.T, cell string, i celldb.Instance) {
	t.Helper()
	w.cell(t, cell, func(db *celldb.DB, tx *table.Tx) error { return db.Instances.Put(tx, i) })
}

// hosts returns the hosts of a cell as text.
func (w *world) hosts(t *testing.T, cell string) (names []string) {
	t.Helper()
	hosts, err := w.Hosts(cell)
	require.NoError(t, err)
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	return names
}

// count returns how many instances are mapped to a cell.
func (w *world) count(t *testing.T, cell string) int {
	t.Helper()
	var all []apidb.InstanceMapping
	require.NoError(t, w.cfg.API.View(func(tx *table.Tx) (err error) {
		all, err = w.cfg.API.Instances.Page(tx, table.Query[apidb.InstanceMapping]{Where: []table.Equal{{Column: apidb.Cell, Value: table.Text(cell)}}})
		return err
	}))
	return len(all)
}
