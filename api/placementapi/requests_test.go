//go:build integration

package placementapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

// testRequests sends random requests, right and wrong ones, of every route and
// version to OpenStack Placement and to ours, and compares status, body and
// the headers that clients read. Both begin empty, and a seed ends when their
// states may differ; what led there is cut down to what is needed.
func testRequests(t *testing.T, reference string, seed, worlds, steps int) {
	t.Helper()
	counts := map[string]int{}
	for w := range worlds {
		q := &requests{diff: newDiff(t, reference, uint64(seed+w)), counts: counts}
		if fault := q.play(q.prepare()); fault != "" {
			t.Errorf("seed %d: %s", q.seed, fault)
			continue
		}
		for range steps {
			fault, ends := q.do(q.random())
			switch {
			case fault != "" && ends:
				t.Errorf("seed %d: %s\nafter\n%s", q.seed, fault, q.shrink())
			case fault != "":
				t.Errorf("seed %d: %s", q.seed, fault)
			}
			if ends {
				break
			}
		}
	}
	report(t, "requests", counts)
}

// report prints how often each outcome was.
func report(t *testing.T, what string, counts map[string]int) {
	t.Helper()
	total, excused := 0, 0
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		total += counts[name]
		if strings.HasPrefix(name, "excused") {
			excused += counts[name]
		}
		fmt.Fprintf(&lines, "%8d  %s\n", counts[name], name)
	}
	t.Logf("%d %s, %d of them excused, %d different\n%s", total, what, excused, counts["different"], lines.String())
}

// requests is one random dialogue with both servers.
type requests struct {
	*diff
	counts map[string]int
	log    []exchange // all so far
}

func (q *requests) pick(list ...string) string { return list[q.rng.IntN(len(list))] }

func (q *requests) chance(one int) bool { return q.rng.IntN(one) == 0 }

func (q *requests) uuid(kind string) string {
	return fmt.Sprintf("%s%07x-0000-4000-8000-00000000000%d", kind, q.seed, q.rng.IntN(6))
}

// prepare makes what other requests use.
func (q *requests) prepare() []exchange {
	list := []exchange{
		{method: "GET", path: "/traits?name=startswith:CUSTOM_", version: "placement 1.6"},
		{method: "PUT", path: "/traits/CUSTOM_T1", version: "placement 1.39"},
		{method: "PUT", path: "/traits/CUSTOM_T2", version: "placement 1.39"},
		{method: "PUT", path: "/resource_classes/CUSTOM_A", version: "placement 1.39"},
	}
	for n := range 4 {
		uuid := fmt.Sprintf("a%07x-0000-4000-8000-00000000000%d", q.seed, n)
		list = append(list,
			exchange{method: "POST", path: "/resource_providers", version: "placement 1.39", body: fmt.Sprintf(`{"name": "p%d", "uuid": "%s"}`, n, uuid)},
			exchange{
				method: "PUT", path: "/resource_providers/" + uuid + "/inventories", version: "placement 1.39",
				body: `{"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 16}, "DISK_GB": {"total": 20}, "CUSTOM_A": {"total": 8}}}`,
			})
	}
	return list
}

// play makes requests until one differs.
func (q *requests) play(list []exchange) string {
	for _, x := range list {
		if fault, ends := q.do(x); fault != "" || ends {
			return fault
		}
	}
	return ""
}

const maxReplays = 60

// shrink returns the shortest run of requests that it finds, within
// maxReplays, which ends with a difference without an excuse.
func (q *requests) shrink() string {
	list, replays := q.log, 0
	for size := (len(list) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(list)-1 && replays < maxReplays; replays++ { // the last one stays
			shorter := slices.Concat(list[:at], list[min(at+size, len(list)-1):])
			again := &requests{diff: newDiff(q.t, q.theirs, q.seed), counts: map[string]int{}}
			if again.play(shorter) != "" {
				list = again.log
			} else {
				at += size
			}
		}
	}
	var b strings.Builder
	for _, x := range list {
		fmt.Fprintln(&b, "  ", x)
	}
	return b.String()
}

// existing is mostly a provider that exists: a write of allocations on others
// leaves a consumer behind in OpenStack Placement.
func (q *requests) existing() string {
	if list, err := q.clients[0].Providers(q.t.Context(), placement.ProviderFilter{}); err == nil && len(list) > 0 && !q.chance(60) {
		return list[q.rng.IntN(len(list))].UUID.String()
	}
	return q.uuid("a")
}

// forgetNames deletes the custom traits and classes of the reference.
func (d *diff) forgetNames() {
	for _, list := range []string{"/traits?name=startswith:CUSTOM_", "/resource_classes"} {
		text, _ := d.send(d.theirs, exchange{method: "GET", path: list, version: "placement 1.39"})
		for _, name := range regexp.MustCompile(`"(CUSTOM_[A-Z0-9_]+)"`).FindAllStringSubmatch(text.Body, -1) {
			_, _ = d.send(d.theirs, exchange{method: "DELETE", path: strings.SplitN(list, "?", 2)[0] + "/" + name[1], version: "placement 1.39"})
		}
	}
}

// do makes one request on both sides. fault describes a difference without
// an excuse; ends: the states may differ now.
func (q *requests) do(x exchange) (fault string, ends bool) {
	q.t.Helper()
	q.log = append(q.log, x)
	x.body = q.fill(x.body)
	theirs, err := q.send(q.theirs, x)
	if err != nil {
		q.t.Fatalf("seed %d: %v: %v", q.seed, x, err)
	}
	ours, err := q.send("", x)
	if err != nil {
		q.t.Fatalf("seed %d: %v: %v", q.seed, x, err)
	}
	equal, why, ends := judge(x, ours, theirs)
	switch {
	case equal:
		q.counts[fmt.Sprint("equal, status ", ours.Status)]++
		return "", false
	case why != "":
		q.counts["excused: "+why]++
		return "", ends
	}
	q.counts["different"]++
	return fmt.Sprintf("%v\n  ours   %d %v\n         %s\n  theirs %d %v\n         %s", x,
		ours.Status, ours.Header, ours.Body, theirs.Status, theirs.Header, theirs.Body), min(ours.Status, theirs.Status) < http.StatusBadRequest
}

// present is a generation in a body that is filled in when it is sent, so
// that a dialogue stays right when requests are left out of it.
var present = regexp.MustCompile(`"present:(/[^"]*)"`)

func (q *requests) fill(body string) string {
	return present.ReplaceAllStringFunc(body, func(mark string) string {
		answer, err := q.send("", exchange{method: "GET", path: present.FindStringSubmatch(mark)[1], version: "placement 1.39"})
		var v struct {
			Generation *int `json:"generation"`
			Consumer   *int `json:"consumer_generation"`
		}
		switch {
		case err != nil || json.Unmarshal([]byte(answer.Body), &v) != nil:
		case v.Generation != nil:
			return strconv.Itoa(*v.Generation)
		case v.Consumer != nil:
			return strconv.Itoa(*v.Consumer)
		}
		if strings.Contains(mark, "/allocations/") {
			return "null"
		}
		return "0"
	})
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?`)

func (d *diff) send(base string, x exchange) (told, error) {
	r, err := http.NewRequestWithContext(d.t.Context(), x.method, base+x.path, strings.NewReader(x.body))
	if err != nil {
		return told{}, err
	}
	if x.body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Auth-Token", "admin")
	r.Header["Idempotency-Key"] = nil
	if x.version != "" {
		r.Header.Set("Openstack-Api-Version", x.version)
	}
	for k, v := range x.header {
		if r.Header[k] = v; v == nil {
			delete(r.Header, k)
		}
	}
	var resp *http.Response
	if base == "" {
		w := httptest.NewRecorder()
		d.ours.ServeHTTP(w, r)
		resp = w.Result()
	} else if resp, err = http.DefaultClient.Do(r); err != nil {
		return told{}, err
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return told{}, err
	}
	return told{resp.StatusCode, readHeaders(resp.Header), readBody(text)}, nil
}

// readHeaders keeps what clients read, without what is chance.
func readHeaders(h http.Header) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"Openstack-Api-Version", "Vary", "Cache-Control", "Allow", "Content-Type"} {
		if v := h.Get(name); v != "" {
			parts := strings.Split(strings.ToLower(v), ",")
			for i := range parts {
				parts[i] = strings.TrimSpace(parts[i])
			}
			slices.Sort(parts)
			out[name] = strings.Join(parts, ", ")
		}
	}
	if v := h.Get("Location"); v != "" {
		if u, err := url.Parse(v); err == nil {
			out["Location"] = u.Path
		}
	}
	if h.Get("Last-Modified") != "" {
		out["Last-Modified"] = "set"
	}
	return out
}

var anyRequestID = regexp.MustCompile(`"request_id": ?"[^"]*"`)

func readBody(text []byte) string {
	text = anyRequestID.ReplaceAll(text, []byte(`"request_id":""`))
	text = times.ReplaceAll(text, []byte("T"))
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil || !json.Valid(text) {
		return string(text)
	}
	return canonical(numbers(v))
}

// numbers makes 1 and 1.0 the same.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
