package arrival

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	goldenTimes = []time.Duration{94009, 1937070, 2327026, 2653138, 2823437}
	goldenKeys  = []int{980, 0, 371, 532, 4, 620, 255, 0}
)

func TestRateText(t *testing.T) {
	for s, want := range map[string]Rate{
		"250/s": 250 * PerSecond, "10k/s": 10_000 * PerSecond, "0.5/s": PerSecond / 2, "1.25k/s": 1250 * PerSecond,
		"6/min": PerSecond / 10, "36/h": PerSecond / 100, "0/s": 0, "2M/s": 2_000_000 * PerSecond, "0.000001/s": 1,
	} {
		got, err := ParseRate(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
		again, err := ParseRate(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, s := range []string{"", "10", "10/x", "-1/s", "1e3/s", "k/s", "1./s", ".5/s", "010/s", "0.0000001/s", "2000M/s", "99999999999999999999/s", "1 /s", "+1/s"} {
		_, err := ParseRate(s)
		require.Error(t, err, s)
		require.Contains(t, err.Error(), "250/s", "the error shows what is allowed")
	}
}

func TestMilliText(t *testing.T) {
	for s, want := range map[string]Milli{"0": 0, "0.99": 990, ".": 0, "1.2": 1200, "0.125": 125} {
		got, err := ParseMilli(s)
		if s == "." {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, s, got.String())
	}
	_, err := ParseMilli("0.9999")
	require.ErrorContains(t, err, "more digits")
}

func TestParseRefusesBadInput(t *testing.T) {
	for _, c := range []struct {
		text, rate, want string
	}{
		{"poison", "1/s", `did you mean "poisson"?`},
		{"poisson", "0/s", "rate is missing or 0"},
		{"poisson:ratio=2", "1/s", `no option "ratio"`},
		{"poisson:", "1/s", "options are missing"},
		{"mmpp:ratoi=2", "1/s", `did you mean "ratio"?`},
		{"mmpp:ratio=2,ratio=3", "1/s", "given twice"},
		{"mmpp:ratio=1001", "1/s", "allowed is 1 to 1000"},
		{"mmpp:ratio=0", "1/s", "not a count"},
		{"mmpp:ratio=02", "1/s", "not a count"},
		{"mmpp:ratio", "1/s", "key=value"},
		{"mmpp:quiet=-3s", "1/s", "not a duration"},
		{"mmpp:quiet=3", "1/s", "not a duration"},
		{"mmpp:ratio=1000", "0.000001/s", "quiet rate"},
		{"diurnal:amplitude=1.5", "1/s", "allowed is 0 to 1"},
		{"diurnal:day=1ms", "1/s", "allowed is 96ms"},
		{"piecewise", "0/s", "0 steps"},
		{"piecewise:0s=1/s", "1/s", "beside the steps"},
		{"piecewise:1s=1/s", "0/s", "must be at 0s"},
		{"piecewise:0s=1/s,5s=2/s,5s=3/s", "0/s", "twice"},
		{"piecewise:0s=1/s,5s=2/s,4s=3/s", "0/s", "ascend"},
		{"piecewise:0s=0/s", "0/s", "every rate is 0"},
		{"piecewise:0s=1", "0/s", "unit is missing"},
		{"piecewise:0s=1/s,gaps=beta", "0/s", "gaps"},
		{"beta", "0/s", "devices"},
		{"beta:devices=5000000", "0/s", "allowed is 1 to 4194304"},
		{"beta:devices=5,over=10s,every=5s", "0/s", "allowed is 10s"},
		{"aligned:period=1s,jitter=2s,devices=1", "0/s", "jitter"},
		{"aligned", "1000M/s", "allowed is 1 to"},
		{"uniform:devices=1,start=999999h", "0/s", "start"},
	} {
		rate, err := ParseRate(c.rate)
		require.NoError(t, err)
		_, err = Parse(c.text, rate)
		require.ErrorContains(t, err, c.want, "%s at %s", c.text, c.rate)
	}
	require.ErrorContains(t, Config{Kind: Poisson, Rate: 1, Jitter: 1}.Check(), "jitter is not used")
	require.ErrorContains(t, Config{Kind: Poisson, Rate: 1, Steps: []Step{{0, 1}}}.Check(), "steps is not used")
	require.ErrorContains(t, Config{Kind: Poisson, Rate: MaxRate + 1}.Check(), "rate")
	require.ErrorContains(t, Config{Kind: Uniform, Devices: 1, Over: -1}.Check(), "over")
	_, err := New(Config{}, 1, 2)
	require.ErrorContains(t, err, "unknown arrival process")
}

func FuzzParse(f *testing.F) {
	f.Add("mmpp:ratio=20,quiet=110s,burst=10s", uint64(1e6))
	f.Add("piecewise:0s=1k/s,50s=2k/s,120s=0/s", uint64(0))
	f.Add("beta:devices=3,over=10s,every=3600s,start=1s", uint64(0))
	f.Fuzz(func(t *testing.T, text string, rate uint64) {
		c, err := Parse(text, Rate(rate))
		if err != nil {
			return
		}
		if c.fill(); c.Devices > 1000 {
			return
		}
		p, err := New(c, 1, 2)
		require.NoError(t, err)
		last := time.Duration(0)
		for range 100 {
			at, ok := p.Next()
			if !ok {
				break
			}
			require.GreaterOrEqual(t, at, last)
			last = at
		}
	})
}
