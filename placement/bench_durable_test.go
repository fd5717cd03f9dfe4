//go:build linux

package placement_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bdg "github.com/dgraph-io/badger/v4"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

const benchHosts = 1000

func durable(b *testing.B, dir string) (*placement.Engine, *badger.Store) {
	b.Helper()
	st, err := badger.Open(badger.Config{Dir: dir})
	require.NoError(b, err)
	e, err := placement.Open(b.Context(), placement.Config{Store: st, Now: time.Now})
	require.NoError(b, err)
	return e, st
}

// fill makes n hosts with many writers, as a sync each would take long.
func fill(ctx context.Context, b *testing.B, e *placement.Engine, n int) {
	b.Helper()
	parallel(256, n, func(h int) {
		if _, err := e.CreateProvider(ctx, placement.Provider{UUID: id('h', h), Name: fmt.Sprint("host-", h)}); err != nil {
			b.Error(err)
		}
		inv := map[string]placement.Inventory{
			"VCPU": placement.NewInventory(1 << 30), "MEMORY_MB": placement.NewInventory(1 << 30), "DISK_GB": placement.NewInventory(1 << 30),
		}
		if _, err := e.SetInventories(ctx, id('h', h), inv, placement.AnyGeneration); err != nil {
			b.Error(err)
		}
	})
}

// parallel calls do with 0 to n-1 from some goroutines.
func parallel(writers, n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
				do(k)
			}
		})
	}
	wg.Wait()
}

func put(ctx context.Context, e *placement.Engine, consumer, host int) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: id('c', consumer), Project: "project", User: "user", Generation: placement.NewConsumer,
		Allocations: []placement.Allocation{
			{Provider: id('h', host), Class: "VCPU", Amount: 1},
			{Provider: id('h', host), Class: "MEMORY_MB", Amount: 512},
			{Provider: id('h', host), Class: "DISK_GB", Amount: 10},
		},
	}}})
}

// BenchmarkDurableClaims compares claims with 256 in flight with a synced
// transaction per claim on Badger alone, in turns: with 256 in flight as well,
// and one after the other.
func BenchmarkDurableClaims(b *testing.B) {
	ctx := b.Context()
	e, st := durable(b, b.TempDir())
	defer st.Close()
	defer e.Close()
	fill(ctx, b, e, benchHosts)
	plain, err := bdg.Open(bdg.DefaultOptions(b.TempDir()).WithSyncWrites(true).WithLogger(nil))
	require.NoError(b, err)
	defer plain.Close()
	var ours, many, single []float64
	next := 0
	rate := func(writers, n int, do func(k int) error) float64 {
		start := time.Now()
		parallel(writers, n, func(k int) {
			if err := do(next + k); err != nil {
				b.Error(err)
			}
		})
		next += n
		return float64(n) / time.Since(start).Seconds()
	}
	for b.Loop() {
		ours = append(ours, rate(256, 50000, func(k int) error { return put(ctx, e, k, k%benchHosts) }))
		_, held, err := e.Consumer(id('c', next-1))
		require.NoError(b, err)
		require.Len(b, held, 3)
		many = append(many, rate(256, 2000, func(k int) error { return badgerClaim(plain, k, k%benchHosts) }))
		single = append(single, rate(1, 300, func(k int) error { return badgerClaim(plain, k, k%benchHosts) }))
	}
	b.ReportMetric(median(ours), "claims/s")
	b.ReportMetric(median(many), "badger-txn/s")
	b.ReportMetric(median(single), "badger-single-txn/s")
	b.ReportMetric(median(ours)/median(many), "ratio")
	b.ReportMetric(median(ours)/median(single), "ratio-to-single")
	b.ReportMetric(0, "ns/op")
}

// badgerClaim is a claim as a Badger transaction: read the host's three
// usages, check them, write them and the consumer.
func badgerClaim(db *bdg.DB, consumer, host int) error {
	for {
		err := db.Update(func(txn *bdg.Txn) error {
			c, h, used := id('c', consumer), id('h', host), make([]byte, 24)
			item, err := txn.Get(h[:])
			if err == nil {
				used, err = item.ValueCopy(used)
			}
			if err != nil && !errors.Is(err, bdg.ErrKeyNotFound) {
				return err
			}
			for at := 0; at < 24; at += 8 {
				v := binary.LittleEndian.Uint64(used[at:]) + 1
				if v > 1<<30 {
					return placement.ErrCapacity
				}
				binary.LittleEndian.PutUint64(used[at:], v)
			}
			if err := txn.Set(h[:], used); err != nil {
				return err
			}
			return txn.Set(c[:], make([]byte, 120))
		})
		if !errors.Is(err, bdg.ErrConflict) {
			return err
		}
	}
}

// BenchmarkDurableOne is one claim alone, beside one bare fdatasync of a
// preallocated file, in turns.
func BenchmarkDurableOne(b *testing.B) {
	ctx := b.Context()
	e, st := durable(b, b.TempDir())
	defer st.Close()
	defer e.Close()
	fill(ctx, b, e, 10)
	f, err := os.Create(b.TempDir() + "/bare")
	require.NoError(b, err)
	defer f.Close()
	_, err = f.Write(make([]byte, 64<<20))
	require.NoError(b, err)
	require.NoError(b, f.Sync())
	var claims, bare []float64
	for n := 0; b.Loop(); n++ {
		start := time.Now()
		require.NoError(b, put(ctx, e, n, n%10))
		claims = append(claims, float64(time.Since(start).Microseconds()))
		start = time.Now()
		_, err := f.WriteAt(make([]byte, 300), int64(n%200000)*300)
		require.NoError(b, err)
		require.NoError(b, fdatasync(f))
		bare = append(bare, float64(time.Since(start).Microseconds()))
	}
	b.ReportMetric(median(claims), "us/claim")
	b.ReportMetric(median(bare), "us/fdatasync")
	b.ReportMetric(median(claims)-median(bare), "us-over")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkOpen opens an engine on a store of n hosts (3 classes) and 2n
// consumers, each with an allocation of every class.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{10000, 100000, 1000000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if testing.Short() && n > 10000 {
				b.Skip("long: run without -short")
			}
			ctx, dir := b.Context(), b.TempDir()
			st, err := badger.Open(badger.Config{Dir: dir, NoSync: true})
			require.NoError(b, err)
			e, err := placement.Open(ctx, placement.Config{Store: st, Now: time.Now})
			require.NoError(b, err)
			fill(ctx, b, e, n)
			parallel(256, 2*n, func(k int) {
				if err := put(ctx, e, k, k/2); err != nil {
					b.Error(err)
				}
			})
			require.NoError(b, e.Close())
			require.NoError(b, st.Close())
			b.ResetTimer()
			for b.Loop() {
				e, st := durable(b, dir)
				b.StopTimer()
				_, held, err := e.Consumer(id('c', 2*n-1))
				require.NoError(b, err)
				require.Len(b, held, 3)
				require.NoError(b, e.Close())
				require.NoError(b, st.Close())
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/open")
		})
	}
}
