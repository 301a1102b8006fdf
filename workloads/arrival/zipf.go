package arrival

import (
	"fmt"
	"math/bits"
	"sort"
)

// Bounds of a Zipf distribution.
const (
	MaxKeys  = 1 << 20
	MaxTheta = Milli(2000)
)

// zipfBits is the weight of the hottest key; MaxKeys of them still fit.
const zipfBits = 43

// Zipf draws keys 0..n-1, key i with probability proportional to 1/(i+1)^theta.
// It is immutable and may be shared.
type Zipf struct {
	n     uint64
	cum   []uint64 // cum[i] is the weight of the keys up to and including i
	guide []uint32 // first candidate for each range of equal leading bits
	shift uint
}

// NewZipf returns the distribution over n keys, 1..MaxKeys, with exponent theta,
// 0..MaxTheta; 0 is uniform. Building takes about half a microsecond per key.
func NewZipf(n int, theta Milli) (*Zipf, error) { return NewZipfPart(n, theta, 0, 1) }

// NewZipfPart returns the distribution over n keys for one who has part of them
// only: the keys part, part+parts, part+2*parts and so on. Key k of the part is key
// part+k*parts of the whole and keeps its weight. part is 0..parts-1 and below n.
func NewZipfPart(n int, theta Milli, part, parts int) (*Zipf, error) {
	if n < 1 || n > MaxKeys {
		return nil, fmt.Errorf("zipf over %d keys; allowed is 1 to %d", n, MaxKeys)
	}
	if theta > MaxTheta {
		return nil, fmt.Errorf("zipf exponent %v; allowed is 0 to %v", theta, MaxTheta)
	}
	if part < 0 || part >= parts || part >= n {
		return nil, fmt.Errorf("zipf: part %d of %d of %d keys; allowed is 0 to %d", part, parts, n, min(parts, n)-1)
	}
	own := (n - part + parts - 1) / parts
	if theta == 0 {
		return &Zipf{n: uint64(own)}, nil
	}
	return buildZipf(own, theta, part, parts), nil
}

func buildZipf(n int, theta Milli, part, parts int) *Zipf {
	z := &Zipf{n: uint64(n), cum: make([]uint64, n)}
	var sum uint64
	for i := range z.cum {
		sum += z.weight(part+i*parts, theta)
		z.cum[i] = sum
	}
	g := uint(bits.Len(uint(n)))
	z.shift = 64 - g
	z.guide = make([]uint32, 1<<g)
	i := 0
	for b := range z.guide {
		v := below(uint64(b)<<z.shift, sum)
		for z.cum[i] <= v {
			i++
		}
		z.guide[b] = uint32(i)
	}
	return z
}

func (z *Zipf) weight(i int, theta Milli) uint64 {
	// log2 is at most 20 in Q56, below 2^61; theta/1000 at most 2.
	hi, lo := bits.Mul64(log2(uint64(i)+1), uint64(theta))
	e, _ := bits.Div64(hi, lo, 1000)
	return max(exp2neg(e)>>(63-zipfBits), 1)
}

// Keys returns the number of keys.
func (z *Zipf) Keys() int { return int(z.n) }

// Key maps a uniform 64-bit value to a key; 0 is the hottest.
func (z *Zipf) Key(x uint64) int {
	if z.cum == nil {
		return int(below(x, z.n))
	}
	v := below(x, z.cum[len(z.cum)-1])
	i := int(z.guide[x>>z.shift])
	for n := 0; z.cum[i] <= v; i++ {
		if n++; n == 16 { // a crowded range: finish by bisection
			rest := z.cum[i:]
			return i + sort.Search(len(rest), func(j int) bool { return rest[j] > v })
		}
	}
	return i
}

// Share returns the probability of key i as Q32, for reports and tests.
func (z *Zipf) Share(i int) uint64 {
	if z.cum == nil {
		return (1 << 32) / z.n
	}
	w := z.cum[i]
	if i > 0 {
		w -= z.cum[i-1]
	}
	q, _ := bits.Div64(w>>32, w<<32, z.cum[len(z.cum)-1])
	return q
}
