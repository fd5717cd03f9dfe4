//go:build integration

package router_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/router"
	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// TestEtcdDatabasesAway has four cells whose databases are in etcd, each over
// a network of its own. One network falls silent and one refuses, for a while.
func TestEtcdDatabasesAway(t *testing.T) {
	members := os.Getenv("KILONOVA_ETCD")
	require.NotEmpty(t, members, "KILONOVA_ETCD names the endpoints; .ci/etcd.sh sets it")
	ctx, links := t.Context(), map[string]*etcdtest.Link{}
	r, err := router.New(router.Config[*etcd.Store]{
		Dial: func(ctx context.Context, c router.Cell) (*etcd.Store, error) {
			return etcd.Open(ctx, etcd.Config{Endpoints: strings.Split(c.Database, ","), Prefix: "router/" + c.UUID})
		},
		HangUp: func(s *etcd.Store) { _ = s.Close() },
		Probe:  func(ctx context.Context, s *etcd.Store) error { _, err := records(ctx, s); return err },
		Judge: func(err error) router.Verdict {
			if errors.Is(err, context.DeadlineExceeded) {
				return router.Silent
			}
			return router.Absent // whatever etcd says here, there are no rows
		},
	})
	require.NoError(t, err)
	var cells []router.Cell
	for i := range 4 {
		link, err := etcdtest.NewLink(ctx, strings.Split(members, ","))
		require.NoError(t, err)
		t.Cleanup(func() { _ = link.Close() })
		c := router.Cell{UUID: fmt.Sprintf("cell%d-%d", i, time.Now().UnixNano()), Name: fmt.Sprint("cell", i), Database: strings.Join(link.Endpoints(), ",")}
		cells, links[c.Name] = append(cells, c), link
	}
	require.NoError(t, r.Set(ctx, cells))
	t.Cleanup(func() { _ = r.Close() })
	list := func() (missing []string, took time.Duration) {
		start := time.Now()
		got := router.Gather(ctx, r, nil, records)
		for _, m := range got.Missing {
			missing = append(missing, m.Cell.Name)
		}
		return missing, time.Since(start)
	}
	require.Eventually(t, func() bool { missing, _ := list(); return missing == nil }, 20*time.Second, 10*time.Millisecond)

	links["cell1"].Stall()
	links["cell2"].Drop()
	missing, took := list()
	require.Equal(t, []string{"cell1", "cell2"}, missing)
	require.Less(t, took, 2*time.Second)
	t.Logf("the first list took %v", took)
	var slowest time.Duration
	for since := time.Now(); time.Since(since) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		missing, took = list()
		require.Equal(t, []string{"cell1", "cell2"}, missing)
		slowest = max(slowest, took)
	}
	t.Logf("the slowest of the later ones took %v", slowest)
	require.Less(t, slowest, time.Second, "they wait for nobody")

	healed := time.Now()
	links["cell1"].Heal()
	links["cell2"].Heal()
	require.Eventually(t, func() bool { missing, _ := list(); return missing == nil }, 30*time.Second, 10*time.Millisecond)
	t.Logf("all answered %v after the networks were back", time.Since(healed))
}

// records counts what a store holds.
func records(ctx context.Context, s *etcd.Store) (n int, err error) {
	var revision uint64
	for _, err := range s.Load(ctx, &revision) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
