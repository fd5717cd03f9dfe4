//go:build integration

package placementapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// random makes a request: mostly a sensible one, with a fault now and then.
func (q *requests) random() exchange {
	x := exchange{header: http.Header{}, version: fmt.Sprint("placement 1.", []int{39, 39, 39, 38, 37, 36, 34, 30, 29, 28, 27, 26, 24, 23, 20, 19, 17, 14, 12, 11, 8, 7, 6, 4, 1, 0}[q.rng.IntN(26)])}
	minor, _ := strconv.Atoi(strings.TrimPrefix(x.version, "placement 1."))
	var body any
	rp := q.uuid("a")
	switch q.rng.IntN(26) {
	case 0, 1, 2:
		x.method, x.path = "POST", "/resource_providers"
		b := map[string]any{"name": "p" + rp[len(rp)-1:], "uuid": rp}
		if minor >= 14 && q.chance(2) {
			b["parent_provider_uuid"] = q.uuid("a")
		}
		body = b
	case 3:
		x.method, x.path = "PUT", "/resource_providers/"+rp
		b := map[string]any{"name": q.pick("p0", "p1", "q0", "p"+rp[len(rp)-1:])}
		if minor >= 14 && q.chance(2) {
			b["parent_provider_uuid"] = q.uuid("a")
			if q.chance(3) {
				b["parent_provider_uuid"] = nil
			}
		}
		body = b
	case 4:
		x.method, x.path = "DELETE", "/resource_providers/"+rp
	case 5:
		x.method, x.path = "GET", "/resource_providers/"+rp+q.pick("", "", "/inventories", "/inventories/VCPU", "/usages", "/aggregates", "/traits", "/allocations")
	case 6, 7, 8:
		x.method, x.path = "PUT", "/resource_providers/"+rp+"/inventories"
		inv := map[string]any{}
		for range q.rng.IntN(4) {
			inv[q.pick("VCPU", "MEMORY_MB", "DISK_GB", "CUSTOM_A")] = q.inventory()
		}
		body = map[string]any{"inventories": inv, "resource_provider_generation": q.generation(rp)}
	case 9:
		x.method, x.path = q.pick("PUT", "DELETE"), "/resource_providers/"+rp+"/inventories/"+q.pick("VCPU", "DISK_GB", "CUSTOM_A", "CUSTOM_NONE")
		if x.method == "PUT" {
			b := q.inventory()
			b["resource_provider_generation"] = q.generation(rp)
			body = b
		}
	case 10:
		x.method, x.path = "POST", "/resource_providers/"+rp+"/inventories"
		b := q.inventory()
		b["resource_class"] = q.pick("VCPU", "DISK_GB", "CUSTOM_A", "CUSTOM_NONE")
		body = b
	case 11:
		x.method, x.path = "PUT", "/resource_providers/"+rp+"/aggregates"
		list := []any{}
		for range q.rng.IntN(3) {
			list = append(list, q.uuid("e"))
		}
		list = dedupe(list)
		if body = list; minor >= 19 {
			body = map[string]any{"aggregates": list, "resource_provider_generation": q.generation(rp)}
		}
	case 12:
		x.method, x.path = q.pick("PUT", "PUT", "DELETE"), "/resource_providers/"+rp+"/traits"
		if x.method == "PUT" {
			list := []any{}
			for range q.rng.IntN(3) {
				list = append(list, q.pick("CUSTOM_T1", "CUSTOM_T2", "HW_CPU_X86_AVX2", "CUSTOM_NONE"))
			}
			body = map[string]any{"traits": dedupe(list), "resource_provider_generation": q.generation(rp)}
		}
	case 13, 14, 15:
		consumer := q.uuid("c")
		x.method, x.path = "PUT", "/allocations/"+consumer
		body = q.allocations(consumer, minor)
	case 16:
		x.method, x.path = "POST", "/allocations"
		b := map[string]any{}
		for range 1 + q.rng.IntN(2) {
			consumer := q.uuid("c")
			b[consumer] = q.allocations(consumer, max(12, minor))
		}
		body = b
	case 17:
		x.method, x.path = q.pick("GET", "GET", "DELETE"), "/allocations/"+q.uuid("c")
	case 18:
		x.method, x.path = "GET", "/usages?"+q.pick("project_id=p", "project_id=p&user_id=u", "user_id=u", "project_id=none", "project_id=p&consumer_type="+q.pick("INSTANCE", "all", "unknown"))
	case 19:
		x.method, x.path = q.pick("GET", "PUT", "DELETE"), "/traits/"+q.pick("CUSTOM_T1", "CUSTOM_T3", "HW_CPU_X86_AVX2", "NONE", "custom_x", "CUSTOM_"+strings.Repeat("A", 250))
	case 20:
		x.method, x.path = q.pick("GET", "PUT", "DELETE"), "/resource_classes/"+q.pick("CUSTOM_A", "CUSTOM_B", "VCPU", "NONE", "custom_x")
		if x.method == "PUT" && minor < 7 {
			body = map[string]any{"name": q.pick("CUSTOM_B", "CUSTOM_C", "CUSTOM_A")}
		}
	case 21:
		x.method, x.path = "POST", "/resource_classes"
		body = map[string]any{"name": q.pick("CUSTOM_B", "CUSTOM_C", "CUSTOM_A", "bad")}
	case 22:
		x.method, x.path = "GET", "/resource_providers?"+q.providersQuery()
	case 23:
		x.method, x.path = "GET", q.pick("/traits?name=in:CUSTOM_T1,CUSTOM_T2", "/traits?name=startswith:CUSTOM_", "/traits?associated=true&name=startswith:CUSTOM", "/traits?associated=maybe", "/traits?name=x", "/traits?colour=red", "/resource_classes", "/", "/nothing", "/resource_providers/")
	case 24:
		x.method, x.path = "POST", "/reshaper"
		inv := map[string]any{}
		for range 1 + q.rng.IntN(2) {
			u := q.uuid("a")
			inv[u] = map[string]any{"resource_provider_generation": q.generation(u), "inventories": map[string]any{q.pick("VCPU", "DISK_GB"): q.inventory()}}
		}
		alloc := map[string]any{}
		if q.chance(2) {
			consumer := q.uuid("c")
			alloc[consumer] = q.allocations(consumer, max(30, minor))
		}
		body = map[string]any{"inventories": inv, "allocations": alloc}
	default:
		x.method = q.pick("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
		x.path = q.pick("/resource_providers/"+rp+"/inventories", "/allocations", "/allocation_candidates", "/usages", "/reshaper", "/resource_providers/"+rp, "/traits", "/resource_classes/CUSTOM_A")
		if x.method == "PUT" || x.method == "POST" {
			body = map[string]any{}
		}
	}
	if body != nil {
		if q.chance(6) {
			body = q.spoil(body)
		}
		if m, is := body.(map[string]any); is && x.method == "POST" && x.path == "/resource_providers" && m["uuid"] == nil {
			m["uuid"] = rp // or else each side makes its own
		}
		text, _ := json.Marshal(body)
		x.body = string(text)
	}
	q.odd(&x)
	return x
}

// odd changes headers now and then.
func (q *requests) odd(x *exchange) {
	if !q.chance(15) {
		return
	}
	switch q.rng.IntN(9) {
	case 0:
		x.version = q.pick("placement 1.40", "placement 2.0", "compute 2.1", "placement abc", "placement latest", "", "placement", "compute 2.1, placement 1.20", "placement 1.10000", "placement 1.-1", "placement 1")
	case 1:
		x.header["Accept"] = []string{q.pick("text/plain", "application/json", "*/*", "text/html, application/json", "", "text/html", "application/*", "application/json;q=0")}
	case 2:
		if x.body != "" {
			x.header["Content-Type"] = []string{q.pick("text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "application/JSON")}
		}
	case 3:
		if x.body != "" {
			x.body = q.pick("{", "[]", `"text"`, "null", "{}", "1")
		}
	case 4:
		x.header["X-Auth-Token"] = [][]string{nil, {"user"}, {"user:p"}, {"admin:p"}}[q.rng.IntN(4)]
	case 5:
		x.method = "HEAD"
		x.body = ""
	case 6:
		x.path = strings.Replace(x.path, "_", "%5F", 1)
	case 7:
		x.path += q.pick("?", "?a=b", "?a;b", ";a", "/", "%2F", "?name=p0;uuid=x", "?limit=1&limit=2")
	default:
		x.path = q.otherUUIDs(x.path)
		x.body = q.otherUUIDs(x.body)
	}
}

var anyUUID = regexp.MustCompile(`[ae][0-9a-f]{7}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// otherUUIDs writes UUIDs of providers and aggregates in another way, one of
// those that Python reads.
func (q *requests) otherUUIDs(s string) string {
	way := q.rng.IntN(3)
	return anyUUID.ReplaceAllStringFunc(s, func(u string) string {
		return []string{strings.ReplaceAll(u, "-", ""), "{" + u + "}", "urn:uuid:" + u}[way]
	})
}

// generation is the present one of a provider, or another now and then.
func (q *requests) generation(rp string) any {
	if q.chance(6) {
		return q.rng.IntN(4)
	}
	return "present:/resource_providers/" + rp
}

func (q *requests) inventory() map[string]any {
	inv := map[string]any{"total": 1 + q.rng.IntN(20)}
	values := map[string]any{
		"reserved": q.rng.IntN(4), "min_unit": 1 + q.rng.IntN(2), "max_unit": 1 + q.rng.IntN(20), "step_size": 1 + q.rng.IntN(2),
		"allocation_ratio": []any{1, 1.5, 16.0, 0.5, 0}[q.rng.IntN(5)],
	}
	for _, key := range slices.Sorted(maps.Keys(values)) { // a seed means one dialogue
		if q.chance(3) {
			inv[key] = values[key]
		}
	}
	return inv
}

func (q *requests) allocations(consumer string, minor int) map[string]any {
	resources := func() map[string]any {
		return map[string]any{"resources": map[string]any{q.pick("VCPU", "DISK_GB", "CUSTOM_A"): 1 + q.rng.IntN(4)}}
	}
	b := map[string]any{}
	if minor >= 12 {
		list := map[string]any{}
		for range q.rng.IntN(3) {
			list[q.existing()] = resources()
		}
		b["allocations"] = list
	} else {
		list := []any{}
		for range 1 + q.rng.IntN(2) {
			r := resources()
			r["resource_provider"] = map[string]any{"uuid": q.existing()}
			list = append(list, r)
		}
		b["allocations"] = list
	}
	if minor >= 8 {
		b["project_id"], b["user_id"] = q.pick("p", "p2"), q.pick("u", "u2")
	}
	if minor >= 28 {
		b["consumer_generation"] = q.consumerGeneration(consumer)
	}
	if minor >= 38 {
		b["consumer_type"] = q.pick("INSTANCE", "MIGRATION", "unknown")
	}
	return b
}

func (q *requests) consumerGeneration(consumer string) any {
	if q.chance(8) {
		return []any{nil, 0, 1, 2}[q.rng.IntN(4)]
	}
	return "present:/allocations/" + consumer
}

func (q *requests) providersQuery() string {
	v := url.Values{}
	for range 1 + q.rng.IntN(2) {
		switch q.rng.IntN(7) {
		case 0:
			v.Set("name", q.pick("p0", "p1", "none", ""))
		case 1:
			v.Set("uuid", q.pick(q.uuid("a"), "bad"))
		case 2:
			v.Add("member_of", q.pick(q.uuid("e"), "in:"+q.uuid("e")+","+q.uuid("e"), "!"+q.uuid("e"), "!in:"+q.uuid("e"), "bad", ""))
		case 3:
			v.Add("resources", q.pick("VCPU:1", "VCPU:2,DISK_GB:1", "VCPU:0", "VCPU", "NONE:1", "CUSTOM_A:1", ""))
		case 4:
			v.Set("in_tree", q.uuid("a"))
		case 5:
			v.Add("required", q.pick("CUSTOM_T1", "!CUSTOM_T1", "CUSTOM_T1,!CUSTOM_T2", "in:CUSTOM_T1,CUSTOM_T2", "CUSTOM_NONE", "", "!"))
		default:
			v.Set("colour", "red")
		}
	}
	return v.Encode()
}

// spoil makes one thing in a body wrong.
func (q *requests) spoil(body any) any {
	odd := func() any {
		return []any{nil, "", "x", -1, 0, 1.5, true, []any{}, map[string]any{}, json.Number("2147483648"), json.Number("1e30"), strings.Repeat("y", 300)}[q.rng.IntN(12)]
	}
	m, is := body.(map[string]any)
	if !is || len(m) == 0 {
		return odd()
	}
	key := slices.Sorted(maps.Keys(m))[q.rng.IntN(len(m))]
	out := maps.Clone(m)
	switch q.rng.IntN(4) {
	case 0:
		delete(out, key)
	case 1:
		out["extra"] = odd()
	case 2:
		out[key] = q.spoil(m[key])
	default:
		out[key] = odd()
	}
	return out
}

func dedupe(list []any) []any {
	var out []any
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if out == nil {
		return []any{}
	}
	return out
}
