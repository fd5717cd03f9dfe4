package badger

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kilonova-cloud/kilonova/store"
)

// formatVersion is what this package writes. A store with a greater one is
// refused.
const formatVersion = 1

const formatName = "kilonova-store"

// lockDir takes the lock of directory dir for this process.
func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of store %s: %w", dir, err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("a local store belongs to one process and %s has one; with a shared store (etcd://) several processes can share: %w",
			dir, store.ErrLocked)
	}
	return nil, fmt.Errorf("lock store %s: %w", dir, err)
}

// unlock gives the lock back. Closing alone would not do it while a child
// process that has not come to its own program yet shares the file.
func unlock(lock *os.File) error {
	if err := errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close()); err != nil {
		return fmt.Errorf("unlock %s: %w", lock.Name(), err)
	}
	return nil
}

// checkFormat makes dir a store, or checks that it is one of a format known
// here. FORMAT is written last, so a directory without it holds no records.
func checkFormat(dir string) error {
	path := filepath.Join(dir, "FORMAT")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return create(dir, path)
	}
	if err != nil {
		return fmt.Errorf("read the format of store %s: %w", dir, err)
	}
	version, err := parseFormat(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if version > formatVersion {
		return fmt.Errorf("store %s has format %d and this program knows up to %d: %w", dir, version, formatVersion, store.ErrNewerFormat)
	}
	return nil
}

func create(dir, path string) error {
	wal := walDir(dir)
	if err := os.MkdirAll(wal, 0o700); err != nil {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	logs, err := filepath.Glob(filepath.Join(wal, "*.log"))
	if err != nil {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	if _, err := os.Stat(checkpointPath(dir)); err == nil || len(logs) > 0 {
		return fmt.Errorf("%s is missing but the store has records: %w", path, store.ErrDamaged)
	}
	if err := createMark(markPath(dir)); err != nil {
		return err
	}
	if err := syncDir(wal); err != nil {
		return err
	}
	if err := writeFileSync(path, formatText(formatVersion)); err != nil {
		return err
	}
	// The folder above may be one that cannot be opened; then its owner made
	// dir, and not just now.
	_ = syncDir(filepath.Dir(dir))
	return syncDir(dir)
}

func formatText(version int) []byte {
	return sealText(fmt.Sprintf("%s %d", formatName, version))
}

func parseFormat(data []byte) (int, error) {
	text, err := unsealText(data)
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(text, formatName+" ")
	version, err := strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return 0, fmt.Errorf("%q is no store format: %w", text, store.ErrDamaged)
	}
	return version, nil
}

// sealText returns text with a checksum behind it.
func sealText(text string) []byte {
	return fmt.Appendf(nil, "%s\ncrc32c %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// unsealText is the inverse of sealText: anything else is damaged.
func unsealText(data []byte) (string, error) {
	const tail = len("\ncrc32c 00000000\n")
	if len(data) > tail {
		if text := string(data[:len(data)-tail]); string(sealText(text)) == string(data) {
			return text, nil
		}
	}
	return "", fmt.Errorf("checksum of %d bytes does not match: %w", len(data), store.ErrDamaged)
}

func walDir(dir string) string         { return filepath.Join(dir, "wal") }
func markPath(dir string) string       { return filepath.Join(dir, "wal", "hwm") }
func checkpointPath(dir string) string { return filepath.Join(dir, "CHECKPOINT") }
func badgerDir(dir string) string      { return filepath.Join(dir, "badger") }

// writeFileSync replaces the file at path by data, durably once its folder is
// synced: a crash leaves the old file or the new one.
func writeFileSync(path string, data []byte) error {
	temp := path + ".tmp"
	if err := writeSync(temp, data); err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write %s: %w", path, noSpace(err))
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, noSpace(err))
	}
	return nil
}

func writeSync(path string, data []byte) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.Sync()
}

func syncDir(dir string) error { return syncPath(dir) }

// syncPath makes the file or folder at path durable.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	err = file.Sync()
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// noSpace adds store.ErrNoSpace to err when the medium is full.
func noSpace(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}

// space returns the size of the file system of dir, and what is free on it.
func space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	block := int64(st.Bsize) //nolint:unconvert // its type differs between systems
	return int64(st.Blocks) * block, int64(st.Bavail) * block, nil
}
