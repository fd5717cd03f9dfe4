package trace

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// FormatError refuses a trace.
type FormatError struct {
	File    string
	Line    int    // the header is line 1
	Column  string // "": the line as a whole
	Value   string
	Allowed string
}

// Error names file, line, column, value and what is allowed.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: line %d: column %s is %q, allowed is: %s", e.File, e.Line, e.Column, e.Value, e.Allowed)
}

// table walks over the lines of a CSV file. The first error sticks; after it
// next answers false and values are zero.
type table struct {
	file   string
	csv    *csv.Reader
	column map[string]int
	record []string
	err    error
}

func newTable(file string, r io.Reader, needed, optional []string) (*table, error) {
	plain, err := uncompressed(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	t := &table{file: file, csv: csv.NewReader(plain), column: map[string]int{}}
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, t.formatError(1, "header", "", strings.Join(needed, ","))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if slices.Contains(needed, name) || slices.Contains(optional, name) {
			t.column[name] = i
		}
	}
	for _, name := range needed {
		if _, ok := t.column[name]; !ok {
			return nil, t.formatError(1, "header", strings.Join(header, ","), "a header with the columns "+strings.Join(needed, ","))
		}
	}
	return t, nil
}

// uncompressed returns what r holds, unpacked when it starts as gzip does.
func uncompressed(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil //nolint:nilerr // shorter than two bytes: not gzip, the CSV reader says what is missing
	}
	return gzip.NewReader(b)
}

// next moves to the next line; it answers false at the end and after an error.
func (t *table) next() bool {
	if t.err != nil {
		return false
	}
	record, err := t.csv.Read()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.err = fmt.Errorf("read %s: %w", t.file, err)
		}
		return false
	}
	t.record = record
	return true
}

// finish returns the first error of the walk over rows lines.
func (t *table) finish(rows int) error {
	if t.err == nil && rows == 0 {
		t.err = t.formatError(2, "line", "", "at least one line after the header")
	}
	return t.err
}

// text returns the value of a column, "" when the file has no such column.
func (t *table) text(column string) string {
	i, ok := t.column[column]
	if !ok {
		return ""
	}
	return strings.Clone(strings.TrimSpace(t.record[i]))
}

func (t *table) integer(column string, smallest, largest int64) int64 {
	v, err := strconv.ParseInt(t.text(column), 10, 64)
	if err != nil || v < smallest || v > largest {
		t.refuse(column, fmt.Sprintf("a whole number from %d to %d", smallest, largest))
		return 0
	}
	return v
}

func (t *table) decimal(column string, smallest, largest float64) float64 {
	v, err := strconv.ParseFloat(t.text(column), 64)
	if err != nil || math.IsNaN(v) || v < smallest || v > largest {
		t.refuse(column, fmt.Sprintf("a number from %.15g to %.15g", smallest, largest))
		return 0
	}
	return v
}

// require refuses the value of a column unless ok.
func (t *table) require(ok bool, column, allowed string) {
	if !ok {
		t.refuse(column, allowed)
	}
}

func (t *table) refuse(column, allowed string) {
	if t.err == nil {
		t.err = t.formatError(t.line(column), column, t.text(column), allowed)
	}
}

func (t *table) line(column string) int {
	line, _ := t.csv.FieldPos(t.column[column])
	return line
}

func (t *table) formatError(line int, column, value, allowed string) error {
	return &FormatError{File: t.file, Line: line, Column: column, Value: value, Allowed: allowed}
}
