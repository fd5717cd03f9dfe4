package trace

import (
	"io"
	"math"
)

// VM is one virtual machine and when it lives.
type VM struct {
	Name     string
	Line     int   // in the file, the header being line 1
	CPUMilli int64 // thousandths of a vCPU, at least 1
	MemMilli int64 // thousandths of a GiB, at least 1
	Arrival  int64 // microseconds
	Lifetime int64 // microseconds, 0 or more
}

// The largest time in a trace of virtual machines, in seconds.
const maxSeconds = 1e11

// ReadVMs reads virtual machines in the columns vmid, cpu (vCPU), mem (GiB),
// at (arrival) and lt (lifetime, both in seconds), in the order of the file.
// Numbers may have a fraction: amounts are rounded up to thousandths, times
// to the nearest microsecond. There is at least one.
func ReadVMs(name string, r io.Reader) ([]VM, error) {
	t, err := newTable(name, r, []string{"vmid", "cpu", "mem", "at", "lt"}, nil)
	if err != nil {
		return nil, err
	}
	var vms []VM
	for t.next() {
		vms = append(vms, VM{
			Name:     t.text("vmid"),
			Line:     t.line("vmid"),
			CPUMilli: milli(t.decimal("cpu", 0.001, math.MaxInt32/1000)),
			MemMilli: milli(t.decimal("mem", 0.001, math.MaxInt32/1000)),
			Arrival:  micro(t.decimal("at", -maxSeconds, maxSeconds)),
			Lifetime: micro(t.decimal("lt", 0, maxSeconds)),
		})
	}
	return vms, t.finish(len(vms))
}

func micro(v float64) int64 { return int64(math.Round(v * 1e6)) }

// milli rounds up, after a millionth's rounding has taken away what the
// binary form of a decimal adds: 1.1 is 1100 and not 1101.
func milli(v float64) int64 { return (micro(v) + 999) / 1000 }
