package pack

import "sync"

// remembered is a measure of rooms without devices that remembers what it said:
// many hosts have the same room, and every flavor asks about it.
type remembered struct {
	Measure

	mu     sync.Mutex // guards what follows
	values map[[Amounts]int64]float64
}

func remember(m Measure) *remembered {
	return &remembered{Measure: m, values: map[[Amounts]int64]float64{}}
}

// Stranded asks the measure if nobody did so far.
func (m *remembered) Stranded(r Room) float64 {
	if len(r.Devices) > 0 {
		return m.Measure.Stranded(r)
	}
	m.mu.Lock()
	v, known := m.values[r.Free]
	m.mu.Unlock()
	if known {
		return v
	}
	v = m.Measure.Stranded(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values) >= maxValues {
		clear(m.values)
	}
	m.values[r.Free] = v
	return v
}
