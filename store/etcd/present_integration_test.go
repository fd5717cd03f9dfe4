//go:build integration

package etcd_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/copying"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

const (
	shortTTL = 2 * time.Second // what a cluster allows as it comes
	atOnce   = time.Second     // less than a lease still lives when its owner dies
	soon     = 10 * time.Second
)

// present watches until the test ends. The list comes first, with its end.
func present(t *testing.T, s *etcd.Store) <-chan etcd.Change {
	t.Helper()
	out := make(chan etcd.Change, 100)
	ctx := t.Context()
	go func() {
		for c, err := range s.Present(ctx) {
			if err != nil {
				close(out)
				return
			}
			out <- c
		}
	}()
	return out
}

// next is the next change that comes within a time; its revision is set to 0.
func next(t *testing.T, from <-chan etcd.Change, within time.Duration) etcd.Change {
	t.Helper()
	select {
	case c, ok := <-from:
		require.True(t, ok, "it ended")
		require.NotZero(t, c.Revision)
		c.Revision = 0
		return c
	case <-time.After(within):
		require.FailNow(t, "nothing comes", "within %v", within)
		return etcd.Change{}
	}
}

func nothing(t *testing.T, from <-chan etcd.Change, during time.Duration) {
	t.Helper()
	select {
	case c, ok := <-from:
		require.FailNow(t, "something comes", "%v %v", c, ok)
	case <-time.After(during):
	}
}

func announce(t *testing.T, s *etcd.Store, name, value string) *etcd.Presence {
	t.Helper()
	p, err := s.Announce(t.Context(), name, []byte(value), shortTTL)
	require.NoError(t, err)
	return p
}

func here(name, value string) etcd.Change { return etcd.Change{Name: name, Value: []byte(value)} }
func gone(name string) etcd.Change        { return etcd.Change{Name: name, Gone: true} }

func TestPresent(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	a, b := open(t, cfg), open(t, cfg)
	first := announce(t, a, "a", "one")
	changes := present(t, b)
	require.Equal(t, here("a", "one"), next(t, changes, soon))
	require.Equal(t, etcd.Change{}, next(t, changes, soon), "the list is complete")

	second := announce(t, b, "b\x00", "")
	require.Equal(t, here("b\x00", ""), withValue(next(t, changes, soon)))
	client := plain(t, cfg) // writes as an earlier try would that comes late
	key, err := client.Get(t.Context(), cfg.Prefix+"/la")
	require.NoError(t, err)
	_, err = client.Put(t.Context(), cfg.Prefix+"/la", "late", clientv3.WithLease(clientv3.LeaseID(key.Kvs[0].Lease)))
	require.NoError(t, err)
	require.Equal(t, here("a", "late"), next(t, changes, soon))
	require.NoError(t, first.Set(t.Context(), []byte("two")))
	require.Equal(t, here("a", "two"), next(t, changes, soon))
	require.True(t, first.Held())

	_, err = b.Announce(t.Context(), "a", nil, shortTTL)
	require.ErrorIs(t, err, etcd.ErrTaken)
	require.ErrorContains(t, err, `"a"`)
	require.Regexp(t, `for [12] s at least`, err.Error())

	require.NoError(t, first.Close(t.Context()))
	require.Equal(t, gone("a"), next(t, changes, atOnce))
	require.False(t, first.Held())
	require.ErrorIs(t, first.Set(t.Context(), nil), store.ErrClosed)
	require.NoError(t, first.Close(t.Context()))
	again := announce(t, b, "a", "three")
	require.Equal(t, here("a", "three"), next(t, changes, soon))

	before := revision(t, cfg)
	nothing(t, changes, 2*shortTTL)
	require.True(t, again.Held())
	require.True(t, second.Held())
	res, err := client.Get(t.Context(), cfg.Prefix+"/l", clientv3.WithPrefix(), clientv3.WithMinModRev(before+1))
	require.NoError(t, err)
	require.Empty(t, res.Kvs, "nothing is written to keep it")
}

func withValue(c etcd.Change) etcd.Change {
	c.Value = append([]byte{}, c.Value...)
	return c
}

func revision(t *testing.T, cfg etcd.Config) int64 {
	t.Helper()
	res, err := plain(t, cfg).Get(t.Context(), cfg.Prefix)
	require.NoError(t, err)
	return res.Header.Revision
}

// TestPresentDies has a holder end without a word: it goes when its time is
// over, and not before.
func TestPresentDies(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	a, b := open(t, cfg), open(t, cfg)
	changes := present(t, b)
	require.Equal(t, etcd.Change{}, next(t, changes, soon))
	since := time.Now() // its lease lives from then on at least
	dead := announce(t, a, "a", "")
	require.Equal(t, "a", next(t, changes, soon).Name)
	require.NoError(t, a.Close())
	closed := time.Now()
	require.ErrorIs(t, dead.Set(t.Context(), nil), store.ErrClosed)
	require.ErrorIs(t, dead.Close(t.Context()), store.ErrClosed)
	_, err := a.Announce(t.Context(), "b", nil, shortTTL)
	require.ErrorIs(t, err, store.ErrClosed)
	for _, err := range a.Present(t.Context()) {
		require.ErrorIs(t, err, store.ErrClosed)
	}
	require.Less(t, time.Since(closed), shortTTL/4, "who is closed does not wait")
	nothing(t, changes, time.Until(since.Add(shortTTL*9/10)))
	_, err = b.Announce(t.Context(), "a", nil, shortTTL)
	require.ErrorIs(t, err, etcd.ErrTaken, "its owner waits as well")
	require.Equal(t, gone("a"), next(t, changes, soon))
	announce(t, b, "a", "")
}

// TestPresentCutOff: a short cut harms nobody; a long one takes the presence,
// which is announced again with the value that was to be set meanwhile.
func TestPresentCutOff(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	link, err := etcdtest.NewLink(t.Context(), cfg.Endpoints)
	require.NoError(t, err)
	t.Cleanup(func() { link.Close() })
	far := cfg
	far.Endpoints, far.RequestTimeout = link.Endpoints(), time.Second
	a, b := open(t, far), open(t, cfg)
	p := announce(t, a, "a", "one")
	changes := present(t, b)
	require.Equal(t, here("a", "one"), next(t, changes, soon))
	require.Equal(t, etcd.Change{}, next(t, changes, soon))

	link.Drop()
	nothing(t, changes, 300*time.Millisecond)
	link.Heal()
	nothing(t, changes, shortTTL+shortTTL/2)
	require.True(t, p.Held())

	link.Stall()
	require.Error(t, p.Set(t.Context(), []byte("two")))
	require.Eventually(t, func() bool { return !p.Held() }, shortTTL, time.Millisecond)
	nothing(t, changes, 0) // the owner knows before others do
	require.Equal(t, gone("a"), next(t, changes, soon))
	require.False(t, p.Held())
	link.Heal()
	require.Equal(t, here("a", "two"), next(t, changes, soon))
	require.Eventually(t, p.Held, soon, time.Millisecond)
	nothing(t, changes, shortTTL+shortTTL/2)
	require.NoError(t, p.Close(t.Context()))
	require.Equal(t, gone("a"), next(t, changes, atOnce))
}

// TestPresentEnds: watching ends with the watcher's context, and the store.
func TestPresentEnds(t *testing.T) {
	t.Parallel()
	s := open(t, config(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	ends := func(ctx context.Context, end func()) (last error) {
		for _, err := range s.Present(ctx) {
			require.NoError(t, last, "something comes after the error")
			if last = err; err == nil {
				time.AfterFunc(100*time.Millisecond, end)
			}
		}
		return last
	}
	require.ErrorIs(t, ends(ctx, func() { cancel(why) }), why)
	require.ErrorIs(t, ends(t.Context(), func() { _ = s.Close() }), store.ErrClosed)
}

func TestPresentInvalid(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	s := open(t, cfg)
	l := s.Limits()
	large := make([]byte, l.Bytes+1)
	for _, c := range []struct {
		name  string
		value []byte
		ttl   time.Duration
		says  string
	}{
		{"", nil, time.Second, "0 bytes, allowed are 1 to 1024"},
		{strings.Repeat("n", l.KeyBytes+1), nil, time.Second, "1025 bytes, allowed are 1 to 1024"},
		{"n", large, time.Second, "1048577 bytes, allowed are 1048576"},
		{"n", nil, time.Second - 1, "999.999999ms, allowed are 1s to 24h"},
		{"n", nil, 24*time.Hour + 1, "allowed are 1s to 24h"},
	} {
		_, err := s.Announce(t.Context(), c.name, c.value, c.ttl)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, c.says)
	}
	changes := present(t, s)
	require.Equal(t, etcd.Change{}, next(t, changes, soon), "nothing is written")
	longest := strings.Repeat("n", l.KeyBytes)
	p, err := s.Announce(t.Context(), longest, large[1:], time.Second)
	require.NoError(t, err)
	require.Equal(t, longest, next(t, changes, soon).Name)
	require.ErrorIs(t, p.Set(t.Context(), large), store.ErrInvalid)
	require.NoError(t, p.Close(t.Context()))
	require.Equal(t, gone(longest), next(t, changes, atOnce), "no value in between")
}

// TestPresentApart: presences are nothing to who reads records, in a store
// that is opened with them in it.
func TestPresentApart(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	s := open(t, cfg)
	p := announce(t, s, "a", "value of a presence")
	other := open(t, cfg)
	put := func(id byte) uint64 {
		res, err := s.Commit(t.Context(), store.Batch{ID: store.BatchID{id}, Version: uint64(id), Puts: []store.Put{{Key: store.Key{Kind: 'l', ID: "a"}}}})
		require.NoError(t, err)
		return res.Revision
	}
	from := put(1)
	require.NoError(t, p.Set(t.Context(), []byte("new value of a presence")))
	require.NoError(t, p.Close(t.Context()))
	p = announce(t, s, "a", "value of a presence")
	to := put(2)

	var rev uint64
	var loaded []store.Record
	for r, err := range other.Load(t.Context(), &rev) {
		require.NoError(t, err)
		loaded = append(loaded, r)
	}
	require.Len(t, loaded, 1)
	require.Equal(t, store.Key{Kind: 'l', ID: "a"}, loaded[0].Key)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for ev, err := range other.Follow(ctx, from) {
		require.NoError(t, err)
		if ev.ID == (store.BatchID{}) {
			continue
		}
		require.Equal(t, to, ev.Revision)
		require.Equal(t, store.BatchID{2}, ev.ID)
		break
	}
	target := open(t, config(t))
	copied, err := copying.Copy(t.Context(), other, target, copying.Config{})
	require.NoError(t, err)
	require.Equal(t, 1, copied.Records)
	require.Equal(t, etcd.Change{}, next(t, present(t, target), soon))
	require.Equal(t, here("a", "value of a presence"), next(t, present(t, other), soon))
	require.True(t, p.Held())
	require.NoError(t, s.Close())
	require.NoError(t, other.Close())

	client := plain(t, cfg)
	for _, key := range []string{"/g", "/k", "/m", "/q"} {
		_, err := client.Put(t.Context(), cfg.Prefix+key, "theirs")
		require.NoError(t, err)
		_, err = etcd.Open(t.Context(), cfg)
		require.ErrorIs(t, err, etcd.ErrForeign, key)
		_, err = client.Delete(t.Context(), cfg.Prefix+key)
		require.NoError(t, err)
	}
}

// TestPresentMany: the list is of one revision however many there are.
func TestPresentMany(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	s, client := open(t, cfg), plain(t, cfg)
	const many = 8192 + 100
	for from := 0; from < many; from += 100 {
		var ops []clientv3.Op
		for n := from; n < min(from+100, many); n++ {
			ops = append(ops, clientv3.OpPut(cfg.Prefix+"/l"+string([]byte{byte(n >> 8), byte(n)}), ""))
		}
		_, err := client.Txn(t.Context()).Then(ops...).Commit()
		require.NoError(t, err)
	}
	seen := map[string]bool{}
	const last = "\xff\xff"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	complete := false
	for c, err := range s.Present(ctx) {
		require.NoError(t, err)
		if c.Name == "" {
			require.Len(t, seen, many)
			complete = true
			continue
		}
		if len(seen) == 0 { // while the list is read
			announce(t, s, last, "")
		}
		require.False(t, seen[c.Name])
		seen[c.Name] = true
		if c.Name == last {
			require.True(t, complete)
			return
		}
	}
}
