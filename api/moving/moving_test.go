package moving_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/api/moving"
	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/internal/twin"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

func engine(t *testing.T) *placement.Engine {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{Store: mem.New(mem.Config{}), Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// served returns a server of e.
func served(t *testing.T, e *placement.Engine) *moving.Remote {
	t.Helper()
	api, err := placementapi.New(placementapi.Config{Engine: e, Now: time.Now})
	require.NoError(t, err)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	c, err := placementclient.New(placementclient.Config{URL: server.URL, Token: placementclient.StaticToken("admin"), Client: server.Client()})
	require.NoError(t, err)
	return &moving.Remote{Client: c}
}

// world fills e with a random world and returns what can go on changing it.
func world(t *testing.T, e *placement.Engine, seed uint64, writes int) func() {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	w, ops := twin.RandomWorld(rng, twin.RandomSize(rng))
	for _, op := range ops {
		_ = w.Apply(op) // random writes may be refused
		_ = op.To(t.Context(), e)
	}
	more := func() {
		for range writes {
			op := twin.RandomOp(rng, w)
			_ = w.Apply(op)
			_ = op.To(t.Context(), e)
		}
	}
	more()
	return more
}

func sound(t *testing.T, e *placement.Engine) {
	t.Helper()
	found, err := e.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

func copyOf(t *testing.T, from *moving.Remote, to *placement.Engine, known *moving.World) *moving.World {
	t.Helper()
	w, err := from.Read(t.Context(), known)
	require.NoError(t, err)
	_, err = moving.Apply(t.Context(), to, w, nil)
	require.NoError(t, err)
	return w
}

// TestImport copies random worlds over HTTP, changes them and copies the
// changes: each time both sides are equal, generations and times included.
func TestImport(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			from, to := engine(t), engine(t)
			more := world(t, from, seed, 60)
			remote := served(t, from)
			var known *moving.World
			for range 6 {
				copyOf(t, remote, to, known)
				known = copyOf(t, remote, to, nil) // what was made anew with the old generation
				fresh, err := remote.Read(t.Context(), nil)
				require.NoError(t, err)
				require.Empty(t, moving.Compare(fresh, moving.OfEngine(to)))
				sound(t, to)
				more()
			}
		})
	}
}

// TestImportOfNothingNew writes nothing.
func TestImportOfNothingNew(t *testing.T) {
	t.Parallel()
	from, to := engine(t), engine(t)
	world(t, from, 3, 60)
	remote := served(t, from)
	w := copyOf(t, remote, to, nil)
	change := to.LastChange()
	n, err := moving.Apply(t.Context(), to, w, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, change, to.LastChange())
}

// TestImportWhileWritten reads a world that others write to all the time:
// what it reads can be applied, and once they stop a last pass makes it equal.
func TestImportWhileWritten(t *testing.T) {
	t.Parallel()
	from, to := engine(t), engine(t)
	more := world(t, from, 11, 40)
	remote := served(t, from)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			more()
		}
	})
	var known *moving.World
	for range 5 {
		w, err := remote.Read(t.Context(), known)
		if errors.Is(err, moving.ErrRestless) {
			continue
		}
		require.NoError(t, err)
		known = w
		_, _ = moving.Apply(t.Context(), to, w, nil) // may hold a child without its parent
	}
	stop()
	writer.Wait()
	fresh := copyOf(t, remote, to, nil)
	require.Empty(t, moving.Compare(fresh, moving.OfEngine(to)))
	sound(t, to)
}

func TestMark(t *testing.T) {
	t.Parallel()
	e := engine(t)
	require.False(t, moving.Unfinished(e))
	require.NoError(t, moving.Begin(t.Context(), e, "here"))
	require.True(t, moving.Unfinished(e))
	require.Empty(t, moving.OfEngine(e).Attachments)
	require.NoError(t, moving.Finish(t.Context(), e))
	require.False(t, moving.Unfinished(e))
}

func written(t *testing.T, w *moving.World) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, moving.WriteFile(&b, w, time.Unix(1e9, 0)))
	return b.String()
}

// TestFile writes random worlds, with attachments, and reads them back: to the
// last nanosecond the same file comes out of what was read and of an engine
// that it was applied to.
func TestFile(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		from, to := engine(t), engine(t)
		world(t, from, seed, 60)
		require.NoError(t, from.SetAllocations(t.Context(), placement.AllocationWrite{
			Attachments: []placement.Attachment{{Key: "numa/1", Value: []byte{0, 1, 255}}},
		}))
		text := written(t, moving.OfEngine(from))
		w, err := moving.ReadFile(strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, text, written(t, w))
		_, err = moving.Apply(t.Context(), to, w, nil)
		require.NoError(t, err)
		require.Equal(t, text, written(t, moving.OfEngine(to)))
		sound(t, to)
	}
}

func TestFileRefused(t *testing.T) {
	t.Parallel()
	e := engine(t)
	world(t, e, 5, 60)
	text := written(t, moving.OfEngine(e))
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	join := func(l ...string) string { return strings.Join(l, "") }
	rest := join(lines[1:]...)
	for what, c := range map[string]struct{ text, says string }{
		"empty":         {"", "line 1: the end line is missing"},
		"cut":           {join(lines[:len(lines)-1]...), "the end line is missing"},
		"a line less":   {join(append(append([]string{}, lines[:2]...), lines[3:]...)...), "lines before the end, it says"},
		"a digit":       {strings.Replace(text, `"generation":`, `"generation":1`, 1), "sha256 of the lines is"},
		"after the end": {text + "\n{}", "after the end line"},
		"newer":         {strings.Replace(text, `"version":1`, `"version":2`, 1), "line 1: version is 2, this program reads 1"},
		"other":         {`{"format":"cake","version":1,"exported_at":"2026-01-01T00:00:00Z"}` + "\n" + rest, `format is "cake"`},
		"unknown field": {lines[0] + `{"colour":"blue"}` + "\n", `line 2: json: unknown field "colour"`},
		"nothing":       {lines[0] + "{}\n", "line 2: it has none of"},
		"twice":         {lines[0] + `{"resource_provider":{"uuid":"00000000-0000-0000-0000-000000000001","name":"a"}}` + "\n" + `{"resource_provider":{"uuid":"00000000-0000-0000-0000-000000000001","name":"b"}}` + "\n", "line 3: resource_provider 00000000-0000-0000-0000-000000000001 is there twice"},
	} {
		_, err := moving.ReadFile(strings.NewReader(c.text))
		require.ErrorIs(t, err, moving.ErrFile, what)
		require.ErrorContains(t, err, c.says, what)
	}
}

// TestApplyRefuses names what stands in the way.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	e := engine(t)
	u, other := placement.UUID{1}, placement.UUID{2}
	w := moving.NewWorld()
	w.Providers[u] = placement.ProviderRecord{Provider: placement.Provider{UUID: u, Name: "a", Parent: other}}
	_, err := moving.Apply(t.Context(), e, w, nil)
	require.ErrorContains(t, err, "1 records cannot be written, the first: 01000000-0000-0000-0000-000000000000: parent_provider_uuid")
}

// TestUpload copies random worlds into another server: only what its API
// cannot be told differs. A second upload of a changed world mends that.
func TestUpload(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			from, to := engine(t), engine(t)
			world(t, from, seed, 60)
			remote := served(t, to)
			w := moving.OfEngine(from)
			require.NoError(t, remote.Upload(t.Context(), w))
			got, err := remote.Read(t.Context(), nil)
			require.NoError(t, err)
			require.Empty(t, moving.Restorable(moving.Compare(w, got)))
			require.NoError(t, remote.Upload(t.Context(), w), "again")
			sound(t, to)
		})
	}
}

func FuzzReadFile(f *testing.F) {
	var b bytes.Buffer
	_ = moving.WriteFile(&b, moving.NewWorld(), time.Unix(1e9, 0))
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":"kilonova-placement","version":1,"exported_at":"2026-01-01T00:00:00Z"}` + "\n" +
		`{"consumer":{"uuid":"00000000-0000-0000-0000-000000000001","allocations":[{"used":1}]}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := moving.ReadFile(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, moving.WriteFile(&b, w, time.Unix(1e9, 0)))
	})
}
