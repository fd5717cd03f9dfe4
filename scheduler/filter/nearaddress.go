package filter

import (
	"net/netip"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// nearAddress passes hosts whose address is in the network of the hints
// build_near_host_ip and cidr.
//
// Source: nova, scheduler/filters/affinity_filter.py,
// SimpleCIDRAffinityFilter.
type nearAddress struct {
	base
	networks memo[[2]string, netip.Prefix]
}

func newNearAddress(*scheduler.Options) (scheduler.Filter, error) {
	return &nearAddress{base: base{"SimpleCIDRAffinityFilter", scheduler.ReadsHost | scheduler.ReadsRequest}}, nil
}

// Scope leaves out requests without the hint.
func (*nearAddress) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(hint(s, "build_near_host_ip") != nil, scheduler.FirstInstance)
}

// Pass puts the texts of the hints together and looks for the host's address
// in what they then say.
func (f *nearAddress) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	near := hint(r.Spec, "build_near_host_ip")
	if near == nil {
		return scheduler.Reason{}, nil
	}
	mask := "/24"
	if given, has := r.Spec.Hints["cidr"]; has {
		if len(given) != 1 {
			return scheduler.Reason{}, cannot("hint cidr is %q, allowed is: one text", given)
		}
		mask = given[0]
	}
	if len(near) != 1 {
		return scheduler.Reason{}, cannot("hint build_near_host_ip is %q, allowed is: one address", near)
	}
	network, err := f.networks.read([2]string{near[0], mask}, func(texts [2]string) (netip.Prefix, error) {
		return parseNetwork(texts[0] + texts[1])
	})
	if err != nil {
		return scheduler.Reason{}, err
	}
	at, err := netip.ParseAddr(h.HostIP)
	if err != nil {
		return scheduler.Reason{}, cannot("host %s: %w", h.Host, err)
	}
	if !network.Contains(at) {
		return scheduler.Reason{Why: "the host's address is %t, asked for is one near %a", Text: h.HostIP, Asked: near[0]}, nil
	}
	return scheduler.Reason{}, nil
}

// parseNetwork reads an address with or without a mask behind a slash: a
// number of bits, or an address that is the mask or its complement.
//
// Source: netaddr, ip/__init__.py, parse_ip_network.
func parseNetwork(text string) (netip.Prefix, error) {
	first, mask, masked := strings.Cut(text, "/")
	at, err := netip.ParseAddr(first)
	if err != nil || at.Zone() != "" {
		return netip.Prefix{}, cannot("%q is no address", first)
	}
	width, ok := at.BitLen(), true
	if masked {
		width, ok = prefixLength(mask, width)
	}
	if !ok {
		return netip.Prefix{}, cannot("network %q has mask %q, allowed are: 0 to %d bits, or a mask", text, mask, at.BitLen())
	}
	return netip.PrefixFrom(at, width), nil
}

func prefixLength(mask string, width int) (int, bool) {
	if n, ok := pyvalue.ParseInt(mask); ok {
		return int(n), 0 <= n && n <= int64(width)
	}
	at, err := netip.ParseAddr(mask)
	if err != nil || at.Zone() != "" || at.BitLen() != width {
		return 0, false
	}
	bits := at.AsSlice()
	if n, ok := ones(bits, 0); ok { // the mask itself
		return n, true
	}
	n, ok := ones(bits, 0xff)
	return n, ok
}

// ones counts leading ones, of the complement if flip is 0xff, and reports
// whether only zeros follow.
func ones(bits []byte, flip byte) (int, bool) {
	n, ended := 0, false
	for i := range 8 * len(bits) {
		one := (bits[i/8]^flip)>>(7-i%8)&1 == 1
		switch {
		case one && ended:
			return 0, false
		case one:
			n++
		default:
			ended = true
		}
	}
	return n, true
}
