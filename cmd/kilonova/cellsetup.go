package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// transport returns the transport URL that is given or configured. It is ""
// when there is none, which warn says to w.
//
// Source: nova, cmd/manage.py, CellV2Commands._validate_transport_url.
func (o *opened) transport(w io.Writer, given string, warn bool) (string, error) {
	if given == "" {
		if o.conf.transport == "" {
			if warn {
				return "", printLine(w, "Must specify --transport-url if [DEFAULT]/transport_url is not set in the configuration file.")
			}
			return "", nil
		}
		if err := printLine(w, "--transport-url not provided in the command line, using the value [DEFAULT]/transport_url from the configuration file"); err != nil {
			return "", err
		}
		given = o.conf.transport
	}
	url, err := cells.Resolve(given, o.conf.transport)
	if err == nil {
		err = checkTransport(url)
	}
	if err != nil {
		return "", printLine(w, "Invalid transport URL: %v", err)
	}
	return given, nil
}

// database returns the database connection that is given or configured. It
// is "" when there is none, which warn says to w.
//
// Source: nova, cmd/manage.py, CellV2Commands._validate_database_connection.
func (o *opened) database(w io.Writer, given string, warn bool) (string, error) {
	c := connection{given, "--database_connection"}
	if given == "" {
		if o.conf.cell.url == "" {
			if warn {
				return "", printLine(w, "Must specify --database_connection if [database]/connection is not set in the configuration file.")
			}
			return "", nil
		}
		if err := printLine(w, "--database_connection not provided in the command line, using the value %s from the configuration file",
			slashed(o.conf.cell.field)); err != nil {
			return "", err
		}
		c = o.conf.cell
	}
	url, err := cells.Resolve(c.url, o.conf.cell.url)
	if err == nil {
		_, err = connection{url, c.field}.database(cellFolder)
	}
	if err != nil {
		return "", printLine(w, "Invalid database connection: %v", err)
	}
	return c.url, nil
}

// slashed writes "[section] option" as nova-manage does.
func slashed(field string) string {
	section, option, _ := strings.Cut(field, " ")
	return section + "/" + option
}

func (c *cellV2) mapCell0() *cobra.Command {
	var url string
	cmd := c.command("map_cell0", "Add cell0, which holds instances that never got a host", func(ctx context.Context, w io.Writer, o *opened) error {
		return o.mapCell0(ctx, w, url)
	})
	cmd.Flags().StringVar(&url, "database_connection", "", "URL of its database (default: that of the configuration with _cell0 after its path)")
	return cmd
}

// mapCell0 adds cell0 unless it is there.
//
// Source: nova, cmd/manage.py, CellV2Commands.map_cell0.
func (o *opened) mapCell0(ctx context.Context, w io.Writer, url string) error {
	c := connection{url, "--database_connection"}
	if url == "" {
		c = o.conf.cell
		if c.url != "" {
			var err error
			if c.url, err = cells.Cell0Database(c.url); err != nil {
				return fmt.Errorf("%s: %w", c.field, err)
			}
		}
	}
	resolved, err := cells.Resolve(c.url, o.conf.cell.url)
	if err != nil {
		return fmt.Errorf("%s: %w", c.field, err)
	}
	if _, err := (connection{resolved, c.field}).database(cellFolder); err != nil {
		return err
	}
	err = o.CreateCell(ctx, apidb.CellMapping{UUID: apidb.Cell0, Name: "cell0", Transport: "none:///", Database: c.url})
	if errors.Is(err, table.ErrExists) {
		return printLine(w, "Cell0 is already setup")
	}
	return err
}

func (c *cellV2) simpleCellSetup() *cobra.Command {
	var url string
	cmd := c.command("simple_cell_setup", "Add cell0 and one cell with all hosts and instances of the configured database",
		func(ctx context.Context, w io.Writer, o *opened) error {
			transport, err := o.transport(w, url, true)
			if err != nil || transport == "" {
				return orAnswer(err, exitFailure)
			}
			return o.setUp(ctx, w, transport)
		})
	cmd.Flags().StringVar(&url, "transport-url", "", "URL of the cell's broker (default: that of the configuration)")
	return cmd
}

// setUp makes a cloud of one cell.
//
// Source: nova, cmd/manage.py, CellV2Commands.simple_cell_setup.
func (o *opened) setUp(ctx context.Context, w io.Writer, transport string) error {
	if err := o.mapCell0(ctx, w, ""); err != nil {
		return err
	}
	cell0, err := o.Cell(apidb.Cell0)
	if err == nil {
		err = cellSchema.run(ctx, connection{cell0.Database, "database connection of cell0"}, false)
	}
	if err != nil {
		if err := printLine(w, "Unable to sync cell0 schema: %v", err); err != nil {
			return err
		}
	}
	cell, err := o.mapHosts(ctx, w, apidb.CellMapping{Transport: transport}, false)
	if err != nil || cell == "" {
		return orAnswer(err, exitFailure)
	}
	_, err = o.MapInstances(ctx, cell, 0, false)
	return err
}

// mapHosts maps the hosts of the configured database, and returns the UUID of
// their cell, "" when there are none.
//
// Source: nova, cmd/manage.py, CellV2Commands._map_cell_and_hosts.
func (o *opened) mapHosts(ctx context.Context, w io.Writer, c apidb.CellMapping, verbose bool) (string, error) {
	c.UUID, c.Database = newUUID(), o.conf.cell.url
	done, err := o.MapCellAndHosts(ctx, c)
	if err != nil {
		return "", err
	}
	if done.Cell == "" {
		return "", printLine(w, "No hosts found to map to cell, exiting.")
	}
	if verbose {
		for _, h := range done.Before {
			err = errors.Join(err, printLine(w, "Host %s is already mapped to cell %s", h.Host, h.Cell))
		}
	}
	switch {
	case len(done.Hosts) == 0:
		err = errors.Join(err, printLine(w, "All hosts are already mapped to cell(s)."))
	case verbose:
		err = errors.Join(err, printLine(w, "%s", done.Cell))
	}
	return done.Cell, err
}

func (c *cellV2) mapCellAndHosts() *cobra.Command {
	var cell apidb.CellMapping
	var verbose bool
	cmd := c.command("map_cell_and_hosts", "Add a cell with the hosts of the configured database that are not mapped",
		func(ctx context.Context, w io.Writer, o *opened) (err error) {
			if cell.Transport, err = o.transport(w, cell.Transport, true); err != nil || cell.Transport == "" {
				return orAnswer(err, exitFailure)
			}
			_, err = o.mapHosts(ctx, w, cell, verbose)
			return err
		})
	cmd.Flags().StringVar(&cell.Transport, "transport-url", "", "URL of the cell's broker (default: that of the configuration)")
	cmd.Flags().StringVar(&cell.Name, "name", "", "name of the cell")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print the UUID of the cell when hosts were mapped")
	return cmd
}
