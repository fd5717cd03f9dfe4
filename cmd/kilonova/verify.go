package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/placement"
)

// verified is the document of manage placement verify.
type verified struct {
	StateDir   string      `json:"state_dir"`  // "" for one in etcd
	Connection string      `json:"connection"` // "" for a state directory
	Violations []violation `json:"violations"`
}

type violation struct {
	Invariant string `json:"invariant"`
	Subject   string `json:"subject"`
	Detail    string `json:"detail"`
}

func newVerify() *cobra.Command {
	var where databaseFlags
	var format string
	cmd := &cobra.Command{
		Use:   "verify (--state-dir DIR | --connection URL)",
		Short: "Check every invariant of a placement database",
		Long: `Opens a placement database, loads it and checks the invariants that ARCHITECTURE.md
names. Prints each violation; exits 1 when there is one. No other process may have
DIR/placement open; one in etcd may be in use.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			db, err := where.database()
			if err != nil {
				return err
			}
			return failed(verify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), db, format))
		},
	}
	where.add(cmd)
	addFormat(cmd, &format)
	return cmd
}

func verify(ctx context.Context, stdout, stderr io.Writer, db database, format string) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	engine, closeAll, err := db.openExisting(ctx, placement.Config{Logger: logger})
	if err != nil {
		return err
	}
	defer func() {
		if errClose := closeAll(); err == nil {
			err = errClose
		}
	}()
	found, err := engine.Verify(ctx)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	doc := verified{StateDir: db.dir, Violations: []violation{}}
	rows := []bench.Row{{Name: "state directory", Value: db.dir}, {Name: "violations", Value: fmt.Sprint(len(found))}}
	if db.etcd != nil {
		doc.Connection = db.String()
		rows[0] = bench.Row{Name: "connection", Value: doc.Connection}
	}
	for _, v := range found {
		doc.Violations = append(doc.Violations, violation{v.Invariant, v.Subject, v.Detail})
		rows = append(rows, bench.Row{Name: v.Invariant, Value: v.Subject + ": " + v.Detail})
	}
	if err := show(stdout, format, doc, rows); err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%d violations found", len(found))
	}
	return nil
}
