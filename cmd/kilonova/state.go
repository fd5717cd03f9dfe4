package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/api/moving"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
	"github.com/kilonova-cloud/kilonova/store/copying"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// database says where a database is: in memory, in a folder of a state
// directory, or in etcd.
type database struct {
	memory bool
	dir    string
	folder string // in dir; "": placement
	etcd   *etcd.Config
}

// name is whose the database is, and the name of its folder in a state
// directory.
func (db database) name() string { return cmp.Or(db.folder, placementFolder) }

// path is the folder of a database that is in a state directory.
func (db database) path() string { return filepath.Join(db.dir, db.name()) }

// in is the same place for a database that has another folder.
func (db database) in(folder string) database {
	db.folder = folder
	return db
}

// parseDatabase reads a connection, which field names in errors.
func parseDatabase(connection, field string) (database, error) {
	dir, isBadger := strings.CutPrefix(connection, "badger://")
	switch {
	case connection == "memory://":
		return database{memory: true}, nil
	case isBadger && filepath.IsAbs(dir):
		return database{dir: dir}, nil
	case strings.HasPrefix(connection, etcd.Scheme):
		cfg, err := etcd.ParseURL(connection)
		if err != nil {
			return database{}, fmt.Errorf("%s: %w", field, err)
		}
		return database{etcd: &cfg}, nil
	}
	return database{}, fmt.Errorf("%s is %q, allowed are: badger:///DIR, etcd://HOST:PORT,HOST:PORT/PREFIX, memory://", field, etcd.HideSecret(connection))
}

// String names the database without a password.
func (db database) String() string {
	switch {
	case db.memory:
		return "memory://"
	case db.etcd != nil:
		return db.etcd.String()
	}
	return db.dir
}

// databaseFlags name a database that lasts.
type databaseFlags struct{ stateDir, connection string }

func (f *databaseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.stateDir, "state-dir", "", "state directory, which has the database in its folder placement")
	cmd.Flags().StringVar(&f.connection, "connection", "", "database: badger:///DIR, as --state-dir DIR, or etcd://HOST:PORT,HOST:PORT/PREFIX")
	cmd.MarkFlagsOneRequired("state-dir", "connection")
	cmd.MarkFlagsMutuallyExclusive("state-dir", "connection")
}

func (f *databaseFlags) database() (database, error) {
	if f.connection == "" {
		return database{dir: f.stateDir}, nil
	}
	return lasting(f.connection, "--connection")
}

// lasting reads a connection to a database that lasts.
func lasting(connection, field string) (database, error) {
	db, err := parseDatabase(connection, field)
	if err == nil && db.memory {
		return db, fmt.Errorf("%s is %q, allowed are: badger:///DIR, etcd://HOST:PORT,HOST:PORT/PREFIX", field, connection)
	}
	return db, err
}

// openStore opens what keeps the records, nil for memory, and makes it when
// there is none.
func (db database) openStore(ctx context.Context, logger *slog.Logger) (store.Store, error) {
	switch {
	case db.memory:
		return nil, nil
	case db.etcd != nil:
		cfg := *db.etcd
		cfg.Logger = logger
		s, err := etcd.Open(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	if err := os.MkdirAll(db.dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	s, err := badger.Open(badger.Config{Dir: db.path(), Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.path(), err)
	}
	return s, nil
}

// open opens the database, and makes it when there is none. It refuses one
// that an import has not finished. The function that it returns closes
// everything. The store and the clock of cfg are set here.
func (db database) open(ctx context.Context, cfg placement.Config) (*placement.Engine, func() error, error) {
	e, closeAll, err := db.openAny(ctx, cfg)
	if err == nil && moving.Unfinished(e) {
		return nil, nil, errors.Join(fmt.Errorf("%s holds a part of a Placement: %w; run the import again", db, moving.ErrUnfinished), closeAll())
	}
	return e, closeAll, err
}

// openWhole is openStore, and refuses what a copy has not finished.
func (db database) openWhole(ctx context.Context, logger *slog.Logger) (store.Store, error) {
	s, err := db.openStore(ctx, logger)
	if err != nil || s == nil {
		return nil, err
	}
	if err := copying.Check(ctx, s); err != nil {
		return nil, errors.Join(fmt.Errorf("%s holds a part of a database: %w; run manage store copy again", db, err), s.Close())
	}
	return s, nil
}

// openAny is open for an import.
func (db database) openAny(ctx context.Context, cfg placement.Config) (*placement.Engine, func() error, error) {
	s, err := db.openWhole(ctx, cfg.Logger)
	if err != nil {
		return nil, nil, err
	}
	closeStore := func() error { return nil }
	if s != nil {
		cfg.Store, closeStore = s, s.Close
	}
	cfg.Now = time.Now
	e, err := placement.Open(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load %s: %w", db, err), closeStore())
	}
	return e, func() error { return errors.Join(e.Close(), closeStore()) }, nil
}

// openExisting is open for who does not want a new database.
func (db database) openExisting(ctx context.Context, cfg placement.Config) (*placement.Engine, func() error, error) {
	db, err := db.existing()
	if err != nil {
		return nil, nil, err
	}
	return db.open(ctx, cfg)
}

// existing refuses a directory without a database, and returns what refuses a
// prefix in etcd without one.
func (db database) existing() (database, error) {
	if db.etcd != nil {
		there := *db.etcd
		there.Existing = true
		db.etcd = &there
		return db, nil
	}
	there, err := db.there()
	if err != nil {
		return db, fmt.Errorf("look into --state-dir %q: %w", db.dir, err)
	}
	if !there {
		return db, fmt.Errorf("--state-dir is %q, allowed is: a directory with a database in its folder %s", db.dir, db.name())
	}
	return db, nil
}

// there reports whether a state directory has the database.
func (db database) there() (bool, error) {
	entries, err := os.ReadDir(db.path())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}
