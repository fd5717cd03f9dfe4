package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
)

func (c *cellV2) listHosts() *cobra.Command {
	var uuid string
	cmd := c.command("list_hosts", "List the hosts of a cell, or of all", func(_ context.Context, w io.Writer, o *opened) error {
		hosts, err := o.Hosts(uuid)
		if err != nil {
			return noCell(w, uuid, err)
		}
		all, err := o.Cells()
		if err != nil {
			return err
		}
		names := map[string]string{}
		for _, cell := range all {
			names[cell.UUID] = cmp.Or(cell.Name, "None")
		}
		rows := [][]string{{"Cell Name", "Cell UUID", "Hostname"}}
		for _, h := range hosts {
			rows = append(rows, []string{names[h.Cell], h.Cell, h.Host})
		}
		return prettyTable(w, rows)
	})
	cmd.Flags().StringVar(&uuid, "cell_uuid", "", "UUID of the cell")
	return cmd
}

func (c *cellV2) discoverHosts() *cobra.Command {
	var d cells.Discovery
	var verbose, strict bool
	cmd := c.command("discover_hosts", "Map hosts that are in the databases of cells and in no mapping", func(ctx context.Context, w io.Writer, o *opened) error {
		var errPrint error
		d.Report = func(line string) {
			if verbose {
				errPrint = errors.Join(errPrint, printLine(w, "%s", line))
			}
		}
		hosts, err := o.DiscoverHosts(ctx, d)
		if err := errors.Join(err, errPrint); err != nil {
			return err
		}
		if strict && len(hosts) == 0 {
			return answered(exitFailure)
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVar(&d.Cell, "cell_uuid", "", "look into this cell only")
	flags.BoolVar(&verbose, "verbose", false, "say what is done")
	flags.BoolVar(&strict, "strict", false, "exit with 0 only when a host was mapped")
	flags.BoolVar(&d.ByService, "by-service", false, "look at services, not at compute nodes")
	return cmd
}

func (c *cellV2) deleteHost() *cobra.Command {
	var uuid, host string
	cmd := c.command("delete_host", "Take a host without instances out of its cell", func(ctx context.Context, w io.Writer, o *opened) error {
		err := o.DeleteHost(ctx, uuid, host)
		switch {
		case errors.Is(err, cells.ErrNoHost):
			return say(w, 2, "The host %s was not found.", host)
		case errors.Is(err, apidb.ErrMappedElsewhere):
			return say(w, 3, "The host %s was not found in the cell %s.", host, uuid)
		case errors.Is(err, cells.ErrHasInstances):
			return say(w, 4, "There are instances on the host %s.", host)
		}
		return noCell(w, uuid, err)
	})
	needCell(cmd, &uuid)
	cmd.Flags().StringVar(&host, "host", "", "name of the host")
	_ = cmd.MarkFlagRequired("host") // is defined above
	return cmd
}

// exitNoCount is the exit code for a --max-count that is no number above 0.
const exitNoCount = 127

func (c *cellV2) mapInstances() *cobra.Command {
	var uuid, count string
	var reset bool
	cmd := c.command("map_instances", "Map the instances in the database of a cell that are not mapped", func(ctx context.Context, w io.Writer, o *opened) error {
		limit := 0
		if count != "" {
			var err error
			if limit, err = strconv.Atoi(count); err != nil || limit < 1 {
				return say(w, exitNoCount, "Must supply a positive value for max-count")
			}
		}
		more, err := o.MapInstances(ctx, uuid, limit, reset)
		if err == nil && more {
			return answered(exitFailure)
		}
		return err
	})
	needCell(cmd, &uuid)
	cmd.Flags().StringVar(&count, "max-count", "", "map so many at most; exits with 1 while there may be more (default: all)")
	cmd.Flags().BoolVar(&reset, "reset", false, "start from the oldest, not from where the last run ended")
	return cmd
}

func (c *cellV2) verifyInstance() *cobra.Command {
	var uuid string
	var quiet bool
	cmd := c.command("verify_instance", "Say whether an instance is in the cell that it is mapped to", func(ctx context.Context, w io.Writer, o *opened) error {
		verdict, cell, err := o.VerifyInstance(ctx, uuid)
		if err != nil {
			return err
		}
		if quiet {
			w = io.Discard
		}
		code := int(verdict)
		switch verdict {
		case cells.NotMapped:
			return say(w, code, "Instance %s is not mapped to a cell (upgrade is incomplete) or instance does not exist", uuid)
		case cells.NotScheduled:
			return say(w, code, "Instance %s is not mapped to a cell", uuid)
		case cells.Deleted:
			return say(w, code, "The instance with uuid %s has been deleted.", uuid)
		case cells.Archived:
			return say(w, code, "The instance with uuid %s has been archived.\nHowever its instance_mapping remains.", uuid)
		case cells.InCell:
		}
		return printLine(w, "Instance %s is in cell: %s (%s)", uuid, cmp.Or(cell.Name, "None"), cell.UUID)
	})
	cmd.Flags().StringVar(&uuid, "uuid", "", "UUID of the instance")
	_ = cmd.MarkFlagRequired("uuid") // is defined above
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print nothing")
	return cmd
}
