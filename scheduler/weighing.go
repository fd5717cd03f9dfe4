package scheduler

// weigh returns the total weight of each host that is left. A single host is
// not weighed.
//
// Source: nova, weights.py, BaseWeightHandler.get_weighed_objects.
func (d *decision) weigh() ([]float64, error) {
	totals := make([]float64, len(d.hosts))
	var told []HostWeight // nil: nobody asks
	if d.why != nil {
		told = make([]HostWeight, len(d.hosts))
	}
	if len(d.hosts) > 1 {
		if err := d.addWeights(totals, told); err != nil {
			return nil, err
		}
	}
	for i := range told {
		told[i].Host, told[i].Node, told[i].Total = d.hosts[i].Host, d.hosts[i].Node, totals[i]
	}
	if d.why != nil {
		d.why.Weights = told
	}
	return totals, nil
}

// addWeights adds what each weigher says to the totals.
func (d *decision) addWeights(totals []float64, told []HostWeight) error {
	hosts := make([]*HostState, len(d.hosts))
	for i, c := range d.hosts {
		hosts[i] = c.HostState
	}
	raw, normalized := make([]float64, len(hosts)), make([]float64, len(hosts))
	for _, w := range d.cfg.Weighers {
		if err := w.Weigh(&d.request, hosts, raw); err != nil {
			return err
		}
		least, floored := w.Floor()
		if floored {
			for i := range raw {
				raw[i] = max(raw[i], least)
			}
		}
		normalize(normalized, raw, least, floored)
		m := w.Multiplier()
		for i, h := range hosts {
			multiplier := m.For(h)
			weighted := float64(multiplier * normalized[i]) // the conversion forbids fusing with the sum
			totals[i] += weighted
			if told != nil {
				told[i].Weights = append(told[i].Weights, Weight{w.Name(), raw[i], normalized[i], multiplier, weighted})
			}
		}
	}
	return nil
}

// normalize maps raw scores to 0 for the lowest, or for the floor, and 1 for
// the highest. When there is no difference all are 0.
//
// Source: nova, weights.py, normalize.
func normalize(to, raw []float64, least float64, floored bool) {
	low, high := raw[0], raw[0]
	for _, v := range raw {
		low, high = min(low, v), max(high, v)
	}
	if floored {
		low = least
	}
	if low == high {
		clear(to)
		return
	}
	span := high - low
	for i, v := range raw {
		to[i] = (v - low) / span
	}
}
