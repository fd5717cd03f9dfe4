package main

import (
	"bytes"
	"fmt"
)

func simTable(out *bytes.Buffer, f figures) { writeRows(out, simRows, f) }

// events is how many thousand events of a cloud one second of processor time plays.
func events(cloud string) func(figures) float64 {
	return func(f figures) float64 { return f.median("Events/"+cloud+" events/cpu-s") / 1e3 }
}

// spread tells the least and the most of a cloud's runs.
func spread(cloud string) func(figures) string {
	return func(f figures) string {
		least, most := f.median("Events/"+cloud+" events/cpu-s"), 0.0
		for _, v := range f["Events/"+cloud+" events/cpu-s"] {
			least, most = min(least, v), max(most, v)
		}
		return fmt.Sprintf("%.0f k to %.0f k", least/1e3, most/1e3)
	}
}

var simRows = []tableRow{
	{"simulated events per CPU second, conductor, hosts, clients and their stores", 100, 1000, false, "%.0f k", events("conductor"), spread("conductor")},
	{"the same, schedulers with engines of their own on one store", 100, 1000, false, "%.0f k", events("market"), spread("market")},
	{"the same, conductors who take each other's place", 100, 1000, false, "%.0f k", events("owner"), spread("owner")},
	{"the same, machines that only send messages", 100, 1000, false, "%.0f k", events("bare"), spread("bare")},
}
