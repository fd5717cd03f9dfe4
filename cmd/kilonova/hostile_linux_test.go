package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
)

// mib is a figure of /proc/PID/status, VmRSS or VmHWM, in MiB.
func (p *process) mib(t *testing.T, figure string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", figure, text)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib / 1024
}

// resetPeak makes VmHWM what VmRSS is now.
func (p *process) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// TestServerEverything asks for every candidate of many trees on several
// connections at once, one of which reads slowly: the answers are complete
// and the server's memory stays within a bound above what it held before.
func TestServerEverything(t *testing.T) {
	t.Parallel()
	const bound = 96 // MiB, of all answers together
	trees, readers := scaled(100, 1000, 10_000), 8
	p := startProcess(t, filepath.Join(t.TempDir(), "state"))
	growTrees(t, p, trees)
	before := p.mib(t, "VmRSS")
	p.resetPeak(t)
	began := time.Now()
	var wg sync.WaitGroup
	var bytesRead [8]int64
	for k := range readers {
		wg.Go(func() {
			n, candidates, err := p.everything(k == 0)
			bytesRead[k] = n
			if err != nil || candidates != 2*trees {
				t.Errorf("reader %d: %d candidates, %v; want %d", k, candidates, err, 2*trees)
			}
		})
	}
	wg.Wait()
	peak := p.mib(t, "VmHWM")
	t.Logf("%d trees of seven: %d answers of %.1f MB at once in %v; resident %d MiB before, at most %d MiB during, %d MiB after; bound: %d MiB more",
		trees, readers, float64(bytesRead[1])/1e6, time.Since(began).Round(time.Millisecond), before, peak, p.mib(t, "VmRSS"), bound)
	if peak > before+bound {
		t.Errorf("resident: %d MiB before, at most %d MiB during; want at most %d MiB more", before, peak, bound)
	}
}

const everythingQuery = "resources=DISK_GB:10&resources_COMPUTE=VCPU:1,MEMORY_MB:256&required_COMPUTE=COMPUTE_NODE" +
	"&resources_FPGA=FPGA:1&group_policy=none&same_subtree=_COMPUTE,_FPGA"

// everything asks for all candidates without keeping the answer.
func (p *process) everything(slowly bool) (size int64, candidates int, err error) {
	r, err := http.NewRequest(http.MethodGet, p.url+"/allocation_candidates?"+everythingQuery, nil)
	if err != nil {
		return 0, 0, err
	}
	r.Header = http.Header{"X-Auth-Token": {"admin"}, "Openstack-Api-Version": {"placement 1.39"}}
	resp, err := p.client().http.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("status %d", resp.StatusCode)
	}
	key := []byte(`{"allocations": `)
	buf, kept := make([]byte, 1<<20), 0
	for {
		n, err := resp.Body.Read(buf[kept:])
		size += int64(n)
		text := buf[:kept+n]
		candidates += bytes.Count(text, key)
		kept = copy(buf, text[max(0, len(text)-len(key)+1):]) // a key may be cut in two
		if errors.Is(err, io.EOF) {
			return size, candidates, nil
		}
		if err != nil {
			return size, candidates, err
		}
		if slowly {
			time.Sleep(time.Millisecond)
		}
	}
}

// growTrees makes trees of seven providers with two candidates each.
//
// Source: placement, gate/perfload-nested-loader.sh.
func growTrees(t *testing.T, p *process, n int) {
	t.Helper()
	nodes := []struct {
		parent int
		totals map[string]int
	}{
		{-1, map[string]int{"DISK_GB": 20480}},
		{0, map[string]int{"VCPU": 4, "MEMORY_MB": 2048}},
		{1, map[string]int{"FPGA": 1}},
		{1, map[string]int{"VGPU": 8}},
		{0, map[string]int{"VCPU": 4, "MEMORY_MB": 2048}},
		{4, map[string]int{"FPGA": 1}},
		{4, map[string]int{"FPGA": 1}},
	}
	uuid := func(tree, k int) string { return fmt.Sprintf("%08d-0000-4000-8000-%012d", k, tree) }
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			c := p.client()
			for tree := part; tree < n; tree += 4 {
				for k, node := range nodes {
					parent := ""
					if node.parent >= 0 {
						parent = uuid(tree, node.parent)
					}
					if err := c.provider(uuid(tree, k), parent, node.totals); err != nil {
						t.Error(err)
						return
					}
				}
				traits := object{"resource_provider_generation": 1, "traits": []string{"COMPUTE_NODE"}}
				if _, err := c.call(http.MethodPut, "/resource_providers/"+uuid(tree, 4)+"/traits", traits, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestServerHostile sends what must be refused, on many connections at once,
// beside connections that say nothing or half a request. The refusals are
// clear, others are served meanwhile, and memory stays within a bound.
func TestServerHostile(t *testing.T) {
	t.Parallel()
	bound := 640 // MiB: four bodies of 10 MB, one of them parsed, and what waits to be collected
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		bound *= 3 // the server is this binary, and the race detector keeps books of its own
	}
	clients := scaled(4, 16, 64)
	p := startProcess(t, filepath.Join(t.TempDir(), "state"))
	if err := p.client().provider(hostID(0), "", map[string]int{"VCPU": 1}); err != nil {
		t.Fatal(err)
	}
	before := p.mib(t, "VmRSS")
	p.resetPeak(t)
	silent := p.halfOpen(t, scaled(50, 200, 1000))
	requests, costly := hostileRequests(), costlyRequests()
	slowest := p.probe(t, func() {
		var wg sync.WaitGroup
		for k := range clients {
			if k < scaled(2, clients, clients) {
				wg.Go(func() { p.attack(t, costly) })
			}
			wg.Go(func() { p.attack(t, requests) })
		}
		wg.Wait()
	})
	peak := p.mib(t, "VmHWM")
	t.Logf("%d clients, %d half-open connections: resident %d MiB before, at most %d MiB during; bound: %d MiB more; the slowest of the other requests took %v",
		clients, len(silent), before, peak, bound, slowest.Round(time.Millisecond))
	if peak > before+bound {
		t.Errorf("resident: %d MiB before, at most %d MiB during; want at most %d MiB more", before, peak, bound)
	}
	if os.Getenv("KILONOVA_SOAK") == "1" {
		mustEnd(t, silent)
	}
}

// hostile is a request that must be refused.
type hostile struct {
	name, method, path, body string
	status                   int
	want                     string // in the answer
}

func hostileRequests() []hostile {
	allocations := "/allocations/00000009-0000-4000-8000-000000000000"
	candidates := "/allocation_candidates?"
	return []hostile{
		{"a body that is too large", http.MethodPut, allocations, strings.Repeat(" ", 10<<20+1), 413, "at most 10485760 bytes"},
		{"10 MB of nothing", http.MethodPut, allocations, strings.Repeat(" ", 10<<20), 400, "Malformed JSON"},
		{"10 MB of values", http.MethodPut, allocations, "[" + strings.Repeat("0,", 5<<20-1) + "]", 400, "more than"},
		{"deep JSON", http.MethodPut, allocations, strings.Repeat("[", 10<<20), 400, "nested deeper"},
		{"deep objects", http.MethodPut, allocations, strings.Repeat(`{"a":`, 2<<20), 400, "nested deeper"},
		{"repeated keys", http.MethodPut, allocations, `{"allocations": {}, "allocations": {}}`, 400, "repeated key"},
		{"NaN", http.MethodPut, allocations, `{"allocations": NaN}`, 400, "Malformed JSON"},
		{"invalid UTF-8", http.MethodPut, allocations, "{\"\xff\": 1}", 400, "not valid UTF-8"},
		{"100,000 parameters", http.MethodGet, candidates + strings.Repeat("a=1&", 100_000), "", 431, ""},
		{"50,000 parameters", http.MethodGet, candidates + strings.Repeat("a=1&", 50_000), "", 400, "too many parameters"},
		{"invalid UTF-8 in a query", http.MethodGet, candidates + "resources=%ff", "", 400, "UTF-8"},
	}
}

// costlyRequests are those whose values are made. Under the race detector, for
// which tests are short, half a million of them take seconds.
func costlyRequests() []hostile {
	const path = "/allocations/00000009-0000-4000-8000-000000000000"
	most := "[" + strings.Repeat("0,", scaled(jsonschema.MaxValues/7, jsonschema.MaxValues-3, jsonschema.MaxValues-3))
	return []hostile{
		{"as many values as may be, in 10 MB", http.MethodPut, path, most + strings.Repeat(" ", 10<<20-len(most)-2) + "0]", 400, "JSON does not validate"},
		{"as many values as may be, in 1 MB", http.MethodPut, path, most + "0]", 400, "JSON does not validate"},
	}
}

// attack makes every hostile request once.
func (p *process) attack(t *testing.T, requests []hostile) {
	t.Helper()
	for _, c := range requests {
		began := time.Now()
		status, text, err := p.send(c.method, c.path, c.body)
		if took := time.Since(began); err != nil || status != c.status || !strings.Contains(text, c.want) || len(text) > 5000 || took > time.Minute {
			t.Errorf("%s: %d %.300s (%d bytes) in %v, %v; want %d and %q", c.name, status, text, len(text), took, err, c.status, c.want)
		}
	}
}

// send sends a text as it is.
func (p *process) send(method, path, body string) (int, string, error) {
	r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header = http.Header{"X-Auth-Token": {"admin"}, "Openstack-Api-Version": {"placement 1.39"}}
	if body != "" {
		r.Header["Content-Type"] = []string{"application/json"}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// probe measures how long an ordinary request takes at most while do runs.
func (p *process) probe(t *testing.T, do func()) time.Duration {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		do()
		close(ended)
	}()
	slowest := time.Duration(0)
	for {
		select {
		case <-ended:
			return slowest
		case <-time.After(20 * time.Millisecond):
		}
		began := time.Now()
		if status, text, err := p.send(http.MethodGet, "/resource_providers/"+hostID(0), ""); err != nil || status != http.StatusOK {
			t.Errorf("an ordinary request meanwhile: %d %s, %v", status, text, err)
		}
		slowest = max(slowest, time.Since(began))
	}
}

// halfOpen opens connections of which some say nothing, some half a header,
// and some half a body.
func (p *process) halfOpen(t *testing.T, n int) []net.Conn {
	t.Helper()
	texts := []string{
		"", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"PUT /allocations/00000009-0000-4000-8000-000000000000 HTTP/1.1\r\nHost: x\r\nX-Auth-Token: admin\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n{",
	}
	conns := make([]net.Conn, n)
	for k := range conns {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, texts[k%len(texts)]); err != nil {
			t.Fatal(err)
		}
		conns[k] = conn
	}
	return conns
}

// mustEnd demands that the server ends the connections that never finish a
// header, which it gives ten seconds, and a body, which it gives a minute.
func mustEnd(t *testing.T, conns []net.Conn) {
	t.Helper()
	for _, body := range []bool{false, true} {
		deadline := time.Now().Add(15 * time.Second)
		if body {
			deadline = deadline.Add(time.Minute)
		}
		for k, conn := range conns {
			if (k%3 == 2) != body {
				continue
			}
			_ = conn.SetReadDeadline(deadline)
			if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("connection %d: %v; want it ended by the server", k, err)
				return
			}
		}
	}
	t.Logf("the server ended all %d half-open connections", len(conns))
}
