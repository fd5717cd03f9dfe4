package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newProgress shows a bar when w is a terminal. It returns the function that
// moves the bar, nil when there is none, and the one that removes it.
func newProgress(w io.Writer, what string) (move func(done, total int), remove func()) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	move = func(done, total int) {
		if done == 1 {
			bar.ChangeMax(total)
		}
		if done < total { // Set of the last would finish, and so clear, the bar
			_ = bar.Set(done) // a bar that cannot be drawn is no failure
		}
	}
	return move, func() { _ = bar.Clear() }
}
