package netsim

import "fmt"

// ClockShape says how a wall clock errs.
type ClockShape uint8

// Shapes of clock error: the four of VOPR.
const (
	// ClockLinear: Offset plus Drift parts per billion of the time.
	ClockLinear ClockShape = iota
	// ClockPeriodic: additionally Amplitude times the sine of the time over
	// Period.
	ClockPeriodic
	// ClockStep: additionally Amplitude at the end of every Period.
	ClockStep
	// ClockNoisy: periodic with a phase that differs per period, and uniform noise
	// of up to an eighth of Amplitude that holds for a 64th of a period.
	ClockNoisy
)

// ClockSpec is the error of a host's wall clock. The zero value is a perfect
// clock. Env.Now is never affected.
type ClockSpec struct {
	Shape ClockShape
	// Offset in ns, Drift in parts per billion.
	Offset, Drift int64
	// Amplitude in ns and Period in ns of the shapes that have them.
	Amplitude, Period int64
}

type clock struct {
	ClockSpec
	s     *Sim
	host  int32
	since int64 // when the spec took effect
}

// Bounds of clock errors.
const (
	maxClockOffset = int64(1) << 60
	maxClockDrift  = 900_000_000
)

func (c *clock) set(s *Sim, host int32, spec ClockSpec) error {
	switch {
	case spec.Shape > ClockNoisy:
		return fmt.Errorf("clock shape %d; allowed are 0 to %d", spec.Shape, ClockNoisy)
	case spec.Offset > maxClockOffset || spec.Offset < -maxClockOffset || spec.Amplitude > maxClockOffset || spec.Amplitude < -maxClockOffset:
		return fmt.Errorf("clock offset %d ns, amplitude %d ns; at most %d either way", spec.Offset, spec.Amplitude, maxClockOffset)
	case spec.Drift > maxClockDrift || spec.Drift < -maxClockDrift:
		return fmt.Errorf("clock drift of %d ppb; at most %d either way", spec.Drift, maxClockDrift)
	case spec.Shape != ClockLinear && spec.Period < 64:
		return fmt.Errorf("clock period of %d ns; this shape needs at least 64", spec.Period)
	}
	*c = clock{ClockSpec: spec, s: s, host: host, since: s.now}
	return nil
}

// read returns what the clock shows at a time.
func (c *clock) read(now int64) int64 {
	t := now - c.since
	err := c.Offset + signedMulDiv(t, c.Drift, 1_000_000_000)
	switch c.Shape {
	case ClockPeriodic:
		err += sine(t, c.Period, c.Amplitude)
	case ClockStep:
		err += t / c.Period * c.Amplitude
	case ClockNoisy:
		phase := int64(below(c.s.draw(drawClock, c.host, 0, uint64(t/c.Period)), uint64(c.Period)/8))
		err += sine(t+phase, c.Period, c.Amplitude)
		if a := c.Amplitude / 8; a > 0 {
			err += int64(below(c.s.draw(drawClock, c.host, 1, uint64(t/(c.Period/64))), uint64(2*a))) - a
		}
	}
	return int64(c.s.cfg.Epoch) + now + err
}

func signedMulDiv(a, b, d int64) int64 {
	if (a < 0) != (b < 0) {
		return -int64(mulDiv(abs(a), abs(b), uint64(d)))
	}
	return int64(mulDiv(abs(a), abs(b), uint64(d)))
}

func abs(a int64) uint64 {
	if a < 0 {
		return uint64(-a)
	}
	return uint64(a)
}

// quarter holds sin(i*pi/64)*2^15 for i = 0..32: floats would differ between
// architectures.
var quarter = [33]int64{0, 1608, 3212, 4808, 6393, 7962, 9512, 11039, 12539, 14010, 15446, 16846, 18204, 19519, 20787, 22005, 23170, 24279, 25329, 26319, 27245, 28105, 28898, 29621, 30273, 30852, 31356, 31785, 32137, 32412, 32609, 32728, 32767}

// sine returns amplitude*sin(2*pi*t/period).
func sine(t, period, amplitude int64) int64 {
	const steps = 128 << 8 // per period: 128 table steps of 256 parts
	x := int64(mulDiv(uint64(t%period), steps, uint64(period)))
	neg := x >= steps/2
	if neg {
		x -= steps / 2
	}
	if x > steps/4 {
		x = steps/2 - x
	}
	i, f := x>>8, x&255
	v := quarter[i]
	if f > 0 {
		v += (quarter[i+1] - quarter[i]) * f >> 8
	}
	if neg {
		v = -v
	}
	return signedMulDiv(amplitude, v, 1<<15)
}
