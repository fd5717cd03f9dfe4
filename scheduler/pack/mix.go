package pack

import (
	"cmp"
	"slices"
)

// Mix is how often which demand is asked for. The zero value is empty.
type Mix struct {
	demands []Demand
	counts  []int64
	total   int64
	number  map[Demand]int
}

// Add counts n requests of a demand. n is at least 1.
func (m *Mix) Add(d Demand, n int64) {
	if m.number == nil {
		m.number = map[Demand]int{}
	}
	i, known := m.number[d]
	if !known {
		i = len(m.demands)
		m.number[d] = i
		m.demands = append(m.demands, d)
		m.counts = append(m.counts, 0)
	}
	m.counts[i] += n
	m.total += n
}

// Clone returns a copy.
func (m *Mix) Clone() *Mix { return m.only(func(*Demand) bool { return true }) }

// Total returns how many requests were counted.
func (m *Mix) Total() int64 { return m.total }

// only returns the demands for which keep is true.
func (m *Mix) only(keep func(d *Demand) bool) *Mix {
	var out Mix
	for i := range m.demands {
		if keep(&m.demands[i]) {
			out.Add(m.demands[i], m.counts[i])
		}
	}
	return &out
}

// half returns the mix with half of each count, rounded down.
func (m *Mix) half() *Mix {
	var out Mix
	for i, count := range m.counts {
		if count > 1 {
			out.Add(m.demands[i], count/2)
		}
	}
	return &out
}

func (m *Mix) has(d *Demand) bool {
	_, has := m.number[*d]
	return has
}

// apart returns which part of the requests would have to be others for the
// mix to be another, neither being empty.
func (m *Mix) apart(o *Mix) float64 {
	common := 0.0
	for i := range m.demands {
		if k, has := o.number[m.demands[i]]; has {
			common += min(float64(m.counts[i])/float64(m.total), float64(o.counts[k])/float64(o.total))
		}
	}
	return 1 - common
}

// most returns the n most frequent demands, of equals those added first.
func (m *Mix) most(n int) *Mix {
	if len(m.demands) <= n {
		return m
	}
	order := make([]int, len(m.demands))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(m.counts[b], m.counts[a]) })
	var out Mix
	for _, i := range order[:n] {
		out.Add(m.demands[i], m.counts[i])
	}
	return &out
}

// at returns the demand of request number n, from 0 to Total()-1, counting
// demand by demand.
func (m *Mix) at(n int64) int {
	for i, count := range m.counts {
		if n < count {
			return i
		}
		n -= count
	}
	return len(m.counts) - 1
}
