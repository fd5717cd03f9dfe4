package table

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/store"
)

// Tx is one consistent moment of every table and, in an Update, what is to
// be changed. It must not be used after the function that it was given to.
type Tx struct {
	db     *DB
	writes map[store.Key]*write
	order  []store.Key          // of writes, by first touch
	expect map[store.Key]uint64 // versions that were read
	asked  []store.Key          // of expect, in order
}

// write is the state of a row that the transaction leaves.
type write struct {
	value   any
	encoded []byte
	deleted bool
}

// Revision returns the store's revision at this moment, for [DB.Watch].
func (tx *Tx) Revision() uint64 { return tx.db.revision }

// read notes that a row was read. It returns what the transaction itself has
// made of it, or nil.
func (tx *Tx) read(t Definition, key string) *write {
	if tx.expect == nil {
		return nil
	}
	k := store.Key{Kind: t.kind(), ID: key}
	tx.demand(k, t.version(key))
	return tx.writes[k]
}

// demand makes the commit depend on a record's version.
func (tx *Tx) demand(k store.Key, version uint64) {
	if _, asked := tx.expect[k]; !asked {
		tx.expect[k] = version
		tx.asked = append(tx.asked, k)
	}
}

func (tx *Tx) write(k store.Key, w *write) {
	if _, again := tx.writes[k]; !again {
		tx.order = append(tx.order, k)
	}
	tx.writes[k] = w
}

// Put writes a row, whether or not there is one with its key. It returns
// [ErrReadOnly].
func (t *Table[R]) Put(tx *Tx, v R) error {
	if tx.expect == nil {
		return ErrReadOnly
	}
	key := t.spec.Key(&v)
	tx.read(t, key)
	tx.write(store.Key{Kind: t.spec.Kind, ID: key}, &write{value: v, encoded: t.spec.Encode(&v)})
	return nil
}

// Create writes a new row. It returns [ErrExists] or [ErrReadOnly].
func (t *Table[R]) Create(tx *Tx, v R) error {
	if key := t.spec.Key(&v); t.has(tx, key) {
		return fmt.Errorf("create %q in table %q: %w", key, t.spec.Name, ErrExists)
	}
	return t.Put(tx, v)
}

// Delete removes a row. It returns [ErrNotFound] or [ErrReadOnly].
func (t *Table[R]) Delete(tx *Tx, key string) error {
	if tx.expect == nil {
		return ErrReadOnly
	}
	if !t.has(tx, key) {
		return fmt.Errorf("delete %q from table %q: %w", key, t.spec.Name, ErrNotFound)
	}
	tx.write(store.Key{Kind: t.spec.Kind, ID: key}, &write{deleted: true})
	return nil
}

func (t *Table[R]) has(tx *Tx, key string) bool {
	_, found := t.Get(tx, key)
	return found
}

// batch returns what is to be committed.
func (tx *Tx) batch(id store.BatchID, version uint64) store.Batch {
	b := store.Batch{ID: id, Version: version}
	for _, k := range tx.asked {
		b.Expect = append(b.Expect, store.Expectation{Key: k, Version: tx.expect[k]})
	}
	for _, k := range tx.order {
		switch w := tx.writes[k]; {
		case !w.deleted:
			b.Puts = append(b.Puts, store.Put{Key: k, Value: w.encoded})
		case tx.expect[k] != 0: // or it has never been there
			b.Deletes = append(b.Deletes, k)
		}
	}
	return b
}
