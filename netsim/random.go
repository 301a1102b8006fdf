package netsim

import "math/bits"

// Purposes of keyed draws. Every decision of the network and of the fault
// injector is a pure function of (seed, purpose, source, destination, counter of
// the source): an extra message disturbs no other draw.
const (
	drawTie uint64 = iota + 1
	drawJitter
	drawRotate
	drawLoss
	drawBurst
	drawDuplicate
	drawReorder
	drawCorrupt
	drawDelay
	drawClock
	drawFsync
	drawNode
	drawStream
	drawTCP
	drawTorn
	drawDamage
)

// mix is a bijective 64-bit finaliser: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// fold adds v to a running hash; it is what chains and payload traces use.
func fold(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func pair(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// draw is one keyed draw of 64 bits.
func (s *Sim) draw(purpose uint64, src, dst int32, counter uint64) uint64 {
	h := mix(s.seed + purpose*0x9e3779b97f4a7c15)
	h = mix(h ^ pair(src, dst))
	return mix(h + counter*0xd1342543de82ef95)
}

// below maps a draw to 0..n-1 by multiply and shift.
func below(u, n uint64) uint64 {
	hi, _ := bits.Mul64(u, n)
	return hi
}

// chance reports whether an event of the given probability in parts per million
// happens under draw u.
func chance(u uint64, ppm int64) bool { return int64(below(u, 1_000_000)) < ppm }

// seqBits is the part of a tie key that keeps the order of one connection.
const seqBits = 24

// tie returns the tie key of something that happens at a time on an ordered
// channel (a connection, a lane's timers): a seeded hash of the channel and the
// time in the upper bits, so that nobody wins every race, and the position on
// the channel in the lower ones, so that equal times never reorder it.
func (s *Sim) tie(a, b int32, salt uint64, at int64, seq uint32) uint64 {
	h := mix(s.tieSeed + salt ^ pair(a, b))
	h = mix(h + uint64(at)*0xd1342543de82ef95)
	return h&^(1<<seqBits-1) | uint64(seq)&(1<<seqBits-1)
}

// seedFor derives the seed of an ordinary stream.
func (s *Sim) seedFor(purpose uint64, a, b int32, name string) (uint64, uint64) {
	h := s.draw(purpose, a, b, uint64(len(name)))
	for i := 0; i < len(name); i++ {
		h = mix(h ^ uint64(name[i]))
	}
	return h, mix(h + 0x9e3779b97f4a7c15)
}
