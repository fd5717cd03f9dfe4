package badger_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

func TestReopen(t *testing.T) {
	t.Parallel()
	cfg := small(t.TempDir())
	for round := range 4 {
		s := open(t, cfg)
		fill(t, s, round*400, 400)
		want := mustRead(t, s)
		require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
		require.Equal(t, want, mustRead(t, s), "after a checkpoint")
		stats := s.Stats()
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "closing twice")

		s = open(t, cfg)
		require.Equal(t, want, mustRead(t, s), "after reopening")
		require.Equal(t, stats.Revision, s.Stats().Revision)
		require.NoError(t, s.Healthy())
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Healthy(), store.ErrClosed)
	}
}

// TestReopenRemembers checks what else than records survives: the history
// that the log holds, and with it who has been committed.
func TestReopenRemembers(t *testing.T) {
	t.Parallel()
	cfg := badger.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	fill(t, s, 0, 100)
	b := store.Batch{ID: id(1000), Version: 1000, Expect: []store.Expectation{{Key: key("new")}}, Puts: []store.Put{{Key: key("new"), Value: []byte("v")}}}
	first, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s = open(t, cfg)
	again, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, first, again)
	rev := uint64(0)
	for ev, err := range s.Follow(t.Context(), 0) {
		require.NoError(t, err)
		require.Equal(t, rev+1, ev.Revision)
		if rev = ev.Revision; rev == first.Revision {
			require.Equal(t, b.Puts, ev.Puts)
			break
		}
	}
}

// TestConflictValues asks for the value of a record wherever it may be.
func TestConflictValues(t *testing.T) {
	t.Parallel()
	cfg := small(t.TempDir())
	cfg.History = 1
	s := open(t, cfg)
	put := func(n uint64, k store.Key) {
		res, err := s.Commit(t.Context(), store.Batch{ID: id(n), Version: n, Puts: []store.Put{{Key: k, Value: []byte(k.ID)}}})
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
	ask := func(n uint64, k store.Key, version uint64) {
		res, err := s.Commit(t.Context(), store.Batch{ID: id(n), Version: n, Expect: []store.Expectation{{Key: k, Version: 77}}})
		require.NoError(t, err)
		require.Equal(t, []store.Record{{Key: k, Version: version, Value: []byte(k.ID)}}, res.Conflicts)
	}
	put(10000, key("old"))
	fill(t, s, 0, 400)
	require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
	put(10001, key("in the log"))
	put(10002, key("in the history"))
	for range 2 {
		ask(10003, key("old"), 10000)
		ask(10004, key("in the log"), 10001)
		ask(10005, key("in the history"), 10002)
		require.NoError(t, s.Close())
		s = open(t, cfg)
	}
}

func TestLargeValue(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes and compares 40 MiB, for a minute under the race detector; make test runs it")
	}
	cfg := badger.Config{Dir: t.TempDir(), SegmentBytes: 1 << 10, CheckpointBytes: 2 << 10}
	s := open(t, cfg)
	large := bytes.Repeat([]byte("0123456789abcdef"), 40<<20/16)
	for i := range uint64(3) {
		k := key("%d", i)
		_, err := s.Commit(t.Context(), store.Batch{ID: id(i + 1), Version: 1, Puts: []store.Put{{Key: k, Value: large[:len(large)>>(4*i)]}}})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return s.Stats().CheckpointRevision == 2 }, time.Minute, time.Millisecond)
	want := mustRead(t, s)
	require.NoError(t, s.Close())
	require.Equal(t, want, mustRead(t, open(t, cfg)))
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, open(t, badger.Config{Dir: dir}).Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "FORMAT"), badger.FormatText(7), 0o600))
	_, err := badger.Open(badger.Config{Dir: dir})
	require.ErrorIs(t, err, store.ErrNewerFormat)
	require.ErrorContains(t, err, "format 7")
	require.ErrorContains(t, err, "up to 1")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []badger.Config{{}, {Dir: t.TempDir(), History: -1}, {Dir: filepath.Join(os.DevNull, "x")}} {
		_, err := badger.Open(cfg)
		require.Error(t, err)
	}
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, small(dir))
	fill(t, s, 0, 400)
	require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
	fill(t, s, 400, 30)
	require.NoError(t, s.Close())
	for _, name := range files(t, dir) {
		if name == "LOCK" {
			continue
		}
		copied := clone(t, dir)
		require.NoError(t, os.Remove(filepath.Join(copied, name)))
		s, err := badger.Open(small(copied))
		if err == nil {
			_, err = read(t, s)
			require.NoError(t, s.Close())
		}
		require.ErrorIs(t, err, store.ErrDamaged, "without %s", name)
	}
}

func TestSecondOpener(t *testing.T) {
	t.Parallel()
	cfg := badger.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	_, err := badger.Open(cfg)
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, cfg.Dir)
	require.ErrorContains(t, err, "etcd://")

	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=open", childDir+"="+cfg.Dir)
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), store.ErrLocked.Error())
	require.NoError(t, s.Close())

	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=open", childDir+"="+cfg.Dir)
	out, err = cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "opened true", strings.TrimSpace(string(out)))
}

// TestInterruptedCheckpoint opens what a crash leaves at the two places where
// a checkpoint can be half done: before CHECKPOINT names it, and before the
// segments that it replaces are gone.
func TestInterruptedCheckpoint(t *testing.T) {
	t.Parallel()
	cfg := badger.Config{Dir: t.TempDir(), SegmentBytes: 8 << 10, CheckpointBytes: 1 << 40}
	s := open(t, cfg)
	fill(t, s, 0, 300)
	want := mustRead(t, s)
	require.NoError(t, s.Close())
	before := clone(t, cfg.Dir)

	cfg.CheckpointBytes = 1
	s = open(t, cfg)
	require.Equal(t, want, mustRead(t, s)) // no checkpoint is made before
	require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
	cfg.CheckpointBytes = 1 << 40

	copyInto := func(to, from, name string) string {
		work := clone(t, to)
		require.NoError(t, os.RemoveAll(filepath.Join(work, name)))
		require.NoError(t, os.CopyFS(filepath.Join(work, name), os.DirFS(filepath.Join(from, name))))
		return work
	}
	for name, dir := range map[string]string{
		"not named yet":     copyInto(before, cfg.Dir, "badger"),
		"segments not gone": copyInto(cfg.Dir, before, "wal"),
	} {
		cfg.Dir = dir
		s := open(t, cfg)
		require.Equal(t, want, mustRead(t, s), name)
		fill(t, s, 300, 100)
		again := mustRead(t, s)
		require.NoError(t, s.Close())
		s = open(t, cfg)
		require.Equal(t, again, mustRead(t, s), name)
		require.NoError(t, s.Close())
		generations, err := filepath.Glob(filepath.Join(dir, "badger", "*"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(generations), 1, name)
	}
}
