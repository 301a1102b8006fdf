package result

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Fixed is a number in millionths; its JSON form is a plain decimal.
type Fixed int64

// FixedRatio returns a/b rounded down to millionths; 0 if b is not positive.
func FixedRatio(a, b int64) Fixed {
	if b <= 0 {
		return 0
	}
	r := new(big.Int).Mul(big.NewInt(a), big.NewInt(1e6))
	r.Quo(r, big.NewInt(b))
	if !r.IsInt64() {
		return math.MaxInt64
	}
	return Fixed(r.Int64())
}

// Float returns the number for statistics and plots.
func (f Fixed) Float() float64 { return float64(f) / 1e6 }

func (f Fixed) String() string { return decimal(int64(f), 6) }

// MarshalJSON implements json.Marshaler.
func (f Fixed) MarshalJSON() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (f *Fixed) UnmarshalJSON(b []byte) error {
	v, err := undecimal(b, 6)
	*f = Fixed(v)
	return err
}

// Millis is a time in nanoseconds that is printed in milliseconds.
type Millis int64

// Float returns milliseconds.
func (m Millis) Float() float64 { return float64(m) / 1e6 }

func (m Millis) String() string { return decimal(int64(m), 6) }

// MarshalJSON implements json.Marshaler.
func (m Millis) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Millis) UnmarshalJSON(b []byte) error {
	v, err := undecimal(b, 6)
	*m = Millis(v)
	return err
}

// Seconds is a time in nanoseconds that is printed in seconds.
type Seconds int64

// Float returns seconds.
func (s Seconds) Float() float64 { return float64(s) / 1e9 }

func (s Seconds) String() string { return decimal(int64(s), 9) }

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	v, err := undecimal(b, 9)
	*s = Seconds(v)
	return err
}

// decimal prints v / 10^digits exactly.
func decimal(v int64, digits int) string {
	sign, u := "", uint64(v)
	if v < 0 {
		sign, u = "-", -u
	}
	s := strconv.FormatUint(u, 10)
	if len(s) <= digits {
		s = strings.Repeat("0", digits+1-len(s)) + s
	}
	whole, frac := s[:len(s)-digits], strings.TrimRight(s[len(s)-digits:], "0")
	if frac == "" {
		return sign + whole
	}
	return sign + whole + "." + frac
}

func undecimal(b []byte, digits int) (int64, error) {
	if len(b) > 64 || len(b) == 0 || b[0] == '"' || strings.ContainsAny(string(b), "eE/") {
		return 0, fmt.Errorf("%.64q is not a plain decimal number", b)
	}
	r, ok := new(big.Rat).SetString(string(b))
	if !ok {
		return 0, fmt.Errorf("%q is not a number", b)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("%s has more than %d decimals or is too large", b, digits)
	}
	return r.Num().Int64(), nil
}

// Verdict of a check.
type Verdict uint8

// Verdicts. The zero value is Undecided: nobody has looked.
const (
	Undecided Verdict = iota
	Pass
	Fail
)

// Of turns a boolean into a verdict.
func Of(ok bool) Verdict {
	if ok {
		return Pass
	}
	return Fail
}

func (v Verdict) String() string { return [...]string{"undecided", "true", "false"}[min(v, Fail)] }

// MarshalJSON writes true, false or "undecided".
func (v Verdict) MarshalJSON() ([]byte, error) {
	if v == Undecided {
		return []byte(`"undecided"`), nil
	}
	return []byte(v.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Verdict) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true":
		*v = Pass
	case "false":
		*v = Fail
	case `"undecided"`:
		*v = Undecided
	default:
		return fmt.Errorf("%.40s is not a verdict; it is true, false or \"undecided\"", b)
	}
	return nil
}

var (
	_ json.Marshaler = Fixed(0)
	_ json.Marshaler = Millis(0)
	_ json.Marshaler = Seconds(0)
	_ json.Marshaler = Verdict(0)
)
