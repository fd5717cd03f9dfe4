package table

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
)

// Config says what a database consists of.
type Config struct {
	Store  store.Store // stays open when the DB is closed
	Schema Schema
	Tables []Definition         // each is part of one open DB at a time
	NewID  func() store.BatchID // unique at all times and places; nil: at random
	Logger *slog.Logger         // nil: silent
}

// DB is a set of tables on one store. Its methods are safe for concurrent use.
type DB struct {
	cfg    Config
	tables map[store.Kind]Definition
	stop   context.CancelFunc
	loops  sync.WaitGroup
	moved  signal // after every change of what mu guards

	mu       sync.RWMutex // held while a function of View or Update reads
	revision uint64
	schema   schemaRow
	changes  history
	failed   error // why nothing goes on

	stampMu sync.Mutex
	stamp   uint64 // not below any version observed or used
}

// Open loads a database and keeps it current until Close. It returns
// [ErrNotSynced], [ErrOtherSchema] and [store.ErrNewerFormat] as the schema
// demands, and what the store returns.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database %q: %w", cfg.Schema.Name, err)
	}
	if err := db.cfg.Schema.fits(db.Progress()); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %q: %w", cfg.Schema.Name, err), db.Close())
	}
	return db, nil
}

// open is Open for a database that may have an older schema.
func open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Store == nil {
		return nil, errors.New("Config.Store is nil")
	}
	if cfg.NewID == nil {
		cfg.NewID = randomID
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{cfg: cfg, tables: map[store.Kind]Definition{}}
	if err := db.bindAll(); err != nil {
		db.unbind()
		return nil, err
	}
	w, err := db.load(ctx)
	if err == nil {
		err = cfg.Schema.mayOpen(w.schema, w.rows)
	}
	if err != nil {
		db.unbind()
		return nil, err
	}
	db.adopt(w)
	db.start(context.WithoutCancel(ctx))
	return db, nil
}

func (db *DB) bindAll() error {
	for _, t := range db.cfg.Tables {
		if other := db.tables[t.kind()]; other != nil {
			return fmt.Errorf("tables %q and %q have the same kind, %d", other.name(), t.name(), t.kind())
		}
		if err := t.bind(db); err != nil {
			return err
		}
		db.tables[t.kind()] = t
	}
	return nil
}

func (db *DB) unbind() {
	for _, t := range db.tables {
		t.unbind()
	}
}

// Close ends the following of the store. Updates under way end with
// [ErrClosed] or [ErrOutcomeUnknown]. Views go on to read what was there.
func (db *DB) Close() error {
	db.stop()
	db.loops.Wait()
	db.fail(ErrClosed)
	db.unbind()
	return nil
}

// Err returns why the database has stopped, or nil while it works.
func (db *DB) Err() error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.failed
}

// View runs read over one moment of all tables and returns its error. Writers
// wait for it; it must not call the DB's methods.
func (db *DB) View(read func(tx *Tx) error) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return read(&Tx{db: db})
}

// world is all tables at a revision, before they are used.
type world struct {
	states   map[store.Kind]any
	schema   schemaRow
	rows     bool // there is a record that could be one
	revision uint64
	stamp    uint64
}

// load reads a snapshot.
func (db *DB) load(ctx context.Context) (*world, error) {
	w := &world{states: map[store.Kind]any{}}
	for kind, t := range db.tables {
		w.states[kind] = t.fresh()
	}
	for r, err := range db.cfg.Store.Load(ctx, &w.revision) {
		if err != nil {
			return nil, err
		}
		w.stamp = max(w.stamp, r.Version)
		w.rows = w.rows || r.Key.Kind <= LastKind
		if err := db.loadRecord(w, r); err != nil {
			return nil, err
		}
	}
	for kind, t := range db.tables {
		t.index(w.states[kind])
	}
	return w, nil
}

func (db *DB) loadRecord(w *world, r store.Record) error {
	if r.Key == schemaKey {
		return w.schema.decode(r.Version, r.Value)
	}
	t := db.tables[r.Key.Kind]
	if t == nil {
		return nil // somebody else's
	}
	decoded, err := t.decode(r.Key.ID, r.Version, r.Value)
	if err == nil {
		t.load(w.states[r.Key.Kind], decoded)
	}
	return err
}

// adopt makes a world the present one.
func (db *DB) adopt(w *world) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for kind, t := range db.tables {
		t.use(w.states[kind])
	}
	db.schema, db.revision = w.schema, w.revision
	db.changes.restart(w.revision)
	db.observe(w.stamp)
	db.moved.fire()
}

// observe notes a version that somebody used.
func (db *DB) observe(version uint64) {
	db.stampMu.Lock()
	defer db.stampMu.Unlock()
	db.stamp = max(db.stamp, version)
}

// nextVersion returns one that is greater than all seen.
func (db *DB) nextVersion() uint64 {
	db.stampMu.Lock()
	defer db.stampMu.Unlock()
	db.stamp++
	return db.stamp
}

// apply makes a committed batch visible.
func (db *DB) apply(ev *store.Event) error {
	rows := make([]any, len(ev.Puts))
	for i, p := range ev.Puts {
		t := db.tables[p.Key.Kind]
		if t == nil {
			continue
		}
		var err error
		if rows[i], err = t.decode(p.Key.ID, ev.Version, p.Value); err != nil {
			return err
		}
	}
	db.observe(ev.Version)
	db.mu.Lock()
	defer db.mu.Unlock()
	changed := Changes{Revision: ev.Revision}
	if err := db.applySchema(ev); err != nil {
		return err
	}
	for i, p := range ev.Puts {
		if t := db.tables[p.Key.Kind]; t != nil {
			t.put(rows[i])
			changed.Rows = append(changed.Rows, Change{t.name(), p.Key.ID, false})
		}
	}
	for _, k := range ev.Deletes {
		if t := db.tables[k.Kind]; t != nil && t.remove(k.ID) {
			changed.Rows = append(changed.Rows, Change{t.name(), k.ID, true})
		}
	}
	db.revision = ev.Revision
	db.changes.add(changed)
	db.moved.fire()
	return nil
}

// applySchema takes a new version of the schema, if there is one in ev.
func (db *DB) applySchema(ev *store.Event) error {
	for _, p := range ev.Puts {
		if p.Key != schemaKey {
			continue
		}
		var r schemaRow
		if err := r.decode(ev.Version, p.Value); err != nil {
			return err
		}
		if err := db.cfg.Schema.mayOpen(r, false); err != nil {
			return err
		}
		db.schema = r
	}
	return nil
}

// fail stops the database for good; the first reason stays.
func (db *DB) fail(err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.failed == nil {
		db.failed = err
	}
	db.moved.fire()
}
