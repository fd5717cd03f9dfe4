// Command httpperf measures placement servers over HTTP: the one of this
// repository, which it starts itself, and beside it, in the same run and on
// the same worlds, an OpenStack Placement that somebody has started. It needs
// wrk, and prints lines in the format of go test -bench, which perftable
// reads.
//
//	go run ./internal/httpperf -binary bin/kilonova -world flat -reference http://127.0.0.1:8778 -reference-pid 1234
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

type options struct {
	binary, world, reference, listen string
	referencePID                     int
	seconds                          time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/kilonova", "kilonova to start")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:18977", "address for it")
	flag.StringVar(&o.world, "world", "flat", "flat: hosts without children; nested: trees of seven")
	flag.StringVar(&o.reference, "reference", "", "URL of an empty OpenStack Placement with noauth2 (default: none)")
	flag.IntVar(&o.referencePID, "reference-pid", 0, "root of its processes, database included")
	flag.DurationVar(&o.seconds, "duration", 5*time.Second, "of each measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "httpperf:", err)
		os.Exit(1)
	}
}

// server is one that is measured.
type server struct {
	name string // of the benchmark's last part
	url  string
	pid  int
	slow bool // gets fewer requests and more time
}

func run(ctx context.Context, o *options) (err error) {
	ours, stop, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	servers := []*server{ours}
	if o.reference != "" {
		servers = append(servers, &server{name: "reference", url: o.reference, pid: o.referencePID, slow: true})
	}
	measure := map[string]func(context.Context, *options, *server) error{"flat": flat, "nested": nested, "memory": memory}[o.world]
	if measure == nil {
		return fmt.Errorf("-world is %q, allowed are: flat, nested", o.world)
	}
	for _, s := range servers {
		if err := measure(ctx, o, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// start starts kilonova on a directory of its own.
func start(ctx context.Context, o *options) (*server, func() error, error) {
	dir, err := os.MkdirTemp("", "httpperf")
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, o.binary, "placement-api", "--listen", o.listen, "--state-dir", dir, "--auth-strategy", "noauth2", "--access-log=false")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error {
		return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait(), os.RemoveAll(dir))
	}
	s := &server{name: "ours", url: "http://" + o.listen, pid: cmd.Process.Pid}
	return s, stop, s.waitReady(ctx)
}

// report prints one benchmark line.
func report(what string, s *server, n int, values ...any) {
	var b strings.Builder
	fmt.Fprintf(&b, "BenchmarkHTTP/%s/%s\t%d", what, s.name, n)
	for k := 0; k+1 < len(values); k += 2 {
		fmt.Fprintf(&b, "\t%.4g %s", values[k], values[k+1])
	}
	fmt.Println(b.String())
}
