package cells

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

func TestDiscoverHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: apidb.Cell0, Name: "cell0", Database: "mem:gone", Transport: "none:///"}))
	w.nodes(t, "a", "h2", "h1", "h1")
	w.nodes(t, "b", "h3", "h1")
	w.cell(t, "b", func(db *celldb.DB, tx *table.Tx) error {
		return db.Nodes.Put(tx, celldb.ComputeNode{UUID: "x", Host: "h9", Deleted: time.Unix(1, 0)})
	})
	var lines []string
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{Report: func(line string) { lines = append(lines, line) }})
	require.NoError(t, err)
	require.Equal(t, []apidb.HostMapping{{Host: "h1", Cell: "a"}, {Host: "h2", Cell: "a"}, {Host: "h3", Cell: "b"}}, hosts)
	require.Equal(t, `Found 3 cell mappings.
Getting computes from cell 'a': a
Checking host mapping for compute host 'h1': node-h1-1
Creating host mapping for compute host 'h1': node-h1-1
Checking host mapping for compute host 'h1': node-h1-2
Checking host mapping for compute host 'h2': node-h2-0
Creating host mapping for compute host 'h2': node-h2-0
Found 2 unmapped computes in cell: a
Getting computes from cell 'b': b
Checking host mapping for compute host 'h1': node-h1-1
Checking host mapping for compute host 'h3': node-h3-0
Creating host mapping for compute host 'h3': node-h3-0
Found 1 unmapped computes in cell: b
Skipping cell0 since it does not contain hosts.`, strings.Join(lines, "\n"))
	require.Equal(t, []string{"h1", "h1", "h2"}, w.mapped(t, "a"))
	require.Equal(t, []string{"h3"}, w.mapped(t, "b"), "h1 is in cell a")
	require.Equal(t, []string{"h1", "h2", "h3"}, w.hosts(t, ""))
	require.Equal(t, []string{"h3"}, w.hosts(t, "b"))
	_, err = w.Hosts("none")
	require.ErrorIs(t, err, apidb.ErrNoCell)

	hosts, err = w.DiscoverHosts(t.Context(), Discovery{Cell: "a"})
	require.NoError(t, err)
	require.Empty(t, hosts)
	_, err = w.DiscoverHosts(t.Context(), Discovery{Cell: "none"})
	require.ErrorIs(t, err, apidb.ErrNoCell)
}

func TestDiscoverServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	w.cell(t, "a", func(db *celldb.DB, tx *table.Tx) error {
		for _, s := range []celldb.Service{
			{UUID: "1", Host: "h1", Binary: celldb.ComputeBinary},
			{UUID: "2", Host: "h2", Binary: "nova-conductor"},
			{UUID: "3", Host: "h3", Binary: celldb.ComputeBinary, Deleted: time.Unix(1, 0)},
		} {
			if err := db.Services.Put(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	var lines []string
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{Cell: "a", ByService: true, Report: func(line string) { lines = append(lines, line) }})
	require.NoError(t, err)
	require.Equal(t, []apidb.HostMapping{{Host: "h1", Cell: "a"}}, hosts)
	require.Contains(t, lines, "Creating host mapping for service h1")
}

// TestDiscoverBesideCellAway: a cell that is away does not hinder others.
func TestDiscoverBesideCellAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	w.nodes(t, "b", "h1")
	delete(w.stores, "mem:a")
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.ErrorIs(t, err, errAway)
	require.Equal(t, []apidb.HostMapping{{Host: "h1", Cell: "b"}}, hosts)
}

// TestDiscoverAtOnce: who discovers beside others finds no error, and each
// host is new to one of them.
func TestDiscoverAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	w.nodes(t, "a", "h1", "h2", "h3", "h4", "h5")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var added []string
	for range 4 {
		m := w.mapper(t)
		wg.Go(func() {
			hosts, err := m.DiscoverHosts(t.Context(), Discovery{})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, h := range hosts {
				added = append(added, h.Host)
			}
		})
	}
	wg.Wait()
	require.ElementsMatch(t, []string{"h1", "h2", "h3", "h4", "h5"}, added)
	require.Len(t, w.mapped(t, "a"), 5)
}

func TestDeleteHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	w.nodes(t, "a", "h1", "h2")
	_, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.NoError(t, err)
	w.put(t, "a", celldb.Instance{UUID: "1", Host: "h1"})
	w.put(t, "a", celldb.Instance{UUID: "2", Host: "h2", Deleted: time.Unix(1, 0)})
	require.ErrorIs(t, w.DeleteHost(t.Context(), "none", "h1"), apidb.ErrNoCell)
	require.ErrorIs(t, w.DeleteHost(t.Context(), "a", "h9"), ErrNoHost)
	require.ErrorIs(t, w.DeleteHost(t.Context(), "b", "h1"), apidb.ErrMappedElsewhere)
	require.ErrorIs(t, w.DeleteHost(t.Context(), "a", "h1"), ErrHasInstances)
	require.NoError(t, w.DeleteHost(t.Context(), "a", "h2"), "its instance is deleted")
	require.Equal(t, []string{"h1"}, w.hosts(t, "a"))
	require.Equal(t, []string{"h1"}, w.mapped(t, "a"))
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.NoError(t, err)
	require.Equal(t, []apidb.HostMapping{{Host: "h2", Cell: "a"}}, hosts, "found again")
}

func TestMapCellAndHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	c := apidb.CellMapping{UUID: "new", Database: "mem:a", Transport: "bus:a"}
	s, err := w.MapCellAndHosts(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Setup{}, s, "no hosts")
	w.nodes(t, "a", "h1", "h1")
	s, err = w.MapCellAndHosts(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Setup{Cell: "a", Hosts: []string{"h1"}}, s, "the cell with these addresses")
	w.nodes(t, "a", "h2")
	c.Transport = "bus:other"
	s, err = w.MapCellAndHosts(t.Context(), c)
	require.NoError(t, err)
	h1 := apidb.HostMapping{Host: "h1", Cell: "a"}
	require.Equal(t, Setup{Cell: "a", Hosts: []string{"h2"}, Before: []apidb.HostMapping{h1, h1}}, s, "the cell of the other host")
	s, err = w.MapCellAndHosts(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Setup{Cell: "a", Before: []apidb.HostMapping{h1, h1, {Host: "h2", Cell: "a"}}}, s)

	w.stores["mem:b"] = w.stores["mem:a"]
	require.NoError(t, w.DeleteCell(t.Context(), "a", true))
	c.Database = "mem:b"
	s, err = w.MapCellAndHosts(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Setup{Cell: "new", Hosts: []string{"h1", "h2"}}, s)
	require.Equal(t, []string{"h1", "h2"}, w.hosts(t, "new"))
}
