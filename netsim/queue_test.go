package netsim

import (
	"testing"

	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Both queues pop the same sequence on random programs of pushes, pops and
// bounded drains.
func TestRadixAgainstBinaryHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r radix
		var b binaryHeap
		now := int64(0)
		var serial uint64
		steps := rapid.IntRange(1, 400).Draw(t, "steps")
		for i := 0; i < steps; i++ {
			if rapid.IntRange(0, 2).Draw(t, "op") < 2 {
				spread := rapid.SampledFrom([]int64{1, 4, 1000, 1 << 20, 1 << 40}).Draw(t, "spread")
				at := now + rapid.Int64Range(0, spread-1).Draw(t, "d")
				serial++
				e := event{at: at, key: mix(serial) &^ 7, src: int32(serial)}
				r.push(e)
				b.push(e)
			} else {
				ra, rok := r.peek()
				ba, bok := b.peek()
				require.Equal(t, bok, rok)
				require.Equal(t, ba, ra)
				if rok && rapid.Bool().Draw(t, "pop") {
					x, y := r.pop(), b.pop()
					require.Equal(t, y, x)
					now = x.at
				}
			}
			require.Equal(t, b.len(), r.len())
		}
		for b.len() > 0 {
			require.Equal(t, b.pop(), r.pop())
		}
		require.Zero(t, r.len())
	})
}

func TestQueuePanics(t *testing.T) {
	for _, q := range []queue{new(radix), new(binaryHeap)} {
		q.push(event{at: 10, key: 1})
		q.push(event{at: 10, key: 2})
		require.EqualValues(t, 10, q.pop().at)
		require.Panics(t, func() { q.push(event{at: 9}) })
	}
	require.Panics(t, func() {
		q := new(radix)
		for i := 0; i < 2; i++ {
			q.push(event{at: 10, key: 1, ref: uint32(i)})
		}
		q.pop()
	}, "equal time and key")
}

// peek does not move the reference: an event may still be inserted before the
// peeked one.
func TestPeekDoesNotCommit(t *testing.T) {
	var q radix
	q.push(event{at: 1000, key: 1})
	at, _ := q.peek()
	require.EqualValues(t, 1000, at)
	q.push(event{at: 7, key: 2})
	require.EqualValues(t, 7, q.pop().at)
}

func TestRadixReleasesStorage(t *testing.T) {
	var q radix
	for i := 0; i < 1_000_000; i++ {
		q.push(event{at: int64(mix(uint64(i)) >> 34), key: uint64(i)})
	}
	for q.len() > 1 {
		q.pop()
	}
	for i := 0; i < 10_000; i++ { // steady state
		e := q.pop()
		e.at += 1 + int64(i%1000)
		q.push(e)
	}
	require.Less(t, q.npages, 200)
	require.LessOrEqual(t, cap(q.now), 1<<15)
}

// Both forms of the connection table remember what is under way.
func TestConnTable(t *testing.T) {
	dense, hashed := connTable{procs: 40}, connTable{procs: denseConns + 1}
	now := int64(0)
	for i := range uint64(200_000) {
		u := mix(i)
		src, dst := int32(below(u, 40)), int32(below(mix(u), 40))
		class := protocols.Class(u % uint64(protocols.NumClasses))
		a, b := dense.at(src, dst, class, now), hashed.at(src, dst, class, now)
		require.Equal(t, max(*a, now-1), max(*b, now-1))
		v := now + int64(u%5000)
		*a, *b = v, v
		now += int64(u % 50)
	}
	require.LessOrEqual(t, len(hashed.cells), 4096)
}
