package intent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	d := directory{version: 7, change: changeDone, about: store.BatchID{1}, intents: []intent{
		{id: store.BatchID{1}, version: 1 << 60, phase: phaseDone, expiry: -5, since: 9, owner: "me"},
		{id: store.BatchID{2}, version: 3, phase: phaseOpen, expiry: 1 << 60},
	}}
	got, err := decodeDirectory(7, d.encode())
	require.NoError(t, err)
	require.Equal(t, d, got)

	d.change, d.about, d.turn = changeTurn, store.BatchID{}, Turn{Epoch: 1 << 50, Holder: "me"}
	got, err = decodeDirectory(7, d.encode())
	require.NoError(t, err)
	require.Equal(t, d, got)
	d.turn = Turn{Epoch: 2}
	got, err = decodeDirectory(7, d.encode())
	require.NoError(t, err)
	require.Equal(t, d, got)

	keys := []store.Key{{Kind: 1, ID: "a"}, {Kind: 255, ID: ""}, {Kind: 0, ID: "\x00\xff"}}
	back, err := decodeChunk(encodeChunk(keys))
	require.NoError(t, err)
	require.Equal(t, keys, back)

	e := envelope{id: store.BatchID{3}, at: 1000, chunk: 77, old: store.Record{Key: keys[0], Version: 4, Value: []byte("old")}, value: []byte("new")}
	opened, ok := parseEnvelope(keys[0], e.encode())
	require.True(t, ok)
	require.Equal(t, &e, opened)

	x := intent{id: store.BatchID{9}, version: 1 << 40}
	id, version := parseChunkKey(chunkKey(x, 1))
	require.Equal(t, x.id, id)
	require.Equal(t, x.version, version)
}

// TestRecordsCutShort has no prefix of a record taken for a whole one, and a
// newer format refused by name.
func TestRecordsCutShort(t *testing.T) {
	t.Parallel()
	d := directory{intents: []intent{{owner: "me"}}}.encode()
	for n := range d {
		_, err := decodeDirectory(1, d[:n])
		require.ErrorIs(t, err, store.ErrDamaged)
	}
	turned := directory{intents: []intent{{owner: "me"}}, turn: Turn{Epoch: 300, Holder: "me"}}.encode()
	for n := range turned {
		_, err := decodeDirectory(1, turned[:n])
		require.ErrorIs(t, err, store.ErrDamaged)
	}
	c := encodeChunk([]store.Key{{ID: "abc"}})
	for n := range c {
		_, err := decodeChunk(c[:n])
		require.ErrorIs(t, err, store.ErrDamaged)
	}
	e := envelope{old: store.Record{Version: 1, Value: []byte("old")}}
	whole := e.encode()
	for n := range whole {
		_, ok := parseEnvelope(store.Key{}, whole[:n])
		require.False(t, ok)
	}
	d[0] = turnFormat + 1
	_, err := decodeDirectory(1, d)
	require.ErrorIs(t, err, store.ErrNewerFormat)
	c[0] = recordFormat + 1
	_, err = decodeChunk(c)
	require.ErrorIs(t, err, store.ErrNewerFormat, "only directories have turns")
	d[0] = turnFormat
	_, err = decodeDirectory(1, append(d, 0, 0))
	require.ErrorIs(t, err, store.ErrDamaged, "a turn in epoch 0 is never written")
}

// TestFormatBeforeTurns keeps a directory as versions without turns write and
// read it, byte for byte, until the first turn; they refuse what comes then.
func TestFormatBeforeTurns(t *testing.T) {
	t.Parallel()
	x := intent{id: store.BatchID{2}, version: 300, phase: phaseOpen, expiry: -1, since: 4, owner: "me"}
	want := append([]byte{1, byte(changeOpen), 2}, make([]byte, 15)...)
	want = append(want, 1, 2)
	want = append(want, make([]byte, 15)...)
	want = append(want, byte(phaseOpen), 0xac, 2, 1, 4, 2, 'm', 'e')
	d := directory{}.with(changeOpen, x)
	require.Equal(t, want, d.encode())
	want[0], want[1], want[2] = 2, byte(changeTurn), 0
	require.Equal(t, append(want, 1, 1, 'a'), d.turned("a").encode())
}

// TestTurnIsKept has every change of an intent carry the turn along.
func TestTurnIsKept(t *testing.T) {
	t.Parallel()
	x := intent{id: store.BatchID{2}, phase: phaseOpen}
	d := directory{version: 4}.with(changeOpen, x).turned("a")
	require.Equal(t, directory{version: 6, change: changeTurn, intents: []intent{x}, turn: Turn{1, "a"}}, d)
	for _, c := range []change{changeOpen, changeRenew, changeDone, changeAbort, changeRemove} {
		require.Equal(t, Turn{1, "a"}, d.with(c, x).turn)
	}
	require.Equal(t, Turn{Epoch: 2}, d.turned("").turn)
}

// TestLooksLikeAnEnvelope keeps values that only look like ours as they are.
func TestLooksLikeAnEnvelope(t *testing.T) {
	t.Parallel()
	e := envelope{id: store.BatchID{3}, old: store.Record{Version: 1}}
	r := store.Record{Version: 5, Value: e.encode()}
	for _, d := range []directory{{}, {intents: []intent{{id: store.BatchID{4}, version: 5}}}, {intents: []intent{{id: e.id, version: 6}}}} {
		require.Equal(t, r, sightOf(r, d).logical())
	}
	require.NotEqual(t, r, sightOf(r, directory{intents: []intent{{id: e.id, version: 5, phase: phaseOpen}}}).logical())
}
