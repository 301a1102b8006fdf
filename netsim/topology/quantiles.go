package topology

import (
	"embed"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"path"
	"sync" //lint:allow determinism the tables behind it are constants
)

// Quantiles is a sampled delay distribution: Values[i] is the quantile i/(len-1)
// in nanoseconds, ascending. It is generated data, so that every architecture
// draws the same integers.
type Quantiles struct{ Values []int64 }

// Entries is the number of quantiles in the tables of this package.
const Entries = 4096

// Sample turns 64 uniform bits into a draw, by linear interpolation between
// quantiles. It is pure.
func (q *Quantiles) Sample(u uint64) int64 {
	i, frac := bits.Mul64(u, uint64(len(q.Values)-1))
	lo := q.Values[i]
	rise, _ := bits.Mul64(uint64(q.Values[i+1]-lo), frac)
	return lo + int64(rise)
}

// At returns the quantile of a probability in parts per million.
func (q *Quantiles) At(ppm int64) int64 {
	if ppm >= 1_000_000 {
		return q.Values[len(q.Values)-1]
	}
	u, _ := bits.Div64(uint64(max(ppm, 0)), 0, 1_000_000)
	return q.Sample(u)
}

//go:embed shapes/*.bin
var shapeFiles embed.FS

// shape is the generated tail of a delay of median 1, in units of 2^-32.
type shape struct {
	p99    uint64 // of the whole delay: half plus the tail, in units of 2^-32
	values []uint64
}

const (
	unit = 1 << 32
	half = unit / 2
)

// shapes returns the generated shapes in ascending order of their 99th
// percentile, beginning with the one that does not vary.
var shapes = sync.OnceValue(func() []shape {
	entries, err := shapeFiles.ReadDir("shapes") // sorted by name, hence by ratio
	if err != nil {
		panic("topology: embedded shapes: " + err.Error())
	}
	flat := shape{p99: unit, values: make([]uint64, Entries)}
	for i := range flat.values {
		flat.values[i] = half
	}
	out := []shape{flat}
	for _, e := range entries {
		data, err := shapeFiles.ReadFile(path.Join("shapes", e.Name()))
		if err != nil {
			panic("topology: embedded shapes: " + err.Error())
		}
		s, err := decodeShape(data)
		if err != nil {
			panic("topology: embedded shape " + e.Name() + ": " + err.Error())
		}
		out = append(out, s)
	}
	return out
})

func decodeShape(data []byte) (s shape, err error) {
	last := uint64(0)
	for len(data) > 0 {
		d, n := binary.Uvarint(data)
		if n <= 0 || len(s.values) == Entries || d > math.MaxInt64-last {
			return s, fmt.Errorf("entry %d is damaged", len(s.values))
		}
		data, last = data[n:], last+d
		s.values = append(s.values, last)
	}
	if len(s.values) != Entries {
		return s, fmt.Errorf("has %d entries, want %d", len(s.values), Entries)
	}
	q := Quantiles{Values: make([]int64, Entries)}
	for i, v := range s.values {
		q.Values[i] = int64(v)
	}
	s.p99 = half + uint64(q.At(990_000))
	return s, nil
}

// MaxRatio is the largest ratio of a 99th percentile to its median.
const MaxRatio = 22

// tail returns the jitter of a delay of the given median and 99th percentile on
// top of a floor of half the median. It needs median <= p99 <= MaxRatio*median.
func tail(median, p99 int64) *Quantiles {
	want := mulDiv(uint64(p99), unit, uint64(median))
	all := shapes()
	i := 1
	for i < len(all)-1 && all[i].p99 < want {
		i++
	}
	lo, hi := &all[i-1], &all[i]
	want = min(want, hi.p99)
	weight := mulDiv(want-lo.p99, unit, hi.p99-lo.p99) // of hi, in units of 2^-32
	q := &Quantiles{Values: make([]int64, Entries)}
	for j := range q.Values {
		v := mulDiv(lo.values[j], unit-weight, unit) + mulDiv(hi.values[j], weight, unit)
		q.Values[j] = int64(mulDiv(v, uint64(median), unit))
	}
	return q
}

// spikeRamp shapes an excursion over the topmost entries, in per mille of its
// size; the 99.99 % of a round trip (two draws, either of which may spike) lies
// on it at 1,000.
var spikeRamp = [...]int64{975, 983, 992, 1003}

// addSpike lets about one draw in 1,200 be late by d: the topmost entries become
// the median and d on top of it. Where the tail is longer than that it stays.
func (q *Quantiles) addSpike(d int64) {
	if d == 0 {
		return
	}
	top, median := len(q.Values)-len(spikeRamp), q.Values[len(q.Values)/2]
	for i, permille := range spikeRamp {
		q.Values[top+i] = max(q.Values[top+i], median+d/1000*permille)
	}
}

// mulDiv returns a*b/c; the result must fit.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}
