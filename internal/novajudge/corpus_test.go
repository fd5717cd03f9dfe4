package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
)

// readCorpus returns the lines of a kept corpus.
func readCorpus(r io.Reader) ([]kept, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	var list []kept
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var k kept
		if err := json.Unmarshal(in.Bytes(), &k); err != nil {
			return nil, fmt.Errorf("corpus, line %d: %w", len(list)+1, err)
		}
		list = append(list, k)
	}
	return list, in.Err()
}

// TestCorpus holds that the kept corpus has answers of every kind.
func TestCorpus(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/corpus.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := readCorpus(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := newTally()
	for _, k := range list {
		seen.add(k.Family, k.Answer)
	}
	for _, f := range families {
		if c := seen.families[f.name]; c == nil || c.cases < 10 || c.excused > 0 || c.refused+c.raised > c.cases*4/5 {
			t.Errorf("family %s: %+v", f.name, c)
		}
	}
}
