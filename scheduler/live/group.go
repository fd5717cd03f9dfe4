package live

import (
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// maxMembers is how many members of a server group fit an attachment.
const maxMembers = 64 << 10 / len(placement.UUID{})

// GroupKey is the key of a server group's guard, and of the attachment with
// its members: their UUIDs, 16 bytes each.
func GroupKey(uuid string) string { return "servergroup/" + uuid }

// A group is a server group as it is while one request is decided.
type group struct {
	key     string
	version uint64
	policy  string
	most    int              // members on one host; 0: any number
	members []placement.UUID // with allocations, and those of this request so far
	names   []string         // the same, as texts
	on      map[uint32]int   // members by host
	hosts   []string         // the hosts' names
}

// readGroup reads the members of a group from the engine, and where they
// are. Members that the spec names and that hold allocations count too. The
// version is read first: what changes later makes the claim fail.
func (s *Scheduler) readGroup(spec *scheduler.RequestSpec, own []placement.UUID) (*group, error) {
	g := &group{key: GroupKey(spec.Group.UUID), policy: spec.Group.Policy, on: map[uint32]int{}}
	if g.policy == scheduler.AntiAffinity {
		g.most = 1
		if m := spec.Group.MaxServerPerHost; m != nil {
			g.most = int(*m)
		}
		if g.most < 1 {
			g.most = -1 // nothing fits, as in Nova
		}
	}
	g.version = s.cfg.Engine.Guard(g.key)
	listed := s.cfg.Engine.Attachment(g.key)
	for ; len(listed) >= len(placement.UUID{}); listed = listed[len(placement.UUID{}):] {
		s.addMember(g, placement.UUID(listed), own)
	}
	for _, text := range spec.Group.Members {
		if uuid, err := placement.ParseUUID(text); err == nil {
			s.addMember(g, uuid, own)
		}
	}
	if len(g.members)+len(own) > maxMembers {
		return nil, &placement.InputError{
			Field: "server group " + spec.Group.UUID, Value: fmt.Sprint(len(g.members) + len(own)), Allowed: fmt.Sprintf("at most %d members", maxMembers),
		}
	}
	return g, nil
}

// addMember counts a member that holds something and is not about to be
// placed anew.
func (s *Scheduler) addMember(g *group, uuid placement.UUID, own []placement.UUID) {
	if slices.Contains(own, uuid) || slices.Contains(g.members, uuid) {
		return
	}
	_, held, err := s.cfg.Engine.Consumer(uuid)
	if err != nil {
		return // it is gone
	}
	g.members = append(g.members, uuid)
	g.names = append(g.names, uuid.String())
	for k := range held {
		p, err := s.cfg.Engine.Provider(held[k].Provider)
		if err != nil {
			continue
		}
		if i, known := s.view.byUUID[p.Root]; known {
			g.place(i, s.view.at(i).state.Host)
			return
		}
	}
}

func (g *group) place(host uint32, name string) {
	if g.on[host]++; g.on[host] == 1 {
		g.hosts = append(g.hosts, name)
	}
}

// join adds an instance that was placed on a host.
func (g *group) join(uuid placement.UUID, name string, host uint32, hostName string) {
	g.members, g.names = append(g.members, uuid), append(g.names, name)
	g.place(host, hostName)
}

// allows reports whether the policy lets one more member onto a host.
func (g *group) allows(host uint32) bool {
	switch g.policy {
	case scheduler.Affinity:
		return len(g.on) == 0 || g.on[host] > 0
	case scheduler.AntiAffinity:
		return g.on[host] < g.most
	default:
		return true
	}
}

// carry makes the group part of a claim.
func (g *group) carry(w *placement.AllocationWrite) {
	value := make([]byte, 0, len(g.members)*len(placement.UUID{}))
	for k := range g.members {
		value = append(value, g.members[k][:]...)
	}
	w.Guards = append(w.Guards, placement.Guard{Key: g.key, Version: g.version})
	w.Attachments = append(w.Attachments, placement.Attachment{Key: g.key, Value: value})
}
