package netsim

import "math/bits"

// nic is one direction of a host's access link: a FIFO server described by the
// time until which it is busy, with the fraction of a nanosecond carried along.
type nic struct {
	rate uint64 // bit/s, 0 for unlimited
	busy int64
	rem  uint64 // busy + rem/rate ns
}

const bitNanos = 8e9 // bits per byte times nanoseconds per second

// serial returns bytes*8e9/rate as quotient and remainder. The product needs
// 128 bits above 2.3 GB.
func serial(bytes int64, rate uint64) (q, r uint64) {
	if rate == 0 {
		return 0, 0
	}
	hi, lo := bits.Mul64(uint64(bytes), bitNanos)
	if hi == 0 {
		return lo / rate, lo % rate
	}
	return bits.Div64(hi, lo, rate)
}

// serve lets the NIC work off something that is ready at the given time and
// takes q + r/rate ns, and returns when it is through, rounded down.
func (n *nic) serve(ready int64, q, r uint64) int64 {
	if ready > n.busy {
		n.busy, n.rem = ready, 0
	}
	n.busy += int64(q)
	if n.rem += r; n.rem >= n.rate && n.rate > 0 {
		n.rem -= n.rate
		n.busy++
	}
	return n.busy
}

// backlog is the number of bytes still to be served at a time.
func (n *nic) backlog(at int64) int64 {
	if n.busy <= at || n.rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(n.busy-at), n.rate)
	if hi >= bitNanos {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, bitNanos)
	return int64(q)
}

// scaled returns ps*permille/1000 for non-negative values.
func scaled(ps, permille int64) int64 {
	if permille == 1000 {
		return ps
	}
	hi, lo := bits.Mul64(uint64(ps), uint64(permille))
	if hi >= 1000 {
		return 1<<62 - 1
	}
	q, _ := bits.Div64(hi, lo, 1000)
	return int64(q)
}

// nanos rounds picoseconds up to nanoseconds.
func nanos(ps int64) int64 { return (ps + 999) / 1000 }

// Sizes that the wire adds to frames.
const (
	etherOverhead = 38       // preamble, header, check sequence, gap
	tlsRecord     = 16 << 10 // payload of a TLS 1.3 record
	tlsOverhead   = 22
	tcpSegment    = 1448 // payload of a segment with timestamps on Ethernet
	tcpOverhead   = 90   // Ethernet with preamble, check sequence and gap 38, IPv4 20, TCP 32
	udpPayload    = 1472
	udpOverhead   = 66 // Ethernet 38, IPv4 20, UDP 8
)

// WireBytes returns what a frame occupies on the link, headers included. A
// message that joins an open flush shares the record and segment of the one
// before it.
func WireBytes(t Transport, frame int, joins bool) int64 {
	b := int64(frame)
	if t == Datagram {
		return b + (b+udpPayload-1)/udpPayload*udpOverhead
	}
	if joins {
		b += b / tlsRecord * tlsOverhead
		return b + b/tcpSegment*tcpOverhead
	}
	b += (b + tlsRecord - 1) / tlsRecord * tlsOverhead
	return b + (b+tcpSegment-1)/tcpSegment*tcpOverhead
}

// mulDiv returns a*b/d, saturating.
func mulDiv(a, b, d uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= d {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, d)
	return min(q, 1<<63-1)
}
