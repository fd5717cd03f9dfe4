// Command httpperf measures placement servers over HTTP: the one of this
// repository, and beside it, in the same run and on the same world, an
// OpenStack Placement. It starts both, each for one world, as they have to be
// empty. It needs wrk (Debian: wrk), and prints lines in the format of go test
// -bench, which perftable reads.
//
//	go run ./internal/httpperf -binary bin/kilonova -world flat -reference './reference.py --port {port} --db mariadb'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	binary, world, reference, listen string
	referencePort                    int
	seconds                          time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/kilonova", "kilonova to start; empty: only the reference is measured")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:18977", "address for it")
	flag.StringVar(&o.world, "world", "flat", "small, flat: 1,000 or 10,000 hosts without children; nested: trees of seven; memory: hosts with consumers")
	flag.StringVar(&o.reference, "reference", "", "command that serves an empty OpenStack Placement with noauth2 on {port} until SIGTERM, database included (default: none)")
	flag.IntVar(&o.referencePort, "reference-port", 18700, "port for it")
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

func run(ctx context.Context, o *options) error {
	measure := map[string]func(context.Context, *options, *server) error{"small": small, "flat": flat, "nested": nested, "memory": memory}[o.world]
	if measure == nil {
		return fmt.Errorf("-world is %q, allowed are: small, flat, nested, memory", o.world)
	}
	if o.binary != "" {
		if err := measured(ctx, o, startOurs, measure); err != nil {
			return fmt.Errorf("ours: %w", err)
		}
	}
	if o.reference != "" && o.world != "memory" { // that row is no ratio
		if err := measured(ctx, o, startReference, measure); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	return nil
}

// measured starts a server, measures it and ends it.
func measured(ctx context.Context, o *options, start func(context.Context, *options) (*server, func() error, error), measure func(context.Context, *options, *server) error) (err error) {
	s, stop, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	return measure(ctx, o, s)
}

// startOurs starts kilonova on a directory of its own.
func startOurs(ctx context.Context, o *options) (*server, func() error, error) {
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
	return &server{name: "ours", url: "http://" + o.listen, pid: cmd.Process.Pid}, stop, nil
}

// startReference starts the command of the reference.
func startReference(ctx context.Context, o *options) (*server, func() error, error) {
	port := strconv.Itoa(o.referencePort)
	args := strings.Fields(strings.ReplaceAll(o.reference, "{port}", port))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // some end with the signal, some with a status of their own
		return err
	}
	return &server{name: "reference", url: "http://127.0.0.1:" + port, pid: cmd.Process.Pid, slow: true}, stop, nil
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
