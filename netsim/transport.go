package netsim

// Constants of the TCP model.
const (
	tcpInitial   = 10 // segments
	tcpWindowMax = 16 << 20
	tcpMinRTO    = 200_000_000 // Linux
)

// tcpState is what the TCP model remembers of one connection, one entry per
// connection that was ever used.
type tcpState struct {
	window int64 // congestion window in bytes
	used   int64 // last use
	paced  int64 // virtual time up to which the loss-limited rate is spent
}

// tcpDelay returns when the first packet of a message arrives, given when it
// would without windows and losses. The whole message is shifted: it is complete
// no earlier than its last window. at excludes jitter. rtt is the median round
// trip: the floors alone are half of it where a path has jitter.
func (s *Sim) tcpDelay(pl *payload, dst int32, path *pathInfo, rtt, at int64) int64 {
	key := s.connectionKey(pl, dst)
	c := s.tcp[key]
	mss := Payload(TCP, s.eps[pl.src].host.link.MTU)
	rto := tcpMinRTO + rtt
	dep := at - path.Floor
	busy := c.used > 0 && dep-c.used < rtt/3 // later data will trigger a fast retransmission
	if c.window == 0 || dep-c.used > rto {
		c.window = tcpInitial * mss
	}
	// Slow start: with window w, 1+k round trips carry w*(2^(k+1)-1) bytes.
	for reach, round := c.window, c.window; reach < int64(pl.size); {
		round = min(2*round, tcpWindowMax)
		reach += round
		at += rtt
	}
	c.window = min(c.window+int64(pl.size), tcpWindowMax)
	if loss := path.LossPPM + s.fx.loss; loss > 0 {
		segments := (int64(pl.size) + mss - 1) / mss
		for i := range segments {
			if !chance(s.draw(drawTCP, pl.src, dst, pl.counter<<16+uint64(i)), loss) {
				continue
			}
			if busy || segments-i > 3 {
				at += rtt
			} else {
				at += rto
			}
			c.window = max(c.window/2, 2*mss)
			break
		}
		// Ceiling 1.22*MSS/(RTT*sqrt(p)) on the long-run rate.
		per := mulDiv(uint64(rtt), isqrt(uint64(loss)*1_000_000), 1_000_000) // RTT*sqrt(p)
		c.paced = max(c.paced, dep-rtt) + int64(mulDiv(uint64(pl.size), per*100, 122*uint64(mss)))
		at += max(c.paced-dep, 0)
	}
	c.used = dep
	s.tcp[key] = c
	return at
}

// isqrt returns the integer square root.
func isqrt(x uint64) uint64 {
	if x == 0 {
		return 0
	}
	r := uint64(1) << 32
	for r*r > x || r >= 1<<32 {
		r >>= 1
	}
	for b := r; b > 0; b >>= 1 {
		if t := r + b; t < 1<<32 && t*t <= x {
			r = t
		}
	}
	return r
}

// roundTrip is the median round trip between two endpoints.
func (s *Sim) roundTrip(src, dst int32) int64 {
	a, b := &s.eps[src], &s.eps[dst]
	return s.medians[a.base+b.at] + s.medians[b.base+a.at]
}

// within is the path between two processes of one host, as far as chance is
// concerned.
var within pathInfo

// fly decides the fate of a datagram: lost, delayed, held back, doubled.
func (s *Sim) fly(ref uint32, pl *payload, dst int32, path *pathInfo, at int64, flags, seq uint32) {
	if s.lost(pl, dst, path) {
		s.dropCopy(ref, pl, dst, DropLoss)
		return
	}
	if path.Jitter != nil {
		at += path.Jitter.Sample(s.draw(drawJitter, pl.src, dst, pl.counter))
	}
	d := &s.cfg.Datagram
	if u := s.draw(drawReorder, pl.src, dst, pl.counter); chance(u, d.ReorderPPM) || s.fx.reorder > 0 && chance(mix(u), s.fx.reorder) {
		window := max(int64(d.Window), s.fx.window)
		at = later(at, 1+int64(below(mix(u+1), uint64(window))))
	}
	s.pushArrive(ref, pl, dst, at, flags, seq)
	if u := s.draw(drawDuplicate, pl.src, dst, pl.counter); chance(u, d.DuplicatePPM) || s.fx.duplicate > 0 && chance(mix(u), s.fx.duplicate) {
		pl.refs++
		window := max(int64(d.Window), s.fx.window)
		s.pushArrive(ref, pl, dst, later(at, 1+int64(below(mix(u+1), uint64(window)))), flags|flagTwice, seq)
	}
}

// lost lets the packets of a message pass a Gilbert-Elliott channel: in its bad
// state everything is lost, and a bad period lasts Burst packets on average. A
// message is lost with any of its packets.
func (s *Sim) lost(pl *payload, dst int32, path *pathInfo) bool {
	lost := false
	if s.fx.loss > 0 && chance(s.draw(drawLoss, pl.src, dst, ^pl.counter), s.fx.loss) {
		lost = true
	}
	if path.LossPPM == 0 {
		return lost
	}
	packets := parts(int64(pl.size), Payload(Datagram, s.eps[pl.src].host.link.MTU))
	key := pair(s.eps[pl.src].proc.id, s.eps[dst].proc.id)
	bad := s.channels[key]
	burst := max(path.Burst, 1)
	// Stationary share of the bad state = LossPPM.
	enter := min(path.LossPPM*1_000_000/(burst*(1_000_000-path.LossPPM)), 1_000_000)
	for i := range packets {
		u := s.draw(drawBurst, pl.src, dst, pl.counter<<16+uint64(i))
		switch {
		case burst == 1:
			bad = chance(u, path.LossPPM)
		case bad:
			bad = !chance(u, 1_000_000/burst)
		default:
			bad = chance(u, enter)
		}
		lost = lost || bad
	}
	s.channels[key] = bad
	return lost
}
