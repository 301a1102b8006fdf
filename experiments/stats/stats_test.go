package stats

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSummarise(t *testing.T) {
	in := []float64{7, 1, 5, 3, 6, 2, 4}
	s := Summarise(in)
	require.Equal(t, []float64{7, 1, 5, 3, 6, 2, 4}, in, "the caller's order is kept")
	require.Equal(t, 4.0, s.Median)
	require.True(t, s.HasCI)
	// For seven runs the exact 95 % interval of the median is the whole range.
	require.Equal(t, [2]float64{1, 7}, [2]float64{s.Lo, s.Hi})

	s = Summarise(in[:5])
	require.False(t, s.HasCI, "fewer than six runs have no interval")
	require.Equal(t, 5, s.N)
	s = Summarise([]float64{math.NaN(), math.Inf(1), 3})
	require.Equal(t, 1, s.N)
	require.Equal(t, 3.0, s.Median)
	require.True(t, math.IsNaN(Summarise(nil).Median))
}

func TestCompare(t *testing.T) {
	a := []float64{10, 11, 12, 10.5, 11.5, 10.2, 11.1}
	c := Compare(a, a)
	require.Equal(t, "~", c.Delta)
	b := make([]float64, len(a))
	for i := range a {
		b[i] = a[i] * 1.5
	}
	c = Compare(a, b)
	require.True(t, c.Differs)
	require.Equal(t, "+50.0%", c.Delta)
	require.Equal(t, "~", Compare(a[:2], b[:2]).Delta, "two runs show nothing")
	require.Equal(t, "~", Compare(nil, b).Delta)
	require.Equal(t, "differs", Compare([]float64{0, 0, 0, 0, 0, 0, 0}, a).Delta)
}

func TestRatio(t *testing.T) {
	of, to := map[int64]float64{}, map[int64]float64{}
	for seed := int64(1); seed <= 7; seed++ {
		to[seed] = 100 * float64(seed)
		of[seed] = 90 * float64(seed)
	}
	r := Ratio(of, to)
	require.True(t, r.Paired)
	require.True(t, r.HasCI)
	require.InDelta(t, 0.9, r.Ratio, 1e-9)
	require.InDelta(t, 0.9, r.Lo, 1e-9, "pairing by seed removes the spread between seeds")
	require.InDelta(t, 0.9, r.Hi, 1e-9)
	require.Equal(t, r, Ratio(of, to), "the bootstrap is seeded")

	other := map[int64]float64{}
	for s, v := range to {
		other[s+100] = v
	}
	u := Ratio(of, other)
	require.False(t, u.Paired)
	require.Less(t, u.Lo, 0.9)
	require.Greater(t, u.Hi, 0.9)

	require.False(t, Ratio(map[int64]float64{1: 2}, map[int64]float64{1: 1}).HasCI)
	require.True(t, math.IsNaN(Ratio(nil, to).Ratio))
	require.False(t, Ratio(of, map[int64]float64{1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}).HasCI)
}

func TestIntervalsHoldTheMedian(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 30).Draw(rt, "v")
		s := Summarise(v)
		require.LessOrEqual(rt, s.Lo, s.Median)
		require.GreaterOrEqual(rt, s.Hi, s.Median)
		require.Equal(rt, len(v) >= MinRuns, s.HasCI)
		require.InDelta(rt, median(v), s.Median, 1e-6)
	})
}

func outcome() *result.Outcome {
	return &result.Outcome{
		Result: &result.Result{Mode: "local", Load: "open", DurationS: 2e9, LatencyMS: result.Latency{P50: 100e6}, Validity: result.Validity{Valid: true, GeneratorCPUPermille: -1}},
		Load:   &result.Load{Offered: 2000, Halves: [2]int64{1000, 1000}, Backlog: [3]int64{5, 6, 5}},
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name              string
		change            func(o *result.Outcome)
		steady, saturated bool
		reason            string
	}{
		{"good", func(o *result.Outcome) {}, true, false, ""},
		{"halves differ", func(o *result.Outcome) { o.Load.Halves = [2]int64{1000, 700} }, false, false, ""},
		{"few requests are noise", func(o *result.Outcome) { o.Load.Halves = [2]int64{10, 14} }, true, false, ""},
		{"backlog grows", func(o *result.Outcome) { o.Load.Backlog = [3]int64{5, 100, 200} }, true, true, ""},
		{"backlog wobbles", func(o *result.Outcome) { o.Load.Backlog = [3]int64{5, 100, 50} }, true, false, ""},
		{"requests time out", func(o *result.Outcome) { o.Result.TimedOut = 21 }, true, true, ""},
		{"closed loops have no backlog", func(o *result.Outcome) { o.Result.Load, o.Load.Backlog = "closed", [3]int64{5, 100, 200} }, true, false, ""},
		{"late", func(o *result.Outcome) { o.Result.Validity.GeneratorLagP99MS = 1_000_001 }, true, false, "the generator sent late: p99 1.000001 ms"},
		{"late for a fast system", func(o *result.Outcome) {
			o.Result.LatencyMS.P50, o.Result.Validity.GeneratorLagP99MS = 1e6, 60_000
		}, true, false, "more than 5 % of the median"},
		{"dropped", func(o *result.Outcome) { o.Result.Failed = 3 }, true, false, "3 of 2000 requests could not be submitted"},
		{"busy generator", func(o *result.Outcome) { o.Result.Validity.GeneratorCPUPermille = 810 }, true, false, "busy for 81 %"},
		{"throttled", func(o *result.Outcome) { o.Result.Validity.Throttled = true }, true, false, "throttled"},
		{"clocks", func(o *result.Outcome) { o.Result.Validity.OneWay, o.Result.Validity.ClockOffsetMS = true, 11e6 }, true, false, "clocks are up to 11 ms apart"},
		{"late because the simulated system is saturated", func(o *result.Outcome) {
			o.Result.Mode, o.Load.Backlog, o.Result.Validity.GeneratorLagP99MS = "sim", [3]int64{5, 100, 200}, 5e6
			o.Result.Validity.BottleneckPermille = 900
		}, true, true, ""},
		{"late because there are too few simulated clients", func(o *result.Outcome) {
			o.Result.Mode, o.Load.Backlog, o.Result.Validity.GeneratorLagP99MS = "sim", [3]int64{5, 100, 200}, 5e6
			o.Result.Validity.BottleneckPermille = 899
		}, true, true, "use more clients"},
		{"the simulated clients are the bottleneck", func(o *result.Outcome) {
			o.Result.Mode, o.Load.Backlog, o.Result.Validity.GeneratorCPUPermille = "sim", [3]int64{5, 100, 200}, 900
		}, true, true, "busy"},
	} {
		o := outcome()
		c.change(o)
		Judge(o, DefaultGates)
		Judge(o, DefaultGates)
		require.LessOrEqual(t, len(o.Result.Validity.Reasons), 1, "judging twice adds nothing")
		require.Equal(t, c.steady, o.Result.Steady.Steady, c.name)
		require.Equal(t, c.saturated, o.Result.Steady.Saturated, c.name)
		require.Equal(t, c.reason == "", o.Result.Validity.Valid, c.name)
		if c.reason != "" {
			require.Contains(t, o.Result.Validity.Reasons[0], c.reason, c.name)
		}
	}
	Judge(&result.Outcome{}, DefaultGates)
}

const suiteText = `
suite: s
base: {workload: {kind: open, rate: 1k/s, timeout: 1s}, window: {warmup: 100ms, measure: 1s}}
matrix:
  protocol: [alpha, beta]
  workload.rate: [500/s, 2k/s, 20k/s]
  seed: {count: 6}
auto: {cap: 50ms}
claims:
  - {id: C1, text: beta is faster, check: {ratio: peak_tput, of: {protocol: beta}, to: {protocol: alpha}, min: 0.9}}
  - {id: C2, text: alpha is ten times faster, check: {ratio: peak_tput, of: {protocol: alpha}, to: {protocol: beta}, min: 10}}
  - {id: C3, text: fast, check: {value: latency_p50, where: {protocol: alpha, workload.rate: 500/s}, max: 20}}
  - {id: C4, text: nothing, check: {value: latency_p50, where: {protocol: gamma}, max: 20}}
  - {id: C5, text: ambiguous, check: {value: latency_p50, where: {protocol: alpha}, max: 20}}
thresholds:
  - {metric: latency_p99, max: 100, below_load: 0.8}
  - {metric: throughput, min: 100000, where: {protocol: alpha, workload.rate: 500/s}}
`

func groups(t *testing.T, text string) (*suite.Suite, []*Group) {
	t.Helper()
	s, err := suite.Parse("s.yaml", []byte(text), "")
	require.NoError(t, err)
	cells, err := s.Expand(testrun.Catalog())
	require.NoError(t, err)
	st, err := store.Open(filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	for _, c := range cells {
		out, err := testrun.Run(context.Background(), c.Scenario)
		require.NoError(t, err)
		Judge(out, DefaultGates)
		p, err := st.Begin(store.NewManifest(c.Scenario, "s", c.Axes, &store.Environment{}))
		require.NoError(t, err)
		require.NoError(t, p.Commit(out, result.OK, "", false))
	}
	records, err := st.Records()
	require.NoError(t, err)
	g, err := Groups(records)
	require.NoError(t, err)
	return s, g
}

func TestClaimsAndThresholds(t *testing.T) {
	s, g := groups(t, suiteText)
	require.Len(t, g, 6)
	require.Equal(t, []string{"unknown"}, Revisions(g))
	require.Len(t, g[0].Records, 6)
	require.True(t, Select(g, suite.Match{"protocol": "alpha", "workload.rate": "20k/s"})[0].Saturated())
	require.Equal(t, "alpha rate=500/s", g[0].Label())
	require.Equal(t, "alpha", g[0].Value("protocol"))
	require.Equal(t, "4", g[0].Value("n"))
	claims, breaches, err := Evaluate(s, g)
	require.NoError(t, err)
	var verdicts []Verdict
	for _, c := range claims {
		verdicts = append(verdicts, c.Verdict)
		require.NotEmpty(t, c.Sentence)
	}
	require.Equal(t, []Verdict{Holds, Fails, Holds, Open, Open}, verdicts)
	require.Contains(t, claims[3].Sentence, "no usable cells match protocol=gamma")
	require.Contains(t, claims[4].Sentence, "selects 3 configurations")
	require.Contains(t, claims[0].Sentence, "95 % interval")
	require.Len(t, breaches, 6)
	require.Contains(t, breaches[0].Sentence, "at least 100000 is allowed")
}

// Where no load stays below the cap there is nothing to be below of, and the bound
// is broken, not kept.
func TestNoPeakIsABreach(t *testing.T) {
	s, g := groups(t, `
suite: s
base: {protocol: alpha, clients: 8, workload: {kind: open, rate: 1k/s, timeout: 1s}, window: {warmup: 100ms, measure: 200ms}}
matrix: {f: [1, 2], workload.rate: [500/s, 2k/s], seed: {count: 2}}
auto: {cap: 100us}
thresholds: [{metric: latency_p99, max: 500, below_load: 0.8}]
`)
	_, breaches, err := Evaluate(s, g)
	require.NoError(t, err)
	require.Len(t, breaches, 4, "one for each series and seed")
	require.Contains(t, breaches[0].Sentence, "no load of f=1 (seed 1) keeps latency_p99")
	require.Contains(t, breaches[0].Sentence, "at or below 100us without saturation, so there is no peak load")
	require.NotEmpty(t, breaches[0].Cell)
}

func TestUnknownMetricsAreRefusedBeforeTheRun(t *testing.T) {
	for _, text := range []string{
		"figures: [{kind: bars, y: throughputt}]", "thresholds: [{metric: latency, max: 1}]",
		"claims: [{id: C, text: t, check: {value: tput, min: 1}}]", "figures: [{kind: bars, band: p99}]",
	} {
		s, err := suite.Parse("s.yaml", []byte("{suite: x, base: {protocol: alpha}, "+text+"}"), "")
		require.NoError(t, err)
		require.ErrorContains(t, CheckMetrics(s), "unknown metric")
	}
}

func TestMetricsHaveLabels(t *testing.T) {
	for _, m := range Metrics() {
		require.NotEmpty(t, m.Label)
		m.Of(&result.Result{})
	}
	require.Equal(t, "Throughput (ops/s)", metrics[0].Axis())
}
