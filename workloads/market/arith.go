package market

import (
	"math"
	"math/bits"
)

// addSat is a+b, or the greatest value: a deadline that never comes.
func addSat(a, b uint64) uint64 {
	if s, over := bits.Add64(a, b, 0); over == 0 {
		return s
	}
	return math.MaxUint64
}

// bps is ⌊v·rate/10⁴⌋ with a 128-bit intermediate; rate is at most 10⁴.
func bps(v, rate uint64) uint64 { return mulDiv(v, rate, 10_000) }

// mulDiv is ⌊a·b/d⌋, or the greatest value if that is too large. d is not zero.
func mulDiv(a, b, d uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= d {
		return math.MaxUint64
	}
	q, _ := bits.Div64(hi, lo, d)
	return q
}

// mulFits is a·b and whether it fits.
func mulFits(a, b uint64) (uint64, bool) {
	hi, lo := bits.Mul64(a, b)
	return lo, hi == 0
}

// atLeastProduct reports whether a·b ≥ c·d.
func atLeastProduct(a, b, c, d uint64) bool {
	ah, al := bits.Mul64(a, b)
	ch, cl := bits.Mul64(c, d)
	return ah > ch || ah == ch && al >= cl
}

// mulSat is a·b, or the greatest value.
func mulSat(a, b uint64) uint64 {
	if p, ok := mulFits(a, b); ok {
		return p
	}
	return math.MaxUint64
}
