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

// far is the end of time, 36 years: no run goes on for longer, and all sums on
// the way to an event's time stop here. A few of them still fit into 63 bits.
const far = int64(1) << 60

// later returns at + d for non-negative values, far at most.
func later(at, d int64) int64 {
	if d > far-at {
		return far
	}
	return at + d
}

// serial returns bytes*8e9/rate as quotient and remainder, far at most. The
// product needs 128 bits above 2.3 GB.
func serial(bytes int64, rate uint64) (q, r uint64) {
	if rate == 0 {
		return 0, 0
	}
	hi, lo := bits.Mul64(uint64(bytes), bitNanos)
	if hi == 0 {
		return lo / rate, lo % rate
	}
	if hi >= rate {
		return uint64(far), 0
	}
	if q, r = bits.Div64(hi, lo, rate); q >= uint64(far) {
		return uint64(far), 0
	}
	return q, r
}

// serve lets the NIC work off something that is ready at the given time and
// takes q + r/rate ns, and returns when it is through, rounded down.
func (n *nic) serve(ready int64, q, r uint64) int64 {
	if ready > n.busy {
		n.busy, n.rem = ready, 0
	}
	n.busy = later(n.busy, int64(q))
	if n.rem += r; n.rem >= n.rate && n.rate > 0 {
		n.rem -= n.rate
		n.busy++
	}
	return n.busy
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
	tcpHeaders    = 52 // in the MTU: IPv4 20, TCP with timestamps 32
	udpHeaders    = 28 // in the MTU: IPv4 20, UDP 8
	defaultMTU    = 1500
	minMTU        = 256
	maxMTU        = 65536
)

// Payload returns how many bytes a packet of a link with this MTU carries: 1,448
// in a segment of TCP, 1,472 in a datagram on Ethernet.
func Payload(t Transport, mtu int64) int64 {
	if t == Datagram {
		return mtu - udpHeaders
	}
	return mtu - tcpHeaders
}

// WireBytes returns what a frame adds to what the link carries, headers included.
// before is the number of bytes of the frames that share its flush and come before
// it, 0 if it opens one: it pays for the records and segments that it begins.
// Datagrams share nothing. It needs frame >= 0 and an MTU of at least 256.
func WireBytes(t Transport, mtu, before int64, frame int) int64 {
	b := int64(frame)
	if t == Datagram {
		return b + parts(b, mtu-udpHeaders)*(etherOverhead+udpHeaders)
	}
	if before == 0 {
		return streamBytes(b, mtu)
	}
	return streamBytes(before+b, mtu) - streamBytes(before, mtu)
}

// streamBytes is what so many bytes of one flush occupy on the link.
func streamBytes(b, mtu int64) int64 {
	b += (b + tlsRecord - 1) / tlsRecord * tlsOverhead
	return b + parts(b, mtu-tcpHeaders)*(etherOverhead+tcpHeaders)
}

// parts returns how many packets with so much payload it takes.
func parts(b, payload int64) int64 {
	if payload == defaultMTU-tcpHeaders { // nearly always, and a constant divides faster
		return (b + defaultMTU - tcpHeaders - 1) / (defaultMTU - tcpHeaders)
	}
	return (b + payload - 1) / payload
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
