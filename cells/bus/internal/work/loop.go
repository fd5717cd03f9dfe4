package work

import "time"

// start runs a job, and what waits after it, in a goroutine.
func (c *Crew) start(j job) {
	go func() {
		for ok := true; ok; j, ok = c.next() {
			c.run(j)
		}
	}()
}

// after calls f after d, unless what it returns is called first.
func after(d time.Duration, f func()) (stop func() bool) { return time.AfterFunc(d, f).Stop }

// expiry returns a function that tells whether d has passed since.
func expiry(d time.Duration) func() bool {
	from := time.Now()
	return func() bool { return time.Since(from) >= d }
}
