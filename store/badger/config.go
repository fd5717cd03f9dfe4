package badger

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/kilonova-cloud/kilonova/store"
)

// The defaults of Config.
const (
	DefaultSegmentBytes    = 64 << 20
	DefaultCheckpointBytes = 256 << 20
	DefaultHistory         = 65536
)

const (
	minSegmentBytes = 64 << 10
	historyBytes    = 4 << 20 // of keys and values kept for Follow
	groupBytes      = 8 << 20 // of frames that share one sync, beyond the first
)

// limits are the same for every store of this package: a batch must fit in
// memory a few times, and a key in a Badger key.
func limits() store.Limits {
	return store.Limits{Bytes: 64 << 20, KeyBytes: 1024, InFlight: 1} // a second one would only split what shares a sync
}

// Config says where a store is and how it behaves.
type Config struct {
	Dir             string       // created when it does not exist
	SegmentBytes    int64        // of one log file; 0 means DefaultSegmentBytes; less on a small disk
	CheckpointBytes int64        // of sealed log files that start a checkpoint; 0 means DefaultCheckpointBytes; less on a small disk
	History         int          // batches kept for Follow and for resends; 0 means DefaultHistory
	NoSync          bool         // acknowledges before the disk does: for tests and benchmarks only
	Logger          *slog.Logger // nil discards
}

// normal returns cfg with the defaults filled in.
func (cfg Config) normal() (Config, error) {
	if cfg.Dir == "" {
		return cfg, errors.New("the store's directory is not set")
	}
	if cfg.SegmentBytes < 0 || cfg.CheckpointBytes < 0 || cfg.History < 0 {
		return cfg, fmt.Errorf("segment bytes %d, checkpoint bytes %d and history %d may not be negative",
			cfg.SegmentBytes, cfg.CheckpointBytes, cfg.History)
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = DefaultSegmentBytes
	}
	if cfg.CheckpointBytes == 0 {
		cfg.CheckpointBytes = DefaultCheckpointBytes
	}
	if cfg.History == 0 {
		cfg.History = DefaultHistory
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}
