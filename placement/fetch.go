package placement

import "github.com/kilonova-cloud/kilonova/store"

// fetchRecords is how many records are worth a fetch at once.
const fetchRecords = 64

// A fetcher reads what the next records of a load will touch, so that the
// processor gets it all at a time and not one after the other: with millions
// of rows in random order that is most of what a load costs. It changes
// nothing and may guess wrong.
type fetcher struct {
	w       *world
	holders [fetchRecords]uint64 // hashes of the providers on which consumers have allocations; 0: none
	sum     uint64               // of what was read, so that the reads are not left out
}

func (f *fetcher) fetch(next []store.Record) {
	w := f.w
	for k := range next {
		f.holders[k] = 0
		rec := &next[k]
		if len(rec.Key.ID) != 16 {
			continue
		}
		uuid := UUID([]byte(rec.Key.ID))
		switch rec.Key.Kind {
		case kindProvider:
			f.sum += w.byUUID.home(w.hashUUID(&uuid))
		case kindConsumer:
			f.sum += w.byConsumer.home(w.hashUUID(&uuid))
			if u, ok := firstHolder(rec.Value); ok {
				f.holders[k] = w.hashUUID(&u)
				f.sum += w.byUUID.home(f.holders[k])
			}
		}
	}
	for k := range next {
		if f.holders[k] == 0 {
			continue
		}
		if i, ok := w.byUUID.guess(f.holders[k]); ok {
			p := w.provider(i)
			f.sum += uint64(len(p.inv)) + uint64(p.root) + uint64(p.uuid[0])
		}
	}
}

// firstHolder returns the provider of a consumer record's first allocation.
func firstHolder(value []byte) (UUID, bool) {
	d := decoder{buf: value}
	d.openUpTo(stampedFormat)
	for range 3 { // project, user, type
		d.bytes(d.uint())
	}
	d.uint() // generation
	d.int()  // created
	d.int()  // updated
	d.uint() // number of allocations
	same := d.uint()
	return d.uuid(), same != 1 && d.err == nil
}

// home returns the slot where the search for hash begins.
func (x *index) home(hash uint64) uint64 {
	if len(x.slots) == 0 {
		return 0
	}
	return x.slots[hash&uint64(len(x.slots)-1)]
}

// guess returns the first number that find would look at.
func (x *index) guess(hash uint64) (uint32, bool) {
	mask := uint64(len(x.slots) - 1)
	for pos := hash & mask; len(x.slots) > 0; pos = (pos + 1) & mask {
		s := x.slots[pos]
		if s == 0 {
			break
		}
		if s>>32 == hash>>32 {
			return uint32(s) - 1, true
		}
	}
	return 0, false
}
