//go:build integration

package rabbit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/store/etcd"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// cells are conductors that answer over brokers from databases, and a router
// over them.
type cells struct {
	router     *router.Router[*Bus]
	pages      router.List[*Bus, celldb.Instance]
	conductors []*conductor
	dials      map[string]*atomic.Int64 // by name of the cell
	created    int
}

func openCloud(t *testing.T, sites []site, longestWait time.Duration) *cells {
	t.Helper()
	c, clients := &cells{dials: map[string]*atomic.Int64{}}, map[string]*Bus{}
	var err error
	c.router, err = router.New(router.Config[*Bus]{
		Dial: func(ctx context.Context, to router.Cell) (*Bus, error) {
			c.dials[to.Name].Add(1)
			return clients[to.Name], connected(ctx, clients[to.Name])
		},
		HangUp:      func(b *Bus) { _ = b.Close() },
		Probe:       func(ctx context.Context, b *Bus) error { return ask(ctx, b, "ping", nil, nil) },
		Judge:       judge,
		LongestWait: longestWait,
	})
	require.NoError(t, err)
	var mapped []router.Cell
	for place, s := range sites {
		c.conductors = append(c.conductors, conduct(t, s, place))
		c.dials[s.name], clients[s.name] = &atomic.Int64{}, newBus(t, s.transport)
		mapped = append(mapped, router.Cell{UUID: "uuid-" + s.name, Name: s.name, Database: strings.Join(s.database, ","), Transport: s.transport})
	}
	columns := router.Columns[celldb.Instance]{
		{Name: "uuid", Get: func(i *celldb.Instance) router.Value { return router.Text(i.UUID) }},
		{Name: "created_at", Get: func(i *celldb.Instance) router.Value { return router.Time(i.Created) }},
	}
	c.pages.Order, err = columns.Order(router.Sort{Column: "created_at", Desc: true})
	require.NoError(t, err)
	c.pages.Fetch = func(ctx context.Context, b *Bus, after *celldb.Instance, limit int) (rows []celldb.Instance, err error) {
		return rows, ask(ctx, b, "list", request{after, limit}, &rows)
	}
	require.NoError(t, c.router.Set(t.Context(), mapped))
	return c
}

func (c *cells) close(t *testing.T) {
	t.Helper()
	require.NoError(t, c.router.Close())
	for _, one := range c.conductors {
		require.NoError(t, errors.Join(one.bus.Close(), one.db.Close(), one.store.Close()))
	}
}

func (c *cells) call(ctx context.Context, name, method string, in, out any) error {
	return c.router.Call(ctx, "uuid-"+name, func(ctx context.Context, b *Bus) error { return ask(ctx, b, method, in, out) })
}

func (c *cells) ping(t *testing.T, name string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	return c.call(ctx, name, "ping", nil, nil)
}

func newBus(t *testing.T, transport string) *Bus {
	t.Helper()
	cfg, err := Parse(transport, nil)
	require.NoError(t, err)
	b, err := New(cfg)
	require.NoError(t, err)
	return b
}

// connected waits until a bus is.
func connected(ctx context.Context, b *Bus) error {
	for b.Ready() != nil {
		if ctx.Err() != nil {
			return b.Ready()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// request is what a list is asked for.
type request struct {
	After *celldb.Instance
	Limit int
}

// ask calls the conductor of a cell, for as long as ctx leaves time.
func ask(ctx context.Context, b *Bus, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	wait := time.Minute
	if deadline, limited := ctx.Deadline(); limited {
		wait = max(time.Until(deadline), time.Millisecond)
	}
	reply, err := bus.Call(ctx, b, bus.Envelope{ID: bus.NewID(), Topic: "conductor", Method: method, Version: bus.Version{Major: 1}, Timeout: wait, Body: body})
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(reply, out)
}

// silentDatabase is the code by which a conductor says so.
const silentDatabase = "DatabaseSilent"

// judge is what errors of the bus and of a conductor tell of a cell.
func judge(err error) router.Verdict {
	var refused *bus.RemoteError
	switch {
	case errors.As(err, &refused) && refused.Code == silentDatabase, errors.Is(err, bus.ErrTimeout):
		return router.Silent
	case errors.Is(err, bus.ErrUnavailable), errors.Is(err, bus.ErrNoHandler), errors.Is(err, bus.ErrLost):
		return router.Absent
	}
	return router.Answered
}

// conductor answers for a cell: with what its database says now, not with
// what is in memory.
type conductor struct {
	bus   *Bus
	store *etcd.Store
	db    *celldb.DB
}

// conduct starts the conductor of a cell, which has some instances.
func conduct(t *testing.T, s site, place int) *conductor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := &conductor{}
	var err error
	c.store, err = etcd.Open(ctx, etcd.Config{Endpoints: s.database, Prefix: fmt.Sprintf("%s-%d", s.name, time.Now().UnixNano())})
	require.NoError(t, err)
	_, err = celldb.Sync(ctx, c.store, false)
	require.NoError(t, err)
	c.db, err = celldb.Open(ctx, c.store)
	require.NoError(t, err)
	_, err = c.db.Update(ctx, func(tx *table.Tx) error {
		for i := range rows {
			at := time.Unix(int64(1000+4*i+place), 0).UTC()
			if err := c.db.Instances.Create(tx, celldb.Instance{UUID: fmt.Sprintf("%s-%06d", s.name, i), Created: at}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	c.bus = newBus(t, s.transport)
	require.NoError(t, connected(ctx, c.bus))
	_, err = c.bus.Handle(t.Context(), "conductor", bus.Service{Version: bus.Version{Major: 1}, Methods: map[string]bus.Handler{
		"ping": c.fresh(func(context.Context, []byte) (any, error) { return nil, nil }),
		"list": c.fresh(c.list), "create": c.create,
	}})
	require.NoError(t, err)
	return c
}

// fresh is a handler that answers when the database has told how far it is.
func (c *conductor) fresh(answer func(context.Context, []byte) (any, error)) bus.Handler {
	return func(ctx context.Context, e bus.Envelope) ([]byte, error) {
		if err := c.db.Fresh(ctx); err != nil {
			return nil, &bus.RemoteError{Code: silentDatabase, Message: err.Error()}
		}
		out, err := answer(ctx, e.Body)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

func (c *conductor) list(_ context.Context, body []byte) (any, error) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	var page []celldb.Instance
	err := c.db.View(func(tx *table.Tx) (err error) {
		page, err = c.db.Instances.Page(tx, table.Query[celldb.Instance]{Sort: []table.Sort{{Column: celldb.Created, Desc: true}}, After: in.After, Limit: in.Limit})
		return err
	})
	return page, err
}

func (c *conductor) create(ctx context.Context, e bus.Envelope) ([]byte, error) {
	var in celldb.Instance
	if err := json.Unmarshal(e.Body, &in); err != nil {
		return nil, err
	}
	_, err := c.db.Update(ctx, func(tx *table.Tx) error { return c.db.Instances.Put(tx, in) }) // again, when it is asked again
	return nil, err
}
