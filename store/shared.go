package store

import "context"

// Shared is implemented by stores that several processes may write to, so
// that each can find out how far the others have come.
type Shared interface {
	// Latest returns a revision that is not below that of any batch committed
	// before the call, whoever wrote it. It does not trust what one member of
	// a cluster knows by itself. Every Follow under way then soon yields an
	// event or a progress mark of that revision or a later one.
	Latest(ctx context.Context) (revision uint64, err error)
}
