// Command cells lists servers of cells, one of which goes away and comes back.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/router"
)

// site is a cell and its servers, where a real one has a connection.
type site struct {
	servers []string
	down    atomic.Bool
}

func ping(_ context.Context, s *site) error {
	if s.down.Load() {
		return errors.New("connection refused")
	}
	return nil
}

// after returns up to limit servers whose names come after one.
func after(ctx context.Context, s *site, name *string, limit int) ([]string, error) {
	rows := slices.DeleteFunc(slices.Clone(s.servers), func(n string) bool { return name != nil && n <= *name })
	return rows[:min(limit, len(rows))], ping(ctx, s)
}

func main() {
	ctx := context.Background()
	sites := map[string]*site{"1": {servers: []string{"a", "d", "e"}}, "2": {servers: []string{"b", "f"}}, "3": {servers: []string{"c"}}}
	r, _ := router.New(router.Config[*site]{
		Dial:  func(_ context.Context, c router.Cell) (*site, error) { return sites[c.UUID], nil },
		Probe: ping, Judge: func(error) router.Verdict { return router.Absent },
	})
	cells := []router.Cell{{UUID: "1", Name: "east"}, {UUID: "2", Name: "west"}, {UUID: "3", Name: "north"}}
	_ = r.Set(ctx, cells[:2])
	order, _ := router.Columns[string]{{Name: "name", Get: func(s *string) router.Value { return router.Text(*s) }}}.Order()
	servers := router.List[*site, string]{Order: order, Fetch: after}
	list := func(last *string) *string {
		page, _ := servers.Page(ctx, r, last, 3)
		fmt.Println(page.Rows, "missing:", len(page.Missing))
		return &page.Rows[len(page.Rows)-1]
	}
	list(list(nil))
	_ = r.Set(ctx, cells) // a third cell, while others may be asking
	sites["2"].down.Store(true)
	list(nil)
	fmt.Println("west is away:", errors.Is(r.Call(ctx, "2", ping), router.ErrAway))
	sites["2"].down.Store(false)
	for r.Status()[1].Away { // until it is probed
		time.Sleep(time.Millisecond)
	}
	list(nil)
}
