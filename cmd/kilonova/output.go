package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
)

// formats are the values of --format: a table for people, lines of
// "name: value" for simple tools, one JSON document for programs.
func formats() []string { return []string{"table", "text", "json"} }

func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "table", "output: "+strings.Join(formats(), ", "))
}

func checkFormat(format string) error { return oneOf("--format", format, formats()) }

// oneOf refuses a value that is not among the allowed ones.
func oneOf(field, value string, allowed []string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%s is %q, allowed are: %s", field, value, strings.Join(allowed, ", "))
	}
	return nil
}

// show prints a document in a format; rows are its form for people.
func show(w io.Writer, format string, document any, rows []bench.Row) error {
	if format == "json" {
		return writeJSON(w, document)
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	layout := "%s\t%s\n"
	if format == "text" {
		layout = "%s: %s\n"
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(out, layout, row.Name, row.Value); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return out.Flush()
}

func writeJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}
