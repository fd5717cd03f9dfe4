package badger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/kilonova-cloud/kilonova/store"
)

// In Badger a record is a pair:
//
//	key:   kind 1 | id
//	value: crc 4 | encoding 1 | version 8 | value
//
// where crc is CRC-32C over the key and what follows crc.
const (
	recordEncoding = 1
	recordHeader   = 13
)

// badgerKey returns the key under which Badger holds the record k.
func badgerKey(k store.Key) []byte { return append([]byte{byte(k.Kind)}, k.ID...) }

// appendRecord adds the encoding of a record to dst.
func appendRecord(dst, key []byte, version uint64, value []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, recordEncoding)
	dst = binary.LittleEndian.AppendUint64(dst, version)
	dst = append(dst, value...)
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, dst[at+4:])
	binary.LittleEndian.PutUint32(dst[at:], crc)
	return dst
}

// parseRecord is the inverse of appendRecord; value aliases data.
func parseRecord(key, data []byte) (version uint64, value []byte, err error) {
	if len(key) == 0 || len(data) < recordHeader {
		return 0, nil, fmt.Errorf("record %x has %d bytes: %w", key, len(data), store.ErrDamaged)
	}
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, data[4:])
	if crc != binary.LittleEndian.Uint32(data) {
		return 0, nil, fmt.Errorf("checksum of record %x does not match: %w", key, store.ErrDamaged)
	}
	version = binary.LittleEndian.Uint64(data[5:])
	if data[4] != recordEncoding || version == 0 {
		return 0, nil, fmt.Errorf("record %x has encoding %d and version %d: %w", key, data[4], version, store.ErrDamaged)
	}
	return version, data[recordHeader:], nil
}

// tally counts records, and sums them up so that the order does not matter: a
// missing, stale or doubled record gives another sum.
type tally struct {
	records uint64
	bytes   int64
	hi, lo  uint64
	buf     []byte
}

// add counts the record that Badger holds as key and data.
func (t *tally) add(key, data []byte) {
	t.buf = append(append(t.buf[:0], data[:recordHeader]...), key...)
	hash := sha256.Sum256(t.buf)
	var carry uint64
	t.lo, carry = bits.Add64(t.lo, binary.LittleEndian.Uint64(hash[:]), 0)
	t.hi, _ = bits.Add64(t.hi, binary.LittleEndian.Uint64(hash[8:]), carry)
	t.records++
	t.bytes += int64(len(key) + len(data))
}

// sum renders the sum for CHECKPOINT.
func (t *tally) sum() string {
	var sum [16]byte
	binary.BigEndian.PutUint64(sum[:8], t.hi)
	binary.BigEndian.PutUint64(sum[8:], t.lo)
	return hex.EncodeToString(sum[:])
}
