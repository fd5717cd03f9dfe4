package badger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// pause is how long a failed checkpoint rests before it is tried again.
const pause = time.Second

// start runs the goroutines of the store until Close.
func (s *Store) start() {
	s.running.Go(s.commitLoop)
	s.checkpointing.Go(s.checkpointLoop)
}

// commitLoop takes all commits that wait, settles them with one sync, and so
// on. A commit that comes alone goes at once.
func (s *Store) commitLoop() {
	c := &committer{s: s, ids: map[store.BatchID]uint64{}}
	var group []*request
	work := func() {
		for group = s.queue.take(group); len(group) > 0; group = s.queue.take(group) {
			c.commit(group)
			clear(group)
		}
	}
	for range s.queue.kick {
		work()
	}
	work() // what came before the queue was closed
}

// checkpointLoop makes a checkpoint whenever one is due, and tries again when
// there was no space. It warns once until one succeeds.
func (s *Store) checkpointLoop() {
	warned := false
	for {
		select {
		case <-s.closing:
			return
		case <-s.due:
		}
		err := s.checkpoint()
		if err != nil && !warned {
			s.log.Warn("checkpoint not made", slog.String("dir", s.cfg.Dir), slog.String("error", err.Error()))
		}
		if warned = err != nil; !errors.Is(err, store.ErrNoSpace) {
			continue
		}
		select {
		case <-s.closing:
			return
		case <-time.After(pause):
			s.askCheckpoint()
		}
	}
}

// appendTimed appends to the log and notes how long that took.
func (s *Store) appendTimed(frames []byte, first, last uint64) (doubt bool, err error) {
	start := time.Now()
	doubt, err = s.wal.append(frames, first, last)
	s.lastSync.Store(int64(time.Since(start)))
	return doubt, err
}

// readChunks lets r read in the background. The channel is closed at the end;
// wait then returns how it ended. Ending ctx stops it.
func (s *Store) readChunks(ctx context.Context, r *reader) (chunks <-chan []store.Record, wait func() error) {
	out, ended := make(chan []store.Record, 64), make(chan error, 1)
	go func() {
		ended <- r.read(func(records []store.Record) error {
			if s.queue.isClosed() {
				return store.ErrClosed
			}
			select {
			case out <- records:
				return ctx.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		close(out)
	}()
	return out, func() error { return <-ended }
}
