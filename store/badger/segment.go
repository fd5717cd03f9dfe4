package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/store"
)

// A segment is one file of the log, named by the revision of its first frame:
//
//	magic 8 | first revision 8 | crc 4 | frames | zeros
const (
	segmentMagic  = 0x31474553574d4b4b
	segmentHeader = 20
	segmentSuffix = ".log"
)

// segment is where a segment file is and how far it is filled.
type segment struct {
	path  string
	first uint64 // revision of its first frame
	last  uint64 // of its last frame; first-1 when it is empty
	end   int64  // of its last frame
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

func appendSegmentHeader(dst []byte, first uint64) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, segmentMagic)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// listSegments returns the segments in dir, oldest first, unread.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the log %s: %w", dir, err)
	}
	var segments []segment
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(number, 10, 64)
		path := filepath.Join(dir, e.Name())
		if err != nil || path != segmentPath(dir, first) || first == 0 {
			return nil, fmt.Errorf("log file %s has no revision for a name: %w", path, store.ErrDamaged)
		}
		segments = append(segments, segment{path: path, first: first, last: first - 1})
	}
	slices.SortFunc(segments, func(a, b segment) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	return segments, nil
}

// errHeader is how scan reports a segment whose header is not whole.
var errHeader = errors.New("segment header is torn or damaged")

// scan reads the frames of s up to revision until (0: all) and hands each to
// visit, whose frame must not be kept: it aliases a buffer of the whole file.
// It sets s.last and s.end. It returns errHeader, or errFrameBad when the
// frames end in something that is neither a frame nor zeros, or what visit
// returned.
func (s *segment) scan(until uint64, visit func(frame) error) error {
	data, err := s.read()
	if err != nil {
		return fmt.Errorf("read log file %s: %w", s.path, err)
	}
	if len(data) < segmentHeader || !bytes.Equal(data[:segmentHeader], appendSegmentHeader(nil, s.first)) {
		return fmt.Errorf("log file %s: %w", s.path, errHeader)
	}
	at := segmentHeader
	s.last, s.end = s.first-1, segmentHeader
	for until == 0 || s.last < until {
		f, n, err := readFrame(data[at:])
		if errors.Is(err, errFrameEnd) {
			break
		}
		if err == nil && f.revision != s.last+1 {
			err = errFrameBad
		}
		if err != nil {
			return s.damaged(err, data[at:])
		}
		if err := visit(f); err != nil {
			return fmt.Errorf("log file %s at offset %d: %w", s.path, at, err)
		}
		at += n
		s.last, s.end = f.revision, int64(at)
	}
	return nil
}

// read returns the bytes of the segment, only the filled ones when it is known
// how many they are.
func (s *segment) read() (data []byte, err error) {
	if s.end == 0 {
		return os.ReadFile(s.path)
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data = make([]byte, s.end)
	_, err = io.ReadFull(file, data)
	return data, err
}

// damaged returns err, and ErrDamaged with it when a frame in rest was written
// after the bad one at its start had been synced: then it was not torn.
func (s *segment) damaged(err error, rest []byte) error {
	err = fmt.Errorf("log file %s at offset %d, revision %d: %w", s.path, s.end, s.last+1, err)
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	for at := 1; at < len(rest); at++ {
		next := bytes.Index(rest[at:], magic)
		if next < 0 {
			return err
		}
		at += next
		if f, _, bad := readFrame(rest[at:]); bad == nil && f.durable > s.last {
			return fmt.Errorf("%w, but revision %d follows it: %w", err, f.revision, store.ErrDamaged)
		}
	}
	return err
}
