package stats

import (
	"fmt"
	"math"
	"strings"

	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/internal/strict"
)

// Verdict on a claim.
type Verdict string

// Verdicts.
const (
	// Holds: the bound is kept, by the whole interval where there is one.
	Holds Verdict = "holds"
	// Fails: the bound is broken, by the whole interval where there is one.
	Fails Verdict = "fails"
	// Open: the interval straddles the bound, or there are no data.
	Open Verdict = "undecided"
)

// ClaimVerdict is the outcome of one claim.
type ClaimVerdict struct {
	Claim   suite.Claim
	Verdict Verdict
	// Sentence says what was found.
	Sentence string
}

// Breach is a run beyond a threshold.
type Breach struct {
	Threshold suite.Threshold
	Cell      string
	Sentence  string
}

// CheckMetrics refuses unknown metrics in the claims, thresholds and figures of
// a suite, before anything is run.
func CheckMetrics(s *suite.Suite) error {
	check := func(path, name string, peak bool) error {
		if name == "" || peak && name == PeakThroughput {
			return nil
		}
		if _, err := FindMetric(name); err != nil {
			return s.Document().Errorf(path, "%v", err)
		}
		return nil
	}
	for i, c := range s.Claims {
		at := fmt.Sprintf("claims[%d].check", i)
		if err := check(at, c.Check.Ratio, true); err != nil {
			return err
		}
		if err := check(at, c.Check.Value, true); err != nil {
			return err
		}
	}
	for i, t := range s.Thresholds {
		if err := check(fmt.Sprintf("thresholds[%d].metric", i), t.Metric, false); err != nil {
			return err
		}
	}
	for i, f := range s.Figures {
		if err := check(fmt.Sprintf("figures[%d].y", i), f.Y, false); err != nil {
			return err
		}
		if err := check(fmt.Sprintf("figures[%d].band", i), f.Band, false); err != nil {
			return err
		}
	}
	return nil
}

// Evaluate gives the verdicts on the claims and thresholds of a suite.
func Evaluate(s *suite.Suite, groups []*Group) ([]ClaimVerdict, []Breach, error) {
	if err := CheckMetrics(s); err != nil {
		return nil, nil, err
	}
	var claims []ClaimVerdict
	for _, c := range s.Claims {
		claims = append(claims, evaluate(s, c, groups))
	}
	var breaches []Breach
	for _, t := range s.Thresholds {
		b, err := breachesOf(s, t, groups)
		if err != nil {
			return nil, nil, err
		}
		breaches = append(breaches, b...)
	}
	return claims, breaches, nil
}

// bySeed returns a metric by seed over the groups that match; several groups are
// possible only for the peak.
func bySeed(s *suite.Suite, metric string, m suite.Match, groups []*Group) (map[int64]float64, string, error) {
	sel := Select(groups, m)
	if len(sel) == 0 {
		return nil, "", fmt.Errorf("no usable cells match %s", matchText(m))
	}
	if metric == PeakThroughput {
		cap, err := FindMetric(s.Auto.Metric)
		if err != nil {
			return nil, "", err
		}
		v := PeakBySeed(sel, cap, float64(s.Auto.Cap)/1e6)
		if len(v) == 0 {
			return nil, "", fmt.Errorf("no cell of %s stays below the latency cap of %s", matchText(m), s.Auto.Cap)
		}
		return v, "ops/s", nil
	}
	if len(sel) > 1 {
		return nil, "", fmt.Errorf("%s selects %d configurations; narrow it to one", matchText(m), len(sel))
	}
	x, err := FindMetric(metric)
	if err != nil {
		return nil, "", err
	}
	return sel[0].BySeed(x), x.Unit, nil
}

func matchText(m suite.Match) string {
	if len(m) == 0 {
		return "everything"
	}
	o := strict.Text(struct {
		M suite.Match `key:"m"`
	}{m}, nil)
	var parts []string
	for _, e := range o[0].Value.(strict.Ordered) {
		parts = append(parts, fmt.Sprintf("%s=%v", e.Key, e.Value))
	}
	return strings.Join(parts, " ")
}

func evaluate(s *suite.Suite, c suite.Claim, groups []*Group) ClaimVerdict {
	v := ClaimVerdict{Claim: c, Verdict: Open}
	var value, lo, hi float64
	var what string
	if c.Check.Ratio != "" {
		of, _, err := bySeed(s, c.Check.Ratio, c.Check.Of, groups)
		if err != nil {
			v.Sentence = err.Error()
			return v
		}
		to, _, err := bySeed(s, c.Check.Ratio, c.Check.To, groups)
		if err != nil {
			v.Sentence = err.Error()
			return v
		}
		r := Ratio(of, to)
		value, lo, hi = r.Ratio, r.Lo, r.Hi
		what = fmt.Sprintf("%s of %s is %s times that of %s", c.Check.Ratio, matchText(c.Check.Of), short(value), matchText(c.Check.To))
		what += interval(lo, hi, r.HasCI, r.N)
	} else {
		values, unit, err := bySeed(s, c.Check.Value, c.Check.Where, groups)
		if err != nil {
			v.Sentence = err.Error()
			return v
		}
		sum := Summarise(at(values, seeds(values)))
		value, lo, hi = sum.Median, sum.Lo, sum.Hi
		what = fmt.Sprintf("%s of %s is %s %s", c.Check.Value, matchText(c.Check.Where), short(value), unit)
		what += interval(lo, hi, sum.HasCI, sum.N)
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		v.Sentence = "there are no data"
		return v
	}
	v.Verdict = Holds
	bound := func(limit *strict.Milli, below bool) {
		if limit == nil {
			return
		}
		b := float64(*limit) / 1000
		bad, good := lo >= b, hi < b
		word := "at least"
		if below {
			bad, good = hi <= b, lo > b
			word = "at most"
		}
		// bad means that the whole interval keeps the bound, good that it breaks it.
		switch {
		case bad:
		case good:
			v.Verdict = Fails
		case v.Verdict != Fails:
			v.Verdict = Open
		}
		what += fmt.Sprintf("; claimed is %s %s", word, limit)
	}
	bound(c.Check.Min, false)
	bound(c.Check.Max, true)
	v.Sentence = what
	return v
}

func interval(lo, hi float64, has bool, n int) string {
	if !has {
		return fmt.Sprintf(" (n = %d, too few for an interval)", n)
	}
	return fmt.Sprintf(" (95 %% interval %s to %s, n = %d)", short(lo), short(hi), n)
}

func short(v float64) string { return fmt.Sprintf("%.4g", v) }

func breachesOf(s *suite.Suite, t suite.Threshold, groups []*Group) ([]Breach, error) {
	m, err := FindMetric(t.Metric)
	if err != nil {
		return nil, err
	}
	cap, err := FindMetric(s.Auto.Metric)
	if err != nil {
		return nil, err
	}
	sel := Select(groups, t.Where)
	peaks := map[string]map[int64]float64{}
	if t.BelowLoad > 0 {
		series := map[string][]*Group{}
		for _, g := range sel {
			series[seriesKey(g)] = append(series[seriesKey(g)], g)
		}
		for k, gs := range series {
			peaks[k] = PeakBySeed(gs, cap, float64(s.Auto.Cap)/1e6)
		}
	}
	var out []Breach
	lost := map[string]bool{} // series and seeds without a peak, once each
	for _, g := range sel {
		for _, r := range g.Records {
			v, ok := m.Of(r.Result)
			if !ok {
				continue
			}
			if t.BelowLoad > 0 {
				peak, ok := peaks[seriesKey(g)][r.Manifest.Seed]
				if !ok {
					// Nothing to be below of: the system is at its worst, not excused.
					if key := fmt.Sprintf("%s\x00%d", seriesKey(g), r.Manifest.Seed); !lost[key] {
						lost[key] = true
						out = append(out, Breach{t, r.Manifest.Cell, fmt.Sprintf("no load of %s (seed %d) keeps %s at or below %s without saturation, so there is no peak load of which %s below %s could be judged", seriesLabel(g), r.Manifest.Seed, cap.Name, s.Auto.Cap, m.Name, t.BelowLoad)})
					}
					continue
				}
				if r.Result.OfferedTPS.Float() > peak*float64(t.BelowLoad)/1000 {
					continue
				}
			}
			for _, b := range []struct {
				limit *strict.Milli
				word  string
				bad   bool
			}{
				{t.Max, "at most", t.Max != nil && v > float64(*t.Max)/1000},
				{t.Min, "at least", t.Min != nil && v < float64(*t.Min)/1000},
			} {
				if b.bad {
					out = append(out, Breach{t, r.Manifest.Cell, fmt.Sprintf("%s of %s (cell %s) is %s %s; %s %s is allowed", m.Name, g.Label(), r.Manifest.Cell, short(v), m.Unit, b.word, b.limit)})
				}
			}
		}
	}
	return out, nil
}

// seriesLabel names the series of a group: its coordinates without the rate.
func seriesLabel(g *Group) string {
	c := *g
	c.Axes = nil
	for _, a := range g.Axes {
		if a.Path != "workload.rate" {
			c.Axes = append(c.Axes, a)
		}
	}
	return c.Label()
}

// seriesKey joins the groups that differ in the rate only.
func seriesKey(g *Group) string {
	var b strings.Builder
	b.WriteString(g.Run)
	for _, a := range g.Axes {
		if a.Path != "workload.rate" {
			fmt.Fprintf(&b, "\x00%s=%s", a.Path, a.Value)
		}
	}
	return b.String()
}
