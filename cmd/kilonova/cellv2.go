package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
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
		c.simpleCellSetup(), c.mapCellAndHosts(), c.mapCell0(), c.createCell(), c.updateCell(), c.listCells(), c.deleteCell(),
		c.listHosts(), c.discoverHosts(), c.deleteHost(), c.mapInstances(), c.verifyInstance())
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

// noCell prints that there is no such cell, and ends with the code 1.
func noCell(w io.Writer, uuid string, err error) error {
	if errors.Is(err, apidb.ErrNoCell) {
		return say(w, exitFailure, "Cell with uuid %s was not found.", uuid)
	}
	return err
}

func needCell(cmd *cobra.Command, uuid *string) {
	cmd.Flags().StringVar(uuid, "cell_uuid", "", "UUID of the cell")
	_ = cmd.MarkFlagRequired("cell_uuid") // is defined above
}

// cellChange is what update_cell is asked for.
type cellChange struct {
	uuid, name, transport, database string
	disable, enable                 bool
}

func (c *cellV2) updateCell() *cobra.Command {
	var to cellChange
	cmd := c.command("update_cell", "Change a cell", func(ctx context.Context, w io.Writer, o *opened) error {
		return noCell(w, to.uuid, o.update(ctx, w, to))
	})
	needCell(cmd, &to.uuid)
	flags := cmd.Flags()
	flags.StringVar(&to.name, "name", "", "its new name")
	flags.StringVar(&to.transport, "transport-url", "", "URL of its broker (default: that of the configuration)")
	flags.StringVar(&to.database, "database_connection", "", "URL of its database (default: that of the configuration)")
	flags.BoolVar(&to.disable, "disable", false, "give it no new instances")
	flags.BoolVar(&to.enable, "enable", false, "give it new instances again")
	return cmd
}

// update changes a cell.
//
// Source: nova, cmd/manage.py, CellV2Commands.update_cell. A URL that is wrong
// is left out there.
func (o *opened) update(ctx context.Context, w io.Writer, to cellChange) error {
	cell, err := o.api.Cell(to.uuid) // also one whose URLs cannot be filled in
	if err != nil {
		return err
	}
	transport, err := o.transport(w, to.transport, false)
	if err != nil || transport == "" && to.transport != "" {
		return orAnswer(err, 2)
	}
	database, err := o.database(w, to.database, false)
	if err != nil || database == "" && to.database != "" {
		return orAnswer(err, 2)
	}
	cell.Transport, cell.Database = cmp.Or(transport, cell.Transport), cmp.Or(database, cell.Database)
	if err := o.Taken(cell); err != nil {
		return taken(w, 3, err) // it comes before what able says
	}
	var note string
	err = o.UpdateCell(ctx, to.uuid, func(c *apidb.CellMapping) (err error) {
		c.Name, c.Transport, c.Database = cmp.Or(to.name, c.Name), cmp.Or(transport, c.Transport), cmp.Or(database, c.Database)
		note, err = to.able(c)
		return err
	})
	if code := answered(0); note != "" && (err == nil || errors.As(err, &code)) {
		return errors.Join(printLine(w, "%s", note), err)
	}
	return taken(w, 3, err)
}

// able disables or enables a cell, and returns what there is to say of it.
func (to *cellChange) able(c *apidb.CellMapping) (note string, err error) {
	switch {
	case to.disable && to.enable:
		return "Cell cannot be disabled and enabled at the same time.", answered(4)
	case !to.disable && !to.enable:
		return "", nil
	case c.UUID == apidb.Cell0:
		return "Cell0 cannot be disabled.", answered(5)
	case c.Disabled && to.disable:
		note = fmt.Sprintf("Cell %s is already disabled", to.uuid)
	case !c.Disabled && to.enable:
		note = fmt.Sprintf("Cell %s is already enabled", to.uuid)
	}
	c.Disabled = to.disable
	return note, nil
}

func (c *cellV2) deleteCell() *cobra.Command {
	var uuid string
	var force bool
	cmd := c.command("delete_cell", "Delete a cell that is empty", func(ctx context.Context, w io.Writer, o *opened) error {
		err := o.DeleteCell(ctx, uuid, force)
		switch {
		case errors.Is(err, cells.ErrHasHosts):
			return say(w, 2, "There are existing hosts mapped to cell with uuid %s.", uuid)
		case errors.Is(err, cells.ErrHasInstances):
			return say(w, 3, "There are existing instances mapped to cell with uuid %s.", uuid)
		case errors.Is(err, cells.ErrHasMappings):
			return say(w, 4, "There are instance mappings to cell with uuid %s, but all instances have been deleted in the cell.\n"+
				"Delete them as well with --force.", uuid)
		}
		return noCell(w, uuid, err)
	})
	needCell(cmd, &uuid)
	cmd.Flags().BoolVar(&force, "force", false, "delete its mappings of hosts and of deleted instances as well")
	return cmd
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
