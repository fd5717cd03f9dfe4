package scale

import (
	"fmt"
	"time"
)

// HeldTo simulates what was measured on real engines and a real cluster, and
// compares. Engines share the members' processors there.
func HeldTo(seed uint64) ([]Held, error) { return heldTo(measured, seed) }

func heldTo(text string, seed uint64) ([]Held, error) {
	f, err := readFigures(text)
	if err != nil {
		return nil, err
	}
	costs, err := readCosts(text)
	if err != nil {
		return nil, err
	}
	var list []Held
	add := func(name, unit string, model, found float64) {
		if found > 0 {
			list = append(list, Held{name, unit, model, found, model/found - 1})
		}
	}
	for _, hosts := range []int{1000, 16} {
		for _, engines := range []int{1, 4} {
			row, err := Simulate(Case{Engines: engines, Hosts: hosts, InFlight: 256, SharedCores: true, Warm: time.Second, Time: 4 * time.Second, Seed: seed}, costs)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("%d engines, %d hosts, 256 in flight", engines, hosts)
			at := fmt.Sprintf("SharedClaims/%d/%d ", hosts, engines)
			add(name, "claims/s", row.ClaimsPerSecond, f[at+"claims/s"])
			add(name, "% of batches refused", 100*row.Conflicts, f[at+"%conflicts"])
		}
	}
	return list, nil
}
