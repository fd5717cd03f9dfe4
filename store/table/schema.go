package table

import (
	"context"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/store"
)

// schemaKey is the record that says which schema the database has.
var schemaKey = store.Key{Kind: LastKind + 1, ID: "schema"}

// Schema is the history of a database's layout. Its version is the number of
// its steps; a step is never changed or removed after a release.
type Schema struct {
	Name  string // of the database: a store that holds another one is refused
	Steps []Step
}

// Step leads from one version to the next in two parts. Each must be
// idempotent: it is run again when a process dies in it.
type Step struct {
	Name string
	// Expand adds what the new version needs and the old one ignores. Programs
	// of both versions run while and after it runs. Nil: nothing to add.
	Expand func(ctx context.Context, db *DB) error
	// Contract removes what only the old version needs. From when it begins,
	// programs of the old version are refused, and those that run stop. Nil:
	// the old version can go on.
	Contract func(ctx context.Context, db *DB) error
}

// Version is the version of a database whose steps are all done.
func (s Schema) Version() int { return len(s.Steps) }

// Progress says how far a database's schema has come.
type Progress struct {
	Version    int // expanded up to this version; 0: a new database
	Oldest     int // programs of a version below this one are refused
	Contracted int // contracted up to this version
}

// schemaRow is the record of a schema.
type schemaRow struct {
	name string
	Progress
	record uint64 // its version in the store; 0: there is none
}

func (r *schemaRow) encode() []byte {
	var e Encoder
	e.Text(r.name)
	for _, n := range []int{r.Version, r.Oldest, r.Contracted} {
		e.Int(int64(n))
	}
	return e.Bytes()
}

func (r *schemaRow) decode(version uint64, value []byte) error {
	d := NewDecoder(value)
	*r = schemaRow{name: d.Text(), Progress: Progress{int(d.Int()), int(d.Int()), int(d.Int())}, record: version}
	if d.Err() != nil {
		return fmt.Errorf("decode the schema's version: %w", d.Err())
	}
	return nil
}

// named reports whether a store holds a database of another name.
func (s Schema) named(r schemaRow) error {
	if r.record != 0 && r.name != s.Name {
		return fmt.Errorf("it is database %q and not %q: %w", r.name, s.Name, ErrOtherSchema)
	}
	return nil
}

// mayOpen reports why a program with schema s must keep away from a store,
// which has the record r, if any, and rows or none.
func (s Schema) mayOpen(r schemaRow, rows bool) error {
	if err := s.named(r); err != nil {
		return err
	}
	switch {
	case r.record == 0 && rows:
		return fmt.Errorf("it has records and no schema: %w", ErrOtherSchema)
	case r.Oldest > s.Version():
		return fmt.Errorf("its schema needs version %d or later, the program has %d: %w", r.Oldest, s.Version(), store.ErrNewerFormat)
	}
	return nil
}

// fits reports why a program with schema s cannot work yet.
func (s Schema) fits(p Progress) error {
	if p.Version < s.Version() {
		return fmt.Errorf("its schema has version %d, the program needs %d: %w", p.Version, s.Version(), ErrNotSynced)
	}
	return nil
}

// Progress returns how far the schema has come.
func (db *DB) Progress() Progress {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.schema.Progress
}

// Sync brings a database to the version of cfg.Schema and returns how far it
// has come. Without contract, programs of the version before may go on to run.
// It may be killed at any moment and run again, and by several at once.
func Sync(ctx context.Context, cfg Config, contract bool) (Progress, error) {
	db, err := open(ctx, cfg)
	if err != nil {
		return Progress{}, fmt.Errorf("sync database %q: %w", cfg.Schema.Name, err)
	}
	err = db.expand(ctx)
	if err == nil && contract {
		err = db.contract(ctx)
	}
	done := db.Progress()
	if err := errors.Join(err, db.Close()); err != nil {
		return done, fmt.Errorf("sync database %q, which has version %d: %w", cfg.Schema.Name, done.Version, err)
	}
	return done, nil
}

// Synced returns how far a database's schema has come, be it behind or ahead
// of cfg.Schema, and changes nothing. It returns [ErrOtherSchema] for a store
// that holds another database.
func Synced(ctx context.Context, cfg Config) (Progress, error) {
	if cfg.Store == nil {
		return Progress{}, errors.New("Config.Store is nil")
	}
	r, err := readSchema(ctx, cfg.Store)
	if err != nil {
		return Progress{}, fmt.Errorf("load database %q: %w", cfg.Schema.Name, err)
	}
	return r.Progress, cfg.Schema.named(r)
}

// Name returns the name of the database that a store holds, "" when it has no
// schema. It changes nothing.
func Name(ctx context.Context, s store.Store) (string, error) {
	r, err := readSchema(ctx, s)
	return r.name, err
}

func readSchema(ctx context.Context, s store.Store) (r schemaRow, err error) {
	var revision uint64
	for rec, err := range s.Load(ctx, &revision) {
		if err == nil && rec.Key == schemaKey {
			err = r.decode(rec.Version, rec.Value)
		}
		if err != nil {
			return schemaRow{}, err
		}
	}
	return r, nil
}

func (db *DB) expand(ctx context.Context) error {
	if err := db.record(ctx, func(*Progress) {}); err != nil { // the name, before there are rows
		return err
	}
	for v := db.Progress().Version + 1; v <= db.cfg.Schema.Version(); v++ {
		s := db.cfg.Schema.Steps[v-1]
		if s.Expand != nil {
			if err := s.Expand(ctx, db); err != nil {
				return fmt.Errorf("expand to version %d, %s: %w", v, s.Name, err)
			}
		}
		if err := db.record(ctx, func(p *Progress) { p.Version = max(p.Version, v) }); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) contract(ctx context.Context) error {
	for v := db.Progress().Contracted + 1; v <= db.cfg.Schema.Version(); v++ {
		if s := db.cfg.Schema.Steps[v-1]; s.Contract != nil {
			if err := db.record(ctx, func(p *Progress) { p.Oldest = max(p.Oldest, v) }); err != nil {
				return err
			}
			if err := s.Contract(ctx, db); err != nil {
				return fmt.Errorf("contract to version %d, %s: %w", v, s.Name, err)
			}
		}
		if err := db.record(ctx, func(p *Progress) { p.Contracted = max(p.Contracted, v) }); err != nil {
			return err
		}
	}
	return nil
}

// record writes how far the schema has come.
func (db *DB) record(ctx context.Context, change func(*Progress)) error {
	_, err := db.Update(ctx, func(tx *Tx) error {
		now := db.schema
		now.name = db.cfg.Schema.Name
		change(&now.Progress)
		if now != db.schema {
			tx.write(schemaKey, &write{encoded: now.encode()})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the schema's version: %w", err)
	}
	return nil
}

// rewriteBatch is how many rows Rewrite changes at once, at most.
const rewriteBatch = 256

// Rewrite runs change over every row of a table, in batches, and writes those
// for which it returns true. It is what steps of a schema are made of: rows
// that are done already are to return false. Rows that appear meanwhile are
// the business of who writes them.
func Rewrite[R any](ctx context.Context, t *Table[R], change func(*R) bool) error {
	size := rewriteBatch
	if n := t.db.cfg.Store.Limits().Records; n > 0 {
		size = max(1, min(size, n-1))
	}
	for q := (Query[R]{Limit: size}); ; {
		var rows []R
		err := t.db.View(func(tx *Tx) (err error) {
			rows, err = t.Page(tx, q)
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		_, err = t.db.Update(ctx, func(tx *Tx) error {
			for i := range rows {
				v, found := t.Get(tx, t.spec.Key(&rows[i]))
				if !found || !change(&v) {
					continue
				}
				if err := t.Put(tx, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("rewrite table %q: %w", t.spec.Name, err)
		}
		q.After = &rows[len(rows)-1]
	}
}
