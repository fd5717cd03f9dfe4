package storetest

import (
	"bytes"
	"context"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func testCreateUpdateDelete(e *env) {
	a, b := key("a"), key("b")
	r1 := e.must(store.Batch{Version: 1, Puts: []store.Put{put(a, "one"), put(b, "two")}})
	require.Positive(e, r1)
	e.holds(record(a, 1, "one"), record(b, 1, "two"))

	r2 := e.must(store.Batch{Version: 2, Expect: []store.Expectation{{Key: a, Version: 1}}, Puts: []store.Put{put(a, "three")}})
	require.Greater(e, r2, r1)
	e.holds(record(a, 2, "three"), record(b, 1, "two"))

	r3 := e.must(store.Batch{Version: 3, Puts: []store.Put{put(b, "four")}, Deletes: []store.Key{a}})
	require.Greater(e, r3, r2)
	e.holds(record(b, 3, "four"))

	e.must(store.Batch{Version: 4, Deletes: []store.Key{key("absent")}})
	e.must(store.Batch{Version: 5, Expect: []store.Expectation{{Key: a}}, Puts: []store.Put{put(a, "again")}})
	e.holds(record(a, 5, "again"), record(b, 3, "four"))
}

func testExpectations(e *env) {
	there, gone := key("there"), key("gone")
	e.must(store.Batch{Version: 7, Puts: []store.Put{put(there, "x"), put(gone, "y")}})
	e.must(store.Batch{Version: 8, Deletes: []store.Key{gone}})
	for _, c := range []struct {
		name   string
		expect store.Expectation
		want   store.Outcome
	}{
		{"present, as expected", store.Expectation{Key: there, Version: 7}, store.Committed},
		{"present, older expected", store.Expectation{Key: there, Version: 6}, store.Conflict},
		{"present, as expected, and its value", store.Expectation{Key: there, Version: 7, Value: []byte("x")}, store.Committed},
		{"present, older expected, and its value", store.Expectation{Key: there, Version: 6, Value: []byte("x")}, store.Conflict},
		{"present, newer expected", store.Expectation{Key: there, Version: 9}, store.Conflict},
		{"present, absent expected", store.Expectation{Key: there}, store.Conflict},
		{"deleted, absent expected", store.Expectation{Key: gone}, store.Committed},
		{"deleted, last version expected", store.Expectation{Key: gone, Version: 7}, store.Conflict},
		{"never there, absent expected", store.Expectation{Key: key("never")}, store.Committed},
		{"never there, a version expected", store.Expectation{Key: key("never"), Version: 1}, store.Conflict},
		{"same ID of another kind", store.Expectation{Key: store.Key{Kind: 2, ID: there.ID}, Version: 7}, store.Conflict},
	} {
		witness := key("witness of %s", c.name)
		res := e.send(store.Batch{Version: 100, Expect: []store.Expectation{c.expect}, Puts: []store.Put{put(witness, "w")}})
		require.Equal(e, c.want, res.Outcome, c.name)
		got, _ := e.load()
		_, written := got[witness]
		require.Equal(e, c.want == store.Committed, written, c.name)
	}
}

func testConflictListsEveryRecord(e *env) {
	e.must(store.Batch{Version: 1, Puts: []store.Put{put(key("old"), "1"), put(key("held"), "1")}})
	e.must(store.Batch{Version: 2, Puts: []store.Put{put(key("old"), "2"), put(key("new"), "2")}})
	res := e.send(store.Batch{
		Version: 3,
		Expect: []store.Expectation{
			{Key: key("old"), Version: 1},
			{Key: key("held"), Version: 1},
			{Key: key("new")},
			{Key: key("absent"), Version: 9},
			{Key: key("still absent")},
		},
		Puts: []store.Put{put(key("old"), "3")},
	})
	require.Equal(e, store.Conflict, res.Outcome)
	var got []string
	for _, r := range res.Conflicts {
		got = append(got, text(r))
	}
	absent := store.Record{Key: key("absent")}
	require.ElementsMatch(e, []string{text(record(key("old"), 2, "2")), text(record(key("new"), 2, "2")), text(absent)}, got)
	e.holds(record(key("old"), 2, "2"), record(key("new"), 2, "2"), record(key("held"), 1, "1"))
}

func testBatchWithoutChanges(e *env) {
	id := e.id()
	rev := e.must(store.Batch{ID: id, Version: 1, Expect: []store.Expectation{{Key: key("absent")}}})
	events := e.follow(0, func(ev store.Event) bool { return ev.ID == id })
	require.Equal(e, rev, events[len(events)-1].Revision)
	e.holds()
}

func testBytesAreOpaque(e *env) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := []store.Record{
		record(store.Key{Kind: 0, ID: "\x00"}, 1, string(all)),
		record(store.Key{Kind: 0, ID: "\x00\x00"}, 1, ""),
		record(store.Key{Kind: 0, ID: string(all)}, 1, "a"),
		record(store.Key{Kind: 1, ID: "/\xff"}, 1, "b"),
		record(store.Key{Kind: 254, ID: "\xff\xff"}, 1, "c"),
		record(key("large"), 1, strings.Repeat("kilonova", 1<<12)),
		{Key: key("nil"), Version: 1},
	}
	var b store.Batch
	for _, r := range want {
		b.Puts = append(b.Puts, store.Put{Key: r.Key, Value: r.Value})
	}
	b.Version = 1
	e.must(b)
	e.holds(want...)
}

func testResent(e *env) {
	b := store.Batch{ID: e.id(), Version: 1, Expect: []store.Expectation{{Key: key("a")}}, Puts: []store.Put{put(key("a"), "1")}}
	first := e.must(b)
	require.Equal(e, first, e.must(b), "revision of the batch sent again")
	other := b
	other.ID = e.id()
	require.Equal(e, store.Conflict, e.send(other).Outcome, "same content, other ID")

	e.must(store.Batch{Version: 2, Deletes: []store.Key{key("a")}})
	require.Equal(e, first, e.must(b), "its expectation holds again, but it was committed before")
	e.holds()
}

func testConflictAgain(e *env) {
	b := store.Batch{ID: e.id(), Version: 6, Expect: []store.Expectation{{Key: key("a"), Version: 5}}, Puts: []store.Put{put(key("a"), "6")}}
	require.Equal(e, store.Conflict, e.send(b).Outcome)
	before := e.must(store.Batch{Version: 5, Puts: []store.Put{put(key("a"), "5")}})
	require.Greater(e, e.must(b), before)
	e.holds(record(key("a"), 6, "6"))
}

func testInvalid(e *env) {
	twice := []store.Put{put(key("a"), "1"), put(key("a"), "2")}
	long := store.Key{Kind: 1, ID: strings.Repeat("k", e.s.Limits().KeyBytes+1)}
	for name, b := range map[string]store.Batch{
		"no id":               {Version: 1},
		"no version":          {ID: e.id()},
		"put twice":           {ID: e.id(), Version: 1, Puts: twice},
		"put and deleted":     {ID: e.id(), Version: 1, Puts: twice[:1], Deletes: []store.Key{key("a")}},
		"long key in puts":    {ID: e.id(), Version: 1, Puts: []store.Put{put(long, "")}},
		"long key in deletes": {ID: e.id(), Version: 1, Deletes: []store.Key{long}},
	} {
		res, err := e.s.Commit(e.ctx, b)
		require.ErrorIs(e, err, store.ErrInvalid, name)
		require.Zero(e, res, name)
	}
	e.must(store.Batch{Version: 1, Puts: []store.Put{put(store.Key{Kind: 1, ID: long.ID[1:]}, "longest")}})
}

func testLimits(e *env) {
	l := e.s.Limits()
	require.Positive(e, l.InFlight)
	require.Positive(e, l.KeyBytes)
	require.Equal(e, l, e.s.Limits())
	if l.Records > 0 {
		var puts []store.Put
		for i := range l.Records + 1 {
			puts = append(puts, put(key("%d", i), ""))
		}
		_, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 1, Puts: puts})
		require.ErrorIs(e, err, store.ErrTooLarge)
		e.must(store.Batch{Version: 1, Puts: puts[1:]})
	}
	if l.Weight > 0 {
		var heavy []store.Expectation
		for i := range l.Weight/2 + 1 {
			heavy = append(heavy, store.Expectation{Key: key("%d", i), Version: 9})
		}
		_, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 10, Expect: heavy})
		require.ErrorIs(e, err, store.ErrTooLarge)
		light := e.lightest(l)
		e.must(store.Batch{Version: 11, Expect: light})
		_, err = e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 12, Expect: append(light, store.Expectation{Key: key("one more")})})
		require.ErrorIs(e, err, store.ErrTooLarge)
	}
	if l.Bytes > 0 {
		k := key("large")
		large := store.Put{Key: k, Value: make([]byte, l.Bytes-len(k.ID)+1)}
		_, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 2, Puts: []store.Put{large}})
		require.ErrorIs(e, err, store.ErrTooLarge)
		large.Value = large.Value[1:]
		e.must(store.Batch{Version: 2, Puts: []store.Put{large}})
	}
}

// lightest returns as many expectations as a batch holds, every other one with
// a value.
func (e *env) lightest(l store.Limits) []store.Expectation {
	var puts []store.Put
	var out []store.Expectation
	for i := range min(l.Weight, l.Records) {
		x := store.Expectation{Key: key("light %d", i)}
		if i%2 == 0 {
			x.Version, x.Value = 10, []byte{byte(i)}
			puts = append(puts, store.Put{Key: x.Key, Value: x.Value})
		}
		out = append(out, x)
	}
	e.must(store.Batch{Version: 10, Puts: puts})
	return out
}

func testEndedContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	b := store.Batch{ID: e.id(), Version: 1, Puts: []store.Put{put(key("a"), "1")}}
	res, err := e.s.Commit(ctx, b)
	if err != nil { // a decorator may know that it has not been sent
		require.ErrorIs(e, err, store.ErrNoSpace)
	} else if res.Outcome == store.Unknown {
		require.Error(e, res.Cause)
	}
	e.must(b)
	e.holds(record(key("a"), 1, "1"))
}

func testClosed(e *env) {
	e.must(store.Batch{Version: 1, Puts: []store.Put{put(key("a"), "1")}})
	require.NoError(e, e.s.Close())
	_, err := CommitRetry(e.ctx, e.s, store.Batch{ID: e.id(), Version: 2})
	require.ErrorIs(e, err, store.ErrClosed)
	var rev uint64
	for _, err = range e.s.Load(e.ctx, &rev) {
		require.ErrorIs(e, err, store.ErrClosed)
	}
	require.ErrorIs(e, err, store.ErrClosed)
}

// testOwnership checks that a store keeps values but not the lists that they
// came in, and that nothing it hands out changes later.
func testOwnership(e *env) {
	value := bytes.Repeat([]byte("v"), 100)
	b := store.Batch{ID: e.id(), Version: 1, Puts: []store.Put{{Key: key("a"), Value: value}}, Deletes: []store.Key{key("b")}}
	e.must(b)
	b.Puts[0] = put(key("x"), "reused")
	b.Deletes[0] = key("y")

	before, _ := e.load()
	events := e.follow(0, func(ev store.Event) bool { return ev.ID == b.ID })
	for i := range 20 {
		e.must(store.Batch{Version: uint64(2 + i), Puts: []store.Put{{Key: key("a"), Value: bytes.Repeat([]byte("w"), 100)}}})
	}
	ev := events[len(events)-1]
	want := strings.Repeat("v", 100)
	assert.Equal(e, want, string(value))
	assert.Equal(e, want, string(before[key("a")].Value))
	require.Len(e, ev.Puts, 1)
	assert.Equal(e, key("a"), ev.Puts[0].Key)
	assert.Equal(e, want, string(ev.Puts[0].Value))
	assert.Equal(e, []store.Key{key("b")}, ev.Deletes)
}
