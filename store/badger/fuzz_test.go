package badger

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func sample() store.Batch {
	return store.Batch{
		ID: store.BatchID{1, 2, 3}, Version: 300,
		Puts:    []store.Put{{Key: store.Key{Kind: 1, ID: "a"}, Value: []byte("value")}, {Key: store.Key{Kind: 2}, Value: []byte{}}},
		Deletes: []store.Key{{Kind: 3, ID: "gone"}},
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	b := sample()
	data := appendFrame(nil, 7, 6, appendPayload(nil, &b))
	f, n, err := readFrame(append(bytes.Clone(data), 0, 0, 0))
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	require.Equal(t, uint64(6), f.durable)
	ev, err := f.event()
	require.NoError(t, err)
	require.Equal(t, store.Event{Revision: 7, ID: b.ID, Version: b.Version, Puts: b.Puts, Deletes: b.Deletes}, ev)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i]++
		_, _, err := readFrame(bad)
		require.ErrorIs(t, err, errFrameBad, "byte %d", i)
		_, _, err = readFrame(data[:i])
		require.Error(t, err, "%d bytes", i)
	}
}

// FuzzFrame checks that no bytes make the reader of the log fail, and that
// what it takes for a batch is encoded as it was.
func FuzzFrame(f *testing.F) {
	b := sample()
	payload := appendPayload(nil, &b)
	f.Add(appendFrame(nil, 7, 6, payload), payload)
	f.Add([]byte{}, []byte{payloadEncoding})
	f.Add(make([]byte, frameHeader), bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, data, payload []byte) {
		if fr, n, err := readFrame(data); err == nil {
			require.Equal(t, data[:n], appendFrame(nil, fr.revision, fr.durable, fr.payload))
		}
		ev, err := frame{revision: 1, payload: payload}.event()
		if err != nil {
			require.ErrorIs(t, err, store.ErrDamaged)
			return
		}
		again := appendPayload(nil, &store.Batch{ID: ev.ID, Version: ev.Version, Puts: ev.Puts, Deletes: ev.Deletes})
		twin, err := frame{revision: 1, payload: again}.event()
		require.NoError(t, err)
		require.Equal(t, ev, twin)
	})
}

// FuzzRecord does the same for the records in Badger.
func FuzzRecord(f *testing.F) {
	key := badgerKey(store.Key{Kind: 1, ID: "a"})
	f.Add(key, appendRecord(nil, key, 5, []byte("value")), uint64(5))
	f.Add(key, []byte{}, uint64(1))
	f.Fuzz(func(t *testing.T, key, data []byte, version uint64) {
		if v, value, err := parseRecord(key, data); err == nil {
			require.Equal(t, data, appendRecord(nil, key, v, value))
		} else {
			require.ErrorIs(t, err, store.ErrDamaged)
		}
		if len(key) == 0 || version == 0 {
			return
		}
		v, value, err := parseRecord(key, appendRecord(nil, key, version, data))
		require.NoError(t, err)
		require.Equal(t, version, v)
		require.Equal(t, append([]byte{}, data...), append([]byte{}, value...))
	})
}

// FuzzText does the same for FORMAT and CHECKPOINT.
func FuzzText(f *testing.F) {
	f.Add(formatText(1), "text")
	f.Add([]byte("kilonova-store 1\n"), "a\nb\n")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if got, err := unsealText(data); err == nil {
			require.Equal(t, data, sealText(got))
		}
		if version, err := parseFormat(data); err == nil {
			require.Equal(t, data, formatText(version))
		}
		if text == "" {
			return
		}
		got, err := unsealText(sealText(text))
		require.NoError(t, err)
		require.Equal(t, text, got)
	})
}
