package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything that it touches as a parameter.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if answer := answered(0); errors.As(err, &answer) {
		return int(answer)
	}
	_, _ = fmt.Fprintf(stderr, "kilonova: %v\n", err)
	if failed := (*failure)(nil); errors.As(err, &failed) {
		return failed.code
	}
	_, _ = fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
	return exitUsage
}

func newRoot() *cobra.Command {
	root := group("kilonova", "Placement inventory for clouds, and the tools around it",
		group("bench", "Measure", newTrace(), newBenchScheduler(), newBenchScale()),
		group("manage", "Look after databases",
			newAPIDB(), newCellDB(), newCellV2(),
			group("placement", "The placement database", newVerify(), newImport(), newExport()),
			group("store", "What keeps the records of a database", newStoreCopy())),
		newPlacementAPI(),
		group("plan", "Plan, without doing it", newPlanDrain()),
		newSchedule(),
		newVersion(),
	)
	root.SilenceErrors, root.SilenceUsage = true, true
	return root
}

// group is a command that only has subcommands.
func group(name, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			return errors.Join(cmd.Help(), fmt.Errorf("%s needs a subcommand", cmd.CommandPath()))
		},
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

// failure is the error of a command that was used rightly. Every other error
// is one of usage.
type failure struct {
	error
	code int
}

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.error }

// failed makes err, unless it is nil, a failure.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err, exitFailure}
}

// answered is the error of a command whose exit code is an answer, and which
// has said everything.
type answered int

// Error is not shown.
func (a answered) Error() string { return fmt.Sprintf("exit code %d", int(a)) }
