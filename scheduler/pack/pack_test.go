package pack

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		devices []int16
		demand  Demand
		fits    bool
		at      int
		left    []int16
	}{
		{[]int16{1000, 700, 500}, Demand{Devices: 1, Share: 500, Kinds: 1}, true, 2, []int16{1000, 700, 0}},
		{[]int16{1000, 700, 500}, Demand{Devices: 1, Share: 600, Kinds: 1}, true, 1, []int16{1000, 500, 100}},
		{[]int16{1000, 1000, 500}, Demand{Devices: 2, Share: 1000, Kinds: 1}, true, 0, []int16{500, 0, 0}},
		{[]int16{1000, 900, 800, 100}, Demand{Devices: 2, Share: 200, Kinds: 1}, true, 1, []int16{1000, 700, 600, 100}},
		{[]int16{1000, 900, 800, 100}, Demand{Devices: 2, Share: 850, Kinds: 1}, true, 0, []int16{800, 150, 100, 50}},
		{[]int16{1000, 500}, Demand{Devices: 2, Share: 1000, Kinds: 1}, false, 0, nil},
		{[]int16{1000}, Demand{Devices: 1, Share: 1, Kinds: 2}, false, 0, nil},
		{[]int16{1000}, Demand{Devices: 2, Share: 1, Kinds: 1}, false, 0, nil},
		{[]int16{1000}, Demand{Need: [Amounts]int64{2}}, true, 0, []int16{1000}},
		{[]int16{1000}, Demand{Need: [Amounts]int64{0, 0, 4}}, false, 0, nil},
		{nil, Demand{}, true, 0, nil},
	} {
		r := Room{Free: [Amounts]int64{2, 3, 3}, Kind: 1, Devices: slices.Clone(c.devices)}
		if got := r.Fits(&c.demand); got != c.fits {
			t.Errorf("%+v in %v: fits %v, want %v", c.demand, c.devices, got, c.fits)
		}
		if !c.fits {
			continue
		}
		at := r.tightest(&c.demand)
		if r.take(&c.demand, at); at != c.at || !slices.Equal(r.Devices, c.left) {
			t.Errorf("%+v in %v: took %d, left %v; want %d, %v", c.demand, c.devices, at, r.Devices, c.at, c.left)
		}
	}
}

func mixOf(demands ...Demand) *Mix {
	var m Mix
	for _, d := range demands {
		m.Add(d, 1)
	}
	return &m
}

func TestStranded(t *testing.T) {
	t.Parallel()
	third := Demand{Need: [Amounts]int64{1}, Devices: 1, Share: 300, Kinds: 1}
	pair := Demand{Devices: 2, Share: 1000, Kinds: 1}
	devices := Weights{Device: 1}
	hosts := []Room{{Free: [Amounts]int64{9}, Kind: 1, Devices: []int16{1000}}, {Free: [Amounts]int64{1}, Kind: 1, Devices: []int16{1000}}}
	for _, c := range []struct {
		name    string
		measure Measure
		room    Room
		want    float64
	}{
		{"nothing is asked for", NewOffers(&Mix{}, OffersConfig{Weights: devices}), Room{Devices: []int16{1000, 5}}, 1005},
		{"a tenth stays", NewOffers(mixOf(third), OffersConfig{Weights: devices}), Room{Free: [Amounts]int64{9}, Kind: 1, Devices: []int16{1000}}, 100},
		{"CPU ends first", NewOffers(mixOf(third), OffersConfig{Weights: devices}), Room{Free: [Amounts]int64{2}, Kind: 1, Devices: []int16{1000}}, 400},
		{"futures end", NewOffers(mixOf(third), OffersConfig{Weights: devices, Length: 1}), Room{Free: [Amounts]int64{9}, Kind: 1, Devices: []int16{1000}}, 700},
		{"another kind", NewOffers(mixOf(third), OffersConfig{Weights: devices}), Room{Free: [Amounts]int64{9}, Kind: 2, Devices: []int16{1000}}, 1000},
		// all copies are worth 0.1 * 2000; 4 fit, 2 of them here
		{"copies", NewOffers(mixOf(third), OffersConfig{Weights: devices, Hosts: hosts, Scarce: 0.1}), Room{Free: [Amounts]int64{2}, Kind: 1, Devices: []int16{1000}}, 400 - 100},
		{"amounts", NewOffers(mixOf(Demand{Need: [Amounts]int64{2, 1}}), OffersConfig{Weights: Weights{Amounts: [Amounts]float64{1, 0.5}}}), Room{Free: [Amounts]int64{7, 4}}, 1.5},
		{"below nothing", NewOffers(&Mix{}, OffersConfig{Weights: Weights{Amounts: [Amounts]float64{1, 1}}}), Room{Free: [Amounts]int64{-3, 4}}, 4},
		{"paper: half do not fit", NewFragments(mixOf(third, pair)), Room{Free: [Amounts]int64{9}, Kind: 1, Devices: []int16{1000, 200}}, 0.5*200 + 0.5*1200},
		{"paper: all fit", NewFragments(mixOf(third, pair)), Room{Free: [Amounts]int64{9}, Kind: 1, Devices: []int16{1000, 1000, 200}}, 200},
		{"paper: no device asked for", NewFragments(mixOf(Demand{})), Room{Kind: 1, Devices: []int16{1000}}, 1000},
	} {
		if got := c.measure.Stranded(c.room); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v stranded, want %v", c.name, got, c.want)
		}
	}
}

// TestPressure holds what devices of a kind are worth more when demands can
// use no other.
func TestPressure(t *testing.T) {
	t.Parallel()
	either, second := Demand{Devices: 1, Share: 500, Kinds: 3}, Demand{Devices: 1, Share: 1000, Kinds: 2}
	var mix Mix
	mix.Add(either, 8) // 4000 thousandths over 4 devices of two kinds
	mix.Add(second, 1) // 1000 over one device
	got := pressures(&mix, []float64{3, 1})
	if want := []float64{0.8, 1.6}; math.Abs(got[0]-want[0]) > 1e-9 || math.Abs(got[1]-want[1]) > 1e-9 {
		t.Errorf("pressures %v, want %v", got, want)
	}
	if got := pressures(mixOf(Demand{Devices: 1, Share: 1, Kinds: 4}), []float64{3, 1, 0}); got[0] != 0 || got[2] != 0 {
		t.Errorf("pressures %v of what no host has, want none", got)
	}
	k := NewRanker(NewOffers(&mix, OffersConfig{Weights: Weights{Device: 1}, Hosts: []Room{{Kind: 1, Devices: []int16{1000, 1000, 1000}}, {Kind: 2, Devices: []int16{1000}}}}))
	k.Set(0, &Room{Kind: 2, Devices: []int16{1000}})
	k.Set(1, &Room{Kind: 1, Devices: []int16{1000}})
	if host, _ := k.Best(&either); host != 1 {
		t.Errorf("a demand for any kind went to host %d, want the one of the kind that is in less demand", host)
	}
}

func TestStrandedDoesNotAllocate(t *testing.T) {
	o := NewOffers(mixOf(Demand{Devices: 1, Share: 300, Kinds: 1}), OffersConfig{Weights: Weights{Device: 1}})
	room := Room{Kind: 1, Devices: []int16{1000, 400}}
	if n := testing.AllocsPerRun(10, func() { o.Stranded(room) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestRankerTwin compares a ranker with looking at everything every time.
func TestRankerTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var demands []Demand
		for range 6 {
			demands = append(demands, randomDemand(rng))
		}
		measure := NewOffers(mixOf(demands...), OffersConfig{Weights: Weights{Amounts: [Amounts]float64{1}, Device: 0.01}, Futures: 5, Length: 8, Seed: seed, Hosts: []Room{randomRoom(rng), randomRoom(rng), randomRoom(rng)}})
		k := NewRanker(measure)
		var rooms []Room
		for step := range 200 {
			if step%4 == 0 {
				i := rng.IntN(len(rooms) + 1)
				rooms = append(rooms[:min(i, len(rooms))], append([]Room{randomRoom(rng)}, rooms[min(i+1, len(rooms)):]...)...)
				k.Set(i, &rooms[i])
			}
			d := &demands[rng.IntN(len(demands))]
			got, ok := k.Best(d)
			want, found := dumbBest(measure, rooms, d)
			if got != want || ok != found {
				t.Fatalf("seed %d, step %d: host %d, %v, want %d, %v", seed, step, got, ok, want, found)
			}
			if ok {
				rooms[got].take(d, rooms[got].tightest(d))
				k.Set(got, &rooms[got])
			}
		}
	}
}

func dumbBest(m Measure, rooms []Room, d *Demand) (best int, found bool) {
	rises, least := make([]float64, len(rooms)), math.Inf(1)
	for i := range rooms {
		rises[i] = math.Inf(1)
		if !rooms[i].Fits(d) {
			continue
		}
		for at := range max(1, len(rooms[i].Devices)-d.Devices+1) {
			after := Room{}
			after.clone(&rooms[i])
			if d.Devices > 0 && after.Devices[at+d.Devices-1] < d.Share || d.Devices != 1 && at != after.tightest(d) {
				continue
			}
			after.take(d, at)
			rises[i] = min(rises[i], m.Stranded(after)-m.Stranded(rooms[i]))
		}
		least = min(least, rises[i])
	}
	best = slices.IndexFunc(rises, func(r float64) bool { return !math.IsInf(r, 1) && r <= least+1e-9 })
	return max(0, best), best >= 0
}

func randomDemand(rng *rand.Rand) Demand {
	d := Demand{Need: [Amounts]int64{1 + rng.Int64N(4), rng.Int64N(5)}, Devices: rng.IntN(3), Kinds: 1 + rng.Uint64N(3), Share: Whole}
	if d.Devices == 1 {
		d.Share = int16(100 * (1 + rng.IntN(10)))
	}
	return d
}

func randomRoom(rng *rand.Rand) Room {
	r := Room{Free: [Amounts]int64{rng.Int64N(16), rng.Int64N(16)}, Kind: 1 + rng.Uint64N(2)}
	for range rng.IntN(5) {
		r.Devices = append(r.Devices, int16(100*rng.IntN(11)))
	}
	slices.SortFunc(r.Devices, func(a, b int16) int { return int(b) - int(a) })
	return r
}
