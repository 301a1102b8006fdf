package netsim

import (
	"container/heap"
	"sort"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// The reference is a second, naive simulation of the cost chain: one event for
// every stage of every message (CPU done, NIC done, packet arrives, reception
// done), servers with explicit queues. The kernel's one or two events per
// message must give the same completion times.

type refEvent struct {
	at   int64
	rank uint64 // ties: the order of creation does
	do   func()
}

type refHeap []refEvent

func (h refHeap) Len() int { return len(h) }
func (h refHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].rank < h[j].rank
}
func (h refHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *refHeap) Push(x any)   { *h = append(*h, x.(refEvent)) }
func (h *refHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

type reference struct {
	h    refHeap
	rank uint64
	now  int64
}

func (r *reference) after(at int64, do func()) {
	r.rank++
	heap.Push(&r.h, refEvent{at, r.rank, do})
}

func (r *reference) run() {
	for len(r.h) > 0 {
		e := heap.Pop(&r.h).(refEvent)
		r.now = e.at
		e.do()
	}
}

// refServer works off jobs one at a time; a job says how long it takes when it
// begins and what happens at its end.
type refServer struct {
	r     *reference
	busy  bool
	queue []func(start int64) (end int64, then func())
}

func (s *refServer) add(job func(int64) (int64, func())) {
	s.queue = append(s.queue, job)
	s.next()
}

func (s *refServer) next() {
	if s.busy || len(s.queue) == 0 {
		return
	}
	job := s.queue[0]
	s.queue = s.queue[1:]
	s.busy = true
	end, then := job(s.r.now)
	s.r.after(end, func() {
		s.busy = false
		if then != nil {
			then()
		}
		s.next()
	})
}

// fanOut is what a node does with a message: deterministic, and sensitive to the
// order in which messages come.
func fanOut(self int, count int, seq uint64, n int) (to []int, sizes []int, next []uint64) {
	u := mix(seq ^ uint64(self)<<40 ^ uint64(count)<<20)
	if seq&0xff == 0 {
		return nil, nil, nil
	}
	k := 1
	if u%10 == 0 {
		k = 2
	} else if u%10 == 1 {
		k = 0
	}
	for i := range k {
		v := mix(u + uint64(i))
		to = append(to, (self+1+int(v%uint64(n-1)))%n)
		sizes = append(sizes, int(mix(v)%3000))
		next = append(next, (mix(v+1)&^0xff)|(seq&0xff-1))
	}
	return to, sizes, next
}

type handled struct {
	node int
	at   int64
	seq  uint64
}

const (
	refNodes = 6
	refRate  = int64(25e9) // a remainder to carry
	refSeeds = 15
)

var refProfile = &profile.Profile{StepBase: 1_234_567, Send: profile.IO{Flush: 700_001, Message: 33_333, Byte: 123}, Recv: profile.IO{Flush: 400_007, Message: 55_555, Byte: 77}}

// TestTandemAgainstReference compares every completion time. Where two messages
// reach one NIC in the same nanosecond either may be first; such programs are
// passed over.
func TestTandemAgainstReference(t *testing.T) {
	run := func(mode Mode, variant uint64) []handled {
		var got []handled
		s := newStage(t, Config{Seed: 9, Mode: mode, Profile: refProfile, Topology: flat(1, 50*time.Microsecond, refRate)})
		for i := range refNodes {
			count := 0
			s.add(i, &puppet{
				start: func(p *puppet, _ protocols.Boot) {
					p.env.SetTimer(time.Duration(1+7919*i), 0, 0)
				},
				timeout: func(p *puppet, _ protocols.Timer) {
					for k := range refSeeds {
						p.ask(protocols.NodeID((i+1+k%(refNodes-1))%refNodes), refSeed(k, variant), k*7)
					}
				},
				receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) {
					seq := m.(*msg).Seq
					got = append(got, handled{i, int64(p.env.Now()), seq})
					count++
					to, sizes, next := fanOut(i, count, seq, refNodes)
					for k := range to {
						p.ask(protocols.NodeID(to[k]), next[k], sizes[k])
					}
				},
			})
		}
		s.run(time.Hour)
		sort.Slice(got, func(a, b int) bool {
			return got[a].at < got[b].at || got[a].at == got[b].at && got[a].node < got[b].node
		})
		return got
	}
	messages := 0
	for variant := uint64(0); messages <= 10_000; variant++ {
		require.Less(t, variant, uint64(200), "too many ties")
		want, ties := runReference(variant)
		if ties {
			continue
		}
		exact := run(Exact, variant)
		require.Equal(t, exact, run(Fast, variant))
		require.Equal(t, len(want), len(exact))
		differing := 0
		for i := range want {
			if want[i] != exact[i] {
				differing++
			}
		}
		require.Zero(t, differing, "differing completion times of %d", len(want))
		messages += len(want)
	}
}

func refSeed(k int, variant uint64) uint64 { return mix(uint64(k)+variant<<32)&^0xff | 30 }

func runReference(variant uint64) (out []handled, ties bool) {
	seen := map[handled]bool{}
	r := &reference{}
	type node struct {
		cpu, tx, rx refServer
		txFree      int64
		txFrac      uint64
		rxFree      int64
		rxFrac      uint64
		count       int
		lastEnd     int64
		run         int
		flushes     map[int][3]int // per peer: run, messages and bytes in the open flush
	}
	nodes := make([]*node, refNodes)
	for i := range nodes {
		nodes[i] = &node{flushes: map[int][3]int{}, lastEnd: -1}
		nodes[i].cpu.r, nodes[i].tx.r, nodes[i].rx.r = r, r, r
	}
	// serve is the time a NIC needs, with the fraction it carries while busy.
	serve := func(start int64, free *int64, frac *uint64, bytes int64) int64 {
		if start > *free {
			*frac = 0
		}
		total := uint64(bytes)*8_000_000_000 + *frac
		*free = start + int64(total/uint64(refRate))
		*frac = total % uint64(refRate)
		return *free
	}
	type flight struct {
		from, to int
		seq      uint64
		size     int
		frame    int
		wire     int64
		opens    bool
	}
	var deliver func(f flight)
	send := func(i int, start, done int64, msgs []flight) (end int64) {
		n := nodes[i]
		ps := int64(0)
		for _, f := range msgs {
			b, _ := (&msg{Seq: f.seq, Data: make([]byte, f.size)}).MarshalMsg(nil)
			f.from = i
			f.frame = 15 + len(b) + protocols.MACSize
			fl := n.flushes[f.to]
			f.opens = fl[0] != n.run || fl[1] == 0 || fl[1] == 16
			if f.opens {
				fl = [3]int{n.run, 0, 0}
			}
			n.flushes[f.to] = [3]int{n.run, fl[1] + 1, fl[2] + f.frame}
			f.wire = WireBytes(Stream, 1500, int64(fl[2]), f.frame)
			cost := refProfile.Send.Message + refProfile.Send.Byte*int64(f.frame)
			if f.opens {
				cost += refProfile.Send.Flush
			}
			ps += cost
			out := done + (ps+999)/1000
			r.after(out, func() {
				n.tx.add(func(start int64) (int64, func()) {
					dep := serve(start, &n.txFree, &n.txFrac, f.wire)
					return dep, func() { deliver(f) }
				})
			})
		}
		return done + (ps+999)/1000
	}
	deliver = func(f flight) {
		// dep is now. The first packet is ahead of the last by the rest.
		n := nodes[f.to]
		gap := int64(0)
		if f.wire > 1538 {
			q, _ := serial(f.wire, uint64(refRate))
			m, _ := serial(1538, uint64(refRate))
			gap = int64(q - m)
		}
		first := r.now - gap + 50_000
		last := r.now + 50_000
		key := handled{node: f.to, at: first}
		ties = ties || seen[key]
		seen[key] = true
		r.after(first, func() {
			n.rx.add(func(start int64) (int64, func()) {
				end := serve(start, &n.rxFree, &n.rxFrac, f.wire)
				q, _ := serial(min(f.wire, 1538), uint64(refRate))
				if gap > 0 && last+int64(q) > end {
					end = last + int64(q)
					n.rxFree, n.rxFrac = end, 0
				}
				ready := end
				return end, func() {
					n.cpu.add(func(start int64) (int64, func()) {
						if start == ready {
							n.run++
						}
						out = append(out, handled{f.to, start, f.seq})
						n.count++
						to, sizes, next := fanOut(f.to, n.count, f.seq, refNodes)
						ps := refProfile.StepBase + refProfile.Recv.Message + refProfile.Recv.Byte*int64(f.frame)
						if f.opens {
							ps += refProfile.Recv.Flush
						}
						var msgs []flight
						for k := range to {
							msgs = append(msgs, flight{to: to[k], seq: next[k], size: sizes[k]})
						}
						return send(f.to, start, start+(ps+999)/1000, msgs), nil
					})
				}
			})
		})
	}
	for i := range refNodes {
		// The start step costs StepBase nowhere: only messages and timers do.
		r.after(int64(1+7919*i), func() {
			nodes[i].cpu.add(func(start int64) (int64, func()) {
				nodes[i].run++
				var msgs []flight
				for k := range refSeeds {
					msgs = append(msgs, flight{to: (i + 1 + k%(refNodes-1)) % refNodes, seq: refSeed(k, variant), size: k * 7})
				}
				return send(i, start, start, msgs), nil
			})
		})
	}
	r.run()
	sort.Slice(out, func(a, b int) bool {
		return out[a].at < out[b].at || out[a].at == out[b].at && out[a].node < out[b].node
	})
	return out, ties
}
