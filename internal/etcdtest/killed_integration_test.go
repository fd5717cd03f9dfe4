//go:build integration

package etcdtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// The test binary starts itself again as an engine that works until it is
// killed: childWork says at what, childAt where the store is.
const (
	childWork = "KILONOVA_TEST_WORK"
	childAt   = "KILONOVA_TEST_ENDPOINTS"

	childPrefix = "KILONOVA_TEST_PREFIX"
	prefix      = "kilonova"
)

func TestMain(m *testing.M) {
	work := os.Getenv(childWork)
	if work == "" {
		os.Exit(m.Run())
	}
	cfg := etcd.Config{Endpoints: strings.Split(os.Getenv(childAt), ","), Prefix: os.Getenv(childPrefix)}
	if err := child(context.Background(), cfg, work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(ctx context.Context, cfg etcd.Config, work string) error {
	var large largeWork
	if json.Unmarshal([]byte(work), &large) == nil {
		return large.do(ctx, cfg)
	}
	s, err := etcd.Open(ctx, cfg)
	if err != nil {
		return err
	}
	e, err := placement.Open(ctx, placement.Config{Store: s, Now: time.Now})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for w := range writers / engines {
		wg.Go(func() { moveUntilKilled(ctx, e, w) })
	}
	wg.Wait()
	return nil
}

// told is what a child says: before a move, with no answer, and after it.
type told struct {
	Writer             int
	Call, Answer       int64 // unix nanoseconds
	Consumer           int
	From, To           [3]int64 // generation, host, amount
	Done, Unknown, Bad bool
}

func line(p place) [3]int64 { return [3]int64{p.generation, int64(p.host), int64(p.amount)} }

func at(l [3]int64) place { return place{l[0], int(l[1]), int(l[2])} }

func moveUntilKilled(ctx context.Context, e *placement.Engine, w int) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(w)))
	for {
		if rng.IntN(30) == 0 {
			takeTurn(ctx, e)
		}
		c := rng.IntN(consumers)
		from, to := step(e, rng, c)
		t := told{Writer: w, Call: time.Now().UnixNano(), Consumer: c, From: line(from), To: line(to)}
		say(t)
		err := put(ctx, e, c, from, to)
		t.Answer = time.Now().UnixNano()
		t.Done, t.Unknown = err == nil, errors.Is(err, placement.ErrUnknownOutcome)
		t.Bad = err != nil && !t.Unknown && !errors.Is(err, placement.ErrCapacity) && !errors.Is(err, placement.ErrConcurrentUpdate)
		say(t)
		time.Sleep(time.Duration(rng.Int64N(int64(2 * pace))))
	}
}

// say writes one line: whole in the pipe or not at all.
func say(t told) {
	b, _ := json.Marshal(t)
	if _, err := os.Stdout.Write(append(b, '\n')); err != nil {
		os.Exit(1)
	}
}

// process is a child that moves consumers.
type process struct {
	cmd   *exec.Cmd
	first int // its writers are from here on
	heard chan struct{}
	ended chan struct{}
	open  map[int]told // said, not answered; by writer
	fault string
}

// startChild runs a child, whose answers go into f.
func startChild(t *testing.T, f *fleet, first int) *process {
	t.Helper()
	p := &process{first: first, heard: make(chan struct{}), ended: make(chan struct{}), open: map[int]told{}}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0])
	p.cmd.Env = append(os.Environ(), childWork+"=move", childAt+"="+strings.Join(f.cfg.Endpoints, ","), childPrefix+"="+f.cfg.Prefix)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		var once sync.Once
		in := bufio.NewScanner(out)
		for in.Scan() {
			var said told
			switch err := json.Unmarshal(in.Bytes(), &said); {
			case err != nil:
				p.fault = err.Error()
			case said.Answer == 0:
				p.open[said.Writer] = said
			default:
				once.Do(func() { close(p.heard) })
				delete(p.open, said.Writer)
				p.enter(f, said)
			}
		}
		for _, said := range p.open { // it died before it could tell
			said.Unknown, said.Answer = true, said.Call
			p.enter(f, said)
		}
	}()
	return p
}

func (p *process) enter(f *fleet, said told) {
	var err error
	switch {
	case said.Bad:
		err = errors.New("unexpected answer")
	case said.Unknown:
		err = placement.ErrUnknownOutcome
	case !said.Done:
		err = placement.ErrCapacity
	}
	m := move{said.Consumer, at(said.From), at(said.To), said.Unknown}
	f.enter(p.first+said.Writer, time.Unix(0, said.Call), time.Unix(0, said.Answer), m, err)
}

// kill ends the child in the middle of what it does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	<-p.ended
	var exit *exec.ExitError
	require.ErrorAs(t, p.cmd.Wait(), &exit)
	require.Equal(t, -1, exit.ExitCode(), "the child ended by itself")
	require.Empty(t, p.fault)
}

// TestEnginesKilled kills one engine's process after the other under load.
func TestEnginesKilled(t *testing.T) {
	f := newFleet(t, start(t), 1)
	rng := rand.New(rand.NewPCG(seed(t), 0))
	children := make([]*process, engines)
	begun := 0
	launch := func(k int) {
		begun++
		children[k] = startChild(t, f, begun*writers)
	}
	for k := range children {
		launch(k)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasting(6*time.Second, time.Minute))
	defer cancel()
	kills := 0
	for rest(ctx, time.Duration(200+rng.IntN(800))*time.Millisecond) {
		k := rng.IntN(engines)
		select {
		case <-children[k].heard: // it is at work
			children[k].kill(t)
			kills++
			launch(k)
		default:
		}
	}
	for _, p := range children {
		p.kill(t)
	}
	f.judge(t)
	t.Logf("%d processes were killed, %d of them at work", begun, kills+engines)
	require.Positive(t, kills)
	require.Positive(t, f.unknown)
}
