package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kilonova-cloud/kilonova/api/moving"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

// placementDir is the folder of the placement database in a state directory.
func placementDir(stateDir string) string { return filepath.Join(stateDir, "placement") }

// openPlacement opens the placement database of a state directory, and makes
// it when there is none. It refuses one that an import has not finished. The
// function that it returns closes everything.
func openPlacement(ctx context.Context, stateDir string, logger *slog.Logger) (*placement.Engine, func() error, error) {
	e, closeAll, err := openAny(ctx, stateDir, logger)
	if err == nil && moving.Unfinished(e) {
		return nil, nil, errors.Join(fmt.Errorf("%s holds a part of a Placement: %w; run the import again", placementDir(stateDir), moving.ErrUnfinished), closeAll())
	}
	return e, closeAll, err
}

// openAny is openPlacement for an import.
func openAny(ctx context.Context, stateDir string, logger *slog.Logger) (*placement.Engine, func() error, error) {
	s, err := badger.Open(badger.Config{Dir: placementDir(stateDir), Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", placementDir(stateDir), err)
	}
	e, err := placement.Open(ctx, placement.Config{Store: s, Now: time.Now, Logger: logger})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load %s: %w", placementDir(stateDir), err), s.Close())
	}
	return e, func() error { return errors.Join(e.Close(), s.Close()) }, nil
}

// hasPlacement reports whether a state directory has a placement database.
func hasPlacement(stateDir string) (bool, error) {
	entries, err := os.ReadDir(placementDir(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}
