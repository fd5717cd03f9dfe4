package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/api/keystone"
	"github.com/kilonova-cloud/kilonova/api/moving"
	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/placement"
)

// moved is the document of manage placement import and export.
type moved struct {
	From        string              `json:"from"`
	To          string              `json:"to"`
	Providers   int                 `json:"resource_providers"`
	Consumers   int                 `json:"consumers"`
	Allocations int                 `json:"allocations"`
	Written     int                 `json:"written"` // providers and consumers, in all passes
	Lost        []string            `json:"not_restorable"`
	Differences []moving.Difference `json:"differences"`
}

const maxShown = 50 // differences in a table

func (m *moved) count(w *moving.World) {
	m.Providers, m.Consumers, m.Allocations = len(w.Providers), len(w.Consumers), 0
	for _, c := range w.Consumers {
		m.Allocations += len(c.Allocations)
	}
}

// show prints the document; it fails when there are differences.
func (m *moved) show(out io.Writer, format string) error {
	rows := []bench.Row{
		{Name: "from", Value: m.From},
		{Name: "to", Value: m.To},
		{Name: "resource providers", Value: fmt.Sprint(m.Providers)},
		{Name: "consumers", Value: fmt.Sprint(m.Consumers)},
		{Name: "allocations", Value: fmt.Sprint(m.Allocations)},
		{Name: "written", Value: fmt.Sprint(m.Written)},
	}
	for _, text := range m.Lost {
		rows = append(rows, bench.Row{Name: "not restorable", Value: text})
	}
	rows = append(rows, bench.Row{Name: "differences", Value: fmt.Sprint(len(m.Differences))})
	for _, d := range m.Differences[:min(maxShown, len(m.Differences))] {
		rows = append(rows, bench.Row{Name: d.Kind, Value: fmt.Sprintf("%s: %s: %s, here %s", d.Subject, d.Field, d.From, d.To)})
	}
	if m.Lost == nil {
		m.Lost = []string{}
	}
	if m.Differences == nil {
		m.Differences = []moving.Difference{}
	}
	if err := show(out, format, m, rows); err != nil {
		return err
	}
	if n := len(m.Differences); n > 0 {
		return fmt.Errorf("%d differences between the two sides", n)
	}
	return nil
}

// remoteFlags say which server, and as whom.
type remoteFlags struct {
	token   string
	workers int
}

func (f *remoteFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.token, "token", "", "token to send, such as admin to a server with noauth2 (default: one of Identity, from the OS_* variables of the environment)")
	cmd.Flags().IntVar(&f.workers, "workers", moving.DefaultWorkers, "requests at once")
}

// connect returns the server at url.
func (f *remoteFlags) connect(ctx context.Context, url string, stderr io.Writer) (*moving.Remote, func(), error) {
	token := placementclient.StaticToken(f.token)
	if f.token == "" {
		fromEnvironment, err := keystone.TokensFromEnvironment(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("without --token: %w", err)
		}
		token = fromEnvironment
	}
	c, err := placementclient.New(placementclient.Config{URL: url, Token: token})
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Minor(ctx); err != nil {
		return nil, nil, fmt.Errorf("ask %s: %w", url, err)
	}
	bars := &steps{stderr: stderr}
	return &moving.Remote{Client: c, Workers: f.workers, Progress: bars.move}, bars.remove, nil
}

// steps shows a bar for each step of a longer job.
type steps struct {
	stderr io.Writer
	step   string
	bar    func(done, total int)
	end    func()
}

func (s *steps) move(step string, done, total int) {
	if s.step != step || done == 1 {
		s.remove()
		s.step = step
		s.bar, s.end = newProgress(s.stderr, step)
	}
	if s.bar != nil {
		s.bar(done, total)
	}
}

func (s *steps) remove() {
	if s.end != nil {
		s.end()
	}
}

type importFlags struct {
	remoteFlags
	databaseFlags
	from, file, format string
	passes             int
	update             bool
}

func newImport() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import (--from URL | --file FILE) (--state-dir DIR | --connection URL)",
		Short: "Copy a running Placement, or an export, into a placement database",
		Long: `Copies resource providers, inventories, traits, aggregates, classes, and consumers
with their allocations, projects, users and types, with the generations and the
times of change that the source tells, and compares both sides. Exits 1 when they
differ.

The source may be in use: passes are repeated until one finds nothing new. Run it
again with --update once the source is quiet, and only what changed is written.
A database whose import was cut off, or left differences, is not served; the same
command goes on. Nobody else may write to it meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(f.format); err != nil {
				return err
			}
			if f.passes < 1 {
				return fmt.Errorf("--passes is %d, allowed is: 1 or more", f.passes)
			}
			db, err := f.database()
			if err != nil {
				return err
			}
			return failed(f.run(cmd.Context(), db, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "URL of the Placement to copy, such as http://controller:8778")
	flags.StringVar(&f.file, "file", "", "file of manage placement export")
	flags.IntVar(&f.passes, "passes", 5, "passes over a source that changes, before the comparison")
	flags.BoolVar(&f.update, "update", false, "make a database that holds something equal to the source")
	f.remoteFlags.add(cmd)
	f.databaseFlags.add(cmd)
	addFormat(cmd, &f.format)
	cmd.MarkFlagsOneRequired("from", "file")
	cmd.MarkFlagsMutuallyExclusive("from", "file")
	return cmd
}

func (f *importFlags) run(ctx context.Context, db database, stdout, stderr io.Writer) (err error) {
	engine, closeAll, err := db.openAny(ctx, placement.Config{Logger: slog.New(slog.NewTextHandler(stderr, nil))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if held := moving.OfEngine(engine); len(held.Providers)+len(held.Consumers) > 0 && !f.update && !moving.Unfinished(engine) {
		return fmt.Errorf("%s holds %d resource providers; --update makes it equal to the source, whatever it holds", db, len(held.Providers))
	}
	doc := moved{From: f.from + f.file, To: db.String()}
	if err := moving.Begin(ctx, engine, doc.From); err != nil {
		return err
	}
	if f.file != "" {
		err = f.fromFile(ctx, engine, &doc, stderr)
	} else {
		err = f.fromServer(ctx, engine, &doc, stderr)
	}
	if err != nil {
		return err
	}
	if len(doc.Differences) == 0 {
		if err := moving.Finish(ctx, engine); err != nil {
			return err
		}
	}
	return doc.show(stdout, f.format)
}

func (f *importFlags) fromFile(ctx context.Context, engine *placement.Engine, doc *moved, stderr io.Writer) error {
	file, err := os.Open(f.file)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // was read only
	w, err := moving.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.file, err)
	}
	bars := &steps{stderr: stderr}
	defer bars.remove()
	doc.Written, err = moving.Apply(ctx, engine, w, bars.move)
	doc.Differences = moving.Compare(w, moving.OfEngine(engine))
	doc.count(w)
	return err
}

// fromServer copies in passes, of which all but the first read only what has
// a new generation, then compares with all that the source says. What differs
// then is copied too, as the source may have changed, and compared again.
func (f *importFlags) fromServer(ctx context.Context, engine *placement.Engine, doc *moved, stderr io.Writer) error {
	remote, remove, err := f.connect(ctx, f.from, stderr)
	if err != nil {
		return err
	}
	defer remove()
	var known *moving.World
	for pass := range f.passes {
		if known, err = remote.Read(ctx, known); err != nil {
			return err
		}
		n, err := moving.Apply(ctx, engine, known, remote.Progress)
		doc.Written += n
		if err != nil {
			return err
		}
		remove()
		_, _ = fmt.Fprintf(stderr, "pass %d: %d resource providers, %d consumers, %d written\n", pass+1, len(known.Providers), len(known.Consumers), n)
		if n == 0 {
			break
		}
	}
	for range f.passes {
		all, err := remote.Read(ctx, nil)
		if err != nil {
			return err
		}
		doc.count(all)
		doc.Differences = moving.Compare(all, moving.OfEngine(engine))
		remove()
		_, _ = fmt.Fprintf(stderr, "comparison: %d differences\n", len(doc.Differences))
		if len(doc.Differences) == 0 {
			return nil
		}
		n, err := moving.Apply(ctx, engine, all, remote.Progress)
		doc.Written += n
		if err != nil {
			return err
		}
	}
	return nil
}

type exportFlags struct {
	remoteFlags
	databaseFlags
	to, output, format string
}

func newExport() *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export (--state-dir DIR | --connection URL) (--output FILE | --to URL)",
		Short: "Write a placement database to a file, or to a running Placement",
		Long: `Writes all that a placement database holds to a file of JSON lines, or into a running
Placement. No other process may have DIR/placement open; one in etcd may be in use. An OpenStack Placement cannot be told generations and times: what was not
restored is listed, and both sides are compared in all else. Exits 1 when they differ.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(f.format); err != nil {
				return err
			}
			db, err := f.database()
			if err != nil {
				return err
			}
			return failed(f.run(cmd.Context(), db, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "URL of the Placement to fill")
	flags.StringVar(&f.output, "output", "", "file to write; - is standard output")
	f.remoteFlags.add(cmd)
	f.databaseFlags.add(cmd)
	addFormat(cmd, &f.format)
	cmd.MarkFlagsOneRequired("to", "output")
	cmd.MarkFlagsMutuallyExclusive("to", "output")
	return cmd
}

func (f *exportFlags) run(ctx context.Context, db database, stdout, stderr io.Writer) (err error) {
	engine, closeAll, err := db.openExisting(ctx, placement.Config{Logger: slog.New(slog.NewTextHandler(stderr, nil))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	w := moving.OfEngine(engine)
	if f.output == "-" {
		return moving.WriteFile(stdout, w, time.Now())
	}
	doc := moved{From: db.String(), To: f.output + f.to}
	doc.count(w)
	if f.output != "" {
		if err := replaceFile(f.output, func(out io.Writer) error { return moving.WriteFile(out, w, time.Now()) }); err != nil {
			return err
		}
		return doc.show(stdout, f.format)
	}
	remote, remove, err := f.connect(ctx, f.to, stderr)
	if err != nil {
		return err
	}
	defer remove()
	if err := remote.Upload(ctx, w); err != nil {
		return err
	}
	got, err := remote.Read(ctx, nil)
	if err != nil {
		return err
	}
	remove()
	doc.Lost, doc.Differences = moving.Lost(), moving.Restorable(moving.Compare(w, got))
	return doc.show(stdout, f.format)
}

// replaceFile writes a file under another name first: it is whole or as it was.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), path)
}
