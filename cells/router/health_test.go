package router

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	base := time.Unix(1000, 0)
	at := func(s float64) time.Time { return base.Add(time.Duration(s * float64(time.Second))) }
	refused := errors.New("connection refused")
	for name, tc := range map[string]struct {
		happens func(h *health)
		away    bool
		why     error
	}{
		"nothing yet":                     {func(*health) {}, false, nil},
		"asked in vain for as long":       {func(h *health) { h.silence(at(1), at(3), 2*time.Second) }, true, errNoAnswer},
		"asked in vain, but not for long": {func(h *health) { h.silence(at(1), at(2.9), 2*time.Second) }, false, nil},
		"impatient callers one after the other": {func(h *health) {
			for i := range 5 {
				h.silence(at(float64(i)/2), at(float64(i)/2+0.4), 2*time.Second)
			}
		}, true, errNoAnswer},
		"an answer between": {func(h *health) {
			h.silence(at(1), at(1.4), 2*time.Second)
			h.answer(at(2))
			h.silence(at(2.5), at(3.1), 2*time.Second)
		}, false, nil},
		"a slow call beside quick answers": {func(h *health) {
			h.answer(at(2))
			h.silence(at(1), at(9), 2*time.Second)
		}, false, nil},
		"told so":            {func(h *health) { h.failure(at(1), at(1), refused) }, true, refused},
		"told so long ago":   {func(h *health) { h.answer(at(2)); h.failure(at(1), at(3), refused) }, false, nil},
		"the first reason":   {func(h *health) { h.failure(at(1), at(1), refused); h.silence(at(1), at(9), 1) }, true, refused},
		"answers afterwards": {func(h *health) { h.failure(at(1), at(1), refused); h.answer(at(2)) }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h health
			tc.happens(&h)
			require.Equal(t, tc.away, h.away)
			require.Equal(t, tc.why, h.reason)
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	b := backoff{longest: time.Second}
	var waits []time.Duration
	for range 7 {
		b.failed()
		waits = append(waits, b.wait/time.Millisecond)
	}
	require.Equal(t, []time.Duration{50, 100, 200, 400, 800, 1000, 1000}, waits)

	b = backoff{longest: 4 * time.Second}
	b.recovered(at(0))
	b.recovered(at(9)) // still well
	require.Zero(t, b.before(at(10)), "after a long time")
	b.recovered(at(10))
	require.Equal(t, firstWait, b.before(at(11)), "shortly after it had recovered")
	b.recovered(at(11))
	require.Equal(t, 2*firstWait, b.before(at(12)), "and again")
	b.recovered(at(12))
	require.Zero(t, b.before(at(16)))
}
