package arrival

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of operations per second, in millionths: 5 stands for five
// operations in 1e6 s. Its text form is a decimal number, an optional k or M, and
// a unit of time: "10k/s", "0.25/s", "6/min", "1/h".
type Rate uint64

// PerSecond is one operation per second; MaxRate bounds every rate.
const (
	PerSecond Rate = 1_000_000
	MaxRate        = 1_000_000_000 * PerSecond
)

// unit is the work of one operation: a rate in millionths per second multiplied
// by nanoseconds.
const unit = 1_000_000_000_000_000

// ParseRate reads the text form of a rate.
func ParseRate(s string) (Rate, error) {
	bad := func(why string) (Rate, error) {
		return 0, fmt.Errorf("rate %q: %s; write for example 250/s, 10k/s, 0.5/s or 6/min", s, why)
	}
	num, per, ok := strings.Cut(s, "/")
	if !ok {
		return bad("the unit is missing")
	}
	var div uint64
	switch per {
	case "s":
		div = 1
	case "min":
		div = 60
	case "h":
		div = 3600
	default:
		return bad("the unit must be /s, /min or /h")
	}
	mul := uint64(PerSecond)
	switch {
	case strings.HasSuffix(num, "k"):
		num, mul = num[:len(num)-1], mul*1_000
	case strings.HasSuffix(num, "M"):
		num, mul = num[:len(num)-1], mul*1_000_000
	}
	v, err := parseDecimal(num, mul)
	if err != nil {
		return bad(err.Error())
	}
	if v /= div; v > uint64(MaxRate) {
		return bad("at most 1000M/s is allowed")
	}
	return Rate(v), nil
}

// parseDecimal reads a non-negative decimal number and returns it times mul,
// exactly or not at all, except that digits beyond mul's resolution are errors.
func parseDecimal(s string, mul uint64) (uint64, error) {
	whole, frac, dot := strings.Cut(s, ".")
	if whole == "" || dot && frac == "" {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if len(whole) > 1 && whole[0] == '0' {
		return 0, fmt.Errorf("%q has a leading zero", s)
	}
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a number", s)
		}
	}
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large", s)
	}
	hi, v := bits.Mul64(w, mul)
	if hi != 0 || v > 1<<63 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	for _, c := range frac {
		if mul%10 != 0 && c != '0' {
			return 0, fmt.Errorf("%q has more digits than can be kept", s)
		}
		mul /= 10
		v += uint64(c-'0') * mul
	}
	return v, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Rate) String() string { return formatDecimal(uint64(r), uint64(PerSecond)) + "/s" }

func formatDecimal(v, one uint64) string {
	s := strconv.FormatUint(v/one, 10)
	if rest := v % one; rest != 0 {
		s += "." + strings.TrimRight(strconv.FormatUint(one+rest, 10)[1:], "0")
	}
	return s
}

// times returns the rate multiplied by num/den, rounded down and bounded by
// MaxRate.
func (r Rate) times(num, den uint64) Rate {
	hi, lo := bits.Mul64(uint64(r), num)
	if hi >= den {
		return MaxRate
	}
	q, _ := bits.Div64(hi, lo, den)
	return min(Rate(q), MaxRate)
}

// over returns how many operations the rate gives in d, rounded to the nearest.
func (r Rate) over(d time.Duration) uint64 {
	hi, lo := bits.Mul64(uint64(r), uint64(d))
	lo, carry := bits.Add64(lo, unit/2, 0)
	if hi += carry; hi >= unit {
		return 1 << 63
	}
	q, _ := bits.Div64(hi, lo, unit)
	return q
}

// Milli is a small decimal number kept in thousandths, such as a Zipf exponent.
// Its text form is the decimal number.
type Milli uint32

// ParseMilli reads a decimal number with at most three decimals.
func ParseMilli(s string) (Milli, error) {
	v, err := parseDecimal(s, 1000)
	if err != nil {
		return 0, err
	}
	if v > 1_000_000_000 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Milli(v), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Milli) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMilli(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (m Milli) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Milli) String() string { return formatDecimal(uint64(m), 1000) }
