package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// call makes one request and returns the answer's body.
func (s *server) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header = http.Header{
		"X-Auth-Token": {"admin"}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Openstack-Api-Version": {"placement 1.39"}, "Idempotency-Key": nil,
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // was read
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return answer, err
}

func (s *server) waitReady(ctx context.Context) (err error) {
	for range 1200 { // a minute or two: the reference makes its database first
		if _, err = s.call(ctx, http.MethodGet, "/", nil); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// candidates counts what a query finds.
func (s *server) candidates(ctx context.Context, query string) (int, error) {
	text, err := s.call(ctx, http.MethodGet, "/allocation_candidates?"+query, nil)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Requests []json.RawMessage `json:"allocation_requests"`
	}
	err = json.Unmarshal(text, &answer)
	return len(answer.Requests), err
}

// id makes a UUID from a kind of thing and its number.
func id(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind+1, n) }

type object = map[string]any

// each calls do with from to to-1, some at once; the first alone, as classes
// and aggregates that it makes are made once.
func each(from, to int, do func(int) error) error {
	if from >= to {
		return nil
	}
	if err := do(from); err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() {
			for k := int(next.Add(1)); k < to; k = int(next.Add(1)) {
				if err := do(k); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// provider makes a resource provider with inventories, traits and aggregates.
func (s *server) provider(ctx context.Context, uuid, name, parent string, inv object, traits, aggs []string) error {
	body := object{"uuid": uuid, "name": name}
	if parent != "" {
		body["parent_provider_uuid"] = parent
	}
	if _, err := s.call(ctx, http.MethodPost, "/resource_providers", body); err != nil {
		return err
	}
	gen := 0
	for _, part := range []struct {
		name  string
		value any
		empty bool
	}{{"inventories", inv, len(inv) == 0}, {"traits", traits, len(traits) == 0}, {"aggregates", aggs, len(aggs) == 0}} {
		if part.empty {
			continue
		}
		path := "/resource_providers/" + uuid + "/" + part.name
		if _, err := s.call(ctx, http.MethodPut, path, object{"resource_provider_generation": gen, part.name: part.value}); err != nil {
			return err
		}
		gen++
	}
	return nil
}

// The flat world: hosts that differ in nothing, as in the gate of OpenStack
// Placement.
//
// Source: placement, gate/perfload-runner.sh and gate/perfload-nested-loader.sh.
func (s *server) flatHosts(ctx context.Context, from, to int) error {
	return each(from, to, func(k int) error {
		return s.provider(ctx, id(0, k), fmt.Sprint("host-", k), "", object{
			"VCPU":      object{"total": 256, "allocation_ratio": 16.0},
			"MEMORY_MB": object{"total": 2097152, "reserved": 512},
			"DISK_GB":   object{"total": 100000},
		}, []string{"HW_CPU_X86_AVX2", "STORAGE_DISK_SSD"}, []string{id(100, 0), id(100, 1), id(100, 2)})
	})
}

func flatQuery() string {
	return "resources=VCPU:1,DISK_GB:10,MEMORY_MB:256&required=HW_CPU_X86_AVX2&member_of=" + id(100, 0)
}

// The nested world: trees of seven.
func (s *server) trees(ctx context.Context, n int) error {
	if _, err := s.call(ctx, http.MethodPut, "/traits/CUSTOM_FOO", nil); err != nil {
		return err
	}
	memory := object{"total": 2048, "min_unit": 256, "max_unit": 1024}
	return each(0, n, func(k int) error {
		for _, p := range []struct {
			kind, parent int
			inv          object
			traits       []string
		}{
			{0, -1, object{"DISK_GB": object{"total": 20480}}, []string{"COMPUTE_VOLUME_MULTI_ATTACH"}},
			{1, 0, object{"VCPU": object{"total": 4, "reserved": 2}, "MEMORY_MB": object{"total": 2048, "min_unit": 512, "step_size": 256}}, []string{"HW_NUMA_ROOT"}},
			{2, 1, object{"FPGA": object{"total": 1}}, nil},
			{3, 1, object{"VGPU": object{"total": 8}}, nil},
			{4, 0, object{"VCPU": object{"total": 4}, "MEMORY_MB": memory}, []string{"HW_NUMA_ROOT", "CUSTOM_FOO"}},
			{5, 4, object{"FPGA": object{"total": 1}}, nil},
			{6, 4, object{"FPGA": object{"total": 1}}, nil},
		} {
			parent := ""
			if p.parent >= 0 {
				parent = id(p.parent, k)
			}
			if err := s.provider(ctx, id(p.kind, k), fmt.Sprintf("tree-%d-%d", k, p.kind), parent, p.inv, p.traits, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

const nestedQuery = "resources=DISK_GB:10&required=COMPUTE_VOLUME_MULTI_ATTACH" +
	"&resources_COMPUTE=VCPU:1,MEMORY_MB:256&required_COMPUTE=CUSTOM_FOO&resources_FPGA=FPGA:1" +
	"&group_policy=none&same_subtree=_COMPUTE,_FPGA"

// wide makes one tree of eight children with eight units each.
func (s *server) wide(ctx context.Context) error {
	if err := s.provider(ctx, id(200, 0), "wide", "", nil, nil, nil); err != nil {
		return err
	}
	return each(1, 9, func(k int) error {
		return s.provider(ctx, id(200, k), fmt.Sprint("wide-", k), id(200, 0), object{"PGPU": object{"total": 8}}, nil, nil)
	})
}

func wideQuery() string {
	var q bytes.Buffer
	q.WriteString("group_policy=none&limit=10")
	for k := range 8 {
		fmt.Fprintf(&q, "&resources_%d=PGPU:1", k)
	}
	return q.String()
}

// claims gives n consumers a host each, of the second half of the hosts: the
// first fill up when everybody takes the first candidates.
func (s *server) claims(ctx context.Context, n, hosts int) error {
	return each(0, n, func(k int) error {
		body := object{
			"allocations": object{id(0, hosts/2+k%(hosts/2)): object{"resources": object{"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 10}}},
			"project_id":  "project", "user_id": "user", "consumer_generation": nil, "consumer_type": "INSTANCE",
		}
		_, err := s.call(ctx, http.MethodPut, "/allocations/"+id(300, k), body)
		return err
	})
}
