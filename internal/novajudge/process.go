package novajudge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// answerer is a running program that answers documents line by line.
type answerer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// start runs a program until its input is closed.
func start(ctx context.Context, env []string, name string, args ...string) (*answerer, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("input of %s: %w", name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("output of %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &answerer{name: name, cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}, nil
}

// ask sends one document and returns its answer.
func (a *answerer) ask(document obj) (*answer, error) {
	line, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	if _, err := a.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("write to %s: %w", a.name, err)
	}
	line, err = a.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", a.name, err)
	}
	return readAnswer(line)
}

func (a *answerer) stop() error {
	if err := a.in.Close(); err != nil {
		return fmt.Errorf("close input of %s: %w", a.name, err)
	}
	return a.cmd.Wait()
}

// readAnswer decodes an output document.
func readAnswer(line []byte) (*answer, error) {
	var got answer
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&got); err != nil {
		return nil, fmt.Errorf("answer %.200q: %w", line, err)
	}
	return &got, nil
}
