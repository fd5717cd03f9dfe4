package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/kilonova-cloud/kilonova/store"
)

// A frame is one batch in the log, little-endian:
//
//	magic 4 | payload length 4 | revision 8 | durable 8 | crc 4 | payload
//
// durable is the last revision that was known to be synced when the frame was
// written; crc is CRC-32C over everything else. The payload is
//
//	encoding 1 | batch id 16 | version v | puts v | each: kind 1, id s, value s
//	                                     | deletes v | each: kind 1, id s
//
// where v is a uvarint and s a uvarint length with that many bytes.
const (
	frameMagic      = 0x314d464b // "KFM1"
	frameHeader     = 28
	payloadEncoding = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errFrameEnd = errors.New("no frame")
	errFrameBad = errors.New("frame is torn or damaged")
	errPayload  = fmt.Errorf("payload is malformed: %w", store.ErrDamaged)
)

// frame is a frame that was read. payload aliases the bytes it was read from.
type frame struct {
	revision uint64
	durable  uint64
	payload  []byte
}

// appendFrame adds a frame with payload to dst.
func appendFrame(dst []byte, revision, durable uint64, payload []byte) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, frameMagic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint64(dst, revision)
	dst = binary.LittleEndian.AppendUint64(dst, durable)
	crc := crc32.Update(crc32.Update(0, castagnoli, dst[at:]), castagnoli, payload)
	dst = binary.LittleEndian.AppendUint32(dst, crc)
	return append(dst, payload...)
}

// readFrame reads the frame at the start of data and returns how long it is.
// It returns errFrameEnd where nothing has been written, else errFrameBad for
// anything but a whole frame.
func readFrame(data []byte) (frame, int, error) {
	if allZero(data[:min(len(data), frameHeader)]) {
		return frame{}, 0, errFrameEnd
	}
	if len(data) < frameHeader || binary.LittleEndian.Uint32(data) != frameMagic {
		return frame{}, 0, errFrameBad
	}
	length := uint64(binary.LittleEndian.Uint32(data[4:]))
	if length > uint64(len(data)-frameHeader) {
		return frame{}, 0, errFrameBad
	}
	end := frameHeader + int(length)
	f := frame{
		revision: binary.LittleEndian.Uint64(data[8:]),
		durable:  binary.LittleEndian.Uint64(data[16:]),
		payload:  data[frameHeader:end:end],
	}
	crc := crc32.Update(crc32.Update(0, castagnoli, data[:24]), castagnoli, f.payload)
	if crc != binary.LittleEndian.Uint32(data[24:]) {
		return frame{}, 0, errFrameBad
	}
	return f, end, nil
}

func allZero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}

// appendPayload adds the encoding of what b changes to dst.
func appendPayload(dst []byte, b *store.Batch) []byte {
	dst = append(dst, payloadEncoding)
	dst = append(dst, b.ID[:]...)
	dst = binary.AppendUvarint(dst, b.Version)
	dst = binary.AppendUvarint(dst, uint64(len(b.Puts)))
	for i := range b.Puts {
		dst = appendKey(dst, b.Puts[i].Key)
		dst = binary.AppendUvarint(dst, uint64(len(b.Puts[i].Value)))
		dst = append(dst, b.Puts[i].Value...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Deletes)))
	for _, k := range b.Deletes {
		dst = appendKey(dst, k)
	}
	return dst
}

func appendKey(dst []byte, k store.Key) []byte {
	dst = append(dst, byte(k.Kind))
	dst = binary.AppendUvarint(dst, uint64(len(k.ID)))
	return append(dst, k.ID...)
}

// event decodes the frame's payload. Values alias the frame's bytes.
func (f frame) event() (store.Event, error) {
	ev := store.Event{Revision: f.revision}
	d, err := f.open()
	if err != nil {
		return ev, err
	}
	copy(ev.ID[:], d.bytes(uint64(len(ev.ID))))
	ev.Version = d.uvarint()
	if n := d.count(); n > 0 {
		ev.Puts = make([]store.Put, n)
	}
	var ids keyIDs
	for i := range ev.Puts {
		ev.Puts[i].Key.Kind = ids.read(&d)
		ev.Puts[i].Value = d.bytes(d.uvarint())
	}
	if n := d.count(); n > 0 {
		ev.Deletes = make([]store.Key, n)
	}
	for i := range ev.Deletes {
		ev.Deletes[i].Kind = ids.read(&d)
	}
	all := string(ids.all)
	for i := range ev.Puts {
		ev.Puts[i].Key.ID, all = all[:ids.lengths[i]], all[ids.lengths[i]:]
	}
	for i := range ev.Deletes {
		length := ids.lengths[len(ev.Puts)+i]
		ev.Deletes[i].ID, all = all[:length], all[length:]
	}
	return ev, f.close(&d)
}

// open returns a decoder of what follows the payload's encoding.
func (f frame) open() (decoder, error) {
	d := decoder{rest: f.payload}
	if encoding := d.byte(); encoding != payloadEncoding {
		return d, fmt.Errorf("decode batch at revision %d: encoding %d is unknown: %w", f.revision, encoding, errPayload)
	}
	return d, nil
}

// close demands that d has read all of the payload.
func (f frame) close(d *decoder) error {
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("decode batch at revision %d: %w", f.revision, errPayload)
	}
	return nil
}

// decoder takes values off the front of rest. Once it has failed it returns
// zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) bytes(n uint64) []byte {
	if d.failed || n > uint64(len(d.rest)) {
		d.failed = true
		return nil
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.failed || n <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads the length of a list whose items take at least two bytes each,
// so that a damaged length cannot ask for more memory than the frame holds.
func (d *decoder) count() uint64 {
	n := d.uvarint()
	if n > uint64(len(d.rest)/2) {
		d.failed = true
		return 0
	}
	return n
}

// keyIDs gathers the IDs of keys, so that they become one string and not
// millions.
type keyIDs struct {
	all     []byte
	lengths []int
}

// read reads a key and returns its kind.
func (k *keyIDs) read(d *decoder) store.Kind {
	kind := store.Kind(d.byte())
	id := d.bytes(d.uvarint())
	k.all, k.lengths = append(k.all, id...), append(k.lengths, len(id))
	return kind
}
