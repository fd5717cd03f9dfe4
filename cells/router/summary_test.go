package router

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	small = NewShape(map[string]int64{"VCPU": 1, "MEMORY_MB": 2048})
	large = NewShape(map[string]int64{"VCPU": 64, "MEMORY_MB": 1 << 20})
	gpu   = NewShape(map[string]int64{"VCPU": 8, "MEMORY_MB": 8192, "VGPU": 1}, "HW_GPU", "HW_AVX2")
)

func TestShape(t *testing.T) {
	t.Parallel()
	require.Equal(t, "MEMORY_MB=8192 VCPU=8 VGPU=1 HW_AVX2 HW_GPU", gpu.String())
	require.Equal(t, small.String(), NewShape(map[string]int64{"MEMORY_MB": 2048, "VCPU": 1, "DISK_GB": 0}).String())
	require.Empty(t, NewShape(nil).String())
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	s := Summary{
		Hosts: 3, Most: map[string]int64{"VCPU": 16, "MEMORY_MB": 65536, "VGPU": 2}, Traits: map[string]int{"HW_GPU": 1, "HW_AVX2": 2},
		Fits: map[string]int64{gpu.String(): 0},
	}
	for name, tc := range map[string]struct {
		shape Shape
		why   string
	}{
		"fits":               {small, ""},
		"nothing is asked":   {NewShape(nil), ""},
		"too large":          {large, "MEMORY_MB is 1048576, no host has more than 65536 free"},
		"unknown class":      {NewShape(map[string]int64{"FPGA": 1}), "FPGA is 1, no host has more than 0 free"},
		"no such trait":      {NewShape(nil, "HW_NVME"), "no host has HW_NVME"},
		"on different hosts": {gpu, "no host has room for " + gpu.String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.why, s.Refuses(tc.shape))
		})
	}
	require.Equal(t, "no host takes instances", new(Summary).Refuses(small))
}

// TestTallyAgainstTwin changes hosts at random and counts anew each time. A
// cell is refused only when no host has room.
func TestTallyAgainstTwin(t *testing.T) {
	t.Parallel()
	classes, traits := []string{"VCPU", "MEMORY_MB", "VGPU"}, []string{"HW_GPU", "HW_AVX2", "HW_NVME"}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var shapes []Shape
		for range 8 {
			amounts := map[string]int64{}
			for _, c := range classes {
				amounts[c] = int64(rng.IntN(4))
			}
			shapes = append(shapes, NewShape(amounts, traits[:rng.IntN(2)]...))
		}
		tally, hosts := NewTally(seed, append(shapes[:4:4], shapes[0])...), map[string]Host{}
		for step := range 200 {
			name := fmt.Sprint("h", rng.IntN(5))
			if rng.IntN(3) == 0 {
				tally.Remove(name)
				delete(hosts, name)
			} else {
				h := Host{Free: map[string]int64{}, Largest: map[string]int64{}, Traits: traits[rng.IntN(3):]}
				for _, c := range classes[rng.IntN(3):] {
					if h.Free[c] = int64(rng.IntN(6)); rng.IntN(3) == 0 {
						h.Largest[c] = int64(rng.IntN(4))
					}
				}
				tally.Set(name, h)
				hosts[name] = h
			}
			s := tally.Summary()
			require.Equal(t, seed+uint64(step)+1, s.Revision)
			require.Equal(t, len(hosts), s.Hosts)
			for i, shape := range shapes {
				want := countFits(hosts, shape)
				if i < 4 {
					require.Equal(t, want, s.Fits[shape.String()], "seed %d, step %d, %s", seed, step, shape)
					require.Equal(t, want == 0, s.Refuses(shape) != "")
				} else if want > 0 {
					require.Empty(t, s.Refuses(shape), "seed %d, step %d, %s", seed, step, shape)
				}
			}
		}
	}
}

// countFits puts instances of a shape on hosts, one by one.
func countFits(hosts map[string]Host, shape Shape) int64 {
	var n int64
	for _, h := range hosts {
		left := maps.Clone(h.Free)
		for room(h, left, shape) {
			if len(shape.amounts) == 0 {
				n += 1<<31 - 1
				break
			}
			for _, a := range shape.amounts {
				left[a.class] -= a.n
			}
			n++
		}
	}
	return n
}

func room(h Host, left map[string]int64, shape Shape) bool {
	has := map[string]bool{}
	for _, t := range h.Traits {
		has[t] = true
	}
	for _, t := range shape.traits {
		if !has[t] {
			return false
		}
	}
	for _, a := range shape.amounts {
		if most, bounded := h.Largest[a.class]; left[a.class] < a.n || bounded && a.n > most {
			return false
		}
	}
	return true
}

// TestChoose skips what cannot help, and nothing else.
func TestChoose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		defer func() { require.NoError(t, w.router.Close()) }()
		r := w.router
		require.Equal(t, Choice{Ask: w.cells}, r.Choose(small), "nothing is known")

		has := func(most, fits int64) Summary {
			return Summary{Hosts: 1, Most: map[string]int64{"VCPU": most, "MEMORY_MB": 1 << 30}, Fits: map[string]int64{small.String(): fits}}
		}
		require.NoError(t, r.Report("uuid-north", has(2, 2)))
		require.NoError(t, r.Report("uuid-east", has(0, 0)))
		require.NoError(t, r.Report("uuid-south", has(64, 99)))
		require.ErrorIs(t, r.Report("nowhere", has(1, 1)), ErrUnknownCell)
		north, east, south, west := w.cells[0], w.cells[1], w.cells[2], w.cells[3]
		require.Equal(t, Choice{
			Ask:  []Cell{south, north, west},
			Skip: []Skipped{{east, "VCPU is 1, no host has more than 0 free"}},
		}, r.Choose(small))
		require.Equal(t, []Cell{south, west}, r.Choose(large).Ask)

		newer := has(1, 500)
		newer.Revision = 2
		require.NoError(t, r.Report("uuid-east", newer))
		require.NoError(t, r.Report("uuid-east", has(0, 0)), "overtaken")
		require.Equal(t, []Cell{east, south, north, west}, r.Choose(small).Ask)

		time.Sleep(DefaultSummaryAge + time.Nanosecond)
		require.Equal(t, w.cells, r.Choose(large).Ask, "all are too old to go by")

		south.Disabled = true
		w.fakes[Cell0] = &fake{}
		require.NoError(t, r.Set(t.Context(), []Cell{north, east, south, west, {UUID: Cell0, Name: "cell0"}}))
		require.ErrorIs(t, r.Call(t.Context(), west.UUID, func(context.Context, *client) error { return errRefused }), ErrAway)
		require.Equal(t, Choice{
			Ask:  []Cell{north, east},
			Skip: []Skipped{{south, "the cell is disabled"}, {west, "the cell is away"}, {w.router.Cells()[4], "cell0 has no hosts"}},
		}, r.Choose(small))
		require.False(t, south.Schedulable() || w.router.Cells()[4].Schedulable())

		require.NoError(t, r.Set(t.Context(), w.cells[:1]))
		require.NoError(t, r.Set(t.Context(), w.cells[:2]))
		require.NoError(t, r.Report("uuid-east", has(0, 0)), "a cell that was removed begins anew")
		require.Equal(t, []Cell{north}, r.Choose(small).Ask)
	})
}
