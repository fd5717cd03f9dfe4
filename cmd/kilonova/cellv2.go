package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// cellV2 is what the commands of cell_v2 share.
type cellV2 struct{ controlFlags }

// newCellV2 has the commands, options, output and exit codes of nova-manage
// cell_v2. What nova-manage ends with a traceback ends with the same exit
// code, 255, and an error.
//
// Source: nova, cmd/manage.py, CellV2Commands.
func newCellV2() *cobra.Command {
	c := &cellV2{}
	cmd := group("cell_v2", "Cells, and which cell each host and instance is in",
		c.mapCell0(), c.createCell(), c.listCells())
	c.add(cmd)
	return cmd
}

// command makes a command that works on the API database and prints.
func (c *cellV2) command(use, short string, do func(ctx context.Context, w io.Writer, o *opened) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return broken(c.mapped(cmd.Context(), func(o *opened) error { return do(cmd.Context(), cmd.OutOrStdout(), o) }))
		},
	}
}

// say prints a line and ends the command with an exit code.
func say(w io.Writer, code int, format string, args ...any) error {
	if err := printLine(w, format, args...); err != nil {
		return err
	}
	return answered(code)
}

// newUUID returns a random one.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

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

// taken prints that another cell has an address, and ends with the code.
func taken(w io.Writer, code int, err error) error {
	if other := (*apidb.TakenError)(nil); errors.As(err, &other) {
		return say(w, code, "The specified transport_url and/or database_connection combination already exists for another cell with uuid %s.", other.Cell)
	}
	return err
}

func (c *cellV2) createCell() *cobra.Command {
	var cell apidb.CellMapping
	var verbose bool
	cmd := c.command("create_cell", "Add a cell; the result is its UUID", func(ctx context.Context, w io.Writer, o *opened) (err error) {
		if cell.Transport, err = o.transport(w, cell.Transport, true); err != nil || cell.Transport == "" {
			return orAnswer(err, exitFailure)
		}
		if cell.Database, err = o.database(w, cell.Database, true); err != nil || cell.Database == "" {
			return orAnswer(err, exitFailure)
		}
		cell.UUID = newUUID()
		if err := o.CreateCell(ctx, cell); err != nil {
			return taken(w, 2, err)
		}
		if verbose {
			return printLine(w, "%s", cell.UUID)
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVar(&cell.Name, "name", "", "name of the cell")
	flags.StringVar(&cell.Database, "database_connection", "", "URL of the cell's database (default: that of the configuration)")
	flags.StringVar(&cell.Transport, "transport-url", "", "URL of the cell's broker (default: that of the configuration)")
	flags.BoolVar(&verbose, "verbose", false, "print the UUID of the cell")
	flags.BoolVar(&cell.Disabled, "disabled", false, "give it no instances yet")
	return cmd
}

// orAnswer is err, or an exit code when there is none.
func orAnswer(err error, code int) error {
	if err != nil {
		return err
	}
	return answered(code)
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

func (c *cellV2) listCells() *cobra.Command {
	var verbose bool
	cmd := c.command("list_cells", "List the cells", func(_ context.Context, w io.Writer, o *opened) error {
		all, err := o.Cells()
		if err != nil {
			return err
		}
		hide := cells.Mask
		if verbose {
			hide = func(url string) string { return url }
		}
		rows := [][]string{{"Name", "UUID", "Transport URL", "Database Connection", "Disabled"}}
		for _, cell := range all {
			rows = append(rows, []string{cell.Name, cell.UUID, hide(cell.Transport), hide(cell.Database), truth(cell.Disabled)})
		}
		return prettyTable(w, rows)
	})
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show passwords")
	return cmd
}

// truth is a truth value as Python writes it.
func truth(v bool) string {
	if v {
		return "True"
	}
	return "False"
}

// slashed writes "[section] option" as nova-manage does.
func slashed(field string) string {
	section, option, _ := strings.Cut(field, " ")
	return section + "/" + option
}
