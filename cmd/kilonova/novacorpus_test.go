package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/novajudge"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/document"
)

// TestNovaCorpus plays the documents to which Nova's own scheduler has
// answered, and wants the same decisions.
func TestNovaCorpus(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../../internal/novajudge/testdata/corpus.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	corpus, err := novajudge.ReadCorpus(file)
	if err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for _, k := range corpus {
		in.Write(append(k.Document, '\n'))
	}
	code, stdout, stderr := call(t, "schedule", "--batch", "--input", writeTemp(t, "documents", in.String()))
	answers := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != 0 || len(answers) != len(corpus) || len(corpus) < 500 {
		t.Fatalf("exit %d, %d answers to %d documents: %s", code, len(answers), len(corpus), stderr)
	}
	sets := 0
	for i, k := range corpus {
		sets += compareSet(t, k.Document)
		different, err := novajudge.Compare(k.Answer, []byte(answers[i]))
		if err != nil {
			t.Fatal(err)
		}
		if different != nil {
			t.Errorf("%s, line %d of the corpus:\n%s\n%s", k.Family, i+1, strings.Join(different, "\n"), k.Document)
		}
	}
	if sets < 400 {
		t.Errorf("only %d documents are placed from columns", sets)
	}
}

// compareSet wants columns to decide a document as the pipeline does. It
// returns 1 if hosts are found.
func compareSet(t *testing.T, text []byte) int {
	t.Helper()
	d, err := document.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	s := documentScheduler{files: &oslocfg.Config{}}
	if err := errors.Join(s.configure(d), readTopology(s.keeper, d)); err != nil {
		t.Fatal(err)
	}
	draw := func() *rand.Rand { return rand.New(rand.NewPCG(d.Seed, 0)) }
	want, errWant := s.pipeline.Select(&scheduler.Query{Spec: d.Spec, Hosts: d.Hosts, Now: document.Now, Rand: draw()}, nil)
	got, errGot := s.pipeline.NewHostSet(d.Hosts).Select(d.Spec, document.Now, draw())
	var why scheduler.Explanation
	if one, other := document.Of(want, &why, errWant), document.Of(got, &why, errGot); !reflect.DeepEqual(one, other) {
		t.Errorf("columns answer\n%+v, the pipeline\n%+v\n%s", other, one, text)
	}
	return min(1, len(got))
}
