package main

import (
	"syscall"
	"time"
)

// cpuClock returns what tells the processor time that this process has used.
func cpuClock() func() time.Duration {
	return func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return 0
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
}
