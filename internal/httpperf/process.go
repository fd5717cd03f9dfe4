package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const ticks = 100 // a second, on every Linux

// tree lists the processes below s.pid, itself included.
func (s *server) tree() []int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if f := fields(file); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	var out []int
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if p == s.pid {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}

// fields returns what follows the name in a stat file: state, parent, ...
func fields(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// cpu is the processor time that the server has used, in seconds.
func (s *server) cpu() float64 {
	var sum int
	for _, pid := range s.tree() {
		f := fields("/proc/" + strconv.Itoa(pid) + "/stat")
		for _, k := range []int{11, 12} { // user, system
			if k < len(f) {
				v, _ := strconv.Atoi(f[k])
				sum += v
			}
		}
	}
	return float64(sum) / ticks
}

// settle waits until the server is idle: it may finish what a load that has
// ended left behind.
func (s *server) settle() {
	for range 300 {
		before := s.cpu()
		time.Sleep(200 * time.Millisecond)
		if s.cpu()-before < 0.02 {
			return
		}
	}
}

// rss is the server's resident memory in MiB.
func (s *server) rss() float64 {
	var pages int
	for _, pid := range s.tree() {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
		if f := strings.Fields(string(text)); err == nil && len(f) > 1 {
			v, _ := strconv.Atoi(f[1])
			pages += v
		}
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
