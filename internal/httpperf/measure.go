package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	flatSmall, flatLarge = 1000, 10000
	treeCount            = 1000
	claimed              = 100000
)

func small(ctx context.Context, o *options, s *server) error {
	if err := s.flatHosts(ctx, 0, flatSmall); err != nil {
		return err
	}
	return s.get(ctx, o, "candidates-1k-nolimit", flatQuery(), 1, flatSmall)
}

func flat(ctx context.Context, o *options, s *server) error {
	if err := s.flatHosts(ctx, 0, flatLarge); err != nil {
		return err
	}
	for _, limit := range []int{10, 100, 1000} {
		what := fmt.Sprint("candidates-10k-limit-", limit)
		if err := s.get(ctx, o, what, fmt.Sprint(flatQuery(), "&limit=", limit), 10, limit); err != nil {
			return err
		}
	}
	if err := s.get(ctx, o, "candidates-10k-limit-1", flatQuery()+"&limit=1", 1, 1); err != nil {
		return err
	}
	if err := s.script(ctx, o, "claim-cycle-10k", cycleScript(), 10); err != nil {
		return err
	}
	if s.slow {
		return s.script(ctx, o, "put-allocations", putScript(flatLarge), 64)
	}
	if err := s.script(ctx, o, "put-allocations", putScript(flatLarge), 64); err != nil {
		return err
	}
	if err := s.wide(ctx); err != nil {
		return err
	}
	return s.get(ctx, o, "wide-limit-10", wideQuery(), 1, 10)
}

// memory is measured on a server that has done nothing else.
func memory(ctx context.Context, _ *options, s *server) error {
	if err := s.flatHosts(ctx, 0, flatLarge); err != nil {
		return err
	}
	if err := s.claims(ctx, claimed, flatLarge); err != nil {
		return err
	}
	report("memory-10k-hosts-100k-consumers", s, 1, s.rss(), "MiB")
	return nil
}

func nested(ctx context.Context, o *options, s *server) error {
	if err := s.trees(ctx, treeCount); err != nil {
		return err
	}
	return s.get(ctx, o, "candidates-1k-trees-nolimit", nestedQuery, 1, 2*treeCount)
}

// get measures a query for candidates, after it has asserted how many it
// finds.
func (s *server) get(ctx context.Context, o *options, what, query string, connections, want int) error {
	found, err := s.candidates(ctx, query)
	if err != nil {
		return err
	}
	if found != want {
		return fmt.Errorf("%s finds %d candidates, want %d", what, found, want)
	}
	return s.wrk(ctx, o, what, "", s.url+"/allocation_candidates?"+query, connections)
}

func (s *server) script(ctx context.Context, o *options, what, lua string, connections int) error {
	return s.wrk(ctx, o, what, lua, s.url, connections)
}

var (
	total   = regexp.MustCompile(`(\d+) requests in ([\d.]+)(m?s|m),`)
	latency = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s|m)`)
	bad     = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx).*$`)
	cycles  = regexp.MustCompile(`good: (\d+) bad: (\d+)`)
)

// wrk runs one measurement three times.
func (s *server) wrk(ctx context.Context, o *options, what, lua, url string, connections int) error {
	duration := o.seconds
	threads := 2
	if s.slow {
		duration *= 4
	}
	if connections == 1 {
		threads = 1
	}
	if lua != "" {
		threads = min(connections, 16) // a script keeps one connection's state for each thread
		if strings.Contains(lua, "cycle") {
			threads = connections
		}
	}
	args := []string{"-t", strconv.Itoa(threads), "-c", strconv.Itoa(connections), "-d", fmt.Sprint(int(duration.Seconds()), "s"), "--timeout", "120s", "--latency"}
	for k, v := range map[string]string{"x-auth-token": "admin", "accept": "application/json", "openstack-api-version": "placement 1.39", "content-type": "application/json"} {
		args = append(args, "-H", k+": "+v)
	}
	if lua != "" {
		dir, err := os.MkdirTemp("", "httpperf")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		file := filepath.Join(dir, "load.lua")
		if err := os.WriteFile(file, []byte(lua), 0o600); err != nil {
			return err
		}
		args = append(args, "-s", file)
	}
	for range 3 {
		before, begun := s.cpu(), time.Now()
		out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
		took := time.Since(begun)
		s.settle()
		spent := s.cpu() - before
		if err != nil {
			return fmt.Errorf("wrk: %w: %s", err, out)
		}
		if err := s.parse(what, string(out), spent, took); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) parse(what, out string, cpu float64, took time.Duration) error {
	m := total.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("%s: no result in: %s", what, out)
	}
	n, _ := strconv.Atoi(m[1])
	if c := cycles.FindStringSubmatch(out); c != nil {
		n, _ = strconv.Atoi(c[1])
		if wrong, _ := strconv.Atoi(c[2]); wrong > n/10 { // a few lose a race
			return fmt.Errorf("%s: %d good and %d bad: %s", what, n, wrong, out)
		}
	} else if b := bad.FindString(out); b != "" {
		return fmt.Errorf("%s: %s", what, b)
	}
	if n == 0 {
		return fmt.Errorf("%s: nothing was done in time: %s", what, out)
	}
	values := []any{float64(n) / took.Seconds(), "req/s", 1e3 * cpu / float64(n), "cpu-ms/req"}
	for _, l := range latency.FindAllStringSubmatch(out, -1) {
		v, _ := strconv.ParseFloat(l[2], 64)
		v *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[l[3]]
		values = append(values, v, "p"+l[1]+"-ms")
	}
	report(what, s, n, values...)
	return nil
}

// putScript writes allocations of new consumers on random hosts.
func putScript(hosts int) string {
	return fmt.Sprintf(`
local n, threads = 0, 0
function setup(thread) threads = threads + 1; thread:set("tag", threads) end
function init() math.randomseed(os.time() * 64 + tag) end
local function id() return string.format("%%08x-%%04x-4000-8000-%%012x", math.random(0, 2^31), tag, n) end
function request()
  n = n + 1
  local host = string.format("00000001-0000-4000-8000-%%012x", math.random(%d, %d))
  return wrk.format("PUT", "/allocations/" .. id(), nil, '{"allocations": {"' .. host ..
    '": {"resources": {"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 10}}}, "project_id": "project", "user_id": "user", "consumer_generation": null, "consumer_type": "INSTANCE"}')
end
`, hosts/2, hosts-1)
}

// cycleScript asks for candidates and claims one of them, again and again.
func cycleScript() string {
	return fmt.Sprintf(`
-- cycle
local threads, count, body = {}, 0, nil
good, bad = 0, 0
function setup(thread) table.insert(threads, thread); thread:set("tag", #threads) end
function init() math.randomseed(os.time() * 64 + tag) end
function request()
  if body then
    count = count + 1
    local id = string.format("%%08x-%%04x-4000-8000-%%012x", math.random(0, 2^31), tag, count)
    return wrk.format("PUT", "/allocations/" .. id, nil, body)
  end
  return wrk.format("GET", "/allocation_candidates?%s&limit=10")
end
function response(status, headers, text)
  if body then
    if status == 204 then good = good + 1 else bad = bad + 1 end
    body = nil
    return
  end
  local hosts = {}
  for host in text:gmatch('{"allocations": {"([%%x-]+)"') do hosts[#hosts + 1] = host end
  if #hosts == 0 then bad = bad + 1; return end
  body = '{"allocations": {"' .. hosts[math.random(#hosts)] ..
    '": {"resources": {"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 10}}}, "project_id": "project", "user_id": "user", "consumer_generation": null, "consumer_type": "INSTANCE"}'
end
function done()
  local g, b = 0, 0
  for _, t in ipairs(threads) do g = g + t:get("good"); b = b + t:get("bad") end
  print("good: " .. g .. " bad: " .. b)
end
`, flatQuery())
}
