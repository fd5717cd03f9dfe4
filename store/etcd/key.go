package etcd

import (
	"encoding/binary"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

const (
	versionBytes = 8
	headBytes    = versionBytes + 1
	recordMark   = 1
)

// keys makes the keys of a store. It is the prefix with its slash.
type keys string

func (p keys) format() string                { return string(p) + "f" }
func (p keys) presences() string             { return string(p) + "l" }
func (p keys) records() string               { return string(p) + "r" }
func (p keys) batches() string               { return string(p) + "b" }
func (p keys) record(k store.Key) string     { return p.records() + string([]byte{byte(k.Kind)}) + k.ID }
func (p keys) batch(id store.BatchID) string { return p.batches() + string(id[:]) }
func (p keys) presence(name string) string   { return p.presences() + name }

// presenceRange is of every presence: names have a byte at least.
func (p keys) presenceRange() (from, end string) {
	return p.presence("\x00"), clientv3.GetPrefixRangeEnd(p.presences())
}

// parse is the reverse of record. The key has the prefix of records.
func (p keys) parse(key []byte) (store.Key, error) {
	at := len(p.records())
	if len(key) <= at {
		return store.Key{}, fmt.Errorf("key %q has no kind: %w", key, store.ErrDamaged)
	}
	return store.Key{Kind: store.Kind(key[at]), ID: string(key[at+1:])}, nil
}

func encode(version uint64, value []byte) []byte {
	b := make([]byte, 0, headBytes+len(value))
	b = append(binary.BigEndian.AppendUint64(b, version), recordMark)
	return append(b, value...)
}

// decode returns the record k whose stored value is raw.
func decode(k store.Key, raw []byte) (store.Record, error) {
	if len(raw) < headBytes || raw[versionBytes] != recordMark {
		return store.Record{}, fmt.Errorf("record %v has no version: %w", k, store.ErrDamaged)
	}
	return store.Record{Key: k, Version: binary.BigEndian.Uint64(raw), Value: raw[headBytes:]}, nil
}

// encodeBatch is the value of a batch's key.
func encodeBatch(b *store.Batch) []byte {
	out := binary.BigEndian.AppendUint64(nil, b.Version)
	for _, k := range b.Deletes {
		out = binary.AppendUvarint(append(out, byte(k.Kind)), uint64(len(k.ID)))
		out = append(out, k.ID...)
	}
	return out
}

// decodeBatch reads a batch's version and deletes into ev.
func decodeBatch(ev *store.Event, raw []byte) error {
	if len(raw) < versionBytes {
		return fmt.Errorf("batch %x has no version: %w", ev.ID, store.ErrDamaged)
	}
	ev.Version = binary.BigEndian.Uint64(raw)
	for raw = raw[versionBytes:]; len(raw) > 0; {
		size, n := binary.Uvarint(raw[1:])
		if n <= 0 || size > uint64(len(raw)-1-n) {
			return fmt.Errorf("batch %x has half a key: %w", ev.ID, store.ErrDamaged)
		}
		end := 1 + n + int(size)
		ev.Deletes = append(ev.Deletes, store.Key{Kind: store.Kind(raw[0]), ID: string(raw[1+n : end])})
		raw = raw[end:]
	}
	return nil
}
