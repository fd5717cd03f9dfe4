package table

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// decoded decodes a value as a table does that has seen others.
func decoded(tab *Table[thing], b []byte) (thing, error) {
	d := &tab.decoder
	d.buf, d.err = b, nil
	return tab.spec.Decode(d), d.Err()
}

func FuzzDecode(f *testing.F) {
	tab := things()
	for _, v := range []thing{{}, {ID: "a", Owner: "b", Size: -1, Hidden: true, Created: time.Unix(-1, 999).UTC(), rest: []byte{7}}} {
		f.Add(tab.spec.Encode(&v))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decoded(tab, b)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		again, err := decoded(tab, tab.spec.Encode(&v))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

func FuzzDecodeSchema(f *testing.F) {
	r := schemaRow{name: "api", Progress: Progress{3, 2, 1}}
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again schemaRow
		if r.decode(1, b) != nil {
			return
		}
		require.NoError(t, again.decode(1, r.encode()))
		require.Equal(t, r, again)
	})
}

// FuzzOrder joins two texts and demands that they sort column by column.
func FuzzOrder(f *testing.F) {
	f.Add("a", "b", "a\x00", "")
	f.Add("", "\xff", "\x00\xff", "\x00\x01")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		want := compare(thing{Owner: a, ID: b}, thing{Owner: c, ID: d}, "owner")
		if want == 0 {
			want = compare(thing{ID: b}, thing{ID: d}, Key)
		}
		x, y := Text(a)+Text(b), Text(c)+Text(d)
		require.Equal(t, want < 0, x < y)
		require.Equal(t, want == 0, x == y)
		require.Equal(t, want > 0, reversed(x) < reversed(y))
	})
}

func TestIntOrder(t *testing.T) {
	t.Parallel()
	numbers := []int64{math.MinInt64, -256, -1, 0, 1, 255, math.MaxInt64}
	for i, n := range numbers[1:] {
		require.Less(t, Int(numbers[i]), Int(n))
		require.Less(t, reversed(Int(n)), reversed(Int(numbers[i])))
	}
}

// TestNewerFields lets a program that knows fewer fields rewrite a row.
func TestNewerFields(t *testing.T) {
	t.Parallel()
	tab := things()
	newer := thing{ID: "a", Size: 4, rest: []byte("a field of tomorrow")}
	v, err := decoded(tab, tab.spec.Encode(&newer))
	require.NoError(t, err)
	v.Size++
	again, err := decoded(tab, tab.spec.Encode(&v))
	require.NoError(t, err)
	require.Equal(t, "a field of tomorrow", string(again.rest))
	older, err := decoded(tab, []byte("\x01a"))
	require.NoError(t, err)
	require.Equal(t, thing{ID: "a"}, older)
}

// TestShared has one copy of what many rows have.
func TestShared(t *testing.T) {
	t.Parallel()
	same := func(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }
	var e Encoder
	e.Text("key")
	e.Text("project")
	d := NewDecoder(e.Bytes())
	d.key = "key"
	require.True(t, same(d.Text(), d.key))
	name := d.Name()
	require.Equal(t, "project", name)
	d.buf = e.Bytes()
	require.Equal(t, "key", d.Name())
	require.True(t, same(d.Name(), name))
	for i := range manyNames + 5 {
		e = Encoder{}
		e.Text(fmt.Sprint(i))
		d.buf = e.Bytes()
		require.Equal(t, fmt.Sprint(i), d.Name())
	}
	require.Less(t, len(d.names), 20)
}
