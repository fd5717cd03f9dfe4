package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/bus/rabbit"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// exitBroken is the exit code of what nova-manage has no code for.
const exitBroken = 255

// What is read when it is there and no --config-file, or no --config-dir, is
// given.
const (
	novaConf    = "/etc/nova/nova.conf"
	novaConfDir = "/etc/nova/nova.conf.d"
)

// broken makes err, unless it is nil, a failure that nova-manage has no exit
// code for.
//
// Source: nova, cmd/manage.py, main.
func broken(err error) error {
	if answer := answered(0); err == nil || errors.As(err, &answer) {
		return err
	}
	return &failure{err, exitBroken}
}

// connection is the URL of a database, and the option that has it.
type connection struct{ url, field string }

// control is what nova.conf says of the control plane's databases and broker.
type control struct {
	api, cell connection
	transport string
}

// controlFlags name configuration files, and folders of them.
type controlFlags struct{ files, dirs []string }

func (f *controlFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringArrayVar(&f.files, "config-file", nil, "nova.conf; may be repeated (default "+novaConf+" if it is there)")
	flags.StringArrayVar(&f.dirs, "config-dir", nil, "folder whose files NAME.conf count more, by name; may be repeated (default "+novaConfDir+" if it is there)")
}

// orThere is given, or what is usual if it is there.
func orThere(given []string, usual string) []string {
	if _, err := os.Stat(usual); err == nil && len(given) == 0 {
		return []string{usual}
	}
	return given
}

// paths are the files to read, in order.
//
// Source: oslo.config, cfg.py, ConfigOpts._parse_config_files.
func (f *controlFlags) paths() ([]string, error) {
	paths := slices.Clone(orThere(f.files, novaConf))
	for _, dir := range orThere(f.dirs, novaConfDir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
	}
	return paths, nil
}

// read reads the configuration.
func (f *controlFlags) read() (*control, error) {
	files, err := f.paths()
	if err != nil {
		return nil, err
	}
	cfg, err := oslocfg.Read(files...)
	if err != nil {
		return nil, err
	}
	return &control{
		api:       overridden(cfg, "api_database", "api_database_connection"),
		cell:      overridden(cfg, "database", "database_connection"),
		transport: cfg.String("DEFAULT", "transport_url", ""),
	}, cfg.Err()
}

// overridden is the option connection of a section, or what [kilonova] has in
// its place.
func overridden(cfg *oslocfg.Config, section, option string) connection {
	if url := cfg.String("kilonova", option, ""); url != "" {
		return connection{url, "[kilonova] " + option}
	}
	return connection{cfg.String(section, "connection", ""), "[" + section + "] connection"}
}

// sqlSchemes begin connections of Nova that this program has no use for.
var sqlSchemes = []string{"mysql", "mariadb", "postgresql", "sqlite"}

// database reads the connection of a database that lasts. One of Nova's is
// refused by name.
func (c connection) database(folder string) (database, error) {
	if c.url == "" {
		return database{}, fmt.Errorf("%s is not set, allowed are: badger:///DIR, etcd://HOST:PORT,HOST:PORT/PREFIX", c.field)
	}
	scheme, _, _ := strings.Cut(c.url, "://")
	if dialect, _, _ := strings.Cut(scheme, "+"); slices.Contains(sqlSchemes, dialect) {
		return database{}, fmt.Errorf("%s is %q, a database of Nova; leave it to Nova and set [kilonova] api_database_connection "+
			"and database_connection to badger:///DIR or etcd://HOST:PORT,HOST:PORT/PREFIX", c.field, cells.Mask(c.url))
	}
	db, err := lasting(c.url, c.field)
	return db.in(folder), err
}

// The folders of databases in a state directory.
const (
	placementFolder = "placement"
	apiFolder       = "api"
	cellFolder      = "cell"
)

// opened is an API database with what works on it.
type opened struct {
	*cells.Mapper
	conf *control
	api  *apidb.DB
	s    store.Store
}

// open opens the API database of the configuration.
func (f *controlFlags) open(ctx context.Context) (*opened, error) {
	conf, err := f.read()
	if err != nil {
		return nil, err
	}
	db, err := conf.api.database(apiFolder)
	if err == nil {
		db, err = db.existing()
	}
	if err != nil {
		return nil, fmt.Errorf("API database: %w", err)
	}
	s, err := db.openWhole(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("API database: %w", err)
	}
	o := &opened{conf: conf, s: s}
	if o.api, err = apidb.Open(ctx, s); err != nil {
		return nil, errors.Join(fmt.Errorf("API database %s: %w%s", db, err, syncHint(err, "api_db")), s.Close())
	}
	o.Mapper, err = cells.New(cells.Config{
		API: o.api, Open: openCell, Base: cells.Addresses{Database: conf.cell.url, Transport: conf.transport},
	})
	return o, err
}

// Close closes the API database.
func (o *opened) Close() error { return errors.Join(o.api.Close(), o.s.Close()) }

// syncHint says what helps against a schema that is too old.
func syncHint(err error, category string) string {
	if errors.Is(err, table.ErrNotSynced) {
		return "; run kilonova manage " + category + " sync"
	}
	return ""
}

// openCell opens the database of a cell.
func openCell(ctx context.Context, url string) (*celldb.DB, func() error, error) {
	db, err := connection{url, "database connection of the cell"}.database(cellFolder)
	if err == nil {
		db, err = db.existing()
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := db.openWhole(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	cell, err := celldb.Open(ctx, s)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("database %s: %w%s", db, err, syncHint(err, "db")), s.Close())
	}
	return cell, func() error { return errors.Join(cell.Close(), s.Close()) }, nil
}

// checkTransport returns why a URL is none of a broker.
func checkTransport(url string) error {
	switch scheme, _, found := strings.Cut(url, "://"); {
	case !found:
		return errors.New("transport URL has no scheme, allowed are: rabbit://..., none:///, fake:///")
	case scheme == "none" || scheme == "fake":
		return nil
	case scheme == "rabbit":
		_, err := rabbit.Parse(url, nil)
		return err
	default:
		return fmt.Errorf("scheme of the transport URL is %q, allowed are: rabbit, none, fake", scheme)
	}
}
