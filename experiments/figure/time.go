package figure

import (
	"fmt"
	"math"
	"sort"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
)

// maxVertices bounds a distribution: 2000 steps make a file of 170 kB.
const maxVertices = 400

// distribution is the share of requests below (or, for the tail, above) a
// latency, with the runs of a configuration merged.
func (b *builder) distribution(tail bool) ([]Panel, error) {
	p := Panel{X: Axis{Label: "Latency (ms)", Scale: Log}, Y: Axis{Label: "Share of requests", FromZero: true}}
	if tail {
		p.Y = Axis{Label: "Share of requests above", Scale: Log}
	}
	names, series := b.seriesOf(func(*stats.Group) string { return "" })
	for _, name := range names {
		var hs []*hdrhistogram.Histogram
		runs := 0
		for _, g := range series[name] {
			for _, r := range g.Records {
				intervals, err := r.Latency()
				if err != nil {
					return nil, err
				}
				if h := result.WindowHistogram(intervals); h != nil {
					hs = append(hs, h)
					runs++
				}
			}
		}
		s := Series{Name: name, Line: true}
		s.Points = distributionPoints(result.Merge(hs...), tail)
		for i := range s.Points {
			s.Points[i].N = runs
		}
		p.Series = append(p.Series, s)
	}
	b.notes = append(b.notes, "Requests that failed or timed out count with the time-out.")
	return []Panel{p}, nil
}

func distributionPoints(h *hdrhistogram.Histogram, tail bool) []Point {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	total := float64(h.TotalCount())
	var pts []Point
	var seen int64
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		if len(pts) == 0 && !tail {
			pts = append(pts, At(float64(max(bar.From, 1))/1e6, 0))
		}
		seen += bar.Count
		share := float64(seen) / total
		if tail {
			share = 1 - share
			if seen == h.TotalCount() {
				break
			}
		}
		pts = append(pts, At(float64(bar.To)/1e6, share))
	}
	return thin(pts, maxVertices, tail)
}

// thin keeps at most n points: the first, the last, and those that are far
// enough from the one kept before, so that the shape stays.
func thin(pts []Point, n int, logY bool) []Point {
	if len(pts) <= n {
		return pts
	}
	position := func(p Point) (x, y float64) {
		y = p.Y
		if logY {
			y = math.Log(math.Max(p.Y, 1e-12))
		}
		return math.Log(p.X), y
	}
	x0, y0 := position(pts[0])
	x1, y1 := position(pts[len(pts)-1])
	dx, dy := math.Max(math.Abs(x1-x0), 1e-9), math.Max(math.Abs(y1-y0), 1e-9)
	step := 2.0 / float64(n-2)
	out := []Point{pts[0]}
	lx, ly := x0, y0
	for _, p := range pts[1 : len(pts)-1] {
		x, y := position(p)
		if math.Abs(x-lx)/dx+math.Abs(y-ly)/dy >= step {
			out = append(out, p)
			lx, ly = x, y
		}
	}
	return append(out, pts[len(pts)-1])
}

// recovered is the share of the throughput before a fault at which a system
// counts as recovered.
const recovered = 0.9

// timeline is throughput, tail latency and views over time, with the faults
// shaded. It shows one configuration; its runs make the band.
func (b *builder) timeline() ([]Panel, error) {
	time := Axis{Label: "Time (s)", FromZero: true, Tight: true}
	panels := []Panel{
		{X: time, Y: Axis{Label: "ops/s", FromZero: true}, Weight: 0.62},
		{X: time, Y: Axis{Label: "p99 (ms)", Scale: Log}, Weight: 0.45},
		{X: time, Y: Axis{Label: "View", FromZero: true, Whole: true}, Weight: 0.5},
	}
	if len(b.groups) == 0 {
		return panels, nil
	}
	g := b.groups[0]
	if len(b.groups) > 1 {
		b.notes = append(b.notes, fmt.Sprintf("Shown is %s, one of %d configurations that match.", g.Label(), len(b.groups)))
	}
	name := seriesValue(g, b.f.By)
	perSecond := map[int][]float64{}
	p99 := map[int][]float64{}
	views := map[int][]float64{}
	last := -1
	for _, r := range g.Records {
		rows, err := r.Load()
		if err != nil {
			return nil, err
		}
		// The last second of a run is not whole.
		total := g.Scenario.Window.Total()
		whole := int(total.Seconds())
		for _, row := range rows {
			if row.Class != "" || row.Second >= whole {
				continue
			}
			perSecond[row.Second] = append(perSecond[row.Second], float64(row.Committed))
			if row.P99 > 0 {
				p99[row.Second] = append(p99[row.Second], float64(row.P99)/1e6)
			}
			last = max(last, row.Second)
		}
		tl, err := r.Timeline()
		if err != nil {
			return nil, err
		}
		highest := map[int]uint64{}
		for _, row := range tl {
			if row.Second < whole {
				highest[row.Second] = max(highest[row.Second], row.View)
			}
		}
		for sec, v := range highest {
			views[sec] = append(views[sec], float64(v))
		}
	}
	line := func(values map[int][]float64, steps bool) Series {
		s := Series{Name: name, Line: !steps, Steps: steps, Band: len(g.Records) > 1 && !steps, Silent: true, Gap: 1.5}
		for _, sec := range sortedKeys(values) {
			sum := stats.Summarise(values[sec])
			x := float64(sec) + 0.5
			pt := Point{X: x, XLo: x, XHi: x, Y: sum.Median, YLo: sum.Median, YHi: sum.Median, N: sum.N}
			if s.Band {
				sort.Float64s(values[sec])
				pt.YLo, pt.YHi = values[sec][0], values[sec][len(values[sec])-1]
			}
			s.Points = append(s.Points, pt)
		}
		return s
	}
	panels[0].Series = []Series{line(perSecond, false)}
	panels[1].Series = []Series{line(p99, false)}
	panels[2].Series = []Series{line(views, true)}
	if g.Records[0].Result != nil {
		for _, f := range g.Records[0].Result.Faults {
			s := Shade{From: f.FromS.Float(), To: f.ToS.Float(), Label: f.Label}
			for i := range panels {
				panels[i].Shades = append(panels[i].Shades, s)
			}
			if at, ok := recovery(panels[0].Series[0].Points, s.From); ok {
				panels[0].Marks = append(panels[0].Marks, Mark{X: at, Label: fmt.Sprintf("recovered after %.3g s", at-s.From)})
			}
		}
	}
	if len(g.Records) > 1 {
		b.notes = append(b.notes, "Bands span the runs, lines are medians.")
	}
	b.notes = append(b.notes, "Bins of one second; recovered means nine tenths of the throughput before the fault.")
	return panels, nil
}

// recovery returns the end of the first second after the fault in which the
// throughput is back; false if it never fell or never came back.
func recovery(pts []Point, from float64) (float64, bool) {
	var before []float64
	for _, p := range pts {
		if p.X+0.5 <= from && p.X >= 1 {
			before = append(before, p.Y)
		}
	}
	if len(before) == 0 {
		return 0, false
	}
	target := recovered * stats.Summarise(before).Median
	fell := false
	for _, p := range pts {
		if p.X < from {
			continue
		}
		if p.Y < target {
			fell = true
		} else if fell {
			return p.X + 0.5, true
		}
	}
	return 0, false
}
