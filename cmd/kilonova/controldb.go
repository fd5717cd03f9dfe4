package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// schemaOf is a kind of database, as far as its schema goes.
type schemaOf struct {
	folder  string
	version int
	sync    func(ctx context.Context, s store.Store, contract bool) (table.Progress, error)
	synced  func(ctx context.Context, s store.Store) (table.Progress, error)
}

var (
	apiSchema  = schemaOf{apiFolder, apidb.Version(), apidb.Sync, apidb.Synced}
	cellSchema = schemaOf{cellFolder, celldb.Version(), celldb.Sync, celldb.Synced}
)

func addContract(cmd *cobra.Command, contract *bool) {
	cmd.Flags().BoolVar(contract, "contract", false, "also remove what only programs of the version before need; those that run stop")
}

// run brings a database to the schema of the program.
func (k schemaOf) run(ctx context.Context, c connection, contract bool) (err error) {
	db, err := c.database(k.folder)
	if err != nil {
		return err
	}
	s, err := db.openWhole(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	_, err = k.sync(ctx, s, contract)
	return err
}

// only refuses a version that is not the program's. There is no way back, and
// none to a version in between.
func (k schemaOf) only(args []string) error {
	if len(args) == 1 && args[0] != strconv.Itoa(k.version) {
		return fmt.Errorf("VERSION is %q, allowed is: %d", args[0], k.version)
	}
	return nil
}

// print prints the version of a database, or None as nova-manage does for one
// that has never been synced.
func (k schemaOf) print(ctx context.Context, w io.Writer, c connection) (err error) {
	db, err := c.database(k.folder)
	if err != nil {
		return err
	}
	if db.etcd == nil {
		if there, err := db.there(); err != nil || !there {
			return errors.Join(err, printLine(w, "None"))
		}
	}
	db, err = db.existing()
	if err != nil {
		return err
	}
	s, err := db.openWhole(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := k.synced(ctx, s)
	switch {
	case err != nil:
		return err
	case p.Version == 0:
		return printLine(w, "None")
	}
	return printLine(w, strconv.Itoa(p.Version))
}

func printLine(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

func newAPIDB() *cobra.Command {
	var f controlFlags
	var contract bool
	sync := &cobra.Command{
		Use:   "sync [VERSION]",
		Short: "Make the API database, or bring it to the schema of this program",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := apiSchema.only(args); err != nil {
				return broken(err)
			}
			return broken(f.with(func(c *control) error { return apiSchema.run(cmd.Context(), c.api, contract) }))
		},
	}
	addContract(sync, &contract)
	version := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the API database's schema",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return broken(f.with(func(c *control) error { return apiSchema.print(cmd.Context(), cmd.OutOrStdout(), c.api) }))
		},
	}
	cmd := group("api_db", "The API database: which cell everything is in", sync, version)
	f.add(cmd)
	return cmd
}

func newCellDB() *cobra.Command {
	var f controlFlags
	var contract bool
	var local bool
	sync := &cobra.Command{
		Use:   "sync [VERSION]",
		Short: "Make the database of a cell and that of cell0, or bring them to the schema of this program",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cellSchema.only(args); err != nil {
				return broken(err)
			}
			if !local {
				if err := syncCell0(cmd.Context(), cmd.OutOrStdout(), &f, contract); err != nil {
					return err
				}
			}
			return broken(f.with(func(c *control) error { return cellSchema.run(cmd.Context(), c.cell, contract) }))
		},
	}
	addContract(sync, &contract)
	sync.Flags().BoolVar(&local, "local_cell", false, "leave cell0 alone")
	version := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the cell database's schema",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return broken(f.with(func(c *control) error { return cellSchema.print(cmd.Context(), cmd.OutOrStdout(), c.cell) }))
		},
	}
	cmd := group("db", "The database of a cell", sync, version)
	f.add(cmd)
	return cmd
}

// syncCell0 brings cell0 to the schema of the program.
//
// Source: nova, cmd/manage.py, DbCommands.sync.
func syncCell0(ctx context.Context, w io.Writer, f *controlFlags, contract bool) error {
	err := f.mapped(ctx, func(o *opened) error {
		cell0, err := o.Cell(apidb.Cell0)
		switch {
		case errors.Is(err, apidb.ErrNoCell):
			return printLine(w, "WARNING: cell0 mapping not found - not syncing cell0.")
		case err != nil:
			return err
		}
		return cellSchema.run(ctx, connection{cell0.Database, "database connection of cell0"}, contract)
	})
	if err == nil {
		return nil
	}
	return errors.Join(printLine(w, `ERROR: Could not access cell0.
Is [api_database]/connection, or [kilonova]/api_database_connection, right?
Has "kilonova manage api_db sync" been run?
Has "kilonova manage cell_v2 map_cell0" been run?
Is the database connection of cell0 right?
Error: %v`, err), answered(exitFailure))
}

// with runs do on the configuration.
func (f *controlFlags) with(do func(*control) error) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	return do(c)
}

// mapped runs do on the API database.
func (f *controlFlags) mapped(ctx context.Context, do func(*opened) error) (err error) {
	o, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	return do(o)
}
