package novajudge

import (
	"os"
	"testing"
)

// TestCorpus holds that the kept corpus has answers of every kind.
func TestCorpus(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/corpus.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := ReadCorpus(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := newTally()
	for _, k := range list {
		seen.add(k.Family, read(t, string(k.Answer)))
	}
	for _, f := range families {
		if c := seen.families[f.name]; c == nil || c.cases < 10 || c.excused > 0 || c.refused+c.raised > c.cases*4/5 {
			t.Errorf("family %s: %+v", f.name, c)
		}
	}
}
