package etcdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says what to run.
type Config struct {
	Server   string   // the server's binary
	Dir      string   // for data and logs; made when there is none
	Members  int      // at least 1
	Flags    []string // for every member, beside those that make the cluster
	Networks bool     // every member in a network namespace of its own, by the command ip, as root; else all on loopback
}

// Cluster is a set of members, counted from 0.
type Cluster struct {
	cfg     Config
	clients []string // HOST:PORT
	peers   string   // --initial-cluster
	network network
	remove  func() error // the network

	mu      sync.Mutex
	running []*exec.Cmd // nil: not running
	stopped []bool      // by Stop
	ended   []chan struct{}
}

const (
	answerWithin  = time.Second // of a member that is asked for its state
	compactWithin = time.Minute // much history
	lowestPort    = 20000       // ports from here to highestPort are not given to outgoing connections
	highestPort   = 32000
)

// Start runs a cluster and returns when it has a leader that every member
// knows. Members that still run when ctx ends are killed. Where members cannot
// have networks of their own and are to, that is ErrNoNetworks.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Members < 1 {
		return nil, fmt.Errorf("members are %d, allowed are 1 and more", cfg.Members)
	}
	c := &Cluster{
		cfg: cfg, running: make([]*exec.Cmd, cfg.Members), stopped: make([]bool, cfg.Members), ended: make([]chan struct{}, cfg.Members),
	}
	addresses, err := c.addresses(ctx)
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	peers := make([]string, cfg.Members)
	for n := range cfg.Members {
		c.clients = append(c.clients, addresses[2*n])
		peers[n] = fmt.Sprintf("m%d=http://%s", n, addresses[2*n+1])
	}
	c.peers = strings.Join(peers, ",")
	for n := range cfg.Members {
		if err := c.Restart(ctx, n); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.Settled(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// addresses returns where each member is to listen for clients and for its
// peers, after it has made the network.
func (c *Cluster) addresses(ctx context.Context) (out []string, err error) {
	c.remove = func() error { return nil }
	if !c.cfg.Networks {
		return freePorts(ctx, 2*c.cfg.Members)
	}
	c.network, c.remove, err = makeNetwork(ctx, c.cfg.Members)
	for n := range c.cfg.Members {
		at := c.network.address(n)
		out = append(out, net.JoinHostPort(at, clientPort), net.JoinHostPort(at, peerPort))
	}
	return out, err
}

// freePorts returns addresses on loopback that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	out := make([]string, 0, n)
	first := os.Getpid() * 37 % (highestPort - lowestPort)
	for k := range highestPort - lowestPort {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+(first+k)%(highestPort-lowestPort)))
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("free port %s: %w", addr, err)
		}
		if out = append(out, addr); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%d ports are free from %d to %d, needed are %d", len(out), lowestPort, highestPort, n)
}

// Endpoints returns HOST:PORT of every member, running or not.
func (c *Cluster) Endpoints() []string { return append([]string(nil), c.clients...) }

// Restart starts member n, which is not running, with the data it has. It does
// not wait until the member answers.
func (c *Cluster) Restart(ctx context.Context, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[n] != nil {
		return fmt.Errorf("start member %d: it is running", n)
	}
	name := fmt.Sprint("m", n)
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("start member %d: %w", n, err)
	}
	out, err := os.OpenFile(filepath.Join(c.cfg.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start member %d: %w", n, err)
	}
	defer out.Close() //nolint:errcheck // the member has its own
	client, peer := "http://"+c.clients[n], ""
	for p := range strings.SplitSeq(c.peers, ",") {
		if at, ok := strings.CutPrefix(p, name+"="); ok {
			peer = at
		}
	}
	command := []string{c.cfg.Server}
	if c.cfg.Networks {
		command = []string{"ip", "netns", "exec", c.network.namespace(n), c.cfg.Server} // the server takes the place of ip
	}
	command = append(append(command,
		"--name", name, "--data-dir", filepath.Join(c.cfg.Dir, name), "--initial-cluster", c.peers, "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
	), c.cfg.Flags...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, attributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start member %d: %w", n, err)
	}
	c.running[n], c.stopped[n], c.ended[n] = cmd, false, make(chan struct{})
	watchEnd(cmd, c.ended[n])
	return nil
}

// Kill ends member n at once, as kill -9 does, and returns when it is gone.
func (c *Cluster) Kill(n int) error {
	if err := c.signal(n, syscall.SIGKILL); err != nil {
		return err
	}
	c.mu.Lock()
	ended := c.ended[n]
	c.mu.Unlock()
	<-ended
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[n], c.stopped[n] = nil, false
	return nil
}

// Stop makes member n do nothing until Continue. Its connections stay.
func (c *Cluster) Stop(n int) error { return c.signal(n, syscall.SIGSTOP) }

// Continue lets a stopped member go on.
func (c *Cluster) Continue(n int) error { return c.signal(n, syscall.SIGCONT) }

func (c *Cluster) signal(n int, s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[n] == nil {
		return fmt.Errorf("send %v to member %d: it is not running", s, n)
	}
	if err := c.running[n].Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to member %d: %w", s, n, err)
	}
	c.stopped[n] = s == syscall.SIGSTOP
	return nil
}

// Close kills every member that runs, and takes their network away.
func (c *Cluster) Close() error {
	var errs []error
	for n := range c.clients {
		c.mu.Lock()
		runs := c.running[n] != nil
		c.mu.Unlock()
		if !runs {
			continue
		}
		if err := c.Kill(n); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	remove := c.remove
	c.remove = func() error { return nil }
	return errors.Join(append(errs, remove())...)
}

// able returns the members that can answer.
func (c *Cluster) able() (out []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, cmd := range c.running {
		if cmd != nil && !c.stopped[n] {
			out = append(out, n)
		}
	}
	return out
}

// state is what a member says of itself.
type state struct {
	Header struct {
		Member   string `json:"member_id"`
		Revision int64  `json:"revision,string"`
		Term     uint64 `json:"raft_term,string"`
	} `json:"header"`
	Leader string `json:"leader"`
}

// Leader waits until a member that can answer says that it leads, and returns
// the one of the latest term.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	leader := -1
	err := poll(ctx, func() error {
		var term uint64
		var errs []error
		for _, n := range c.able() {
			s, err := c.state(ctx, n)
			if err == nil && s.Leader == s.Header.Member && s.Header.Term > term {
				leader, term = n, s.Header.Term
			}
			errs = append(errs, err)
		}
		if leader < 0 {
			return fmt.Errorf("no member leads: %w", errors.Join(errs...))
		}
		return nil
	})
	return leader, err
}

// Settled waits until every member that can answer knows the same leader.
func (c *Cluster) Settled(ctx context.Context) error {
	return poll(ctx, func() error {
		leader := ""
		for _, n := range c.able() {
			s, err := c.state(ctx, n)
			if err != nil {
				return err
			}
			if s.Leader == "" || s.Leader == "0" || leader != "" && leader != s.Leader {
				return fmt.Errorf("member %d has leader %q, another %q", n, s.Leader, leader)
			}
			leader = s.Leader
		}
		return nil
	})
}

// Compact drops the history before the present revision, which it returns.
func (c *Cluster) Compact(ctx context.Context) (revision int64, err error) {
	n, err := c.Leader(ctx)
	if err != nil {
		return 0, err
	}
	s, err := c.state(ctx, n)
	if err != nil {
		return 0, err
	}
	text := strconv.FormatInt(s.Header.Revision, 10)
	ctx, cancel := context.WithTimeout(ctx, compactWithin)
	defer cancel()
	return s.Header.Revision, c.ask(ctx, n, "kv/compaction", map[string]any{"revision": text, "physical": true}, nil)
}

func (c *Cluster) state(ctx context.Context, n int) (s state, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return s, c.ask(ctx, n, "maintenance/status", struct{}{}, &s)
}

// ask has the gateway of member n answer into out; nil: whatever it says.
func (c *Cluster) ask(ctx context.Context, n int, call string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask member %d: %w", n, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.clients[n]+"/v3/"+call, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask member %d: %w", n, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask member %d: %w", n, err)
	}
	defer res.Body.Close() //nolint:errcheck // it has been read
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask member %d for %s: %w", n, call, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask member %d for %s: %s: %s", n, call, res.Status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("ask member %d for %s: %w", n, call, err)
	}
	return nil
}
