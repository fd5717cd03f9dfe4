package placement_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

// The test binary starts itself again as a process that claims until it is
// killed; childDir says where the store is.
const childDir = "KILONOVA_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := claimUntilKilled(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Each writer has a list of writes: number 2*i claims set i, which is two
// consumers on three providers, number 2*i+1 releases set i-kept. An
// attachment, which is part of each write, says how many are done.
const (
	crashWriters = 64
	crashHosts   = 8
	kept         = 3
)

func crashConfig(dir string) badger.Config {
	return badger.Config{Dir: dir, SegmentBytes: 128 << 10, CheckpointBytes: 512 << 10}
}

func progressKey(w int) string { return fmt.Sprint("writer/", w) }

// claimSet is set i of writer w.
func claimSet(w int, i uint64) []placement.ConsumerAllocations {
	host := (w + int(i)) % crashHosts
	a := claimOf(id(byte(w), int(2*i)), placement.NewConsumer, vcpus(id('h', host), 1+int64(i%5)), vcpus(id('h', host+crashHosts), 2))
	b := claimOf(id(byte(w), int(2*i+1)), placement.NewConsumer, vcpus(id('h', (host+3)%crashHosts), int64(1+w)))
	return append(a.Consumers, b.Consumers...)
}

// crashWrite is write number n of writer w.
func crashWrite(e *placement.Engine, w int, n uint64) placement.AllocationWrite {
	i := n / 2
	wr := placement.AllocationWrite{
		Guards:      []placement.Guard{{Key: progressKey(w), Version: e.Guard(progressKey(w))}},
		Attachments: []placement.Attachment{{Key: progressKey(w), Value: binary.BigEndian.AppendUint64(nil, n+1)}},
	}
	switch {
	case n%2 == 0:
		wr.Consumers = claimSet(w, i)
	case i >= kept:
		wr.Consumers = claimSet(w, i-kept)
		for k := range wr.Consumers {
			wr.Consumers[k].Generation, wr.Consumers[k].Allocations = 1, nil
		}
	}
	return wr
}

// heldAfter adds what writer w holds after n writes.
func heldAfter(w int, n uint64, held map[placement.UUID][]placement.Allocation) {
	first := n/2 - min(n/2, kept)
	for i := first; i < (n+1)/2; i++ {
		for _, c := range claimSet(w, i) {
			held[c.Consumer] = c.Allocations
		}
	}
}

func doneBy(e *placement.Engine, w int) uint64 {
	if b := e.Attachment(progressKey(w)); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// claimUntilKilled is what the child process does. It tells each write that
// was acknowledged.
func claimUntilKilled(ctx context.Context, dir string) error {
	s, err := badger.Open(crashConfig(dir))
	if err != nil {
		return err
	}
	e, err := placement.Open(ctx, placement.Config{Store: s, Now: time.Now})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, crashWriters)
	for w := range crashWriters {
		wg.Go(func() {
			for n := doneBy(e, w); ; n++ {
				if err := e.SetAllocations(ctx, crashWrite(e, w, n)); err != nil {
					errs <- fmt.Errorf("writer %d, write %d: %w", w, n, err)
					return
				}
				line := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(w)), n+1)
				if _, err := os.Stdout.Write(line); err != nil { // one write: whole in the pipe or not at all
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	return <-errs
}

// TestCrash kills a process that claims and releases, again and again on the
// same store.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "store")
	withEngine(t, dir, func(e *placement.Engine) {
		for n := range crashHosts {
			newHost(t, e, n, placement.UUID{}, 1<<20)
			newHost(t, e, n+crashHosts, id('h', n), 1<<20)
		}
	})
	var acked [crashWriters]uint64
	for round := range rounds(3, 4, 100) {
		killClaims(t, dir, rng, &acked)
		withEngine(t, dir, func(e *placement.Engine) { checkClaims(t, e, &acked, fmt.Sprintf("seed %d, round %d", seed, round)) })
	}
	var total uint64
	for _, n := range acked {
		total += n
	}
	require.Positive(t, total)
	t.Logf("%d writes", total)
}

func withEngine(t *testing.T, dir string, use func(*placement.Engine)) {
	t.Helper()
	s, err := badger.Open(crashConfig(dir))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: time.Now})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	use(e)
}

// killClaims runs a process that claims, kills it some time after its start or
// after its first answer, and enters what it said was acknowledged.
func killClaims(t *testing.T, dir string, rng *rand.Rand, acked *[crashWriters]uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill := func() { _ = cmd.Process.Kill() }
	after, fromStart := time.Duration(rng.IntN(400))*time.Millisecond, rng.IntN(3) == 0 && *acked != [crashWriters]uint64{}
	limit := 30 * time.Second // ends a child that never answers
	if fromStart {
		limit = after
	}
	timer := time.AfterFunc(limit, kill)
	defer timer.Stop()
	in := bufio.NewReader(out)
	for first := true; ; first = false {
		var line [16]byte
		if _, err := io.ReadFull(in, line[:]); err != nil {
			break
		}
		if first && !fromStart {
			timer.Reset(after)
		}
		w, n := binary.BigEndian.Uint64(line[:8]), binary.BigEndian.Uint64(line[8:])
		acked[w] = max(acked[w], n)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.Equal(t, -1, exit.ExitCode(), "the child ended by itself")
}

// checkClaims demands every acknowledged write, at most the one under way
// beside them, and every set whole.
func checkClaims(t *testing.T, e *placement.Engine, acked *[crashWriters]uint64, msg string) {
	t.Helper()
	held := map[placement.UUID][]placement.Allocation{}
	for w := range crashWriters {
		n := doneBy(e, w)
		require.True(t, n == acked[w] || n == acked[w]+1, "%s: writer %d has done %d, acknowledged are %d", msg, w, n, acked[w])
		require.Equal(t, n > 0, e.Guard(progressKey(w)) > 0, msg)
		heldAfter(w, n, held)
		acked[w] = n
	}
	got := dump(e).Consumers
	for u, want := range held {
		c, there := got[u]
		require.True(t, there, "%s: consumer %s is lost", msg, u)
		require.Equal(t, want, c.Allocations, "%s: consumer %s", msg, u)
		require.EqualValues(t, 1, c.Generation)
	}
	require.Equal(t, len(held), len(got), "%s: a released claim is back", msg)
	sound(t, e)
}
