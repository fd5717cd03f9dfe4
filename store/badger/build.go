package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	badgeroptions "github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	badgertable "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

const (
	tableBytes = 16 << 20 // of one Badger table
	blockBytes = 4 << 10
	lastLevel  = 6 // of Badger's seven; tables there do not overlap
	onlyTS     = 1 // Badger's version of every pair
)

// builder makes a Badger database out of records in key order: tables by
// Badger's own table builder, and a MANIFEST that lists them. Badger would
// write the tables through mapped memory, and then a disk that fills up kills
// the process; written with write(2) they fail with an error.
type builder struct {
	dir    string
	room   func(n int64) error // says whether there is space for n more bytes
	table  *badgertable.Builder
	tables uint64
	sum    tally
	files  []fileEntry
	value  []byte
}

func newTableBuilder() *badgertable.Builder {
	return badgertable.NewTableBuilder(badgertable.Options{
		TableSize: tableBytes, BlockSize: blockBytes, Compression: badgeroptions.None,
	})
}

// build writes the records of old, changed by changes that are sorted, to a new database in
// dir, and returns what there is to say of it.
func build(dir string, old *base, changes *changes, room func(n int64) error) (manifest, error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return manifest{}, fmt.Errorf("create checkpoint %s: %w", dir, noSpace(err))
	}
	b := &builder{dir: dir, room: room, table: newTableBuilder()}
	defer func() { b.table.Close() }()
	err := guard(func() error { return b.merge(old, changes) })
	if err == nil {
		err = b.finish()
	}
	if err != nil {
		return manifest{}, fmt.Errorf("write checkpoint %s: %w", dir, noSpace(err))
	}
	return manifest{Records: b.sum.records, Bytes: b.sum.bytes, Sum: b.sum.sum(), Files: b.files}, nil
}

// merge adds the records of old and of changes, which are sorted, in key
// order; where both have one, changes wins.
func (b *builder) merge(old *base, changes *changes) (err error) {
	db, err := old.acquire()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.release()) }()
	next := cursor{changes: changes}
	addChange := func() (err error) {
		if next.version != 0 {
			err = b.add(next.key, next.version, next.value)
		}
		next.advance()
		return err
	}
	next.advance()
	err = old.each(db, func(key []byte, version uint64, value []byte) error {
		for len(next.key) > 0 && bytes.Compare(next.key, key) < 0 {
			if err := addChange(); err != nil {
				return err
			}
		}
		if bytes.Equal(next.key, key) {
			return addChange()
		}
		return b.add(key, version, value)
	})
	for err == nil && len(next.key) > 0 {
		err = addChange()
	}
	return err
}

func (b *builder) add(key []byte, version uint64, value []byte) error {
	b.value = appendRecord(b.value[:0], key, version, value)
	b.sum.add(key, b.value)
	b.table.Add(y.KeyWithTs(key, onlyTS), y.ValueStruct{Value: b.value}, 0)
	if b.table.ReachedCapacity() {
		return b.flush()
	}
	return nil
}

// flush writes the table that has been filled.
func (b *builder) flush() error {
	if b.table.Empty() {
		return nil
	}
	b.tables++
	data := b.table.Finish()
	if err := b.room(int64(len(data))); err != nil {
		return err
	}
	b.table.Close()
	b.table = newTableBuilder()
	return b.write(badgertable.IDToFilename(b.tables), data)
}

// finish writes the last table and the MANIFEST, and makes them all durable.
func (b *builder) finish() error {
	if err := guard(b.flush); err != nil {
		return err
	}
	list, err := badgerManifest(b.tables)
	if err != nil {
		return err
	}
	if err := b.write("MANIFEST", list); err != nil {
		return err
	}
	return syncDir(b.dir)
}

func (b *builder) write(name string, data []byte) error {
	b.files = append(b.files, fileEntry{Name: name, Bytes: int64(len(data)), CRC: crc32.Checksum(data, castagnoli)})
	return writeSync(filepath.Join(b.dir, name), data)
}

// badgerManifest returns Badger's MANIFEST for tables 1 to tables.
//
// Source: badger v4.9.6, manifest.go, helpRewrite.
func badgerManifest(tables uint64) ([]byte, error) {
	const magic, external, version = "Bdgr", 0, 8
	var set pb.ManifestChangeSet
	for id := uint64(1); id <= tables; id++ {
		set.Changes = append(set.Changes, &pb.ManifestChange{
			Id: id, Op: pb.ManifestChange_CREATE, Level: lastLevel, Compression: uint32(badgeroptions.None),
		})
	}
	changes, err := proto.Marshal(&set)
	if err != nil {
		return nil, fmt.Errorf("encode Badger's manifest: %w", err)
	}
	out := []byte(magic)
	out = binary.BigEndian.AppendUint16(out, external)
	out = binary.BigEndian.AppendUint16(out, version)
	out = binary.BigEndian.AppendUint32(out, uint32(len(changes)))
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(changes, castagnoli))
	return append(out, changes...), nil
}
