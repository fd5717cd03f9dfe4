package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// options are the command line.
type options struct {
	seed, cases, first uint64
	kilonova           string // binary; "": only ask Nova
	nova               string // its source tree; "": what Python finds
	python             string
	family             string // "": all
	corpus             string // file to write; "": none
	older              bool
	shrink             int
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the documents")
	flag.Uint64Var(&o.cases, "cases", 1000, "how many documents")
	flag.Uint64Var(&o.first, "first", 0, "number of the first document")
	flag.StringVar(&o.kilonova, "kilonova", "", "kilonova binary; without it only Nova is asked")
	flag.StringVar(&o.nova, "nova", "", "source tree of Nova; without it the one that Python finds")
	flag.StringVar(&o.python, "python", "/usr/bin/python3", "Python with Nova's libraries")
	flag.StringVar(&o.family, "family", "", "only families whose name contains this")
	flag.StringVar(&o.corpus, "corpus", "", "write small documents and Nova's answers to this file")
	flag.BoolVar(&o.older, "older", false, "the Nova is 26.2: without the weighers that it lacks")
	flag.IntVar(&o.shrink, "shrink", 600, "tries to make a failing document smaller")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, &o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "novajudge:", err)
		os.Exit(1)
	}
}

var errDifferent = errors.New("decisions differ")

// run plays the documents and writes the report.
func run(ctx context.Context, o *options, out io.Writer) error {
	s, err := newSoak(ctx, o, out)
	if err != nil {
		return err
	}
	err = s.play(o)
	s.report()
	err = errors.Join(err, s.close())
	if err == nil && s.different > 0 {
		return errDifferent
	}
	return err
}

// soak is a run over many documents.
type soak struct {
	out       io.Writer
	nova      *answerer
	kilonova  *answerer // nil: not compared
	corpus    *corpusWriter
	tally     tally
	different int
	shown     map[string]int // by family and kind of difference
}

func newSoak(ctx context.Context, o *options, out io.Writer) (*soak, error) {
	s := &soak{out: out, tally: newTally(), shown: map[string]int{}}
	judge, err := judgeFile()
	if err != nil {
		return nil, err
	}
	env := []string{"PYTHONDONTWRITEBYTECODE=1"}
	if o.nova != "" {
		env = append(env, "PYTHONPATH="+o.nova)
	}
	if s.nova, err = start(ctx, env, o.python, judge); err != nil {
		return nil, err
	}
	if o.kilonova != "" {
		if s.kilonova, err = start(ctx, nil, o.kilonova, "schedule", "--batch"); err != nil {
			return nil, err
		}
	}
	if o.corpus != "" {
		s.corpus = newCorpusWriter(o.corpus)
	}
	return s, nil
}

// play asks for every document.
func (s *soak) play(o *options) error {
	for n := o.first; n < o.first+o.cases; n++ {
		family, made := generate(o.seed, n)
		if !strings.Contains(family, o.family) {
			continue
		}
		document, err := clone(made)
		if err != nil {
			return err
		}
		if o.older {
			olderWeighers(document)
		}
		want, err := s.nova.ask(document)
		if err != nil {
			return err
		}
		s.tally.add(family, want)
		if strings.HasPrefix(want.Excuse, "not a document") {
			return fmt.Errorf("seed %d, case %d: %s", o.seed, n, want.Excuse)
		}
		if want.Excuse != "" {
			continue
		}
		if s.corpus != nil {
			if err := s.corpus.add(family, document, want); err != nil {
				return err
			}
		}
		if s.kilonova == nil {
			continue
		}
		if err := s.compare(o, n, document, want); err != nil {
			return err
		}
	}
	return nil
}

// compare asks kilonova, and shows a difference on a small document.
func (s *soak) compare(o *options, n uint64, document obj, want *answer) error {
	got, err := s.kilonova.ask(document)
	if err != nil {
		return err
	}
	first := differences(want, got)
	if first == nil {
		return nil
	}
	s.different++
	family, _ := generate(o.seed, n)
	s.tally.differ(family)
	kind := kindOf(first)
	budget := o.shrink
	if s.shown[family+kind]++; s.shown[family+kind] > 3 {
		budget = 0
	}
	small := shrink(document, budget, func(smaller obj) bool {
		want, err := s.nova.ask(smaller)
		if err != nil || want.Excuse != "" {
			return false
		}
		got, err := s.kilonova.ask(smaller)
		return err == nil && kindOf(differences(want, got)) == kind
	})
	if want, err = s.nova.ask(small); err != nil {
		return err
	}
	if got, err = s.kilonova.ask(small); err != nil {
		return err
	}
	text, err := json.Marshal(small)
	if err != nil {
		return fmt.Errorf("encode a document: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "DIFFERENT: %s (seed %d, case %d)\n  %s\n  %s\n\n",
		family, o.seed, n, strings.Join(differences(want, got), "\n  "), text)
	return err
}

// kindOf is the part of an answer that differs first, so that shrinking does
// not wander off to another difference.
func kindOf(differences []string) string {
	if differences == nil {
		return ""
	}
	kind, _, _ := strings.Cut(differences[0], "[")
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

func (s *soak) report() { s.tally.write(s.out) }

func (s *soak) close() error {
	err := s.nova.stop()
	if s.kilonova != nil {
		err = errors.Join(err, s.kilonova.stop())
	}
	if s.corpus != nil {
		err = errors.Join(err, s.corpus.close())
	}
	return err
}

// olderWeighers leaves out of a document the weighers that Nova 26.2 lacks.
func olderWeighers(document obj) {
	config, ok := document["config"].(obj)
	if !ok {
		return
	}
	classes, ok := config["filter_scheduler.weight_classes"].(arr)
	if !ok {
		classes = arr{allWeighers}
	}
	kept := arr{}
	add := func(class any) {
		for _, lacking := range []string{"hypervisor_version.", "image_props.", "num_instances."} {
			if strings.HasPrefix(class.(string), weighersPackage+lacking) {
				return
			}
		}
		kept = append(kept, class)
	}
	for _, c := range classes {
		if c != allWeighers {
			add(c)
			continue
		}
		for _, w := range weigherNames {
			add(weighersPackage + w.class)
		}
	}
	config["filter_scheduler.weight_classes"] = kept
	for key := range config {
		for _, lacking := range []string{"hypervisor_version_", "image_props_", "num_instances_"} {
			if strings.HasPrefix(key, "filter_scheduler."+lacking) {
				delete(config, key)
			}
		}
	}
}
