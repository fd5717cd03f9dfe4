package badger_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// soak says that tests may take minutes.
func soak() bool { return os.Getenv("KILONOVA_SOAK") != "" }

// small makes a store go through many segments and checkpoints.
func small(dir string) badger.Config {
	return badger.Config{Dir: dir, SegmentBytes: 8 << 10, CheckpointBytes: 16 << 10, History: 256}
}

func id(n uint64) (id store.BatchID) {
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func key(format string, args ...any) store.Key {
	return store.Key{Kind: 3, ID: fmt.Sprintf(format, args...)}
}

// fill commits batches number from to from+n-1, 16 at a time.
func fill(tb testing.TB, s store.Store, from, n int) {
	tb.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for w := range 16 {
		wg.Go(func() {
			for i := from + w; i < from+n; i += 16 {
				value := fmt.Appendf(nil, "%d %0*d", i, i%200, i)
				b := store.Batch{
					ID: id(uint64(i + 1)), Version: uint64(i + 1),
					Puts:    []store.Put{{Key: key("%d", i%97), Value: value}, {Key: key("own %d", i), Value: value}},
					Deletes: []store.Key{key("own %d", i-50)},
				}
				if res, err := storetest.CommitRetry(tb.Context(), s, b); err != nil || res.Outcome != store.Committed {
					errs <- fmt.Errorf("batch %d: %+v, %w", i, res, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(tb, <-errs)
}

// read returns all records as text, or the error of the load.
func read(tb testing.TB, s store.Store) (map[store.Key]string, error) {
	tb.Helper()
	var rev uint64
	got := map[store.Key]string{}
	for r, err := range s.Load(tb.Context(), &rev) {
		if err != nil {
			return nil, err
		}
		got[r.Key] = fmt.Sprintf("%d %s", r.Version, r.Value)
	}
	return got, nil
}

func mustRead(tb testing.TB, s store.Store) map[store.Key]string {
	tb.Helper()
	got, err := read(tb, s)
	require.NoError(tb, err)
	return got
}

// files returns the paths of all files below dir, relative to it.
func files(tb testing.TB, dir string) []string {
	tb.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	require.NoError(tb, err)
	return out
}

// clone copies the store in dir to a fresh directory.
func clone(tb testing.TB, dir string) string {
	tb.Helper()
	to := tb.TempDir()
	require.NoError(tb, os.CopyFS(to, os.DirFS(dir)))
	return to
}
