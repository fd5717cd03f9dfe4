package badger_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

// TestFlippedByte changes one byte of one file of a store that was closed, or
// killed, and demands a refusal or all of the records.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	perFile := 8
	if soak() {
		perFile = 1000
	}
	cfg := small(t.TempDir())
	cfg.CheckpointBytes = 32 << 10
	s := open(t, cfg)
	fill(t, s, 0, 600)
	require.Eventually(t, func() bool { return s.Stats().Checkpoints > 0 }, 10*time.Second, time.Millisecond)
	fill(t, s, 600, 60)
	want := mustRead(t, s)
	require.Eventually(t, func() bool { // no checkpoint is being written
		generations, _ := filepath.Glob(filepath.Join(cfg.Dir, "badger", "*"))
		return len(generations) == 1
	}, 10*time.Second, time.Millisecond)
	killed := clone(t, cfg.Dir)
	require.NoError(t, s.Close())

	rng := rand.New(rand.NewPCG(1, 2))
	for _, dir := range []string{cfg.Dir, killed} {
		names := files(t, dir)
		for _, kind := range []string{"FORMAT", "CHECKPOINT", "hwm", ".log", ".sst", "MANIFEST"} {
			require.True(t, slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, kind) }), "a %s among %v", kind, names)
		}
		refused, recovered := 0, 0
		for _, name := range names {
			for range perFile {
				if flip(t, rng, dir, name, want) {
					refused++
				} else {
					recovered++
				}
			}
		}
		t.Logf("%d files: %d flips refused, %d without effect", len(names), refused, recovered)
		require.Positive(t, refused)
	}
}

// flip changes a byte of file name in dir, looks what comes of it, and undoes
// it. It reports whether the store was refused.
func flip(t *testing.T, rng *rand.Rand, dir, name string, want map[store.Key]string) bool {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	if len(data) == 0 {
		return false
	}
	offset, mask := rng.IntN(len(data)), byte(1+rng.IntN(255))
	backup := clone(t, dir)
	data[offset] ^= mask
	require.NoError(t, os.WriteFile(filepath.Join(backup, name), data, 0o600))
	defer func() { require.NoError(t, os.RemoveAll(backup)) }()

	cfg := small(backup)
	cfg.CheckpointBytes = 1 << 30
	s, err := badger.Open(cfg)
	if err != nil {
		requireRefusal(t, err, name, offset, mask)
		return true
	}
	defer func() { require.NoError(t, s.Close()) }()
	got, err := read(t, s)
	if err != nil {
		requireRefusal(t, err, name, offset, mask)
		return true
	}
	require.Equal(t, want, got, "%s, offset %d, mask %02x", name, offset, mask)
	return false
}

func requireRefusal(t *testing.T, err error, name string, offset int, mask byte) {
	t.Helper()
	require.ErrorIs(t, err, store.ErrDamaged, "%s, offset %d, mask %02x", name, offset, mask)
	require.ErrorContains(t, err, filepath.Base(name), "offset %d", offset)
}

// TestTornTail cuts the log at every byte of its last frame, and writes zeros
// or noise there, as a power cut may: beyond the high-water mark that is a
// torn frame, at or below it damage.
func TestTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, badger.Config{Dir: dir, SegmentBytes: 4 << 10})
	commit := func(n uint64) {
		_, err := s.Commit(t.Context(), store.Batch{ID: id(n), Version: n, Puts: []store.Put{{Key: key("%d", n), Value: []byte("some value")}}})
		require.NoError(t, err)
	}
	commit(1)
	commit(2)
	before, log := mustRead(t, s), filepath.Join("wal", "00000000000000000001.log")
	start := int(s.Stats().LogBytes)
	oldMark, err := os.ReadFile(filepath.Join(dir, "wal", "hwm"))
	require.NoError(t, err)
	commit(3)
	after, end := mustRead(t, s), int(s.Stats().LogBytes)
	require.NoError(t, s.Close())
	data, err := os.ReadFile(filepath.Join(dir, log))
	require.NoError(t, err)

	work := clone(t, dir)
	newMark, err := os.ReadFile(filepath.Join(dir, "wal", "hwm"))
	require.NoError(t, err)
	try := func(name string, mark, content []byte, want map[store.Key]string) {
		require.NoError(t, os.RemoveAll(filepath.Join(work, "wal")))
		require.NoError(t, os.Mkdir(filepath.Join(work, "wal"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(work, log), content, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(work, "wal", "hwm"), mark, 0o600))
		s, err := badger.Open(badger.Config{Dir: work, SegmentBytes: 4 << 10, NoSync: true})
		if want == nil {
			require.ErrorIs(t, err, store.ErrDamaged, name)
			return
		}
		require.NoError(t, err, name)
		require.Equal(t, want, mustRead(t, s), name)
		res, err := s.Commit(t.Context(), store.Batch{ID: id(9), Version: 9})
		require.NoError(t, err, name)
		require.Equal(t, uint64(len(want)+1), res.Revision, name)
		require.NoError(t, s.Close())
	}
	for cut := start; cut < end; cut++ {
		short := data[:cut]
		zeroed := append(slices.Clone(short), make([]byte, len(data)-cut)...)
		noise := slices.Clone(data)
		noise[cut] ^= 0xff
		for name, content := range map[string][]byte{"short": short, "zeroed": zeroed, "noise": noise} {
			if bytes.Equal(content, data) {
				continue // the last bytes of the frame are zeros
			}
			try(name, oldMark, content, before)
			try(name+" below the mark", newMark, content, nil)
		}
	}
	try("whole, old mark", oldMark, data, after)
	try("whole", newMark, data, after)

	// A bad frame that later, synced frames follow cannot be torn, whatever
	// the mark says.
	noise := slices.Clone(data)
	noise[start-1] ^= 0xff
	zero := make([]byte, len(oldMark))
	copy(zero, badger.MarkOf(1))
	try("bad before good", zero, noise, nil)
}
