package arrival

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func build(t testing.TB, text string, rate Rate) Process {
	t.Helper()
	c, err := Parse(text, rate)
	require.NoError(t, err)
	p, err := New(c, 11, 12)
	require.NoError(t, err)
	return p
}

// until counts the arrivals before end and returns the dispersion index of the
// counts per bin.
func until(p Process, end, bin time.Duration) (n int, dispersion float64) {
	counts := make([]float64, end/bin)
	for {
		at, ok := p.Next()
		if !ok || at >= end {
			break
		}
		n++
		counts[at/bin]++
	}
	mean, varsum := float64(n)/float64(len(counts)), 0.0
	for _, c := range counts {
		varsum += (c - mean) * (c - mean)
	}
	return n, varsum / float64(len(counts)) / mean
}

func TestPoisson(t *testing.T) {
	n, d := until(build(t, Poisson, 1000*PerSecond), 500*time.Second, 100*time.Millisecond)
	require.InEpsilon(t, 500_000, n, 0.01)
	require.InDelta(t, 1, d, 0.06)
}

func TestConstantDoesNotDrift(t *testing.T) {
	p := build(t, Constant, 3*PerSecond) // a third of a second is no whole nanosecond
	for i := 1; i <= 3000; i++ {
		at, ok := p.Next()
		require.True(t, ok)
		require.Equal(t, time.Duration((int64(i)*1e9+2)/3), at)
	}
}

// Self-check 1 of the edge sheet.
func TestStormPeak(t *testing.T) {
	const n, bins = 1_000_000, 50
	p := build(t, "beta:devices=1000000,over=10s", 0)
	var count [bins]int
	last := time.Duration(0)
	for range n {
		at, ok := p.Next()
		require.True(t, ok)
		require.GreaterOrEqual(t, at, last)
		last = at
		count[at*bins/(10*time.Second)]++
	}
	_, ok := p.Next()
	require.False(t, ok, "one wave only")
	peak := 0
	for i := range count {
		if count[i] > count[peak] {
			peak = i
		}
	}
	require.InDelta(t, 0.4, (float64(peak)+0.5)/bins, 0.04)
	// The two bins around 0.4 T, as arrivals per second against 2.0736 N/T.
	rate := float64(count[19]+count[20]) / (2 * 10.0 / bins)
	require.InEpsilon(t, 2.0736*n/10, rate, 0.05)
}

// Self-check 2 of the edge sheet: the mean is 2.58 times the quiet rate.
func TestMMPPMean(t *testing.T) {
	mean := PerSecond.times(310, 120)
	c, err := Parse(MMPP, mean)
	require.NoError(t, err)
	c.fill()
	require.InEpsilon(t, float64(PerSecond), float64(c.quietRate()), 1e-5)
	const cycles = 10_000
	n, d := until(build(t, MMPP, mean), cycles*120*time.Second, 10*time.Second)
	require.InEpsilon(t, 2.5833*cycles*120, n, 0.03)
	require.Greater(t, d, 5.0, "index of dispersion")
}

func TestMMPPStatesKeepStillWhenTheRateChanges(t *testing.T) {
	times := func(rate Rate) []time.Duration {
		ch := newChain(rand.NewPCG(1, 2), rate, 20*rate, time.Second, time.Second)
		var out []time.Duration
		for range 10 {
			at, _, _ := ch.next()
			out = append(out, at)
		}
		return out
	}
	require.Equal(t, times(PerSecond), times(1000*PerSecond))
}

func TestDiurnal(t *testing.T) {
	p := build(t, "diurnal:day=96s", 10_000*PerSecond) // a quarter of an hour lasts a second
	var count [96]int
	total := 0
	for {
		at, _ := p.Next()
		if at >= 96*time.Second {
			break
		}
		count[at/time.Second]++
		total++
	}
	require.InEpsilon(t, 960_000, total, 0.01)
	require.InEpsilon(t, 16_000, count[73]+0, 0.05, "18:15 to 18:30")
	require.InEpsilon(t, 4_000, count[26], 0.08, "06:30, the opposite")
}

func TestPiecewise(t *testing.T) {
	p := build(t, "piecewise:0s=100/s,2s=0/s,3s=1k/s,4s=0/s,gaps=constant", 0)
	var count [5]int
	for {
		at, ok := p.Next()
		if !ok {
			break
		}
		count[(at-1)/time.Second]++
	}
	require.Equal(t, [5]int{100, 100, 0, 1000, 0}, count)
	_, ok := p.Next()
	require.False(t, ok, "it stays finished")
}

func TestAligned(t *testing.T) {
	p := build(t, "aligned:period=1s,jitter=100ms,devices=50", 0)
	for i := range 500 {
		at, ok := p.Next()
		require.True(t, ok)
		require.Equal(t, time.Duration(i/50), at/time.Second)
		require.Less(t, at%time.Second, 100*time.Millisecond)
	}
	p = build(t, "aligned:period=1s,start=250ms,jitter=0s", 7*PerSecond) // no jitter, devices from the rate
	for i := range 21 {
		at, _ := p.Next()
		require.Equal(t, 250*time.Millisecond+time.Duration(i/7)*time.Second, at)
	}
}

func TestUniformWavesRepeat(t *testing.T) {
	p := build(t, "uniform:devices=1000,over=1s,every=2s", 0)
	var count [6]int
	for range 3000 {
		at, _ := p.Next()
		count[at/time.Second]++
	}
	require.Equal(t, [6]int{1000, 0, 1000, 0, 1000, 0}, count)
}

func TestSharesAddUp(t *testing.T) {
	for _, text := range []string{"poisson", "mmpp", "beta:devices=1003", "aligned:period=1s,devices=7", "piecewise:0s=10/s,1s=7/s"} {
		rate := 1000*PerSecond + 1
		if text[:2] == "pi" {
			rate = 0
		}
		c, err := Parse(text, rate)
		require.NoError(t, err)
		require.Equal(t, c, c.Share(0, 1))
		var sum Rate
		devices, second := 0, Rate(0)
		for i := range 4 {
			s := c.Share(i, 4)
			require.NoError(t, s.Check())
			sum += s.Rate
			devices += s.Devices
			if len(s.Steps) == 2 {
				second += s.Steps[1].Rate
			}
		}
		if c.Devices > 0 {
			require.Equal(t, c.Devices, devices)
		} else if len(c.Steps) == 2 {
			require.Equal(t, c.Steps[1].Rate, second)
			require.Equal(t, 7*PerSecond, c.Steps[1].Rate, "the original is untouched")
		} else {
			require.Equal(t, rate, sum)
		}
	}
}

// All parts of a process with equal gaps give the arrivals of the whole.
func TestEqualGapsAreShared(t *testing.T) {
	for _, text := range []string{"constant", "piecewise:0s=3/s,2s=0/s,4s=7/s,gaps=constant"} {
		rate := 7 * PerSecond
		if text[0] == 'p' {
			rate = 0
		}
		const n = 5
		c, err := Parse(text, rate)
		require.NoError(t, err)
		var parts [n]Process
		for i := range parts {
			s := c.Share(i, n)
			require.NoError(t, s.Check())
			parts[i], err = New(s, uint64(i), 12)
			require.NoError(t, err)
		}
		whole := build(t, text, rate)
		for k := range 200 {
			want, _ := whole.Next()
			got, ok := parts[k%n].Next()
			require.True(t, ok)
			require.Equal(t, want, got, "%s: arrival %d", text, k)
		}
	}
}

// The bursts of all parts over one background coincide: together they are as
// dispersed as the whole.
func TestBurstsOfOneBackground(t *testing.T) {
	const n, end, bin = 4, 4000 * time.Second, 10 * time.Second
	dispersion := func(background uint64) float64 {
		c, err := Parse(MMPP, 40*PerSecond)
		require.NoError(t, err)
		c.Background = background
		counts := make([]float64, end/bin)
		total := 0.0
		for i := range n {
			p, err := New(c.Share(i, n), uint64(100+i), 12)
			require.NoError(t, err)
			for at, ok := p.Next(); ok && at < end; at, ok = p.Next() {
				counts[at/bin]++
				total++
			}
		}
		mean, sum := total/float64(len(counts)), 0.0
		for _, c := range counts {
			sum += (c - mean) * (c - mean)
		}
		return sum / float64(len(counts)) / mean
	}
	alone, together := dispersion(0), dispersion(9)
	require.Greater(t, together, 2*alone)
}

// What is written is what is played, also where it is 0.
func TestExplicitZeros(t *testing.T) {
	for text, want := range map[string]string{
		"diurnal:amplitude=0": "write poisson",
		"diurnal:day=0s":      "day: it is 0s",
		"mmpp:burst=0s":       "burst: it is 0s",
		"mmpp:quiet=0s":       "quiet: it is 0s",
		"beta:over=0s":        "over: it is 0s",
		"aligned:period=0s":   "period: it is 0s",
	} {
		_, err := Parse(text, PerSecond)
		require.ErrorContains(t, err, want)
	}
	c, err := Parse("diurnal:peak=0s,day=2h", PerSecond)
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, c.Peak)
	require.ErrorContains(t, Config{Kind: Aligned, Devices: 1, Jitter: 1, NoJitter: true}.Check(), "leave one of the two out")
	require.ErrorContains(t, Config{Kind: Poisson, Rate: 1, NoJitter: true}.Check(), "jitter is not used")
	for text, most := range map[string]time.Duration{
		"aligned:devices=1000":                      time.Minute, // the sheet's
		"aligned:devices=1000,period=1s":            time.Second,
		"aligned:devices=1000,jitter=0s":            1,
		"aligned:devices=1000,jitter=5s,period=10s": 5 * time.Second,
	} {
		p, last := build(t, text, 0), time.Duration(0)
		for range 1000 {
			last, _ = p.Next()
		}
		require.Less(t, last, most, text)
		require.GreaterOrEqual(t, last, most*9/10-1, text)
	}
}

// Self-check 3 of the edge sheet.
func TestZipfShares(t *testing.T) {
	for _, c := range []struct {
		n                 int
		theta             string
		top, top10, top1p float64
	}{
		{1e3, "0", .001, .01, .01},
		{1e3, "0.6", .027, .118, .118},
		{1e3, "0.99", .129, .383, .383},
		{1e3, "1.2", .231, .569, .569},
		{1e5, "0.6", .0040, .018, .152},
		{1e5, "0.99", .078, .231, .605},
		{1e5, "1.2", .196, .485, .852},
	} {
		theta, err := ParseMilli(c.theta)
		require.NoError(t, err)
		z, err := NewZipf(c.n, theta)
		require.NoError(t, err)
		r := rand.NewPCG(5, uint64(c.n)+uint64(theta))
		const draws = 1_000_000
		count := make([]int, c.n)
		for range draws {
			count[z.Key(r.Uint64())]++
		}
		sum := func(k int) (share float64) {
			for _, n := range count[:k] {
				share += float64(n) / draws
			}
			return share
		}
		for _, s := range []struct {
			keys int
			want float64
		}{{1, c.top}, {10, c.top10}, {c.n / 100, c.top1p}} {
			got := sum(s.keys)
			if s.want > 0.05 {
				require.InEpsilon(t, s.want, got, 0.02, "n=%d theta=%s top %d", c.n, c.theta, s.keys)
			} else {
				require.InDelta(t, s.want, got, 0.001)
			}
		}
	}
}

func TestZipfWeightsAreExact(t *testing.T) {
	z, err := NewZipf(1000, 990)
	require.NoError(t, err)
	h := 0.0
	for i := 1; i <= 1000; i++ {
		h += math.Pow(float64(i), -.99)
	}
	for _, i := range []int{0, 1, 9, 499, 999} {
		require.InDelta(t, math.Pow(float64(i+1), -.99)/h, q(z.Share(i), 32), 3e-9)
	}
	require.Zero(t, z.Key(0))
	require.Equal(t, 999, z.Key(math.MaxUint64))
}

// The parts of a distribution have the weights of the whole.
func TestZipfParts(t *testing.T) {
	const n, parts = 1003, 4
	whole, err := NewZipf(n, 990)
	require.NoError(t, err)
	total := 0
	for part := range parts {
		z, err := NewZipfPart(n, 990, part, parts)
		require.NoError(t, err)
		total += z.Keys()
		for i := range z.Keys() {
			// All weights are relative to the first key of the part.
			want := q(whole.Share(part+i*parts), 32) / q(whole.Share(part), 32)
			require.InDelta(t, want, q(z.Share(i), 32)/q(z.Share(0), 32), 1e-6)
		}
	}
	require.Equal(t, n, total)
	flat, err := NewZipfPart(10, 0, 3, 4)
	require.NoError(t, err)
	require.Equal(t, 2, flat.Keys(), "3 and 7")
	for _, bad := range [][2]int{{-1, 4}, {4, 4}, {2, 5}} {
		_, err := NewZipfPart(2, 990, bad[0], bad[1])
		require.ErrorContains(t, err, "allowed is 0 to 1")
	}
}

func TestZipfMapsMonotonously(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		z, err := NewZipf(n, Milli(rapid.IntRange(0, 2000).Draw(t, "theta")))
		require.NoError(t, err)
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		if a > b {
			a, b = b, a
		}
		i, j := z.Key(a), z.Key(b)
		require.LessOrEqual(t, i, j)
		require.GreaterOrEqual(t, i, 0)
		require.Less(t, j, n)
		if z.cum != nil { // the guide finds what a plain search finds
			v := below(a, z.cum[n-1])
			require.Greater(t, z.cum[i], v)
			require.True(t, i == 0 || z.cum[i-1] <= v)
		}
	})
}

// Self-check 4 of the edge sheet.
func TestSnipingShares(t *testing.T) {
	const week, minute = 7 * 24 * time.Hour, time.Minute
	for _, c := range []struct {
		alpha Milli
		want  [4]float64 // 5 min, 60 s, 10 s of a week; 1 s of a minute
	}{
		{100, [4]float64{.467, .398, .333, .664}},
		{200, [4]float64{.218, .158, .111, .441}},
		{400, [4]float64{.048, .025, .012, .194}},
	} {
		s, err := NewSniper(c.alpha)
		require.NoError(t, err)
		r := rand.NewPCG(7, uint64(c.alpha))
		const draws = 400_000
		var got [4]float64
		for range draws {
			before := s.Before(r.Uint64(), week)
			for i, lim := range []time.Duration{5 * time.Minute, time.Minute, 10 * time.Second} {
				if before < lim {
					got[i] += 1. / draws
				}
			}
			if b := s.Before(r.Uint64(), minute); b < time.Second {
				got[3] += 1. / draws
			}
		}
		for i := range got {
			require.InDelta(t, c.want[i], got[i], 0.003, "alpha %v column %d", c.alpha, i)
		}
	}
	s, _ := NewSniper(200)
	require.Equal(t, time.Minute-1, s.Before(math.MaxUint64, time.Minute))
}

func TestEqualSeedsGiveEqualSequences(t *testing.T) {
	for _, text := range []string{"poisson", "mmpp", "diurnal", "beta:devices=100,every=20s", "aligned:period=1s,jitter=1s", "piecewise:0s=1k/s"} {
		rate := 100 * PerSecond
		if text[:2] == "pi" {
			rate = 0
		}
		a, b := build(t, text, rate), build(t, text, rate)
		c, err := Parse(text, rate)
		require.NoError(t, err)
		other, err := New(c, 11, 13)
		require.NoError(t, err)
		same, last := 0, time.Duration(0)
		for range 500 {
			x, okx := a.Next()
			y, oky := b.Next()
			z, _ := other.Next()
			require.Equal(t, okx, oky)
			require.Equal(t, x, y)
			require.GreaterOrEqual(t, x, last)
			last = x
			if x == z {
				same++
			}
		}
		require.Less(t, same, 50, "%s: another seed gives another sequence", text)
	}
}

// The sequence is part of every trace hash: it must never change by accident.
func TestGolden(t *testing.T) {
	var got []time.Duration
	p := build(t, Poisson, 1000*PerSecond)
	for range 5 {
		at, _ := p.Next()
		got = append(got, at)
	}
	z, err := NewZipf(1000, 990)
	require.NoError(t, err)
	r := rand.NewPCG(1, 1)
	var keys []int
	for range 8 {
		keys = append(keys, z.Key(r.Uint64()))
	}
	require.Equal(t, goldenTimes, got)
	require.Equal(t, goldenKeys, keys)
}

func BenchmarkPoisson(b *testing.B) {
	p := build(b, Poisson, 1000*PerSecond)
	b.ReportAllocs()
	for b.Loop() {
		p.Next()
	}
}

func BenchmarkZipf(b *testing.B) {
	z, _ := NewZipf(100_000, 990)
	r := rand.NewPCG(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		z.Key(r.Uint64())
	}
}

func BenchmarkZipfBuild(b *testing.B) {
	for b.Loop() {
		buildZipf(100_000, 990, 0, 1)
	}
}
