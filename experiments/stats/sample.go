package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"golang.org/x/perf/benchmath"
)

// MinRuns is the least number of runs that has a 95 % confidence interval of the
// median.
const MinRuns = 6

// Confidence of all intervals.
const Confidence = 0.95

// Summary is the centre of several runs.
type Summary struct {
	N      int
	Median float64
	// Lo and Hi bound the median if HasCI.
	Lo, Hi float64
	HasCI  bool
}

// finite returns a copy without what is not a number.
func finite(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, v)
		}
	}
	return out
}

// Summarise returns the median of the runs and its exact non-parametric
// interval. Values that are not finite are left out.
func Summarise(values []float64) Summary {
	v := finite(values)
	if len(v) == 0 {
		return Summary{Median: math.NaN(), Lo: math.NaN(), Hi: math.NaN()}
	}
	t := benchmath.DefaultThresholds
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(v, &t), Confidence)
	out := Summary{N: len(v), Median: s.Center, Lo: s.Center, Hi: s.Center}
	if len(v) >= MinRuns && !math.IsInf(s.Lo, 0) && !math.IsInf(s.Hi, 0) {
		out.Lo, out.Hi, out.HasCI = s.Lo, s.Hi, true
	}
	return out
}

// Comparison of two sets of runs.
type Comparison struct {
	A, B Summary
	// P of the Mann-Whitney test; 1 if there are too few runs to tell.
	P float64
	// Differs says that a difference is shown at the 5 % level.
	Differs bool
	// Delta is ~ or the relative change of the median, for example +12.3%.
	Delta string
}

// Compare tests whether b differs from a.
func Compare(a, b []float64) Comparison {
	va, vb := finite(a), finite(b)
	c := Comparison{A: Summarise(va), B: Summarise(vb), P: 1, Delta: "~"}
	if len(va) == 0 || len(vb) == 0 {
		return c
	}
	t := benchmath.DefaultThresholds
	test := benchmath.AssumeNothing.Compare(benchmath.NewSample(va, &t), benchmath.NewSample(vb, &t))
	c.P = test.P
	c.Differs = test.P < test.Alpha
	if c.Differs {
		c.Delta = "differs"
		if c.A.Median != 0 {
			c.Delta = fmt.Sprintf("%+.1f%%", 100*(c.B.Median/c.A.Median-1))
		}
	}
	return c
}

// RatioCI is a ratio of medians.
type RatioCI struct {
	Ratio, Lo, Hi float64
	// HasCI is false for fewer than MinRuns runs. Paired says that the runs were
	// paired by seed.
	HasCI, Paired bool
	N             int
}

// resamples of the bootstrap.
const resamples = 2000

// Ratio returns the median of `of` over the median of `to`, both by seed, with a
// seeded bootstrap interval. Runs are paired where both have the same seeds.
func Ratio(of, to map[int64]float64) RatioCI {
	seedsOf, seedsTo := seeds(of), seeds(to)
	r := RatioCI{N: min(len(seedsOf), len(seedsTo)), Ratio: math.NaN(), Lo: math.NaN(), Hi: math.NaN()}
	if r.N == 0 {
		return r
	}
	r.Paired = len(seedsOf) == len(seedsTo)
	for i := range seedsOf {
		r.Paired = r.Paired && seedsOf[i] == seedsTo[i]
	}
	a, b := at(of, seedsOf), at(to, seedsTo)
	r.Ratio = median(a) / median(b)
	r.Lo, r.Hi = r.Ratio, r.Ratio
	if r.N < MinRuns || math.IsNaN(r.Ratio) || math.IsInf(r.Ratio, 0) {
		return r
	}
	rng := rand.New(rand.NewPCG(0x65646765, 0x626674))
	dist := make([]float64, 0, resamples)
	xa, xb := make([]float64, len(a)), make([]float64, len(b))
	for i := 0; i < resamples; i++ {
		for j := range xa {
			k := rng.IntN(len(a))
			xa[j] = a[k]
			if r.Paired {
				xb[j] = b[k]
			}
		}
		if !r.Paired {
			for j := range xb {
				xb[j] = b[rng.IntN(len(b))]
			}
		}
		if q := median(xa) / median(xb); !math.IsNaN(q) && !math.IsInf(q, 0) {
			dist = append(dist, q)
		}
	}
	if len(dist) < resamples/2 {
		return r
	}
	sort.Float64s(dist)
	r.Lo, r.Hi, r.HasCI = dist[len(dist)*25/1000], dist[min(len(dist)*975/1000, len(dist)-1)], true
	return r
}

func seeds(m map[int64]float64) []int64 {
	out := make([]int64, 0, len(m))
	for s, v := range m {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func at(m map[int64]float64, seeds []int64) []float64 {
	out := make([]float64, len(seeds))
	for i, s := range seeds {
		out[i] = m[s]
	}
	return out
}

// median of a copy.
func median(values []float64) float64 {
	v := append([]float64(nil), values...)
	sort.Float64s(v)
	n := len(v)
	if n == 0 {
		return math.NaN()
	}
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
