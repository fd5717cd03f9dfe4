package live

import (
	"context"
	"errors"
	"maps"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// members returns where the members of a group are, by asking for what each
// of them holds.
func (f *Foreign) members(ctx context.Context, g *scheduler.Group, own []placement.UUID) (map[placement.UUID]*scheduler.HostState, error) {
	at := map[placement.UUID]*scheduler.HostState{}
	list, names := own, g.Members
	if f.cfg.Members != nil {
		var err error
		if names, err = f.cfg.Members(ctx, g.UUID); err != nil {
			return nil, err
		}
	}
	for _, text := range names {
		if uuid, err := placement.ParseUUID(text); err == nil {
			list = append(list[:len(list):len(list)], uuid)
		}
	}
	for _, uuid := range list {
		_, held, err := f.cfg.Placement.Consumer(ctx, uuid)
		if errors.Is(err, placement.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		allocations := make([]placement.Allocation, len(held))
		for k := range held {
			allocations[k] = held[k].Allocation
		}
		_, host, err := f.hostOf(ctx, allocations)
		if err != nil {
			return nil, err
		}
		if host != nil {
			at[uuid] = host
		}
	}
	return at, nil
}

// regroup makes the spec and the hosts say where the members are now. own are
// the instances of the request so far, the one to place last.
func (f *Foreign) regroup(ctx context.Context, spec *scheduler.RequestSpec, own []placement.UUID, hosts []*scheduler.HostState) error {
	at, err := f.members(ctx, spec.Group, own)
	if err != nil {
		return err
	}
	g := *spec.Group
	g.Members, g.Hosts = nil, nil
	for uuid, host := range at {
		g.Members, g.Hosts = append(g.Members, uuid.String()), append(g.Hosts, host.Host)
	}
	spec.Group = &g
	for k, h := range hosts {
		own := *h
		own.Instances = maps.Clone(h.Instances)
		for uuid, host := range at {
			name := uuid.String()
			if delete(own.Instances, name); host.UUID != h.UUID {
				continue
			}
			if own.Instances == nil {
				own.Instances = map[string]scheduler.Instance{}
			}
			own.Instances[name] = h.Instances[name]
		}
		hosts[k] = &own
	}
	return nil
}

// check reports whether the group's rule holds with the claim that was made.
//
// Source: nova, compute/manager.py, _validate_instance_group_policy.
func (f *Foreign) check(ctx context.Context, g *scheduler.Group, own []placement.UUID) (bool, error) {
	if g == nil || g.Policy != scheduler.Affinity && g.Policy != scheduler.AntiAffinity {
		return true, nil
	}
	at, err := f.members(ctx, g, own)
	if err != nil {
		return false, err
	}
	mine := at[own[len(own)-1]]
	same := 0
	for _, host := range at {
		if mine != nil && host.UUID == mine.UUID {
			same++
		}
	}
	if g.Policy == scheduler.Affinity {
		return same == len(at), nil
	}
	most := 1
	if g.MaxServerPerHost != nil {
		most = int(*g.MaxServerPerHost)
	}
	return same <= most, nil
}
