package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/local"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// mapped is a router.Source on an API database.
type mapped struct{ api *apidb.DB }

func (m mapped) Cells(context.Context) (cells []router.Cell, revision uint64, err error) {
	err = m.api.View(func(tx *table.Tx) error {
		revision = tx.Revision()
		all, err := m.api.Cells.Page(tx, table.Query[apidb.CellMapping]{})
		for _, c := range all {
			cells = append(cells, router.Cell{UUID: c.UUID, Name: c.Name, Database: c.Database, Transport: c.Transport, Disabled: c.Disabled})
		}
		return err
	})
	return cells, revision, err
}

func (m mapped) Changed(ctx context.Context, revision uint64) error {
	for change, err := range m.api.Watch(ctx, revision) {
		if errors.Is(err, table.ErrTooFarBehind) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, row := range change.Rows {
			if row.Table == "cell_mappings" {
				return nil
			}
		}
	}
	return ctx.Err()
}

// cell is a cell's broker with a conductor that listens to it, and its
// database. Either can be away.
type cell struct {
	broker         *local.Bus
	db             *celldb.DB
	brokerAway     atomic.Bool
	databaseAway   atomic.Bool
	brokerCalls    atomic.Int64
	connectedTimes atomic.Int64
}

// conductor is the client to a cell.
type conductor struct{ to *cell }

type request struct {
	After *celldb.Instance
	Limit int
}

// call asks the conductor of a cell.
func (c conductor) call(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	c.to.brokerCalls.Add(1)
	if c.to.brokerAway.Load() {
		return fmt.Errorf("call %s: %w", method, bus.ErrUnavailable)
	}
	wait := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Until(deadline), time.Millisecond)
	}
	reply, err := bus.Call(ctx, c.to.broker, bus.Envelope{ID: bus.NewID(), Topic: "conductor", Method: method, Version: bus.Version{Major: 1}, Timeout: wait, Body: body})
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, out)
}

// serve answers on the bus of the cell from its database, for ever when that
// is away.
func (c *cell) serve(t *testing.T) {
	t.Helper()
	answer := func(read func(tx *table.Tx, in request) (any, error)) bus.Handler {
		return func(ctx context.Context, e bus.Envelope) (reply []byte, err error) {
			for c.databaseAway.Load() {
				time.Sleep(10 * time.Millisecond)
				if ctx.Err() != nil {
					return nil, &bus.RemoteError{Code: "DatabaseSilent", Message: "no answer from the database"}
				}
			}
			var in request
			if err := json.Unmarshal(e.Body, &in); err != nil {
				return nil, err
			}
			err = c.db.View(func(tx *table.Tx) error {
				out, err := read(tx, in)
				if err == nil {
					reply, err = json.Marshal(out)
				}
				return err
			})
			return reply, err
		}
	}
	_, err := c.broker.Handle(t.Context(), "conductor", bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{
		"ping": answer(func(*table.Tx, request) (any, error) { return nil, nil }),
		"list": answer(func(tx *table.Tx, in request) (any, error) {
			return c.db.Instances.Page(tx, table.Query[celldb.Instance]{Sort: []table.Sort{{Column: celldb.Created, Desc: true}}, After: in.After, Limit: in.Limit})
		}),
	}})
	require.NoError(t, err)
}

// judge is what errors of the bus and of a conductor tell of a cell.
func judge(err error) router.Verdict {
	var refused *bus.RemoteError
	switch {
	case errors.As(err, &refused) && refused.Code == "DatabaseSilent":
		return router.Silent
	case errors.Is(err, bus.ErrUnavailable), errors.Is(err, bus.ErrNoHandler), errors.Is(err, bus.ErrLost):
		return router.Absent
	case errors.Is(err, bus.ErrTimeout):
		return router.Silent
	}
	return router.Answered
}

func memory() store.Store { return mem.New(mem.Config{Limits: store.Limits{Shared: true}}) }

// system is an API database, four cells that are mapped in it, and a router
// that follows it.
type system struct {
	api    *apidb.DB
	cells  map[string]*cell // by transport
	router *router.Router[conductor]
	list   router.List[conductor, celldb.Instance]
}

func newSystem(t *testing.T) *system {
	t.Helper()
	ctx, s := t.Context(), &system{cells: map[string]*cell{}}
	kept := memory()
	_, err := apidb.Sync(ctx, kept, false)
	require.NoError(t, err)
	s.api, err = apidb.Open(ctx, kept)
	require.NoError(t, err)
	for i, name := range []string{"north", "east", "south", "west"} {
		s.add(t, name, i)
		s.mapCell(t, apidb.CellMapping{UUID: "uuid-" + name, Name: name, Database: "db-" + name, Transport: "mq-" + name})
	}
	s.router, err = router.New(router.Config[conductor]{
		Dial: func(_ context.Context, c router.Cell) (conductor, error) {
			to := s.cells[c.Transport]
			to.connectedTimes.Add(1)
			return conductor{to}, nil
		},
		Probe: func(ctx context.Context, c conductor) error {
			var none any
			return c.call(ctx, "ping", request{}, &none)
		},
		Judge: judge,
	})
	require.NoError(t, err)
	columns := router.Columns[celldb.Instance]{
		{Name: "uuid", Get: func(i *celldb.Instance) router.Value { return router.Text(i.UUID) }},
		{Name: "created_at", Get: func(i *celldb.Instance) router.Value { return router.Time(i.Created) }},
	}
	s.list.Order, err = columns.Order(router.Sort{Column: "created_at", Desc: true})
	require.NoError(t, err)
	s.list.Fetch = func(ctx context.Context, c conductor, after *celldb.Instance, limit int) (rows []celldb.Instance, err error) {
		err = c.call(ctx, "list", request{after, limit}, &rows)
		return rows, err
	}
	return s
}

// add makes a cell with 50 instances.
func (s *system) add(t *testing.T, name string, place int) {
	t.Helper()
	ctx, kept := t.Context(), memory()
	_, err := celldb.Sync(ctx, kept, false)
	require.NoError(t, err)
	c := &cell{broker: local.New(local.Config{})}
	c.db, err = celldb.Open(ctx, kept)
	require.NoError(t, err)
	_, err = c.db.Update(ctx, func(tx *table.Tx) error {
		for i := range 50 {
			at := time.Unix(int64(1000+4*i+place), 0).UTC()
			if err := c.db.Instances.Create(tx, celldb.Instance{UUID: fmt.Sprintf("%s-%02d", name, i), Created: at}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	c.serve(t)
	s.cells["mq-"+name] = c
}

func (s *system) mapCell(t *testing.T, c apidb.CellMapping) {
	t.Helper()
	require.NoError(t, s.api.ChangeCells(t.Context(), func(tx *table.Tx, _ []apidb.CellMapping) error {
		return s.api.Cells.Put(tx, c)
	}))
}

// page lists the newest instances; it returns how many there are of each cell
// and the cells that are missing.
func (s *system) page(t *testing.T, limit int) (counts map[string]int, missing []string, took time.Duration) {
	t.Helper()
	start := time.Now()
	page, err := s.list.Page(t.Context(), s.router, nil, limit)
	require.NoError(t, err)
	counts = map[string]int{}
	for i := range page.Rows {
		name, _, _ := strings.Cut(page.Rows[i].UUID, "-")
		counts[name]++
		require.False(t, i > 0 && page.Rows[i].Created.After(page.Rows[i-1].Created))
	}
	for _, m := range page.Missing {
		require.ErrorIs(t, m.Err, router.ErrAway)
		missing = append(missing, m.Cell.Name)
	}
	return counts, missing, time.Since(start)
}

func (s *system) ping(t *testing.T, name string) error {
	t.Helper()
	return s.router.Call(t.Context(), "uuid-"+name, func(ctx context.Context, c conductor) error {
		var none any
		return c.call(ctx, "ping", request{}, &none)
	})
}

func (s *system) close(t *testing.T) {
	t.Helper()
	require.NoError(t, s.router.Close())
	for _, c := range s.cells {
		require.NoError(t, errors.Join(c.broker.Close(), c.db.Close()))
	}
	require.NoError(t, s.api.Close())
}

// TestDatabaseAndBrokerAway takes the database of one cell and the broker of
// another away for five minutes, while cells are added and disabled: over
// conductors, messages and databases as they are.
func TestDatabaseAndBrokerAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.router.Follow(ctx, mapped{s.api}) }()
		synctest.Wait()
		counts, missing, _ := s.page(t, 100)
		require.Equal(t, map[string]int{"north": 25, "east": 25, "south": 25, "west": 25}, counts)
		require.Empty(t, missing)
		time.Sleep(time.Hour)

		s.cells["mq-east"].databaseAway.Store(true)
		s.cells["mq-west"].brokerAway.Store(true)
		asked := s.cells["mq-west"].brokerCalls.Load()
		counts, missing, took := s.page(t, 100)
		require.Equal(t, map[string]int{"north": 50, "south": 50}, counts)
		require.ElementsMatch(t, []string{"east", "west"}, missing)
		require.LessOrEqual(t, took, 2*time.Second)
		for since := time.Now(); time.Since(since) < 5*time.Minute; time.Sleep(time.Second) {
			_, missing, took = s.page(t, 100)
			require.Len(t, missing, 2)
			require.Zero(t, took)
			require.NoError(t, s.ping(t, "north"))
			require.ErrorIs(t, s.ping(t, "east"), router.ErrAway)
			require.ErrorIs(t, s.ping(t, "west"), bus.ErrUnavailable)
		}
		require.Less(t, s.cells["mq-west"].brokerCalls.Load()-asked, int64(120), "probes in five minutes")

		s.add(t, "center", 9)
		s.mapCell(t, apidb.CellMapping{UUID: "uuid-center", Name: "center", Database: "db-center", Transport: "mq-center"})
		s.mapCell(t, apidb.CellMapping{UUID: "uuid-north", Name: "north", Database: "db-north", Transport: "mq-north", Disabled: true})
		synctest.Wait()
		counts, missing, took = s.page(t, 100)
		require.Zero(t, took)
		require.Len(t, missing, 2)
		require.Len(t, counts, 3, "the one that was added and the one that was disabled are listed")
		require.Len(t, s.router.Choose(router.NewShape(nil)).Ask, 2, "no new instances for a disabled cell, or cells away")

		s.cells["mq-east"].databaseAway.Store(false)
		s.cells["mq-west"].brokerAway.Store(false)
		time.Sleep(router.DefaultLongestWait + router.DefaultTimeout)
		counts, missing, _ = s.page(t, 250)
		require.Empty(t, missing, "recovery without restart")
		require.Equal(t, map[string]int{"north": 50, "east": 50, "south": 50, "west": 50, "center": 50}, counts)
		require.NoError(t, s.ping(t, "east"))
		require.NoError(t, s.ping(t, "west"))
		for _, c := range s.cells {
			require.Equal(t, int64(1), c.connectedTimes.Load())
		}
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		s.close(t)
	})
}
