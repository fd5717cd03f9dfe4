package scale

import (
	"bufio"
	_ "embed" // of what was measured
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

//go:embed etcd.txt
var measured string

// Costs says what a store takes for a batch. Processor time is that of all
// members together.
type Costs struct {
	Members Work // all members together
	Clients Work // those who commit and follow; counts where they share the members' processors

	Commit Quantiles // from sending a small batch alone to the answer
	Feed   Quantiles // from the answer to the event at another process
	Cores  float64   // processors that the members share
}

// Work is processor time. Batches that wait at the same time are taken as one
// group.
type Work struct {
	Group, Batch, Record time.Duration // of a group, each of its batches, and each record of these
	Followed             time.Duration // of a record, for each process that follows
}

// of is the work for a batch, besides its group's.
func (w Work) of(records, followers int) time.Duration {
	return w.Batch + time.Duration(records)*(w.Record+time.Duration(followers)*w.Followed)
}

// plus adds what others do.
func (w Work) plus(o Work) Work {
	return Work{w.Group + o.Group, w.Batch + o.Batch, w.Record + o.Record, w.Followed + o.Followed}
}

// Quantiles are of a measured time.
type Quantiles []Quantile

// Quantile is the time that a share of the measured values does not exceed.
type Quantile struct {
	Share float64
	Time  time.Duration
}

// draw returns a time of the distribution, straight between its quantiles.
func (q Quantiles) draw(rng *rand.Rand) time.Duration {
	u := rng.Float64()
	for k := 1; k < len(q); k++ {
		if u <= q[k].Share || k == len(q)-1 {
			a, b := q[k-1], q[k]
			share := min(1, max(0, (u-a.Share)/(b.Share-a.Share)))
			return a.Time + time.Duration(share*float64(b.Time-a.Time))
		}
	}
	return q[0].Time
}

// at returns the quantile of a share that was measured; 0 for another.
func (q Quantiles) at(share float64) time.Duration {
	for _, x := range q {
		if x.Share == share {
			return x.Time
		}
	}
	return 0
}

// Measured returns the costs of the cluster of etcd that the file etcd.txt of
// this package tells about: three members that share two processors.
func Measured() (Costs, error) { return readCosts(measured) }

// readCosts reads the output of the benchmarks of package store/etcd.
func readCosts(text string) (Costs, error) {
	f, err := readFigures(text)
	if err != nil {
		return Costs{}, err
	}
	c := Costs{Cores: 2, Commit: f.quantiles("StoreCommits/1/2"), Feed: f.quantiles("StoreFeed")}
	c.Members, c.Clients = f.work("members-ms"), f.work("client-ms")
	return c, c.check()
}

// check refuses costs that nothing can be simulated with.
func (c *Costs) check() error {
	if c.Members.Batch <= 0 || c.Members.Record <= 0 || c.Cores <= 0 || len(c.Commit) < 2 || len(c.Feed) < 2 {
		return fmt.Errorf("costs are %+v, allowed are: all measured", *c)
	}
	return nil
}

// figures are values by benchmark and unit.
type figures map[string]float64

func readFigures(text string) (figures, error) {
	f := figures{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			name = name[:at] // the number of processors
		}
		for k := 2; k+1 < len(fields); k += 2 {
			v, err := strconv.ParseFloat(fields[k], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is no number", fields[0], fields[k])
			}
			f[name+" "+fields[k+1]] = v
		}
	}
	return f, nil
}

// quantiles returns those that were measured, in order.
func (f figures) quantiles(name string) Quantiles {
	var q Quantiles
	for _, percent := range []float64{0, 1, 10, 25, 50, 75, 90, 99, 100} {
		ms, known := f[fmt.Sprintf("%s ms-p%.0f", name, max(1, percent))]
		if !known {
			return nil
		}
		q = append(q, Quantile{percent / 100, time.Duration(ms * float64(time.Millisecond))})
	}
	return q
}

// work fits the processor time of a group, a batch and a record to what was
// measured, as if all batches in flight were one group: by least squares of
// relative errors, so that small batches count as much as large ones.
func (f figures) work(unit string) Work {
	var sums [3][4]float64
	for _, flight := range []float64{1, 8, 32} {
		for _, records := range []float64{2, 16, 62, 124} {
			y := f[fmt.Sprintf("StoreCommits/%.0f/%.0f %s", flight, records, unit)]
			if y <= 0 {
				return Work{}
			}
			x := [4]float64{1 / flight, 1, records, y}
			for i := range sums {
				for j := range sums[i] {
					sums[i][j] += x[i] * x[j] / (y * y)
				}
			}
		}
	}
	v := solve(sums)
	const followers, records = 16, 62
	more := max(0, f["StoreFollowers/16 "+unit]-f["StoreFollowers/0 "+unit]) / (followers * records)
	ms := func(v float64) time.Duration { return time.Duration(math.Round(max(0, v) * float64(time.Millisecond))) }
	return Work{ms(v[0]), ms(v[1]), ms(v[2]), ms(more)}
}

// solve returns the solution of three linear equations.
func solve(m [3][4]float64) (x [3]float64) {
	for i := range m {
		for j := range m {
			if factor := m[j][i] / m[i][i]; j != i {
				for k := range m[j] {
					m[j][k] -= factor * m[i][k]
				}
			}
		}
	}
	for i := range x {
		x[i] = m[i][3] / m[i][i]
	}
	return x
}
