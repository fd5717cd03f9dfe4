package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"

	"github.com/kilonova-cloud/kilonova/bench"
)

// measurePeer runs a command that measures another scheduler, and returns the
// rows that it prints.
func measurePeer(ctx context.Context, command []string, hosts []int, stderr io.Writer) ([]bench.PeerRow, error) {
	args := command[1:]
	for _, n := range hosts {
		args = append(args, strconv.Itoa(n))
	}
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run --peer %s: %w", command[0], err)
	}
	rows, err := readPeer(out)
	if err != nil {
		return nil, fmt.Errorf("read what --peer %s printed: %w", command[0], err)
	}
	return rows, nil
}

// readPeer reads a row a line. What is not a measurement is refused.
func readPeer(out []byte) ([]bench.PeerRow, error) {
	var rows []bench.PeerRow
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	for {
		var row bench.PeerRow
		err := dec.Decode(&row)
		switch {
		case errors.Is(err, io.EOF) && len(rows) > 0:
			return rows, nil
		case err != nil:
			return nil, fmt.Errorf("row %d: %w", len(rows), err)
		case row.Peer == "" || row.Hosts < 1 || row.Decisions < 1 || !(row.CPU > 0):
			return nil, fmt.Errorf("row %d is %+v, allowed are: a name, and numbers above 0", len(rows), row)
		}
		rows = append(rows, row)
	}
}
