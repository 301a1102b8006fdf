// Package good does what looks like a breach and is none.
package good

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

type entry struct {
	seq  int
	done bool
}

type node struct {
	log     map[int]*entry
	votes   map[protocols.NodeID]int
	keys    []int
	high    int
	pending int
}

func (n *node) Receive(protocols.Message) {}

func (n *node) sorted() []int {
	var keys []int
	for k := range n.log {
		keys = append(keys, k)
	}
	sort.Ints(keys)

	n.keys = n.keys[:0]
	for k, e := range n.log {
		if e == nil || e.done {
			continue
		}
		n.keys = append(n.keys, k)
	}
	for k := range n.votes {
		n.keys = append(n.keys, int(k))
	}
	if len(n.keys) > 1 {
		sort.Slice(n.keys, func(i, j int) bool { return n.keys[i] < n.keys[j] })
	}
	var few []int
	for k := range n.log {
		few = append(few, k)
	}
	if len(few) > 3 && n.high > 0 {
		sort.Ints(few)
		n.high = few[0]
	}
	collected := slices.Collect(maps.Keys(n.log))
	slices.Sort(collected)
	return slices.Sorted(maps.Keys(n.log))
}

func (n *node) free(low int) (int, error) {
	for seq := range n.log {
		if seq <= low {
			delete(n.log, seq)
		}
	}
	count, sum := 0, 0
	for id, v := range n.votes {
		if id.IsReplica() && above(v, low) {
			count++
			sum += v
		}
	}
	set := make(map[int]bool)
	copied := make(map[protocols.NodeID]int, len(n.votes))
	for id, v := range n.votes {
		set[v] = true
		copied[id] = v + 1
	}
	for seq, e := range n.log {
		if seq > n.high {
			n.high = seq
		}
		count = max(count, e.seq)
	}
	found := false
	for _, v := range n.votes {
		if v == low {
			found = true
			break
		}
	}
	for _, v := range n.votes {
		if v == low && found {
			return 0, errNone
		}
	}
	for _, e := range n.log {
		e.done = true
	}
	for _, e := range n.log {
		switch {
		case e.seq < 3:
			continue
		default:
			double := e.seq * 2
			for i := range double {
				if i > 7 {
					break
				}
				n.pending -= i
			}
		}
	}
	for range n.log {
		fmt.Println("once per entry, whichever")
	}
	reached := 0
	for _, e := range n.log {
		if n.ready(e) {
			reached++
		}
	}
	return sum + reached, nil
}

var errNone = fmt.Errorf("none")

func above(v, low int) bool { return v > low }

func (n *node) ready(e *entry) bool { return e.seq < n.high }

const tick = time.Duration(1.5 * float64(time.Millisecond))

func randomness(r *rand.Rand, d time.Duration) int64 {
	own := rand.New(rand.NewPCG(1, 2))
	fmt.Printf("100%% p %d", 3)
	_ = math.Float64bits(1)
	ratio := float64(own.IntN(10)) / 3 // floats that meet no time are fine
	_ = ratio
	return r.Int64N(int64(d)) + int64(tick)
}
