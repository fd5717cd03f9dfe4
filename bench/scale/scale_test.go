package scale

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// costs are round numbers: one processor, no noise.
func costs() Costs {
	still := func(d time.Duration) Quantiles { return Quantiles{{0, d}, {1, d}} }
	return Costs{
		Members: Work{Batch: time.Millisecond, Record: 10 * time.Microsecond},
		Clients: Work{Batch: time.Millisecond},
		Commit:  still(5 * time.Millisecond), Feed: still(2 * time.Millisecond), Cores: 1,
	}
}

func simulate(t *testing.T, c Case) Row {
	t.Helper()
	c.Warm, c.Time = 200*time.Millisecond, time.Second
	row, err := Simulate(c, costs())
	require.NoError(t, err)
	return row
}

// TestAlone computes by hand what one caller sees: the commit's time, and the
// feed's after it, as the engine acknowledges what it has applied.
func TestAlone(t *testing.T) {
	t.Parallel()
	row := simulate(t, Case{Engines: 1, Hosts: 10, InFlight: 1})
	require.InDelta(t, 6.99, row.Latency.P50, 0.001, "one record")
	require.InDelta(t, 1000/6.99, row.ClaimsPerSecond, 2)
	require.InDelta(t, 1, row.ClaimsPerBatch, 0.02)
	require.InDelta(t, 0.14, row.Busy, 0.02) // of 6.99 ms, 1.01
	require.Zero(t, row.Conflicts)
	require.Zero(t, row.Staleness.P99)
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Case{
		"one engine":           {Engines: 1, Hosts: 1000, InFlight: 256},
		"many engines":         {Engines: 16, Hosts: 1000, InFlight: 256},
		"few hosts":            {Engines: 4, Hosts: 2, InFlight: 64},
		"full hosts":           {Engines: 4, Hosts: 20, InFlight: 64, Capacity: 5},
		"claims by themselves": {Engines: 4, Hosts: 1000, Rate: 500},
		"small batches":        {Engines: 4, Hosts: 1000, InFlight: 256, Records: 2, Batches: 1},
		"shared processors":    {Engines: 4, Hosts: 1000, InFlight: 256, SharedCores: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Seed = 7
			row := simulate(t, c) // checks what happened to each claim
			require.Equal(t, row, simulate(t, c), "the same seed")
			if c.Capacity > 0 {
				require.Positive(t, row.Refused)
				return
			}
			require.Positive(t, row.ClaimsPerSecond)
			require.Zero(t, row.Refused)
			require.Equal(t, c.Engines > 1 && c.Hosts < 1<<20, row.Staleness.P99 > 0 || row.Conflicts > 0)
		})
	}
}

// TestDirections are what must hold whatever the costs are.
func TestDirections(t *testing.T) {
	t.Parallel()
	base := Case{Engines: 4, Hosts: 200, InFlight: 256}
	row := simulate(t, base)
	for name, test := range map[string]struct {
		change func(*Case)
		better bool // fewer refused
	}{
		"more hosts": {func(c *Case) { c.Hosts = 1e6 }, true},
		"one engine": {func(c *Case) { c.Engines = 1 }, true},
		"few hosts":  {func(c *Case) { c.Hosts = 4 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := base
			test.change(&c)
			require.Equal(t, test.better, simulate(t, c).Conflicts < row.Conflicts)
		})
	}
	shared := base
	shared.SharedCores = true
	require.Less(t, simulate(t, shared).ClaimsPerSecond, row.ClaimsPerSecond)
	small := base
	small.Records = 2
	require.Less(t, simulate(t, small).ClaimsPerSecond, row.ClaimsPerSecond)
}

// TestCheck says what a store is held to at the end.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		applied []uint8
		used    int32
		acked   int
		want    string
	}{
		"right":       {[]uint8{1, 1}, 2, 2, ""},
		"twice":       {[]uint8{2, 0}, 2, 2, "claim 0 took effect 2 times"},
		"lost":        {[]uint8{1, 0}, 1, 2, "1 claims took effect, 2 were acknowledged"},
		"too full":    {[]uint8{1, 1, 1}, 3, 3, "host 0 holds 3, its capacity is 2"},
		"not counted": {[]uint8{1, 1}, 1, 2, "hosts hold 1 claims too few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{cfg: Case{Capacity: 2}}
			s := &sharedStore{world: w, version: []int32{1}, used: []int32{test.used}, applied: test.applied}
			w.engines = []*engine{{world: w, version: []int32{1}, used: []int32{test.used}}}
			err := s.check(test.acked)
			if test.want == "" {
				require.NoError(t, err)
				w.engines[0].used = []int32{0}
				require.ErrorContains(t, s.check(test.acked), "engine 0 sees 0 on host 0, it holds 2")
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Case{
		{},
		{Engines: 1, Hosts: 1},
		{Engines: 1, Hosts: 1, InFlight: 1, Rate: 1},
		{Engines: 1, InFlight: 1},
		{Engines: 1, Hosts: 1, InFlight: 1, Records: 1},
		{Engines: 1, Hosts: 1, Rate: -1},
	} {
		_, err := Simulate(c, costs())
		require.ErrorContains(t, err, "allowed")
	}
	_, err := Simulate(Case{Engines: 1, Hosts: 1, InFlight: 1}, Costs{})
	require.ErrorContains(t, err, "costs")
}

// TestMeasured reads the kept measurement and the comparison with it.
func TestMeasured(t *testing.T) {
	t.Parallel()
	c, err := Measured()
	require.NoError(t, err)
	require.Greater(t, c.Members.of(124, 0), c.Members.of(2, 0))
	require.Positive(t, c.Commit.at(0.5))
	require.Greater(t, c.Commit.at(0.99), c.Commit.at(0.5))
	for _, text := range []string{"", strings.Replace(measured, "members-ms", "other-ms", 1), strings.ReplaceAll(measured, " claims/s", "x claims/s")} {
		_, err := readCosts(text)
		require.Error(t, err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	q, below := Quantiles{{0, 1}, {0.5, 1000}, {1, 2000}}, 0
	for range 1000 {
		if q.draw(rng) < 1000 {
			below++
		}
	}
	require.InDelta(t, 500, below, 60)
}

// TestFit finds the work that made-up figures were made of.
func TestFit(t *testing.T) {
	t.Parallel()
	f := figures{}
	for flight, name := range map[float64]string{1: "1", 8: "8", 32: "32"} {
		for records, size := range map[float64]string{2: "2", 16: "16", 62: "62", 124: "124"} {
			f["StoreCommits/"+name+"/"+size+" x-ms"] = 4/flight + 0.5 + 0.1*records
		}
	}
	f["StoreFollowers/0 x-ms"], f["StoreFollowers/16 x-ms"] = 1, 1+16*62*0.002
	require.Equal(t, Work{4 * time.Millisecond, 500 * time.Microsecond, 100 * time.Microsecond, 2 * time.Microsecond}, f.work("x-ms"))
}

func TestReport(t *testing.T) {
	t.Parallel()
	cfg := Config{
		Engines: []int{1, 2}, Hosts: []int{10}, InFlight: []int{4}, Rate: []int{50}, Costs: costs(),
		Case: Case{Warm: time.Millisecond, Time: 100 * time.Millisecond},
	}
	told := 0
	cfg.Progress = func(done, all int) { told++; require.Equal(t, 4, all); require.Equal(t, told, done) }
	r, err := Measure(cfg)
	require.NoError(t, err)
	r.Check = []Held{{"this", "claims/s", 110, 100, 0.1}}
	lines := r.Lines()
	require.Len(t, lines, 5)
	require.Equal(t, "4 claims in flight, 10 hosts, 1 engines", lines[0].Name)
	require.NotContains(t, lines[0].Value, "staleness")
	require.Contains(t, lines[3].Value, "staleness")
	require.Equal(t, "50 claims/s, 10 hosts, 2 engines", lines[3].Name)
	require.Equal(t, "model 110 claims/s, measured 100 (+10 %)", lines[4].Value)
	cfg.Engines = []int{0}
	_, err = Measure(cfg)
	require.Error(t, err)
}
