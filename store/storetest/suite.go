package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// ForeignKind is the kind that the suite does not look at: whoever injects
// foreign writes while it runs must write records of this kind.
const ForeignKind store.Kind = 255

// patience bounds one test of the suite.
const patience = time.Minute

// Run checks that the stores that open returns keep the promises of the port.
// Each test opens an empty store of its own and closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*env)
	}{
		{"CreateUpdateDelete", testCreateUpdateDelete},
		{"Expectations", testExpectations},
		{"ConflictListsEveryRecord", testConflictListsEveryRecord},
		{"BatchWithoutChanges", testBatchWithoutChanges},
		{"BytesAreOpaque", testBytesAreOpaque},
		{"ResentBatchTakesEffectOnce", testResent},
		{"ConflictIsEvaluatedAgain", testConflictAgain},
		{"InvalidBatches", testInvalid},
		{"Limits", testLimits},
		{"EndedContext", testEndedContext},
		{"Closed", testClosed},
		{"ValuesStayAsGiven", testOwnership},
		{"LoadEmpty", testLoadEmpty},
		{"LoadIsOneMoment", testLoadIsOneMoment},
		{"LoadEnds", testLoadEnds},
		{"FollowFromStart", testFollowFromStart},
		{"FollowFromMiddle", testFollowFromMiddle},
		{"FollowWaits", testFollowWaits},
		{"FollowEndsWithContext", testFollowEndsWithContext},
		{"FollowEndsWithStore", testFollowEndsWithStore},
		{"FollowCompacted", testFollowCompacted},
		{"LatestIsReached", testLatest},
		{"LoadThenFollow", testLoadThenFollow},
		{"ConcurrentCounters", testConcurrentCounters},
		{"ConcurrentResends", testConcurrentResends},
		{"ContextEndsMidway", testContextEndsMidway},
		{"VersionsInFlight", testVersionsInFlight},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := open(t)
			defer func() { require.NoError(t, s.Close()) }()
			c.test(&env{T: t, ctx: ctx, s: s})
		})
	}
}

// env is what one test of the suite works with.
type env struct {
	*testing.T
	ctx context.Context //nolint:containedctx // it is one test's whole life
	s   store.Store
	ids atomic.Uint64
}

// id returns a batch ID that this test has not used.
func (e *env) id() store.BatchID {
	id := store.BatchID{0: 's', 1: 't'}
	binary.BigEndian.PutUint64(id[8:], e.ids.Add(1))
	return id
}

// send commits b, with a fresh ID when it has none, until the outcome is known.
func (e *env) send(b store.Batch) store.Result {
	e.Helper()
	if b.ID == (store.BatchID{}) {
		b.ID = e.id()
	}
	res, err := CommitRetry(e.ctx, e.s, b)
	require.NoError(e, err)
	return res
}

// must commits b and demands that it is committed.
func (e *env) must(b store.Batch) uint64 {
	e.Helper()
	res := e.send(b)
	require.Equal(e, store.Committed, res.Outcome, "outcome of batch %+v: %+v", b, res)
	require.Empty(e, res.Conflicts)
	return res.Revision
}

// state is a set of records by key, without foreign ones.
type state map[store.Key]store.Record

// load returns the records of one snapshot and its revision.
func (e *env) load() (state, uint64) {
	e.Helper()
	var rev uint64
	got := state{}
	for r, err := range e.s.Load(e.ctx, &rev) {
		require.NoError(e, err)
		require.NotZero(e, r.Version, "version of record %v", r.Key)
		_, twice := got[r.Key]
		require.False(e, twice, "record %v was yielded twice", r.Key)
		if r.Key.Kind != ForeignKind {
			got[r.Key] = r
		}
	}
	return got, rev
}

// apply changes the state as event ev says.
func (st state) apply(ev store.Event) {
	for _, p := range ev.Puts {
		if p.Key.Kind != ForeignKind {
			st[p.Key] = store.Record{Key: p.Key, Version: ev.Version, Value: p.Value}
		}
	}
	for _, k := range ev.Deletes {
		delete(st, k)
	}
}

// holds demands that the store holds exactly the records want.
func (e *env) holds(want ...store.Record) {
	e.Helper()
	got, _ := e.load()
	require.Len(e, got, len(want))
	for _, w := range want {
		require.Equal(e, text(w), text(got[w.Key]))
	}
}

// text renders a record so that an empty and a nil value are the same.
func text(r store.Record) string { return fmt.Sprintf("%v@%d=%q", r.Key, r.Version, r.Value) }

// follow returns the events after revision after, without marks, up to the
// first one for which last is true.
func (e *env) follow(after uint64, last func(store.Event) bool) []store.Event {
	e.Helper()
	var got []store.Event
	for ev, err := range e.s.Follow(e.ctx, after) {
		require.NoError(e, err)
		if isMark(ev) {
			require.GreaterOrEqual(e, ev.Revision, after, "a mark goes back")
			after = ev.Revision
			continue
		}
		require.Greater(e, ev.Revision, after, "event %x is out of order", ev.ID)
		after = ev.Revision
		got = append(got, ev)
		if last(ev) {
			break
		}
	}
	return got
}

func isMark(ev store.Event) bool {
	return ev.ID == store.BatchID{} && len(ev.Puts) == 0 && len(ev.Deletes) == 0
}

func key(format string, args ...any) store.Key {
	return store.Key{Kind: 1, ID: fmt.Sprintf(format, args...)}
}

func put(k store.Key, value string) store.Put { return store.Put{Key: k, Value: []byte(value)} }

func record(k store.Key, version uint64, value string) store.Record {
	return store.Record{Key: k, Version: version, Value: []byte(value)}
}
