package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/novajudge"
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
	for i, k := range corpus {
		different, err := novajudge.Compare(k.Answer, []byte(answers[i]))
		if err != nil {
			t.Fatal(err)
		}
		if different != nil {
			t.Errorf("%s, line %d of the corpus:\n%s\n%s", k.Family, i+1, strings.Join(different, "\n"), k.Document)
		}
	}
}
