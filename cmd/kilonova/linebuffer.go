package main

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	lineBufferSize = 64 << 10
	lineBufferTime = 200 * time.Millisecond
)

// lineBuffer collects lines of a log and writes them together, so that a
// request does not cost a system call. It is safe for concurrent use.
type lineBuffer struct {
	w io.Writer

	mu  sync.Mutex // guards what follows
	buf []byte
}

// Write keeps a line.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, line...)
	if len(b.buf) >= lineBufferSize {
		b.flush()
	}
	return len(line), nil
}

// flush writes what is kept; b.mu is held.
func (b *lineBuffer) flush() {
	if len(b.buf) > 0 {
		_, _ = b.w.Write(b.buf) // a log that cannot be written is no reason to stop
		b.buf = b.buf[:0]
	}
}

// run writes what is kept every now and then until ctx ends.
func (b *lineBuffer) run(ctx context.Context) {
	tick := time.NewTicker(lineBufferTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		b.mu.Lock()
		b.flush()
		b.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}
