package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/placement"
)

// ErrFenced says that a guard of the request moved: it is not its owner's any more.
// Nothing was claimed.
var ErrFenced = errors.New("the request's guard has moved")

// TakeOver makes owner the only one whose requests pass the fence that key
// names, and returns what they carry in [Request.Guards]. Whoever owned it
// before, and goes on without knowing, gets [ErrFenced] from then on, be it in
// the middle of a claim. An owner's name is to be used once: it is one life of
// a process. TakeOver returns ErrFenced when another took over meanwhile, and
// otherwise what [placement.Engine.SetAllocations] returns.
func TakeOver(ctx context.Context, e *placement.Engine, key, owner string) (placement.Guard, error) {
	for {
		err := e.SetAllocations(ctx, placement.AllocationWrite{
			Guards:      []placement.Guard{{Key: key, Version: e.Guard(key)}},
			Attachments: []placement.Attachment{{Key: key, Value: []byte(owner)}},
		})
		if errors.Is(err, placement.ErrConcurrentUpdate) {
			continue
		}
		if err != nil {
			return placement.Guard{}, fmt.Errorf("take over %q for %q: %w", key, owner, err)
		}
		fence := placement.Guard{Key: key, Version: e.Guard(key), Keep: true} // read first: what moves later is noticed
		if now := e.Attachment(key); string(now) != owner {
			return placement.Guard{}, fmt.Errorf("take over %q for %q, it is %q's: %w", key, owner, now, ErrFenced)
		}
		return fence, nil
	}
}

// fenced reports whether a guard of a request has moved. The engine checks
// them again as part of the claim, and says only that something was refused.
func (s *Scheduler) fenced(ctx context.Context, guards []placement.Guard) error {
	for k := range guards {
		g := &guards[k]
		if s.cfg.Engine.Guard(g.Key) == g.Version {
			continue
		}
		if err := s.cfg.Engine.Fresh(ctx); err != nil { // it may be read on an engine that has heard more
			return err
		}
		if now := s.cfg.Engine.Guard(g.Key); now != g.Version {
			return fmt.Errorf("guard %q has version %d, the request's is %d: %w", g.Key, now, g.Version, ErrFenced)
		}
	}
	return nil
}
