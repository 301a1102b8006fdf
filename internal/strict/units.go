package strict

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Scalar is implemented by pointers to values that are written as one word.
type Scalar interface {
	// ParseScalar sets the value, or says what is allowed.
	ParseScalar(text string) error
}

// Based is implemented by values whose canonical form is an integer or a
// string.
type Based interface{ Base() any }

// Quantities. The base units are those of the canonical form.
type (
	// Duration in nanoseconds, written 5ms or 1m30s.
	Duration int64
	// Rate in millionths of a request per second, written 10k/s, 0.5/s or
	// 30/min. Millionths, because edge workloads are slower than one per second.
	Rate int64
	// Bytes is a size, written 200B, 4kB or 1MiB.
	Bytes int64
	// BitRate in bit/s, written 100Mbit/s.
	BitRate int64
	// PPM is a fraction in parts per million, written 5% or 200ppm.
	PPM int64
	// Milli is a plain decimal number in thousandths, written 0.99.
	Milli int64
)

// Std returns the duration as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// PerSecond returns whole requests per second, rounded down.
func (r Rate) PerSecond() int64 { return int64(r) / 1e6 }

// Base implements Based.
func (d Duration) Base() any { return int64(d) }

// Base implements Based.
func (r Rate) Base() any { return int64(r) }

// Base implements Based.
func (b Bytes) Base() any { return int64(b) }

// Base implements Based.
func (b BitRate) Base() any { return int64(b) }

// Base implements Based.
func (p PPM) Base() any { return int64(p) }

// Base implements Based.
func (m Milli) Base() any { return int64(m) }

type unit struct {
	suffix string
	num    int64 // base units in one
	den    int64
}

var durationUnits = []unit{
	{"ns", 1, 1},
	{"us", 1e3, 1},
	{"µs", 1e3, 1},
	{"ms", 1e6, 1},
	{"s", 1e9, 1},
	{"m", 60e9, 1},
	{"h", 3600e9, 1},
}

var rateUnits = []unit{
	{"/s", 1e6, 1},
	{"k/s", 1e9, 1},
	{"M/s", 1e12, 1},
	{"/min", 1e6, 60},
	{"k/min", 1e9, 60},
	{"/h", 1e6, 3600},
}

var byteUnits = []unit{
	{"B", 1, 1},
	{"kB", 1e3, 1},
	{"MB", 1e6, 1},
	{"GB", 1e9, 1},
	{"KiB", 1 << 10, 1},
	{"MiB", 1 << 20, 1},
	{"GiB", 1 << 30, 1},
}

var bitRateUnits = []unit{
	{"bit/s", 1, 1},
	{"kbit/s", 1e3, 1},
	{"Mbit/s", 1e6, 1},
	{"Gbit/s", 1e9, 1},
}

var ppmUnits = []unit{{"%", 10000, 1}, {"ppm", 1, 1}}

var milliUnits = []unit{{"", 1000, 1}}

// ParseScalar implements Scalar.
func (d *Duration) ParseScalar(s string) error {
	v, err := parseDuration(s)
	*d = Duration(v)
	return err
}

// ParseScalar implements Scalar.
func (r *Rate) ParseScalar(s string) error {
	v, err := quantity(s, "rate", "10k/s, 500/s or 30/min", rateUnits)
	*r = Rate(v)
	return err
}

// ParseScalar implements Scalar.
func (b *Bytes) ParseScalar(s string) error {
	v, err := quantity(s, "size", "200B, 4kB or 1MiB", byteUnits)
	*b = Bytes(v)
	return err
}

// ParseScalar implements Scalar.
func (b *BitRate) ParseScalar(s string) error {
	v, err := quantity(s, "bit rate", "100Mbit/s or 1Gbit/s", bitRateUnits)
	*b = BitRate(v)
	return err
}

// ParseScalar implements Scalar.
func (p *PPM) ParseScalar(s string) error {
	v, err := quantity(s, "fraction", "5% or 200ppm", ppmUnits)
	*p = PPM(v)
	return err
}

// ParseScalar implements Scalar.
func (m *Milli) ParseScalar(s string) error {
	v, err := quantity(s, "number", "0.99 (at most three decimals)", milliUnits)
	*m = Milli(v)
	return err
}

// parseDuration reads a sequence of numbers with units, largest first by habit.
func parseDuration(s string) (int64, error) {
	const example = "5ms, 2s or 1m30s"
	rest, neg := s, false
	if strings.HasPrefix(rest, "-") {
		rest, neg = rest[1:], true
	}
	if rest == "" {
		return 0, fmt.Errorf("a duration is needed, for example %s", example)
	}
	var total int64
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] == '.' || rest[i] >= '0' && rest[i] <= '9') {
			i++
		}
		j := i
		for j < len(rest) && rest[j] != '.' && (rest[j] < '0' || rest[j] > '9') {
			j++
		}
		v, err := quantity(rest[:j], "duration", example, durationUnits)
		if err != nil {
			return 0, err
		}
		if v > math.MaxInt64-total {
			return 0, fmt.Errorf("duration %s is too large", s)
		}
		total += v
		rest = rest[j:]
	}
	if neg {
		return -total, nil
	}
	return total, nil
}

// quantity reads a decimal number followed by one of the units, exactly.
func quantity(s, what, example string, units []unit) (int64, error) {
	i := 0
	for i < len(s) && (s[i] == '-' || s[i] == '.' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	number, suffix := s[:i], s[i:]
	if number == "" || len(s) > 40 || !decimal(number) {
		return 0, fmt.Errorf("%q is not a %s; write for example %s", s, what, example)
	}
	var u *unit
	for k := range units {
		if units[k].suffix == suffix {
			u = &units[k]
		}
	}
	if u == nil {
		names := make([]string, len(units))
		for k := range units {
			names[k] = units[k].suffix
		}
		if suffix == "" {
			return 0, fmt.Errorf("%s %q has no unit; write for example %s (units: %s)", what, s, example, strings.Join(names, ", "))
		}
		return 0, fmt.Errorf("%s %q has the unknown unit %q; allowed: %s", what, s, suffix, strings.Join(names, ", "))
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a %s; write for example %s", s, what, example)
	}
	r.Mul(r, big.NewRat(u.num, u.den))
	if !r.IsInt() {
		return 0, fmt.Errorf("%s %q is finer than this field can hold; write for example %s", what, s, example)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%s %q is too large", what, s)
	}
	return r.Num().Int64(), nil
}

// decimal accepts -?(0|[1-9][0-9]*)(\.[0-9]+)?.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, frac, dot := strings.Cut(s, ".")
	if whole == "" || len(whole) > 1 && whole[0] == '0' || !digits(whole) {
		return false
	}
	return !dot || frac != "" && digits(frac)
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// print writes v in the largest unit that leaves a short exact number.
func print(v int64, order ...unit) string {
	for _, u := range order {
		if u.num >= u.den && v%(u.num/u.den) == 0 && v != 0 {
			return strconv.FormatInt(v/(u.num/u.den), 10) + u.suffix
		}
	}
	last := order[len(order)-1]
	return fixed(v, last.num) + last.suffix
}

// fixed prints v/scale exactly; scale is a power of ten.
func fixed(v, scale int64) string {
	sign := ""
	u := uint64(v)
	if v < 0 {
		sign, u = "-", -u
	}
	s := strconv.FormatUint(u/uint64(scale), 10)
	if rem := u % uint64(scale); rem != 0 {
		d := strconv.FormatUint(rem+uint64(scale), 10)[1:]
		s += "." + strings.TrimRight(d, "0")
	}
	return sign + s
}

func (d Duration) String() string {
	return print(int64(d), unit{"s", 1e9, 1}, unit{"ms", 1e6, 1}, unit{"us", 1e3, 1}, unit{"ns", 1, 1})
}

func (r Rate) String() string {
	return print(int64(r), unit{"M/s", 1e12, 1}, unit{"k/s", 1e9, 1}, unit{"/s", 1e6, 1})
}

func (b Bytes) String() string {
	return print(int64(b), unit{"GiB", 1 << 30, 1}, unit{"MB", 1e6, 1}, unit{"MiB", 1 << 20, 1}, unit{"kB", 1e3, 1}, unit{"KiB", 1 << 10, 1}, unit{"B", 1, 1})
}

func (b BitRate) String() string {
	return print(int64(b), unit{"Gbit/s", 1e9, 1}, unit{"Mbit/s", 1e6, 1}, unit{"kbit/s", 1e3, 1}, unit{"bit/s", 1, 1})
}

func (p PPM) String() string { return print(int64(p), unit{"%", 10000, 1}, unit{"ppm", 1, 1}) }

func (m Milli) String() string { return fixed(int64(m), 1000) }
