package badger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/kilonova-cloud/kilonova/store"
)

// The high-water mark is a file of two slots, a page apart, written in turns:
//
//	magic 8 | revision 8 | crc 4
//
// It is written after each sync of the log and not synced itself: the page
// cache keeps it when the process dies, and after a power cut an older mark
// only lets a damaged end of the log pass as a torn one.
const (
	markMagic = 0x31574848574d4b4b
	markSlot  = 20
	markPage  = 4096
)

type mark struct {
	file *os.File
	slot int64
}

// createMark writes a mark of revision 0 to path and syncs it.
func createMark(path string) error {
	data := make([]byte, 2*markPage)
	copy(data, appendMark(nil, 0))
	copy(data[markPage:], appendMark(nil, 0))
	return writeFileSync(path, data)
}

// openMark opens the mark at path and returns the revision it holds.
func openMark(path string) (*mark, uint64, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open the high-water mark: %w: %w", store.ErrDamaged, err)
	}
	var revision uint64
	m, good := &mark{file: file}, 0
	for slot := range int64(2) {
		var data [markSlot]byte
		if _, err := file.ReadAt(data[:], slot*markPage); err != nil {
			continue
		}
		if at, ok := parseMark(data[:]); ok {
			good++
			if at >= revision {
				revision, m.slot = at, 1-slot
			}
		}
	}
	if good == 0 {
		_ = file.Close()
		return nil, 0, fmt.Errorf("both slots of the high-water mark %s are unreadable: %w", path, store.ErrDamaged)
	}
	return m, revision, nil
}

// set writes revision to the slot that does not hold the newest mark.
func (m *mark) set(revision uint64) error {
	var buf [markSlot]byte
	if _, err := m.file.WriteAt(appendMark(buf[:0], revision), m.slot*markPage); err != nil {
		return fmt.Errorf("write high-water mark %d: %w", revision, err)
	}
	m.slot = 1 - m.slot
	return nil
}

func (m *mark) close() error {
	if err := m.file.Sync(); err != nil {
		_ = m.file.Close()
		return fmt.Errorf("sync the high-water mark: %w", err)
	}
	return m.file.Close()
}

func appendMark(dst []byte, revision uint64) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, markMagic)
	dst = binary.LittleEndian.AppendUint64(dst, revision)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func parseMark(data []byte) (revision uint64, ok bool) {
	ok = binary.LittleEndian.Uint64(data) == markMagic &&
		crc32.Checksum(data[:16], castagnoli) == binary.LittleEndian.Uint32(data[16:])
	return binary.LittleEndian.Uint64(data[8:]), ok
}
