package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// prettyTable prints a table as nova-manage does: bordered and centred.
//
// Source: prettytable, PrettyTable._stringify_row, _justify and _set_default_style.
func prettyTable(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, n := range widths {
		b.WriteString("+" + strings.Repeat("-", n+2))
	}
	rule := b.String() + "+"
	b.Reset()
	for i, row := range rows {
		if i < 2 {
			b.WriteString(rule + "\n")
		}
		for j, cell := range row {
			b.WriteString("| " + centred(cell, widths[j]) + " ")
		}
		b.WriteString("|\n")
	}
	if len(rows) == 1 {
		b.WriteString(rule + "\n")
	}
	b.WriteString(rule + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// centred pads a text on both sides. What cannot be halved goes to the right
// of a text of odd length and to the left of another.
func centred(text string, width int) string {
	n := utf8.RuneCountInString(text)
	left := (width - n) / 2
	if (width-n)%2 == 1 && n%2 == 0 {
		left++
	}
	return fmt.Sprintf("%*s%s%*s", left, "", text, width-n-left, "")
}
