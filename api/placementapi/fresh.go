package placementapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"
)

// StaleHeader stands on the answer to a read whose engine is behind a store
// that others write to: what was written in the last so many seconds may be
// missing.
const StaleHeader = "X-Kilonova-Stale"

// The defaults of Config, for engines that share a store.
const (
	DefaultReadDeadline  = 5 * time.Second
	DefaultWriteDeadline = 30 * time.Second
)

// retryAfter is what a client is told to wait, in seconds, after a 503.
var retryAfter = []string{"1"}

// handleShared calls the handler on an engine that shares its store. Writes
// get a deadline, and what looks at the present state waits until that is
// here.
func (rt *route) handleShared(ctx context.Context, c *call) error {
	read, limit := rt.method == http.MethodGet, c.s.cfg.WriteDeadline
	if read {
		limit = c.s.cfg.ReadDeadline
	}
	before := c.r
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer func() {
		cancel()
		c.r = before
	}()
	if rt.asIs || read && c.s.cfg.StaleReads {
		if read {
			c.markStale()
		}
	} else if err := c.s.engine.Fresh(ctx); err != nil {
		c.markStale()
		return err
	}
	if !read { // a large answer may take its time
		c.r = before.WithContext(ctx)
	}
	return rt.handle(c)
}

// markStale says how old the engine's state may be, when that is too old.
func (c *call) markStale() {
	if age, err := c.s.engine.Staleness(); err != nil {
		c.Header().Set(StaleHeader, strconv.Itoa(int(math.Ceil(age.Seconds()))))
	}
}
