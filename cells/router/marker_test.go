package router

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarker(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 9))
		order, err := columns.Order(randomSort(rng)...)
		require.NoError(t, err)
		row := randomServer(rng, "id")
		text := order.Marker(&row)
		parsed, err := order.Parse(text)
		require.NoError(t, err)
		require.Zero(t, order.Compare(&row, parsed), "seed %d", seed)
		require.Empty(t, parsed.Note)
		require.Equal(t, text, order.Marker(parsed))
	}
}

func TestMarkerRefuses(t *testing.T) {
	t.Parallel()
	order, err := columns.Order(Sort{"size", true})
	require.NoError(t, err)
	other, err := columns.Order(Sort{"size", false})
	require.NoError(t, err)
	row := server{ID: "id", Size: 3}
	raw := func(b ...byte) string { return "~" + base64.RawURLEncoding.EncodeToString(b) }
	whole := encode(order.Sort(), []Value{Int(3), Text("id")})
	for text, why := range map[string]string{
		"":                                 `begins with ""`,
		"id":                               `begins with "i"`,
		"~":                                "version of the marker is 0",
		"~====":                            "not base64",
		"~AQ\nEA":                          "not base64",
		raw(9):                             "version of the marker is 9",
		raw(1):                             "malformed",
		raw(1, 0, 0):                       "malformed",
		raw(1, 200, 1, 'a', 0):             "malformed",
		raw(1, 1, 1, 'a', 2, 0):            "malformed",
		raw(1, 1, 1, 'a', 0, 77):           "malformed",
		raw(1, 1, 255, 255, 255, 255, 127): "malformed",
		raw(1, 0):                          "is one of the order []",
		raw(whole[:len(whole)-1]...):       "malformed",
		raw(append(whole, 0)...):           "malformed",
		"~AQIEc2l6ZQECBgR1dWlkAQQCaWQA=":   "not base64",
		"~" + strings.Repeat("A", 5000):    "has 5001 bytes",
		other.Marker(&row):                 "is one of the order [{size false} {uuid false}]",
		"~" + base64.RawURLEncoding.EncodeToString(encode(order.Sort(), []Value{Text("x"), Text("y")})): "kind of size in the marker is 4",
	} {
		_, err := order.Parse(text)
		require.ErrorIs(t, err, ErrMarker, "%q", text)
		require.ErrorContains(t, err, why, "%q", text)
	}
}

func TestOrderRefuses(t *testing.T) {
	t.Parallel()
	_, err := columns.Order(Sort{"flavour", false})
	require.ErrorIs(t, err, ErrUnknownColumn)
	require.ErrorContains(t, err, `sort key is "flavour", allowed are ["uuid" "name"`)
	order, err := columns.Order(Sort{"size", true}, Sort{"size", false}, Sort{"uuid", false}, Sort{"name", false})
	require.NoError(t, err)
	require.Equal(t, []Sort{{"size", true}, {"uuid", false}}, order.Sort())
	_, err = Columns[server]{}.Order()
	require.ErrorIs(t, err, ErrUnknownColumn)
}

// FuzzMarker reads any text: it is refused, or it is the one text for what it
// says.
func FuzzMarker(f *testing.F) {
	order, _ := columns.Order(Sort{"launched", true}, Sort{"created", false}, Sort{"locked", true}, Sort{"size", false}, Sort{"name", true})
	for _, s := range []server{
		{}, {ID: "x", Name: "n\x00", Size: -1 << 63, Locked: true, Created: time.Unix(-1, 999999999), Launched: time.Unix(1<<40, 0)},
	} {
		f.Add(order.Marker(&s))
	}
	f.Add("~AQE")
	f.Add("~AQ\nE")
	f.Fuzz(func(t *testing.T, text string) {
		sort, values, err := decodeMarker(text)
		if err != nil {
			require.ErrorIs(t, err, ErrMarker)
			return
		}
		require.Equal(t, text, markerPrefix+base64.RawURLEncoding.EncodeToString(encode(sort, values)))
		if row, err := order.Parse(text); err == nil {
			require.Equal(t, text, order.Marker(row))
		}
	})
}
