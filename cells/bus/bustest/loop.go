package bustest

import "time"

// machine is the time of this machine, and its goroutines.
type machine struct{}

// Now is that of [Time].
func (machine) Now() time.Time { return time.Now() }

// Sleep is that of [Time].
func (machine) Sleep(d time.Duration) { time.Sleep(d) }

// Go is that of [Time].
func (machine) Go(f func()) { go f() }
