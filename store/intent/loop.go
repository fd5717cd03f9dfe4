package intent

import (
	"context"
	"time"
)

// pause waits before the next try of something that has been tried so often:
// nothing at first, then longer each time, up to 1 s.
func pause(ctx context.Context, tries int) error {
	if tries == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(min(50*time.Microsecond<<min(tries, 20), time.Second)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
