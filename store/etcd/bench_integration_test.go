//go:build integration

package etcd_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
)

const (
	benchHosts = 1000
	flying     = 256
)

func numbered(kind byte, n int) placement.UUID {
	u := placement.UUID{kind}
	binary.BigEndian.PutUint64(u[8:], uint64(n)+1)
	return u
}

// parallel calls do with 0 to n-1 from some goroutines.
func parallel(b *testing.B, writers, n int, do func(int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
				if err := do(k); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func fill(b *testing.B, e *placement.Engine, hosts int) {
	b.Helper()
	inv := map[string]placement.Inventory{
		"VCPU": placement.NewInventory(1 << 30), "MEMORY_MB": placement.NewInventory(1 << 30), "DISK_GB": placement.NewInventory(1 << 30),
	}
	parallel(b, flying, hosts, func(h int) error {
		if _, err := e.CreateProvider(b.Context(), placement.Provider{UUID: numbered('h', h), Name: fmt.Sprint("host-", h)}); err != nil {
			return err
		}
		_, err := e.SetInventories(b.Context(), numbered('h', h), inv, placement.AnyGeneration)
		return err
	})
}

func claim(ctx context.Context, e *placement.Engine, consumer, host int) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: numbered('c', consumer), Project: "project", User: "user", Generation: placement.NewConsumer,
		Allocations: []placement.Allocation{
			{Provider: numbered('h', host), Class: "VCPU", Amount: 1},
			{Provider: numbered('h', host), Class: "MEMORY_MB", Amount: 512},
			{Provider: numbered('h', host), Class: "DISK_GB", Amount: 10},
		},
	}}})
}

func held(b *testing.B, e *placement.Engine, consumer int) {
	b.Helper()
	_, allocs, err := e.Consumer(numbered('c', consumer))
	require.NoError(b, err)
	require.Len(b, allocs, 3)
}

func median(v []float64) float64 { return quantile(v, 50) }

func quantile(v []float64, percent int) float64 {
	slices.Sort(v)
	return v[min(len(v)-1, len(v)*percent/100)]
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkClaims compares claims with 256 in flight with single puts of 200
// bytes with 256 in flight, in turns: on 1,000 hosts, and on 16 of them.
func BenchmarkClaims(b *testing.B) {
	for _, hosts := range []int{benchHosts, 16} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			ctx, cfg := b.Context(), config(b)
			e, bare := engineOn(b, open(b, cfg)), plain(b, cfg)
			fill(b, e, hosts)
			value, puts, claims, next := string(make([]byte, 200)), []float64{}, []float64{}, 0
			rate := func(n int, do func(k int) error) float64 {
				began := time.Now()
				parallel(b, flying, n, func(k int) error { return do(next + k) })
				next += n
				return float64(n) / time.Since(began).Seconds()
			}
			for b.Loop() {
				claims = append(claims, rate(10000, func(k int) error { return claim(ctx, e, k, k%hosts) }))
				held(b, e, next-1)
				puts = append(puts, rate(4000, func(k int) error {
					id := numbered('p', k)
					_, err := bare.Put(ctx, "beside/"+cfg.Prefix+"/"+string(id[:]), value)
					return err
				}))
			}
			b.ReportMetric(median(claims), "claims/s")
			b.ReportMetric(median(puts), "puts/s")
			b.ReportMetric(median(claims)/median(puts), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkStaleness is how much later than its writer's acknowledgement a
// claim is visible at another engine, with 1,000 claims a second. What is
// there already counts as 0.
func BenchmarkStaleness(b *testing.B) {
	const every = time.Millisecond
	ctx, cfg := b.Context(), config(b)
	writer, reader := engineOn(b, open(b, cfg)), engineOn(b, open(b, cfg))
	fill(b, writer, benchHosts)
	require.NoError(b, reader.Fresh(ctx))
	late := make([]float64, b.N)
	var wg sync.WaitGroup
	began := time.Now()
	b.ResetTimer()
	for n := range b.N {
		time.Sleep(time.Until(began.Add(time.Duration(n) * every)))
		wg.Go(func() {
			if err := claim(ctx, writer, n, n%benchHosts); err != nil {
				b.Error(err)
				return
			}
			done := time.Now()
			for {
				if _, _, err := reader.Consumer(numbered('c', n)); err == nil {
					break
				}
				time.Sleep(every / 2)
			}
			late[n] = float64(time.Since(done).Microseconds()) / 1e3
		})
	}
	wg.Wait()
	took := time.Since(began)
	held(b, reader, b.N-1)
	b.ReportMetric(float64(b.N)/took.Seconds(), "claims/s")
	b.ReportMetric(quantile(late, 50), "ms-p50")
	b.ReportMetric(quantile(late, 99), "ms-p99")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEngines compares candidates per CPU second of one engine and of
// four on one store, in turns, with four callers both times.
func BenchmarkEngines(b *testing.B) {
	const searches = 200_000
	ctx, cfg := b.Context(), config(b)
	engines := make([]*placement.Engine, 4)
	for k := range engines {
		engines[k] = engineOn(b, open(b, cfg))
	}
	fill(b, engines[0], benchHosts)
	for _, e := range engines {
		require.NoError(b, e.Fresh(ctx))
	}
	req := placement.CandidateRequest{Limit: 10, Groups: []placement.RequestGroup{{
		Resources: []placement.Resource{{Class: "VCPU", Amount: 1}, {Class: "MEMORY_MB", Amount: 512}, {Class: "DISK_GB", Amount: 10}},
	}}}
	search := func(among []*placement.Engine) float64 {
		cpu := cpuTime(b)
		parallel(b, len(engines), searches, func(k int) error {
			n := 0
			for _, err := range among[k%len(among)].Candidates(ctx, req) {
				if err != nil {
					return err
				}
				n++
			}
			if n != req.Limit {
				return fmt.Errorf("%d candidates, want %d", n, req.Limit)
			}
			return nil
		})
		return searches * float64(req.Limit) / (cpuTime(b) - cpu).Seconds()
	}
	var one, four []float64
	for b.Loop() {
		one = append(one, search(engines[:1]))
		four = append(four, search(engines))
	}
	b.ReportMetric(median(one), "one/cpu-s")
	b.ReportMetric(median(four), "four/cpu-s")
	b.ReportMetric(median(four)/median(one), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOpen opens an engine on 100,000 hosts and 333,334 consumers with
// three allocations each.
func BenchmarkOpen(b *testing.B) {
	const hosts, consumers = 100000, 333334
	ctx, cfg := b.Context(), config(b)
	st := open(b, cfg)
	first, err := placement.Open(ctx, placement.Config{Store: st, Now: time.Now})
	require.NoError(b, err)
	fill(b, first, hosts)
	parallel(b, 4*flying, consumers, func(k int) error { return claim(ctx, first, k, k%hosts) })
	require.NoError(b, first.Close())
	var took, cpu []float64
	for b.Loop() {
		began, used := time.Now(), cpuTime(b)
		e, err := placement.Open(ctx, placement.Config{Store: st, Now: time.Now})
		require.NoError(b, err)
		took, cpu = append(took, time.Since(began).Seconds()), append(cpu, (cpuTime(b)-used).Seconds())
		held(b, e, consumers-1)
		require.NoError(b, e.Close())
	}
	b.ReportMetric(median(took), "s/open")
	b.ReportMetric(median(cpu), "cpu-s/open")
	b.ReportMetric(0, "ns/op")
}
