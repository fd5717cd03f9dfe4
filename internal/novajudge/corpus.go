package novajudge

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// What the kept corpus takes: small documents, as many of each family.
const (
	corpusBytes     = 9000
	corpusPerFamily = 20
)

// Kept is a line of the corpus.
type Kept struct {
	Family   string          `json:"family"`
	Document json.RawMessage `json:"document"`
	Answer   json.RawMessage `json:"answer"` // Nova's
}

// corpusWriter collects documents and Nova's answers to them.
type corpusWriter struct {
	file  string
	taken map[string]int
	lines [][]byte
}

func newCorpusWriter(file string) *corpusWriter {
	return &corpusWriter{file: file, taken: map[string]int{}}
}

func (c *corpusWriter) add(family string, document obj, a *answer) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode a document: %w", err)
	}
	if len(text) > corpusBytes || c.taken[family] >= corpusPerFamily {
		return nil
	}
	answer, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	line, err := json.Marshal(Kept{family, text, answer})
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	c.taken[family]++
	c.lines = append(c.lines, line)
	return nil
}

func (c *corpusWriter) close() error {
	f, err := os.Create(c.file)
	if err != nil {
		return fmt.Errorf("corpus: %w", err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("corpus: %w", err)
	}
	for _, line := range c.lines {
		if _, err := z.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("corpus: %w", err)
		}
	}
	return errors.Join(z.Close(), f.Close())
}

// ReadCorpus returns the lines of a kept corpus, in their order.
func ReadCorpus(r io.Reader) ([]Kept, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	var list []Kept
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var k Kept
		if err := json.Unmarshal(in.Bytes(), &k); err != nil {
			return nil, fmt.Errorf("corpus, line %d: %w", len(list)+1, err)
		}
		list = append(list, k)
	}
	return list, in.Err()
}
