package bad

import (
	"maps"
	"slices"
	"sort"
)

type node struct {
	log  map[int]int
	done map[int]bool
	n    int
	keys []int
	out  []int
}

var sent int

func send(v int) { sent = v }

func (n *node) full() bool { return len(n.log) > 3 }

func (n *node) ranges(out []int) int {
	for k := range n.log { // want `range over a map: line \d+ calls send\(k\)`
		send(k)
	}
	for _, v := range n.log { // want `line \d+ evaluates .*, which may have effects`
		if use(v) {
			delete(n.log, v)
		}
	}
	for k := range n.log { // want `out is not sorted afterwards`
		out = append(out, k)
	}
	var early []int
	for k := range n.log { // want `early is used on line \d+ before it is sorted`
		early = append(early, k)
	}
	send(early[0])
	sort.Ints(early)
	last := 0
	for k := range n.log { // want `assigns what depends on the iteration to last`
		last = k
	}
	best, at := 0, 0
	for k, v := range n.log { // want `assigns what depends on the iteration to best`
		if v > best {
			best, at = v, k
		}
	}
	sum, many := 0, 0
	for _, v := range n.log { // want `reads sum > 10|reads sum`
		sum += v
		if sum > 10 {
			many++
		}
	}
	mean := 0.0
	for _, v := range n.log { // want `accumulates what is no integer`
		mean += float64(v)
	}
	hash := 0
	for k := range n.log { // want `hash is changed in two ways`
		hash *= 31
		hash += k
	}
	for k := range n.log { // want `uses an operator that does not commute`
		hash <<= uint(k)
	}
	for k := range n.log { // want `reads n.log, which the loop changes`
		if len(n.log) > 10 {
			delete(n.log, k)
		}
	}
	for k := range n.log { // want `a condition calls a function that may read n.log`
		if n.full() {
			delete(n.log, k)
		}
	}
	for k, v := range n.log { // want `assigns to an entry that several iterations may share`
		n.log[v] = k
	}
	for k := range n.log { // want `returns what depends on the iteration`
		return k
	}
	for k, v := range n.log { // want `leaves the loop early, with n.n changed by some`
		n.n += k
		if v == 0 {
			break
		}
	}
	for k, v := range n.log { // want `leaves the loop in more than one place`
		if k == 1 {
			return 1
		}
		if v == 1 {
			return 2
		}
	}
	var k int
	for k = range n.log { // want `its variables outlive it`
	}
	for k := range maps.Keys(n.log) { // want `range over maps.Keys: line \d+ calls send`
		send(k)
	}
	all := slices.Collect(maps.Keys(n.log)) // want `maps.Keys has the order of a map`
	send(all[0])
	f := maps.Values(n.log) // want `maps.Values has the order of a map`
	_ = f
	return k + last + at + many + int(mean)
}

func use(v int) bool { send(v); return true }

func generic[M ~map[K]V, K comparable, V any](m M, f func(K)) {
	for k := range m { // want `range over a map`
		f(k)
	}
}

func (n *node) sortedOnSomePaths(debug bool) []int {
	var a, b, c, d, e, f []int
	for k := range n.log { // want `a is used on line \d+ before it is sorted on all paths`
		a = append(a, k)
	}
	if debug {
		sort.Ints(a)
	}
	for k := range n.log { // want `b is sorted on line \d+ on some paths only`
		b = append(b, k)
	}
	_ = func() { sort.Ints(b) }
	for k := range n.log { // want `c is used on line \d+ before it is sorted on all paths`
		c = append(c, k)
	}
	if len(c) > 5 {
		sort.Ints(c)
	}
	if debug {
		for k := range n.log { // want `d is sorted on line \d+ on some paths only`
			d = append(d, k)
		}
	} else {
		sort.Ints(d)
	}
	switch {
	case debug:
		for k := range n.log { // want `e is used on line \d+ before it is sorted on all paths`
			e = append(e, k)
		}
	default:
		sort.Ints(e)
	}
	for k := range n.log { // want `f is used on line \d+ before it is sorted on all paths`
		f = append(f, k)
	}
	for range 2 {
		sort.Ints(f)
	}
	for k := range n.log { // want `n.out is not sorted when line \d+ returns`
		n.out = append(n.out, k)
	}
	if debug {
		return nil
	}
	sort.Ints(n.out)
	return append(append(append(append(a, b...), c...), d...), append(e, f...)...)
}
