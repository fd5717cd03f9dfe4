package badger

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	badgerdb "github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"

	"github.com/kilonova-cloud/kilonova/store"
)

// manifest is what CHECKPOINT says.
type manifest struct {
	Format   int         `json:"format"`
	Revision uint64      `json:"revision"`
	Records  uint64      `json:"records"`
	Bytes    int64       `json:"bytes"` // of keys and values
	Sum      string      `json:"sum"`
	Files    []fileEntry `json:"files"`
}

type fileEntry struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	CRC   uint32 `json:"crc32c"`
}

// base is a finished checkpoint: a Badger database that is only read. It is
// open while somebody holds it, and removed when it was replaced and nobody
// holds it any more.
type base struct {
	manifest
	dir    string // empty: there is no checkpoint yet, and no record in it
	logger *slog.Logger

	mu       sync.Mutex
	db       *badgerdb.DB
	holders  int
	verified bool
	replaced bool
}

// openBase reads CHECKPOINT and removes Badger directories that it does not
// name. Without the file it returns an empty base.
func openBase(dir string, logger *slog.Logger) (*base, error) {
	b := &base{logger: logger}
	data, err := os.ReadFile(checkpointPath(dir))
	switch {
	case err == nil:
		text, err := unsealText(data)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", checkpointPath(dir), err)
		}
		if err := json.Unmarshal([]byte(text), &b.manifest); err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", checkpointPath(dir), store.ErrDamaged, err)
		}
		b.dir = generation(dir, b.Revision)
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read %s: %w", checkpointPath(dir), err)
	}
	return b, removeOthers(dir, b.dir)
}

func generation(dir string, revision uint64) string {
	return filepath.Join(badgerDir(dir), fmt.Sprintf("%020d", revision))
}

// removeOthers removes all Badger directories but keep: a crash left them.
func removeOthers(dir, keep string) error {
	all, err := filepath.Glob(filepath.Join(badgerDir(dir), "*"))
	if err != nil {
		return fmt.Errorf("list the checkpoints of store %s: %w", dir, err)
	}
	for _, path := range all {
		if path == keep {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove unfinished checkpoint %s: %w", path, err)
		}
	}
	return nil
}

// acquire opens the database, or shares the open one, until release. The
// first time it verifies every file. It returns nil for an empty base.
func (b *base) acquire() (*badgerdb.DB, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		return nil, nil
	}
	if b.db == nil {
		if err := b.open(); err != nil {
			return nil, fmt.Errorf("open checkpoint %s: %w", b.dir, err)
		}
	}
	b.holders++
	return b.db, nil
}

func (b *base) open() error {
	if !b.verified {
		if err := verifyFiles(b.dir, b.Files); err != nil {
			return err
		}
		b.verified = true
	}
	return guard(func() error {
		db, err := badgerdb.Open(options(b.dir, b.logger))
		if err == nil { // else db may be there, but half closed
			b.db = db
		}
		return err
	})
}

// release ends what acquire began.
func (b *base) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		return nil
	}
	b.holders--
	return b.settle()
}

// replace marks the base as followed by a newer one.
func (b *base) replace() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replaced = true
	return b.settle()
}

func (b *base) settle() error {
	if b.holders > 0 || b.dir == "" {
		return nil
	}
	var err error
	if b.db != nil {
		err = guard(b.db.Close)
		b.db = nil
	}
	if b.replaced {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	if err != nil {
		return fmt.Errorf("let go of checkpoint %s: %w", b.dir, err)
	}
	return nil
}

// options are those with which Badger reads a database that build has made.
// Its lock does not matter because ours is held.
func options(dir string, logger *slog.Logger) badgerdb.Options {
	return badgerdb.DefaultOptions(dir).
		WithReadOnly(true).
		WithLogger(badgerLog{logger}).
		WithBypassLockGuard(true).
		WithMetricsEnabled(false).
		WithCompression(badgeroptions.None).
		WithChecksumVerificationMode(badgeroptions.OnBlockRead).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(0).
		WithCompactL0OnClose(false)
}

// guard calls f and turns a panic or a memory fault in it into ErrDamaged:
// Badger panics on files that it does not understand.
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("badger gave up: %v: %w", cause, store.ErrDamaged)
		}
	}()
	return f()
}

// each calls f for every record, with bytes that are only valid during the
// call, and then checks that they were all there.
func (b *base) each(db *badgerdb.DB, f func(key []byte, version uint64, value []byte) error) error {
	if db == nil {
		return nil
	}
	var sum tally
	err := guard(func() error {
		return db.View(func(txn *badgerdb.Txn) error { return eachItem(txn, &sum, f) })
	})
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", b.dir, err)
	}
	if sum.records != b.Records || sum.sum() != b.Sum {
		return fmt.Errorf("checkpoint %s has %d records with sum %s, written were %d with %s: %w",
			b.dir, sum.records, sum.sum(), b.Records, b.Sum, store.ErrDamaged)
	}
	return nil
}

func eachItem(txn *badgerdb.Txn, sum *tally, f func(key []byte, version uint64, value []byte) error) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{})
	defer it.Close()
	var key []byte
	visit := func(data []byte) error {
		version, value, err := parseRecord(key, data)
		if err != nil {
			return err
		}
		sum.add(key, data)
		return f(key, version, value)
	}
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		key = item.Key()
		if err := item.Value(visit); err != nil {
			return err
		}
	}
	return nil
}

// get returns the value of the record k.
func (b *base) get(k store.Key) (value []byte, err error) {
	db, err := b.acquire()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.release()) }()
	if db == nil {
		return nil, fmt.Errorf("record %v is not in a checkpoint: %w", k, store.ErrDamaged)
	}
	key := badgerKey(k)
	err = guard(func() error {
		return db.View(func(txn *badgerdb.Txn) error {
			item, err := txn.Get(key)
			if err != nil {
				return err
			}
			data, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			_, value, err = parseRecord(key, data)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read record %v in checkpoint %s: %w", k, b.dir, err)
	}
	return value, nil
}

// verifyFiles checks that the files in dir are those of want.
func verifyFiles(dir string, want []fileEntry) error {
	for _, w := range want {
		got, err := checksum(filepath.Join(dir, w.Name))
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrDamaged, err)
		}
		if got != w {
			return fmt.Errorf("file %s has %d bytes with checksum %08x, written were %d with %08x: %w",
				w.Name, got.Bytes, got.CRC, w.Bytes, w.CRC, store.ErrDamaged)
		}
	}
	return nil
}

func checksum(path string) (fileEntry, error) {
	file, err := os.Open(path)
	if err != nil {
		return fileEntry{}, fmt.Errorf("read file %s: %w", path, err)
	}
	hash := crc32.New(castagnoli)
	n, err := io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{file}, make([]byte, 1<<20))
	if err = errors.Join(err, file.Close()); err != nil {
		return fileEntry{}, fmt.Errorf("read file %s: %w", path, err)
	}
	return fileEntry{Name: filepath.Base(path), Bytes: n, CRC: hash.Sum32()}, nil
}

// badgerLog hands Badger's messages on as details.
type badgerLog struct{ *slog.Logger }

func (l badgerLog) say(format string, args ...any) {
	l.Debug("badger", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
}

// Errorf implements Badger's Logger, like the methods below.
func (l badgerLog) Errorf(format string, args ...any) { l.say(format, args...) }

// Warningf is the second of four levels.
func (l badgerLog) Warningf(format string, args ...any) { l.say(format, args...) }

// Infof is the third.
func (l badgerLog) Infof(format string, args ...any) { l.say(format, args...) }

// Debugf is the fourth.
func (l badgerLog) Debugf(format string, args ...any) { l.say(format, args...) }
