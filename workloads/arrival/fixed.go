package arrival

import (
	"math/big"
	"math/bits"
)

// Logarithms are kept as Q56: 56 bits after the point, so that 64 (the largest
// base-2 logarithm here) fits.
const (
	logBits = 56
	logOne  = 1 << logBits
)

// roots[k] is 2^(-2^-k) for k = 1..logBits as Q64, that is divided by 2^64.
var roots = makeRoots()

func makeRoots() (r [logBits + 1]uint64) {
	const p = 192 // working precision in bits
	v := new(big.Int).Lsh(big.NewInt(1), p-1)
	for k := 1; k <= logBits; k++ {
		v.Lsh(v, p)
		v.Sqrt(v)
		r[k] = new(big.Int).Rsh(v, p-64).Uint64()
	}
	return r
}

// exp2neg returns 2^-e as Q63, for e >= 0 in Q56. Its relative error is below
// 2^-57 as long as the result keeps that many bits.
func exp2neg(e uint64) uint64 {
	shift := e >> logBits
	if shift > 63 {
		return 0
	}
	v := ^uint64(0)
	for k, f := 1, e<<(64-logBits); f != 0; k, f = k+1, f<<1 {
		if f>>63 == 1 {
			v, _ = bits.Mul64(v, roots[k])
		}
	}
	return v >> (1 + shift)
}

// log2 returns the base-2 logarithm of x >= 1 in Q56, rounded down. It takes one
// squaring per bit.
func log2(x uint64) uint64 {
	n := bits.Len64(x) - 1
	m := x << (63 - n) // the mantissa in [1,2) as Q63
	l := uint64(n)
	for i := 0; i < logBits; i++ {
		hi, lo := bits.Mul64(m, m) // in [1,4) as Q126
		l <<= 1
		if hi>>63 == 1 {
			l |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return l
}

// The draws need a logarithm each, so they interpolate in a table; the error is
// below 1.1e-8 in absolute terms.
const tableBits = 12

var logTable = makeLogTable()

func makeLogTable() *[1<<tableBits + 1]uint64 {
	t := new([1<<tableBits + 1]uint64)
	for i := range t {
		t[i] = log2(1<<tableBits+uint64(i)) - tableBits<<logBits
	}
	return t
}

// negLog2 returns -log2(u) in Q56 for the uniform variable u = x/2^64, which is
// exponentially distributed with mean 1/ln 2. x = 0 counts as 1.
func negLog2(x uint64) uint64 {
	if x == 0 {
		x = 1
	}
	n := bits.Len64(x) - 1
	m := x << (64 - n) // fraction of the mantissa, without its leading one
	i := m >> (64 - tableBits)
	step, _ := bits.Mul64(logTable[i+1]-logTable[i], m<<tableBits)
	return 64<<logBits - (uint64(n)<<logBits + logTable[i] + step)
}

// below maps the uniform x to [0, n) by multiply-shift.
func below(x, n uint64) uint64 {
	hi, _ := bits.Mul64(x, n)
	return hi
}
