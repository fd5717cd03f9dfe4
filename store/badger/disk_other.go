//go:build unix && !linux

package badger

import (
	"errors"
	"os"
)

func preallocate(*os.File, int64) error { return errors.ErrUnsupported }

func dataSync(file *os.File) error { return file.Sync() }
