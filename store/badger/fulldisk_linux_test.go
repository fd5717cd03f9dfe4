package badger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

// smallDisk mounts a file system of the given size for one test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillDisk lets another process take all the space that is left.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	err := exec.CommandContext(t.Context(), "dd", "if=/dev/zero", "of="+path, "bs=64k").Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "dd ends because the disk is full")
	return func() { require.NoError(t, os.Remove(path)) }
}

// untilFull commits records named by prefix until there is no space, and
// returns how many were acknowledged.
func untilFull(t *testing.T, s store.Store, prefix string, version *uint64, distinct int) (n int) {
	t.Helper()
	value := bytes.Repeat([]byte("x"), 30<<10)
	for ; n < 20000; n++ {
		*version++
		res, err := s.Commit(t.Context(), store.Batch{
			ID: id(*version), Version: *version,
			Puts: []store.Put{{Key: key("%s %d", prefix, n%distinct), Value: value}},
		})
		if err != nil {
			require.ErrorIs(t, err, store.ErrNoSpace)
			return n
		}
		require.Equal(t, store.Committed, res.Outcome)
	}
	t.Fatal("the disk does not fill")
	return 0
}

// followed counts the events after a revision up to the first mark.
func followed(t *testing.T, s store.Store, after uint64) (n int) {
	t.Helper()
	for ev, err := range s.Follow(t.Context(), after) {
		require.NoError(t, err)
		if ev.ID == (store.BatchID{}) {
			break
		}
		n++
	}
	return n
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "24m")
	cfg := badger.Config{Dir: filepath.Join(dir, "store"), CheckpointBytes: 1 << 40}
	s := open(t, cfg)
	version := uint64(0)
	for round := range 3 {
		before := s.Stats().Revision
		fill(t, s, 1_000_000*(round+1), 20)
		free := fillDisk(t, dir)
		n := untilFull(t, s, string(rune('a'+round)), &version, 1<<30)
		require.ErrorIs(t, s.Healthy(), store.ErrNoSpace)
		want := mustRead(t, s)
		require.Equal(t, n+20, followed(t, s, before))
		free()
		fill(t, s, 1_000_000*(round+1)+20, 1)
		require.NoError(t, s.Healthy())
		require.Subset(t, mustRead(t, s), want)
		want = mustRead(t, s)

		free = fillDisk(t, dir)
		require.NoError(t, s.Close())
		s = open(t, cfg)
		require.Equal(t, want, mustRead(t, s), "opened while the disk is full")
		free()
	}
}

// TestFullDiskWithCheckpoints writes the same records over and over, so that
// checkpoints free space, while another process fills the disk and leaves.
func TestFullDiskWithCheckpoints(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	cfg := badger.Config{Dir: filepath.Join(dir, "store"), SegmentBytes: 512 << 10, CheckpointBytes: 2 << 20}
	s := open(t, cfg)
	version, full := uint64(0), 0
	deadline := time.Now().Add(2 * time.Second)
	if soak() {
		deadline = time.Now().Add(2 * time.Minute)
	}
	for time.Now().Before(deadline) {
		free := fillDisk(t, dir)
		full += untilFull(t, s, "", &version, 100)
		want := mustRead(t, s)
		free()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		for {
			version++
			_, err := s.Commit(ctx, store.Batch{ID: id(version), Version: version, Puts: []store.Put{{Key: key("extra")}}})
			if err == nil {
				break
			}
			require.True(t, errors.Is(err, store.ErrNoSpace), err)
		}
		cancel()
		delete(want, key("extra"))
		require.Subset(t, mustRead(t, s), want)
		for range 300 { // enough for a checkpoint or two
			fillOne(t, s, &version)
		}
		want = mustRead(t, s)
		require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
		require.NoError(t, s.Close())
		s = open(t, cfg)
		require.Equal(t, want, mustRead(t, s))
	}
	t.Logf("%d commits until full", full)
}

func fillOne(t *testing.T, s store.Store, version *uint64) {
	t.Helper()
	*version++
	res, err := s.Commit(t.Context(), store.Batch{
		ID: id(*version), Version: *version,
		Puts: []store.Put{{Key: key(" %d", *version%100), Value: bytes.Repeat([]byte("y"), 30<<10)}},
	})
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
}

// TestDiskFillsDuringCheckpoints lets another process fill the disk and free
// it again all the time, so that some checkpoints meet a full disk.
func TestDiskFillsDuringCheckpoints(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	script := `while :; do dd if=/dev/zero of="$0" bs=64k 2>/dev/null; sleep 0.02; rm -f "$0"; sleep 0.06; done`
	filler := exec.CommandContext(t.Context(), "sh", "-c", script, filepath.Join(dir, "filler"))
	require.NoError(t, filler.Start())
	t.Cleanup(func() { _ = filler.Process.Kill(); _ = filler.Wait() })

	cfg := badger.Config{Dir: filepath.Join(dir, "store"), SegmentBytes: 256 << 10, CheckpointBytes: 1 << 20}
	deadline := time.Now().Add(2 * time.Second)
	if soak() {
		deadline = time.Now().Add(2 * time.Minute)
	}
	var s *badger.Store
	require.Eventually(t, func() (ok bool) { // a full disk may have no place for a new store
		var err error
		if s, err = badger.Open(cfg); err != nil {
			require.ErrorIs(t, err, store.ErrNoSpace)
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	t.Cleanup(func() { _ = s.Close() })
	want, full, version := map[store.Key]string{}, 0, uint64(0)
	for time.Now().Before(deadline) {
		version++
		p := store.Put{Key: key("%d", version%300), Value: bytes.Repeat([]byte{byte('a' + version%26)}, 10<<10)}
		res, err := s.Commit(t.Context(), store.Batch{ID: id(version), Version: version, Puts: []store.Put{p}})
		if err != nil {
			require.ErrorIs(t, err, store.ErrNoSpace)
			full++
			time.Sleep(time.Millisecond)
			continue
		}
		require.Equal(t, store.Committed, res.Outcome)
		want[p.Key] = fmt.Sprintf("%d %s", version, p.Value)
	}
	require.Equal(t, want, mustRead(t, s))
	t.Logf("%d of %d commits met a full disk, %d checkpoints", full, version, s.Stats().Checkpoints)
	require.NoError(t, s.Close())
	s = open(t, cfg)
	require.Equal(t, want, mustRead(t, s))
}
