package live

import "math"

// A rank orders hosts by score: a tournament of blocks of fan hosts, of fan
// blocks, and so on. A change of one score rereads the blocks above it as far
// as their best changes, mostly none; the best of all is at hand. It takes
// about eleven bytes a host, all of them in a few slices (D-0015).
//
// Equal scores are ordered by a hash of host and seed, so that schedulers
// with different seeds prefer different hosts.
type rank struct {
	seed   uint64
	scores []float64    // by host; nowhere: cannot be chosen
	levels [][]champion // the last has one block
}

const fan = 8

// nowhere is the score of a host that is not in the order.
var nowhere = math.Inf(-1)

// champion is the best host of a block.
type champion struct {
	score float64
	host  uint32
	hash  uint32 // decides between equal scores
}

// grow makes room for n hosts.
func (r *rank) grow(n int) {
	if n <= len(r.scores) {
		return
	}
	n = (n + fan - 1) / fan * fan
	for len(r.scores) < n {
		r.scores = append(r.scores, nowhere)
	}
	for l := 0; ; l++ {
		if n = (n + fan - 1) / fan; l == len(r.levels) {
			r.levels = append(r.levels, nil)
		}
		for len(r.levels[l]) < n {
			r.levels[l] = append(r.levels[l], champion{score: nowhere}) // played below
		}
		if n == 1 {
			break
		}
	}
	r.replay()
}

// replay holds all matches again.
func (r *rank) replay() {
	for l := range r.levels {
		for block := range r.levels[l] {
			r.levels[l][block] = r.final(l, block)
		}
	}
}

// bytes is the memory that the rank takes.
func (r *rank) bytes() int64 {
	n := int64(cap(r.scores)) * 8
	for _, l := range r.levels {
		n += int64(cap(l)) * 16
	}
	return n
}

func (r *rank) champion(host uint32, score float64) champion {
	x := (uint64(host) + r.seed) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return champion{score, host, uint32(x >> 32)}
}

func (c *champion) beats(o *champion) bool {
	return c.score > o.score || c.score == o.score && c.score != nowhere && (c.hash > o.hash || c.hash == o.hash && c.host > o.host)
}

// final returns the champion of a block from those below it.
func (r *rank) final(level, block int) champion {
	first := block * fan
	if level > 0 {
		below := r.levels[level-1][first:min(first+fan, len(r.levels[level-1]))]
		best := &below[0]
		for k := 1; k < len(below); k++ {
			if c := &below[k]; c.beats(best) {
				best = c
			}
		}
		return *best
	}
	best := r.champion(uint32(first), r.scores[first])
	for k, score := range r.scores[first : first+fan] {
		if score < best.score || score == nowhere {
			continue
		}
		if c := r.champion(uint32(first+k), score); c.beats(&best) {
			best = c
		}
	}
	return best
}

// set changes the score of a host.
func (r *rank) set(host uint32, score float64) {
	if r.scores[host] == score {
		return
	}
	r.scores[host] = score
	now, was := r.champion(host, score), host // of the block below
	block := int(host)
	for l := range r.levels {
		block /= fan
		c := &r.levels[l][block]
		before := *c
		switch {
		case now.beats(&before):
			*c = now
		case before.host == was:
			*c = r.final(l, block)
		default:
			return
		}
		if *c == before {
			return
		}
		now, was = *c, before.host
	}
}

// best returns the host with the highest score.
func (r *rank) best() (uint32, bool) {
	if len(r.levels) == 0 {
		return 0, false
	}
	c := r.levels[len(r.levels)-1][0]
	return c.host, c.score != nowhere
}

// A walk yields hosts from the best on. The rank must not change meanwhile.
type walk struct {
	r    *rank
	heap []match
}

// match is a block whose members are still to come, or at level 0 a host.
type match struct {
	champion
	level uint32 // 1 more than the block's
	block uint32
}

// start begins at the best host.
func (w *walk) start(r *rank) {
	w.r, w.heap = r, w.heap[:0]
	if n := len(r.levels); n > 0 {
		w.push(match{r.levels[n-1][0], uint32(n), 0})
	}
}

// next returns the next host; false: there is none.
func (w *walk) next() (uint32, bool) {
	for len(w.heap) > 0 {
		m := w.pop()
		if m.level == 0 {
			return m.host, true
		}
		first := int(m.block) * fan
		if m.level == 1 {
			for k, score := range w.r.scores[first : first+fan] {
				w.push(match{champion: w.r.champion(uint32(first+k), score)})
			}
			continue
		}
		below := w.r.levels[m.level-2]
		for k := first; k < min(first+fan, len(below)); k++ {
			w.push(match{below[k], m.level - 1, uint32(k)})
		}
	}
	return 0, false
}

func (w *walk) push(m match) {
	if m.score == nowhere {
		return
	}
	w.heap = append(w.heap, m)
	for k := len(w.heap) - 1; k > 0; {
		up := (k - 1) / 2
		if !w.before(k, up) {
			return
		}
		w.heap[k], w.heap[up] = w.heap[up], w.heap[k]
		k = up
	}
}

func (w *walk) pop() match {
	top, last := w.heap[0], len(w.heap)-1
	w.heap[0] = w.heap[last]
	w.heap = w.heap[:last]
	for k := 0; ; {
		down := 2*k + 1
		if down >= last {
			return top
		}
		if down+1 < last && w.before(down+1, down) {
			down++
		}
		if !w.before(down, k) {
			return top
		}
		w.heap[k], w.heap[down] = w.heap[down], w.heap[k]
		k = down
	}
}

// before orders the heap. Of a block and its own champion either may be
// first.
func (w *walk) before(a, b int) bool { return w.heap[a].beats(&w.heap[b].champion) }
