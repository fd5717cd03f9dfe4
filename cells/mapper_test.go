package cells

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

func TestNew(t *testing.T) {
	t.Parallel()
	_, err := New(Config{})
	require.ErrorContains(t, err, "Config.API or Config.Open is nil")
}

func TestCellMappings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "b", "a")
	require.ErrorIs(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "a", Database: "x", Transport: "y"}), table.ErrExists)
	for _, c := range []struct {
		database, transport, other string
	}{
		{"mem:b", "new", "b"},
		{"new", "bus:a", "a"},
		{"{scheme}mem:b", "new", "b"}, // mem:base has no scheme of its own
		{"new", "new", ""},
		{"mem:new", "{scheme}://{hostname}/{path}1", ""},
		{"mem:newer", "rabbit://h/v1", "new-mem:new"},
	} {
		err := w.CreateCell(t.Context(), apidb.CellMapping{UUID: "new-" + c.database, Database: c.database, Transport: c.transport})
		taken := (*apidb.TakenError)(nil)
		if c.other == "" {
			require.NoError(t, err)
			continue
		}
		require.True(t, errors.As(err, &taken), "%v: %v", c, err)
		require.Equal(t, c.other, taken.Cell)
	}
	c, err := w.Cell("new-mem:new")
	require.NoError(t, err)
	require.Equal(t, "rabbit://h/v1", c.Transport, "resolved")
	all, err := w.Cells()
	require.NoError(t, err)
	require.Equal(t, "[ (new-mem:new)  (new-new) a (a) b (b)]", fmt.Sprint(all), "by name, without addresses")
	require.NotContains(t, fmt.Sprintf("%#v %+v", all, c), "rabbit")

	require.NoError(t, w.UpdateCell(t.Context(), "a", func(c *apidb.CellMapping) error {
		c.Name, c.Disabled = "z", true
		return nil
	}))
	c, err = w.Cell("a")
	require.NoError(t, err)
	require.True(t, c.Disabled)
	taken := (*apidb.TakenError)(nil)
	require.ErrorAs(t, w.UpdateCell(t.Context(), "a", func(c *apidb.CellMapping) error {
		c.Database = "mem:b"
		return nil
	}), &taken)
	require.ErrorIs(t, w.UpdateCell(t.Context(), "none", nil), apidb.ErrNoCell)
	_, err = w.Cell("none")
	require.ErrorIs(t, err, apidb.ErrNoCell)
	require.ErrorIs(t, w.UpdateCell(t.Context(), "a", func(*apidb.CellMapping) error { return errAway }), errAway)
}

// TestTemplateWithoutBase: a cell that cannot be resolved is named in the
// error of who uses it, is listed as it is, and does not hinder the others.
func TestTemplateWithoutBase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	w.cfg.Base.Database = ""
	require.ErrorContains(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "b", Database: "{path}", Transport: "b"}), "URL is a template")
	w.cfg.Base.Database = "x://y/z"
	require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "b", Database: "{path}", Transport: "b"}))
	w.cfg.Base.Database = ""
	const why = "cell  (b): URL is a template"
	all, err := w.Cells()
	require.NoError(t, err)
	require.Equal(t, "{path}", all[0].Database)
	_, err = w.Cell("b")
	require.ErrorContains(t, err, why)
	require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "c", Database: "c", Transport: "c"}))
	w.nodes(t, "a", "h1")
	require.NoError(t, w.DeleteCell(t.Context(), "c", false))
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.ErrorContains(t, err, why)
	require.Equal(t, []apidb.HostMapping{{Host: "h1", Cell: "a"}}, hosts)
	disable := func(c *apidb.CellMapping) error { c.Disabled = true; return nil }
	require.NoError(t, w.UpdateCell(t.Context(), "b", disable))
	require.ErrorContains(t, w.UpdateCell(t.Context(), "b", func(c *apidb.CellMapping) error {
		c.Database = "{path}_2"
		return nil
	}), why)
	require.NoError(t, w.DeleteCell(t.Context(), "b", false), "it is empty, and need not be reached")
}

// TestSameAddressAtOnce: of many who create cells with one database, one wins.
func TestSameAddressAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		m := w.mapper(t)
		wg.Go(func() {
			errs[i] = m.CreateCell(t.Context(), apidb.CellMapping{UUID: fmt.Sprint(i), Database: "mem:same", Transport: fmt.Sprint(i)})
		})
	}
	wg.Wait()
	created := 0
	for _, err := range errs {
		if taken := (*apidb.TakenError)(nil); !errors.As(err, &taken) {
			require.NoError(t, err)
			created++
		}
	}
	require.Equal(t, 1, created)
}
