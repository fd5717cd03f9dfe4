package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
)

// ErrNoNetworks says that members cannot have networks of their own here.
var ErrNoNetworks = errors.New("members cannot have networks of their own here")

const (
	clientPort  = "2379"
	peerPort    = "2380"
	firstMember = 10 // the last octet of its address; the bridge has 1
)

// network is a bridge in the present network namespace and, for each member, a
// namespace of its own that is joined to the bridge.
type network struct {
	name   string // of the bridge, with the process id; those of the others begin with it
	subnet int    // 10.213.SUBNET.0/24
}

var networks atomic.Int64

// makeNetwork makes the network of a cluster. What has been made is taken away
// by remove, also after a failure, and also when ctx has ended.
func makeNetwork(ctx context.Context, members int) (n network, remove func() error, err error) {
	remove = func() error { return nil }
	if os.Geteuid() != 0 {
		return n, remove, fmt.Errorf("%w: only root may make them", ErrNoNetworks)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return n, remove, fmt.Errorf("%w: %w", ErrNoNetworks, err)
	}
	n.name = fmt.Sprintf("kn%d.%d", os.Getpid(), networks.Add(1))
	if n.subnet, err = freeSubnet(); err != nil {
		return n, remove, err
	}
	if err := ip(ctx, "link", "add", n.name, "type", "bridge"); err != nil {
		return n, remove, fmt.Errorf("%w: %w", ErrNoNetworks, err)
	}
	made := 0
	remove = func() error {
		always := context.WithoutCancel(ctx)
		errs := []error{ip(always, "link", "del", n.name)}
		for m := range made { // connections that have not ended keep a namespace, and would keep its cable
			errs = append(errs, ip(always, "link", "del", n.namespace(m)), ip(always, "netns", "del", n.namespace(m)))
		}
		return errors.Join(errs...)
	}
	for m := range members {
		if err := ip(ctx, "netns", "add", n.namespace(m)); err != nil {
			return n, remove, fmt.Errorf("%w: %w", ErrNoNetworks, err)
		}
		if err := ip(ctx, "link", "add", n.namespace(m), "type", "veth", "peer", "name", "inner", "netns", n.namespace(m)); err != nil {
			return n, remove, errors.Join(fmt.Errorf("%w: %w", ErrNoNetworks, err), ip(ctx, "netns", "del", n.namespace(m)))
		}
		made++
		for _, args := range [][]string{
			{"link", "set", n.namespace(m), "master", n.name, "up"},
			{"-n", n.namespace(m), "addr", "add", n.address(m) + "/24", "dev", "inner"},
			{"-n", n.namespace(m), "link", "set", "inner", "up"},
			{"-n", n.namespace(m), "link", "set", "lo", "up"},
		} {
			if err := ip(ctx, args...); err != nil {
				return n, remove, err
			}
		}
	}
	return n, remove, errors.Join(ip(ctx, "addr", "add", n.prefix()+"1/24", "dev", n.name), ip(ctx, "link", "set", n.name, "up"))
}

// freeSubnet returns one that no interface has an address in. Where to begin
// differs from process to process.
func freeSubnet() (int, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return 0, fmt.Errorf("addresses in use: %w", err)
	}
next:
	for k := range 254 {
		subnet := 1 + (os.Getpid()*37+k)%254
		for _, a := range taken {
			if in, ok := a.(*net.IPNet); ok && in.Contains(net.IPv4(10, 213, byte(subnet), 1)) {
				continue next
			}
		}
		return subnet, nil
	}
	return 0, errors.New("no subnet of 10.213.0.0/16 is free")
}

func (n network) prefix() string { return fmt.Sprintf("10.213.%d.", n.subnet) }

func (n network) address(member int) string { return n.prefix() + strconv.Itoa(firstMember+member) }

// namespace is the name of a member's namespace and of its cable's outer end.
func (n network) namespace(member int) string { return fmt.Sprintf("%sm%d", n.name, member) }

// ip runs the command of that name.
func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", args, err, out)
	}
	return nil
}

// Isolate has nothing pass between member n and the other members, in either
// direction, until Heal. Clients reach it as before. The members must have
// networks of their own.
func (c *Cluster) Isolate(ctx context.Context, n int) error { return c.routes(ctx, "add", n) }

// Heal ends Isolate.
func (c *Cluster) Heal(ctx context.Context, n int) error { return c.routes(ctx, "del", n) }

func (c *Cluster) routes(ctx context.Context, change string, n int) error {
	if !c.cfg.Networks {
		return fmt.Errorf("isolate member %d: it has no network of its own", n)
	}
	var errs []error
	for m := range c.clients {
		if m != n {
			errs = append(errs,
				ip(ctx, "-n", c.network.namespace(n), "route", change, "blackhole", c.network.address(m)),
				ip(ctx, "-n", c.network.namespace(m), "route", change, "blackhole", c.network.address(n)))
		}
	}
	return errors.Join(errs...)
}
