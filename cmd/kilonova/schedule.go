package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/document"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

// scheduleFlags are the flags of schedule.
type scheduleFlags struct {
	input, format  string
	explain, batch bool
	configFiles    []string
}

func newSchedule() *cobra.Command {
	var f scheduleFlags
	cmd := &cobra.Command{
		Use:   "schedule --input FILE [--explain] | schedule --batch",
		Short: "Say which hosts Nova's scheduler would choose, and why",
		Long: `Reads hosts, a request and options from a JSON document and decides as Nova's
scheduler does: filters, weighers, one host after the other for several instances.
Nothing is claimed. docs/scheduling.md describes the document.

Exits 0 when every instance has a host, 1 when none has (the reason is in the output),
2 when the document cannot be read.

With --batch every line of the input, which is standard input by default, is a document,
and every line of the output is its answer, also where a document cannot be read. Exits 0.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(f.format); err != nil {
				return err
			}
			s, err := f.scheduler(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			in, err := f.open(cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // was only read
			if f.batch {
				return failed(s.batch(cmd.Context(), in, cmd.OutOrStdout()))
			}
			return s.one(in, cmd.OutOrStdout(), &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "file of the document; - is standard input")
	flags.BoolVar(&f.explain, "explain", false, "show what each filter and weigher did; json always does")
	flags.BoolVar(&f.batch, "batch", false, "a document a line, an answer a line")
	flags.StringArrayVar(&f.configFiles, "config-file", nil, "nova.conf, which counts where a document says nothing; may be repeated")
	addFormat(cmd, &f.format)
	cmd.MarkFlagsOneRequired("input", "batch")
	cmd.MarkFlagsMutuallyExclusive("batch", "explain")
	cmd.MarkFlagsMutuallyExclusive("batch", "format")
	return cmd
}

func (f *scheduleFlags) open(stdin io.Reader) (io.ReadCloser, error) {
	if cmp.Or(f.input, "-") == "-" {
		return io.NopCloser(stdin), nil
	}
	file, err := os.Open(f.input)
	return file, failed(err)
}

// documentScheduler decides documents. It keeps the pipeline of the last one,
// as the next often has the same options.
type documentScheduler struct {
	files    *oslocfg.Config
	config   []byte // of the document that pipeline was made for
	pipeline *scheduler.Pipeline
	keeper   *topology.Keeper
	mix      *pack.LiveMix // of what was placed; nil: nobody knows
}

func (f *scheduleFlags) scheduler(stderr io.Writer) (*documentScheduler, error) {
	files, err := oslocfg.Read(f.configFiles...)
	if err != nil {
		return nil, failed(err)
	}
	_, unknown, err := schedulerOptions(files)
	for _, option := range unknown {
		_, _ = fmt.Fprintf(stderr, "unknown option: %s\n", option)
	}
	s := &documentScheduler{files: files}
	if f.batch {
		s.mix = &pack.LiveMix{}
	}
	return s, err
}

// configure makes the pipeline for a document.
func (s *documentScheduler) configure(d *document.Document) error {
	config, err := json.Marshal(d.Config)
	if err != nil {
		return err
	}
	if s.pipeline != nil && bytes.Equal(config, s.config) {
		return nil
	}
	over, err := oslocfg.FromMap(d.Config)
	if err != nil {
		return err
	}
	if _, unknown, err := schedulerOptions(over); err != nil || len(unknown) > 0 {
		return errors.Join(err, notEmpty("config has options that nobody knows", unknown))
	}
	o, _, err := schedulerOptions(over.Over(s.files))
	if err != nil {
		return err
	}
	s.pipeline, s.keeper, err = newPipeline(o, s.mix)
	s.config = config
	return err
}

func notEmpty(what string, list []string) error {
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(list, ", "))
}

// decide answers a document. The second result is why no host was found, the
// third why the document cannot be read.
func (s *documentScheduler) decide(text []byte) (answer *document.Answer, none, invalid error) {
	d, err := document.Read(text)
	if err != nil {
		return nil, nil, err
	}
	if err := s.configure(d); err != nil {
		return nil, nil, err
	}
	if err := readTopology(s.keeper, d); err != nil {
		return nil, nil, err
	}
	var why scheduler.Explanation
	selected, err := s.pipeline.Select(&scheduler.Query{
		Spec: d.Spec, Hosts: d.Hosts, Now: document.Now, Rand: rand.New(rand.NewPCG(d.Seed, 0)),
	}, &why)
	s.pipeline.Learn(d.Spec, len(selected))
	return document.Of(selected, &why, err), err, nil
}

// readTopology reads the NUMA cells and PCI devices of hosts and request.
func readTopology(k scheduler.TopologyKeeper, d *document.Document) error {
	for _, h := range d.Hosts {
		if err := k.ReadHost(h); err != nil {
			return err
		}
	}
	return k.ReadSpec(d.Spec)
}

// one answers the only document of the input.
func (s *documentScheduler) one(in io.Reader, stdout io.Writer, f *scheduleFlags) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return failed(fmt.Errorf("read --input: %w", err))
	}
	answer, none, err := s.decide(text)
	if err != nil {
		return fmt.Errorf("--input %s: %w", f.input, err)
	}
	if err := show(stdout, f.format, answer, answerRows(answer, f.explain)); err != nil {
		return failed(err)
	}
	return failed(none)
}

// batch answers every line until the input or ctx ends.
func (s *documentScheduler) batch(ctx context.Context, in io.Reader, stdout io.Writer) error {
	done := make(chan error, 1)
	go func() { done <- s.lines(bufio.NewReaderSize(in, 1<<16), bufio.NewWriterSize(stdout, 1<<16)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done(): // reading a terminal cannot be interrupted
		return ctx.Err()
	}
}

func (s *documentScheduler) lines(in *bufio.Reader, out *bufio.Writer) error {
	enc := json.NewEncoder(out)
	for last := false; !last; {
		line, err := in.ReadBytes('\n')
		if last = errors.Is(err, io.EOF); err != nil && !last {
			return fmt.Errorf("read a document: %w", err)
		}
		if len(line) > 0 {
			answer, _, err := s.decide(line)
			if err != nil {
				answer = document.Refused(err)
			}
			if err := enc.Encode(answer); err != nil {
				return fmt.Errorf("write an answer: %w", err)
			}
		}
		if in.Buffered() == 0 || last { // whoever waits for an answer gets it
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write an answer: %w", err)
			}
		}
	}
	return nil
}
