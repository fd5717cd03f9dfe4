package novajudge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Options say what [Run] does.
type Options struct {
	Seed, Cases, First uint64
	Kilonova           string // binary; "": only Nova is asked
	Nova               string // its source tree; "": what Python finds
	Python             string
	Family             string // only families whose name contains this
	Corpus             string // file for small documents and Nova's answers; "": none
	Older              bool   // the Nova is 26.2: without the weighers that it lacks
	Shrink             int    // tries to make a failing document smaller
}

// ErrDifferent is returned by [Run] when kilonova decided otherwise than Nova.
var ErrDifferent = errors.New("decisions differ")

// Run plays the documents and writes each difference and a report to out. It
// returns [ErrDifferent], or why a program could not be run.
func Run(ctx context.Context, o *Options, out io.Writer) error {
	s, err := newSoak(ctx, o, out)
	if err != nil {
		return err
	}
	err = s.play(o)
	s.report()
	err = errors.Join(err, s.close())
	if err == nil && s.different > 0 {
		return ErrDifferent
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

func newSoak(ctx context.Context, o *Options, out io.Writer) (*soak, error) {
	s := &soak{out: out, tally: newTally(), shown: map[string]int{}}
	judge, err := judgeFile()
	if err != nil {
		return nil, err
	}
	env := []string{"PYTHONDONTWRITEBYTECODE=1"}
	if o.Nova != "" {
		env = append(env, "PYTHONPATH="+o.Nova)
	}
	if s.nova, err = start(ctx, env, o.Python, judge); err != nil {
		return nil, err
	}
	if o.Kilonova != "" {
		if s.kilonova, err = start(ctx, nil, o.Kilonova, "schedule", "--batch"); err != nil {
			return nil, err
		}
	}
	if o.Corpus != "" {
		s.corpus = newCorpusWriter(o.Corpus)
	}
	return s, nil
}

// play asks for every document.
func (s *soak) play(o *Options) error {
	for n := o.First; n < o.First+o.Cases; n++ {
		family, made := generate(o.Seed, n)
		if !strings.Contains(family, o.Family) {
			continue
		}
		document, err := clone(made)
		if err != nil {
			return err
		}
		if o.Older {
			olderWeighers(document)
		}
		want, err := s.nova.ask(document)
		if err != nil {
			return err
		}
		s.tally.add(family, want)
		if strings.HasPrefix(want.Excuse, "not a document") {
			return fmt.Errorf("seed %d, case %d: %s", o.Seed, n, want.Excuse)
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
func (s *soak) compare(o *Options, n uint64, document obj, want *answer) error {
	got, err := s.kilonova.ask(document)
	if err != nil {
		return err
	}
	first := differences(want, got)
	if first == nil {
		return nil
	}
	s.different++
	family, _ := generate(o.Seed, n)
	s.tally.differ(family)
	kind := kindOf(first)
	budget := o.Shrink
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
		family, o.Seed, n, strings.Join(differences(want, got), "\n  "), text)
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
