package arrival

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// Process yields arrival times in ascending order, as offsets from the start of
// the run. ok is false when there are no more.
type Process interface {
	Next() (at time.Duration, ok bool)
}

// forever is later than any run.
const forever = time.Duration(1<<63 - 1)

// segments yields stretches of constant rate: each lasts until the given time.
type segments interface {
	next() (until time.Duration, rate Rate, ok bool)
}

// modulated is a process with unit-rate gaps in operational time (the integral
// of the rate). What a rounded-up gap overshoots is credited to the next, so that
// no rate drifts.
type modulated struct {
	gap        func() uint64 // work until the next arrival
	seg        segments
	now, until time.Duration
	rate       Rate
	credit     uint64
	live       bool
}

func newModulated(seg segments, gap func() uint64) *modulated {
	m := &modulated{gap: gap, seg: seg}
	m.until, m.rate, m.live = seg.next()
	return m
}

// Next implements Process.
func (m *modulated) Next() (time.Duration, bool) {
	if !m.live {
		return 0, false
	}
	need := m.gap()
	if need <= m.credit {
		m.credit -= need
		return m.now, true
	}
	need -= m.credit
	m.credit = 0
	for {
		if m.rate > 0 {
			r, left := uint64(m.rate), m.until-m.now
			if dt := (need-1)/r + 1; dt <= uint64(left) {
				m.now += time.Duration(dt)
				m.credit = r*dt - need
				return m.now, true
			}
			need -= r * uint64(left) // less than need, so it cannot overflow
		}
		m.now = m.until
		if m.until, m.rate, m.live = m.seg.next(); !m.live {
			return 0, false
		}
	}
}

// exponential gives gaps with mean one unit of work.
func exponential(r *rand.PCG) func() uint64 {
	return func() uint64 { return scaleLog(negLog2(r.Uint64()), unit) }
}

// constantGap gives equal gaps, of one unit of work, or those of one part.
func (c *Config) constantGap() func() uint64 {
	gap := uint64(max(c.parts, 1)) * unit
	next := uint64(c.part+1) * unit
	return func() uint64 {
		now := next
		next = gap
		return now
	}
}

// scaleLog returns mean * ln 2 * e for e in Q56: an exponential variable with the
// given mean (below 2^62), bounded by 2^62.
func scaleLog(e, mean uint64) uint64 {
	const ln2 = 0xB17217F7D1CF79AB // ln 2 as Q64
	e, _ = bits.Mul64(e, ln2)
	hi, lo := bits.Mul64(e, mean)
	if hi>>(logBits-2) != 0 {
		return 1 << 62
	}
	return max(1, min(hi<<(64-logBits)|lo>>logBits, 1<<62))
}

// steady is one rate forever.
type steady struct {
	rate Rate
	done bool
}

func (s *steady) next() (time.Duration, Rate, bool) {
	if s.done || s.rate == 0 {
		return 0, 0, false
	}
	s.done = true
	return forever, s.rate, true
}

// Step is a rate from a time on.
type Step struct {
	At   time.Duration
	Rate Rate
}

// steps follows a list; the last rate lasts forever.
type steps struct {
	list []Step
	i    int
}

func (s *steps) next() (time.Duration, Rate, bool) {
	if s.i == len(s.list) {
		return 0, 0, false
	}
	st := s.list[s.i]
	s.i++
	if s.i < len(s.list) {
		return s.list[s.i].At, st.Rate, true
	}
	return forever, st.Rate, st.Rate > 0
}

// chain is the two-state Markov chain of an MMPP.
type chain struct {
	r     *rand.PCG
	rate  [2]Rate
	mean  [2]time.Duration
	state int
	now   time.Duration
}

func newChain(r *rand.PCG, quiet, burst Rate, quietMean, burstMean time.Duration) *chain {
	c := &chain{r: r, rate: [2]Rate{quiet, burst}, mean: [2]time.Duration{quietMean, burstMean}, state: 1}
	// next flips before it draws: this makes the first state stationary.
	if below(r.Uint64(), uint64(quietMean+burstMean)) >= uint64(quietMean) {
		c.state = 0
	}
	return c
}

func (c *chain) next() (time.Duration, Rate, bool) {
	c.state = 1 - c.state
	stay := time.Duration(scaleLog(negLog2(c.r.Uint64()), uint64(c.mean[c.state])))
	if stay > forever-c.now {
		return forever, c.rate[c.state], true
	}
	c.now += stay
	return c.now, c.rate[c.state], true
}

// daySteps is the resolution of the diurnal rate: a quarter of an hour.
const daySteps = 96

// cosines of 2 pi k/daySteps as Q30, by the recurrence
// cos((k+1)x) = 2 cos x cos kx - cos((k-1)x).
var cosines = makeCosines()

func makeCosines() (c [daySteps]int64) {
	const one = 1 << 30
	// cos(2 pi/96) as Q60; in this precision the recurrence loses less than one
	// part in 2^50 over a day.
	const step int64 = 1150453011165618976
	prev, cur := step, int64(1)<<60
	for k := range c {
		c[k] = (cur + one/2) >> 30
		prev, cur = cur, mulQ60(step, cur)<<1-prev
	}
	return c
}

func mulQ60(a, b int64) int64 {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(uint64(max(a, -a)), uint64(max(b, -b)))
	v := int64(hi<<4 | lo>>60)
	if neg {
		return -v
	}
	return v
}

// diurnal is rate * (1 + amplitude cos(2 pi (t-peak)/day)).
type diurnal struct {
	rate      Rate
	amplitude Milli
	day, peak time.Duration
	k         int64
}

func (d *diurnal) next() (time.Duration, Rate, bool) {
	at := time.Duration(d.k) * (d.day / daySteps)
	d.k++
	// The phase at the middle of the step, in steps from the peak.
	phase := int64((at + d.day/daySteps/2 - d.peak) % d.day * daySteps / d.day)
	if phase < 0 {
		phase += daySteps
	}
	scale := 1000<<30 + int64(d.amplitude)*cosines[phase] // in thousandths, Q30
	return at + d.day/daySteps, d.rate.times(uint64(scale), 1000<<30), true
}

// waves repeats a batch of n independent draws, sorted.
type waves struct {
	draw         func() time.Duration
	n            int
	start, every time.Duration // every = 0: one wave only
	buf          []time.Duration
	i            int
	begun        bool
}

// Next implements Process.
func (w *waves) Next() (time.Duration, bool) {
	if w.i == len(w.buf) {
		switch {
		case !w.begun:
			w.begun = true
			w.buf = make([]time.Duration, w.n)
		case w.every == 0 || w.start > forever-2*w.every:
			return 0, false
		default:
			w.start += w.every
		}
		for i := range w.buf {
			w.buf[i] = w.start + w.draw()
		}
		slices.Sort(w.buf)
		w.i = 0
	}
	w.i++
	return w.buf[w.i-1], true
}

// uniformDraw gives times in [0, over).
func uniformDraw(r *rand.PCG, over time.Duration) func() time.Duration {
	return func() time.Duration { return time.Duration(below(r.Uint64(), uint64(over))) }
}

// betaDraw gives Beta(3,4) times over [0, over): the third smallest of six
// uniform variables.
func betaDraw(r *rand.PCG, over time.Duration) func() time.Duration {
	return func() time.Duration {
		var u [6]uint64
		for i := range u {
			x := r.Uint64()
			j := i
			for ; j > 0 && u[j-1] > x; j-- {
				u[j] = u[j-1]
			}
			u[j] = x
		}
		return time.Duration(below(u[2], uint64(over)))
	}
}

// Exponential maps a uniform 64-bit value to an exponentially distributed time
// with this mean, at least 1 ns.
func Exponential(x uint64, mean time.Duration) time.Duration {
	return time.Duration(scaleLog(negLog2(x), uint64(mean)))
}
