package placementapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/placement"
)

// flatWorld has n hosts.
func flatWorld(tb testing.TB, n int) *Server {
	tb.Helper()
	engine, err := placement.Open(tb.Context(), placement.Config{Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close() })
	inv := map[string]placement.Inventory{"VCPU": placement.NewInventory(64), "MEMORY_MB": placement.NewInventory(1 << 18), "DISK_GB": placement.NewInventory(4000)}
	traits := []string{"COMPUTE_NODE", "HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42", "COMPUTE_VOLUME_ATTACH"}
	for i := range n {
		id := placement.MustUUID(fmt.Sprintf("00000001-0000-0000-0000-%012d", i))
		if _, err := engine.CreateProvider(tb.Context(), placement.Provider{UUID: id, Name: fmt.Sprint("host", i)}); err != nil {
			tb.Fatal(err)
		}
		if _, err := engine.SetInventories(tb.Context(), id, inv, 0); err != nil {
			tb.Fatal(err)
		}
		if _, err := engine.SetTraits(tb.Context(), id, traits, 1); err != nil {
			tb.Fatal(err)
		}
	}
	s, err := New(Config{Engine: engine, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// sink is a response writer that keeps the status only.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { s.bytes += len(b); return len(b), nil }

func serve(tb testing.TB, s *Server, method, path, body string) *sink {
	tb.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(tb.Context(), method, path, r)
	req.Header = http.Header{"X-Auth-Token": {"admin"}, api.VersionHeader: {"placement 1.39"}, "Accept": {"application/json"}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := &sink{header: http.Header{}, status: http.StatusOK}
	s.ServeHTTP(w, req)
	return w
}

func BenchmarkCandidates(b *testing.B) {
	hosts := 10_000
	if testing.Short() {
		hosts = 100
	}
	s := flatWorld(b, hosts)
	for _, limit := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("limit=", limit), func(b *testing.B) {
			path := fmt.Sprint("/allocation_candidates?resources=VCPU:1,MEMORY_MB:1024,DISK_GB:10&limit=", limit)
			b.ReportAllocs()
			for b.Loop() {
				if w := serve(b, s, http.MethodGet, path, ""); w.status != http.StatusOK || w.bytes < 200*min(limit, hosts) {
					b.Fatalf("%d, %d bytes", w.status, w.bytes)
				}
			}
		})
	}
}

// BenchmarkEverything asks for all candidates of flat hosts. The processor
// time hardly depends on who else uses the machine.
func BenchmarkEverything(b *testing.B) {
	hosts := 1000
	if testing.Short() {
		hosts = 10
	}
	s := flatWorld(b, hosts)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if w := serve(b, s, http.MethodGet, "/allocation_candidates?resources=VCPU:1,MEMORY_MB:1024,DISK_GB:10", ""); w.status != http.StatusOK || w.bytes < 500*hosts {
			b.Fatalf("%d, %d bytes", w.status, w.bytes)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkTrees asks for all candidates of trees of seven, as the nested job
// in the gate of OpenStack Placement does.
func BenchmarkTrees(b *testing.B) {
	trees := 1000
	if testing.Short() {
		trees = 10
	}
	engine, err := placement.Open(b.Context(), placement.Config{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := engine.CreateTrait(b.Context(), "CUSTOM_FOO"); err != nil {
		b.Fatal(err)
	}
	units := placement.NewInventory
	for n := range trees {
		for k, p := range []struct {
			parent int
			inv    map[string]placement.Inventory
			traits []string
		}{
			{-1, map[string]placement.Inventory{"DISK_GB": units(20480)}, []string{"COMPUTE_VOLUME_MULTI_ATTACH"}},
			{0, map[string]placement.Inventory{"VCPU": units(4), "MEMORY_MB": units(2048)}, []string{"HW_NUMA_ROOT"}},
			{1, map[string]placement.Inventory{"FPGA": units(1)}, nil},
			{1, map[string]placement.Inventory{"VGPU": units(8)}, nil},
			{0, map[string]placement.Inventory{"VCPU": units(4), "MEMORY_MB": units(2048)}, []string{"HW_NUMA_ROOT", "CUSTOM_FOO"}},
			{4, map[string]placement.Inventory{"FPGA": units(1)}, nil},
			{4, map[string]placement.Inventory{"FPGA": units(1)}, nil},
		} {
			own := placement.Provider{UUID: placement.UUID{byte(k + 1), byte(n >> 8), byte(n)}, Name: fmt.Sprint(n, " ", k)}
			if p.parent >= 0 {
				own.Parent = placement.UUID{byte(p.parent + 1), byte(n >> 8), byte(n)}
			}
			if _, err := engine.CreateProvider(b.Context(), own); err != nil {
				b.Fatal(err)
			}
			if _, err := engine.SetInventories(b.Context(), own.UUID, p.inv, 0); err != nil {
				b.Fatal(err)
			}
			if _, err := engine.SetTraits(b.Context(), own.UUID, p.traits, 1); err != nil {
				b.Fatal(err)
			}
		}
	}
	s, err := New(Config{Engine: engine, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	path := "/allocation_candidates?resources=DISK_GB:10&required=COMPUTE_VOLUME_MULTI_ATTACH" +
		"&resources_COMPUTE=VCPU:1,MEMORY_MB:256&required_COMPUTE=CUSTOM_FOO&resources_FPGA=FPGA:1&group_policy=none&same_subtree=_COMPUTE,_FPGA"
	b.ReportAllocs()
	for b.Loop() {
		if w := serve(b, s, http.MethodGet, path, ""); w.status != http.StatusOK || w.bytes < 2000*trees {
			b.Fatalf("%d, %d bytes", w.status, w.bytes)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	s := flatWorld(b, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		consumer := fmt.Sprintf("00000002-0000-0000-0000-%012d", i)
		body := fmt.Sprintf(`{"allocations": {"00000001-0000-0000-0000-%012d": {"resources": {"VCPU": 1, "MEMORY_MB": 1, "DISK_GB": 1}}}, "project_id": "p", "user_id": "u", "consumer_generation": null, "consumer_type": "INSTANCE"}`, i%100)
		if w := serve(b, s, http.MethodPut, "/allocations/"+consumer, body); w.status != http.StatusNoContent {
			b.Fatal(w.status)
		}
		if w := serve(b, s, http.MethodDelete, "/allocations/"+consumer, ""); w.status != http.StatusNoContent {
			b.Fatal(w.status)
		}
		i++
	}
}
