package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/copying"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// copied is the document of manage store copy.
type copied struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"`
	Removed int    `json:"removed"` // left in the target by a copy that was cut off
}

// folders of the databases that can be copied, by which --database names them.
var folders = []string{placementFolder, apiFolder, cellFolder}

func newStoreCopy() *cobra.Command {
	var from, to, folder, format string
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Copy a database to another kind of store, and compare both",
		Long: `Copies every record of a database from badger:///DIR to etcd://HOST:PORT/PREFIX or
back, reads both sides again and compares them. Stop every process that uses either.

--database says whose it is: placement's, the API database, or that of a cell. It
names the folder of DIR, and a source that holds another one is refused.

A target that holds something is refused. One whose copy was cut off, or found a
difference, is served by no process; the same command empties it and begins anew.
Batches that a process left half written in the source are copied as readers see
them: wholly or not at all.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			source, errFrom := lasting(from, "--from")
			target, errTo := lasting(to, "--to")
			if err := errors.Join(errFrom, errTo); err != nil {
				return err
			}
			if !slices.Contains(folders, folder) {
				return fmt.Errorf("--database is %q, allowed are: %q", folder, folders)
			}
			return failed(storeCopy(cmd.Context(), cmd.ErrOrStderr(), source.in(folder), target.in(folder), func(doc copied) error {
				return show(cmd.OutOrStdout(), format, doc, []bench.Row{
					{Name: "from", Value: doc.From},
					{Name: "to", Value: doc.To},
					{Name: "records", Value: fmt.Sprint(doc.Records)},
					{Name: "bytes", Value: fmt.Sprint(doc.Bytes)},
					{Name: "removed", Value: fmt.Sprint(doc.Removed)},
				})
			}))
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "database to copy: badger:///DIR or etcd://HOST:PORT,HOST:PORT/PREFIX")
	cmd.Flags().StringVar(&to, "to", "", "database to make, of the same forms")
	cmd.Flags().StringVar(&folder, "database", placementFolder, "which one: placement, api, or cell")
	addFormat(cmd, &format)
	_ = cmd.MarkFlagRequired("from") // is defined above
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func storeCopy(ctx context.Context, stderr io.Writer, source, target database, show func(copied) error) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	source, err = source.existing()
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	from, err := source.openStore(ctx, logger)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := source.holds(ctx, from); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	to, err := target.openStore(ctx, logger)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	res, err := copying.Copy(ctx, from, to, copying.Config{From: source.String(), Progress: stepLines(stderr)})
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", source, target, err)
	}
	return show(copied{From: source.String(), To: target.String(), Records: res.Records, Bytes: res.Bytes, Removed: res.Removed})
}

// holds refuses a store that has another database than its folder's. Placement's
// is no set of tables, and so without a name.
func (db database) holds(ctx context.Context, s store.Store) error {
	name, err := table.Name(ctx, s)
	if err != nil {
		return fmt.Errorf("load %s: %w", db, err)
	}
	if name = cmp.Or(name, placementFolder); name != db.name() {
		return fmt.Errorf("%s holds database %q, --database is %q", db, name, db.name())
	}
	return nil
}

// stepLines writes a line at the start of each step and every two seconds.
func stepLines(w io.Writer) func(step string, count int) {
	var mu sync.Mutex
	var last string
	var at time.Time
	return func(step string, count int) {
		mu.Lock()
		defer mu.Unlock()
		if step == last && time.Since(at) < 2*time.Second {
			return
		}
		last, at = step, time.Now()
		_, _ = fmt.Fprintf(w, "%s: %d records\n", step, count)
	}
}
