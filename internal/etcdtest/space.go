package etcdtest

import (
	"context"
	"fmt"
)

// MakeSpace does what an operator does at the quota: it compacts, gives free
// pages back on every member, and ends the alarm.
func (c *Cluster) MakeSpace(ctx context.Context) error {
	if _, err := c.Compact(ctx); err != nil {
		return fmt.Errorf("make space: %w", err)
	}
	for n := range c.clients {
		if err := c.ask(ctx, n, "maintenance/defragment", struct{}{}, nil); err != nil {
			return fmt.Errorf("make space: %w", err)
		}
		s, err := c.state(ctx, n)
		if err != nil {
			return fmt.Errorf("make space: %w", err)
		}
		end := map[string]any{"action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": s.Header.Member}
		if err := c.ask(ctx, n, "maintenance/alarm", end, nil); err != nil {
			return fmt.Errorf("make space: %w", err)
		}
	}
	return nil
}
