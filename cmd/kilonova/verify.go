package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
)

// verified is the document of manage placement verify.
type verified struct {
	StateDir   string      `json:"state_dir"`
	Violations []violation `json:"violations"`
}

type violation struct {
	Invariant string `json:"invariant"`
	Subject   string `json:"subject"`
	Detail    string `json:"detail"`
}

func newVerify() *cobra.Command {
	var stateDir, format string
	cmd := &cobra.Command{
		Use:   "verify --state-dir DIR",
		Short: "Check every invariant of a placement database that no process has open",
		Long: `Opens the placement database DIR/placement, loads it and checks the invariants
that ARCHITECTURE.md names. Prints each violation; exits 1 when there is one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			return failed(verify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), stateDir, format))
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "state directory, which holds the folder placement")
	addFormat(cmd, &format)
	_ = cmd.MarkFlagRequired("state-dir") // fails only for a flag that does not exist
	return cmd
}

func verify(ctx context.Context, stdout, stderr io.Writer, stateDir, format string) (err error) {
	there, err := hasPlacement(stateDir)
	if err != nil {
		return fmt.Errorf("look into --state-dir %q: %w", stateDir, err)
	}
	if !there {
		return fmt.Errorf("--state-dir is %q, allowed is: a directory with a placement database in its folder placement", stateDir)
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	engine, closeAll, err := openPlacement(ctx, stateDir, logger)
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
	doc := verified{StateDir: stateDir, Violations: []violation{}}
	rows := []bench.Row{{Name: "state directory", Value: stateDir}, {Name: "violations", Value: fmt.Sprint(len(found))}}
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
