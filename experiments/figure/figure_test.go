package figure

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// gallery writes every figure of a test where a person can look at it.
var gallery = flag.String("gallery", "", "directory to write the figures to")

func show(t *testing.T, r *Rendered) {
	t.Helper()
	if *gallery == "" {
		return
	}
	require.NoError(t, os.MkdirAll(*gallery, 0o755))
	_, err := r.Write(*gallery, nil)
	require.NoError(t, err)
}

// samples are small figures that use every way of drawing.
func samples() []*Figure {
	curve := func(name string, cap, base float64) (Series, Series) {
		main, tail := Series{Name: name, Line: true, Markers: true}, Series{Name: name, Line: true, Thin: true}
		for i := 1; i <= 8; i++ {
			x := cap * float64(i) / 8.5
			y := base / (1 - x/cap*0.97)
			p := Point{X: x, Y: y, XLo: x * 0.98, XHi: x * 1.02, YLo: y * 0.9, YHi: y * 1.12, N: 7, Hollow: i == 8, Label: fmt.Sprint("offered ", i)}
			main.Points = append(main.Points, p)
			tail.Points = append(tail.Points, At(x, y*3))
		}
		return main, tail
	}
	a, at := curve("pbft", 41000, 2.1)
	b, bt := curve("hotstuff", 30000, 6)
	c, ct := curve("raft", 55000, 1.1)
	tput := &Figure{Name: "curves", Kind: "tput-latency", Caption: "Throughput and latency.", Panels: []Panel{{
		X: Axis{Label: "Throughput (ops/s)", FromZero: true}, Y: Axis{Label: "Median latency (ms)", Scale: Log},
		Series: []Series{a, at, b, bt, c, ct},
	}}}

	many := Figure{Name: "names", Caption: "Ten names, no two alike.", Panels: []Panel{{X: Axis{Label: "Replicas n", Scale: Log2}, Y: Axis{Label: "Messages per request (messages/op)", Scale: Log}}}}
	for i := 0; i < 10; i++ {
		s := Series{Name: fmt.Sprintf("protocol %c", 'A'+i), Line: true, Markers: true}
		for _, n := range []float64{4, 7, 10, 13, 16, 19, 22, 25, 31, 40, 64, 100} {
			s.Points = append(s.Points, At(n, math.Pow(n, 1+float64(i)/9)*(1+float64(i)/3)))
		}
		many.Panels[0].Series = append(many.Panels[0].Series, s)
	}
	many.Panels[0].Guides = []Guide{{"O(n)", [][2]float64{{4, 4}, {100, 100}}}, {"O(n²)", [][2]float64{{4, 16}, {100, 10000}}}}

	one := 1.0
	bars := &Figure{Name: "bars", Caption: "Bars.", Panels: []Panel{{
		Y: Axis{Label: "Throughput relative to calm", FromZero: true}, Reference: &one,
		Categories: []string{"calm", "leader-crash", "partition", "equivocate", "bad-macs"},
		Series: []Series{
			{Name: "pbft", Points: []Point{At(0, 1), {X: 1, Y: 0.71, YLo: 0.6, YHi: 0.8}, {X: 2, Y: 0.4, YLo: 0.35, YHi: 0.47}, {X: 3, Y: 0.9, YLo: 0.9, YHi: 0.9}, {X: 4, Y: 0.97, YLo: 0.93, YHi: 1.01}}},
			{Name: "raft", Points: []Point{At(0, 1), {X: 1, Y: 0.8, YLo: 0.7, YHi: 0.85}, {X: 2, Y: 0.5, YLo: 0.4, YHi: 0.6}}},
		},
	}}}

	line := Figure{Name: "timeline", Caption: "Timeline.", Panels: []Panel{
		{X: Axis{Label: "Time (s)", FromZero: true, Tight: true}, Y: Axis{Label: "ops/s", FromZero: true}, Weight: 0.62},
		{X: Axis{Label: "Time (s)", FromZero: true, Tight: true}, Y: Axis{Label: "p99 (ms)", Scale: Log}, Weight: 0.45},
		{X: Axis{Label: "Time (s)", FromZero: true, Tight: true}, Y: Axis{Label: "View", FromZero: true, Whole: true}, Weight: 0.5},
	}}
	var x, y, z Series
	x = Series{Name: "pbft", Line: true, Band: true}
	y = Series{Name: "pbft", Line: true, Band: true, Silent: true}
	z = Series{Name: "pbft", Steps: true, Silent: true}
	for i := 0; i < 20; i++ {
		v, l, view := 10000.0+300*math.Sin(float64(i)), 5.0+math.Cos(float64(i)), 0.0
		if i >= 8 && i < 11 {
			v, l = 0, 2000
		}
		if i >= 10 {
			view = 1
		}
		tt := float64(i) + 0.5
		x.Points = append(x.Points, Point{X: tt, XLo: tt, XHi: tt, Y: v, YLo: v * 0.9, YHi: v * 1.08})
		y.Points = append(y.Points, Point{X: tt, XLo: tt, XHi: tt, Y: l, YLo: l * 0.7, YHi: l * 1.5})
		z.Points = append(z.Points, At(float64(i)+1, view))
	}
	for i, s := range []Series{x, y, z} {
		line.Panels[i].Series = []Series{s}
		line.Panels[i].Shades = []Shade{{8, 12, "crash 0"}, {15, 16, "partition"}}
	}
	line.Panels[0].Marks = []Mark{{X: 12, Label: "recovered after 4 s"}}
	return []*Figure{tput, &many, bars, &line}
}

func TestGoldenSVG(t *testing.T) {
	for _, f := range samples() {
		for _, styleName := range []string{"acm-1col", "acm-2col"} {
			style, err := FindStyle(styleName)
			require.NoError(t, err)
			if *gallery == "" {
				style.DPI = 60 // quick; the size of the raster does not matter here
			}
			r, err := Render(f, style, nil, "svg", "png", "pdf")
			require.NoError(t, err)
			again, err := Render(f, style, nil, "svg", "png", "pdf")
			require.NoError(t, err)
			for _, format := range Formats() {
				require.True(t, bytes.Equal(r.Files[format], again.Files[format]), "%s is not byte-stable", format)
			}
			g := *r.Figure
			g.Name += "-" + styleName
			r.Figure = &g
			show(t, r)
			golden := filepath.Join("testdata", g.Name+".svg")
			if *update {
				require.NoError(t, os.WriteFile(golden, r.Files["svg"], 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(r.Files["svg"]), "the drawing of %s changed: look at it, then run with -update", g.Name)
		}
	}
}

func TestPDFDatesFollowSourceDateEpoch(t *testing.T) {
	style, err := FindStyle("")
	require.NoError(t, err)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	r, err := Render(samples()[0], style, nil, "pdf")
	require.NoError(t, err)
	require.Contains(t, string(r.Files["pdf"]), "/CreationDate (D:20231114221320")
	require.NotContains(t, string(r.Files["pdf"]), "/CreationDate (D:2026")
	require.Greater(t, len(r.Files["pdf"]), 50_000, "fonts are embedded")
}

// T9: no data can make drawing panic.
func TestBadDataNeverPanics(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	sets := map[string][]Point{
		"empty":     nil,
		"one":       {At(5, 5)},
		"one at 1":  {At(1, 1)},
		"one at 0":  {At(0, 0)},
		"zeroes":    {At(0, 0), At(0, 0)},
		"NaN":       {At(nan, 1), At(1, nan), At(nan, nan)},
		"infinite":  {At(inf, 1), At(1, -inf)},
		"negative":  {At(-1, -1), At(-5, -3)},
		"equal":     {At(3, 7), At(3, 7)},
		"tiny":      {At(1e-300, 1e-300), At(2e-300, 1)},
		"huge":      {At(1e300, 1e300), At(1, 1)},
		"wide bars": {{X: 1, Y: 1, XLo: -5, XHi: 5, YLo: -1, YHi: 3}, {X: 2, Y: 2, XLo: nan, XHi: inf, YLo: 0, YHi: 2}},
		"crossed":   {{X: 1, Y: 1, XLo: 2, XHi: 0, YLo: 2, YHi: 0}},
	}
	style, err := FindStyle("")
	require.NoError(t, err)
	small := style
	small.DPI = 40
	for name, pts := range sets {
		for _, scale := range []Scale{Linear, Log, Log2, ""} {
			for _, categories := range [][]string{nil, {"a", "b"}} {
				f := &Figure{Name: "x", Panels: []Panel{{
					X: Axis{Label: "x", Scale: scale, FromZero: true}, Y: Axis{Label: "y", Scale: scale, Whole: true}, Categories: categories,
					Series:    []Series{{Name: "a", Points: pts, Line: true, Markers: true}, {Name: "b", Points: pts, Steps: true, Band: true}, {Name: "a", Points: pts, Line: true, Thin: true}},
					Guides:    []Guide{{"g", [][2]float64{{nan, 1}, {0, 0}, {1, 1}, {2, inf}}}},
					Shades:    []Shade{{nan, 1, "s"}, {2, 1, "s"}, {0, inf, "s"}, {-1, 1, "a long label for a narrow interval"}},
					Marks:     []Mark{{nan, "m"}, {1, "m"}},
					Reference: &nan,
				}}}
				formats := []string{"svg"}
				if scale == Log && categories == nil {
					// The raster and PDF canvases are slow; one scale is enough for them.
					formats = Formats()
				}
				r, err := Render(f, small, nil, formats...)
				require.NoError(t, err, "%s on %q", name, scale)
				_, err = r.CSV()
				require.NoError(t, err)
				_, err = r.JSON()
				require.NoError(t, err)
				_, err = r.Block()
				require.NoError(t, err)
			}
		}
	}
	r, err := Render(&Figure{Name: "none"}, style, nil, "svg", "png", "pdf")
	require.NoError(t, err)
	require.Contains(t, string(r.Files["svg"]), "no data")
}

func TestAnyDataIsDrawn(t *testing.T) {
	style, err := FindStyle("")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-10, 10), rapid.SampledFrom([]float64{0, 1, -1, math.NaN(), math.Inf(1), 1e-9, 1e9}))
		scales := rapid.SampledFrom([]Scale{Linear, Log, Log2})
		s := Series{Name: "a", Line: true, Markers: true}
		for i := rapid.IntRange(0, 6).Draw(rt, "n"); i > 0; i-- {
			s.Points = append(s.Points, Point{X: value.Draw(rt, "x"), Y: value.Draw(rt, "y"), XLo: value.Draw(rt, "xlo"), XHi: value.Draw(rt, "xhi"), YLo: value.Draw(rt, "ylo"), YHi: value.Draw(rt, "yhi")})
		}
		f := &Figure{Name: "x", Panels: []Panel{{X: Axis{Scale: scales.Draw(rt, "sx")}, Y: Axis{Scale: scales.Draw(rt, "sy")}, Series: []Series{s}}}}
		r, err := Render(f, style, nil, "svg")
		require.NoError(rt, err)
		require.NotContains(rt, string(r.Files["svg"]), "NaN")
		require.NotContains(rt, string(r.Files["svg"]), "Inf")
		for _, px := range r.Pixels {
			require.True(rt, finite(px.X) && finite(px.Y))
		}
	})
}

func TestCSVHoldsExactlyThePlottedPoints(t *testing.T) {
	f := &Figure{Name: "x", Panels: []Panel{{X: Axis{Scale: Log}, Y: Axis{Scale: Log}, Series: []Series{{Name: "a", Points: []Point{At(1, 0), At(2, 3), At(-1, 2), {X: 4, Y: 5, XLo: 4, XHi: 4, YLo: -1, YHi: 6, N: 7, Label: "l"}}}}}}}
	style, err := FindStyle("")
	require.NoError(t, err)
	r, err := Render(f, style, nil, "svg")
	require.NoError(t, err)
	b, err := r.CSV()
	require.NoError(t, err)
	require.Equal(t, "panel,series,line,x,y,x_lo,x_hi,y_lo,y_hi,saturated,runs,label\n1,a,main,2,3,2,2,3,3,false,1,\n1,a,main,4,5,4,4,0.5,6,false,7,l\n", string(b))
	require.Len(t, r.Pixels, 2)
	require.Contains(t, r.Caption(), "2 points could not be shown")
	require.Contains(t, r.Caption(), "1 error bars reach below a logarithmic axis")
}

func TestPixelsLieInTheirArea(t *testing.T) {
	style, err := FindStyle("acm-2col")
	require.NoError(t, err)
	for _, f := range samples() {
		r, err := Render(f, style, nil, "svg")
		require.NoError(t, err)
		require.Len(t, r.Areas, len(f.Panels))
		require.NotEmpty(t, r.Pixels)
		for _, p := range r.Pixels {
			a := r.Areas[p.Panel]
			require.GreaterOrEqual(t, p.X, a.X0-0.1)
			require.LessOrEqual(t, p.X, a.X1+0.1)
			require.GreaterOrEqual(t, p.Y, a.Y0-0.1)
			require.LessOrEqual(t, p.Y, a.Y1+0.1)
		}
		var block struct {
			Points []struct{ T string }
		}
		b, err := r.Block()
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &block))
		require.Len(t, block.Points, len(r.Pixels))
		in := r.Inline()
		require.True(t, strings.HasPrefix(in, `<svg class="figure"`), "%.80s", in)
		require.Contains(t, in, "viewBox")
	}
}

func TestNamesKeepTheirLook(t *testing.T) {
	p := NewPalette([]string{"a", "b", "c"})
	require.Equal(t, p.look("b"), NewPalette([]string{"a", "b", "c"}).look("b"))
	require.NotEqual(t, p.look("a"), p.look("b"))
	var many []string
	for i := 0; i < 24; i++ {
		many = append(many, fmt.Sprint(i))
	}
	q, seen := NewPalette(many), map[string]bool{}
	for _, n := range many {
		seen[fmt.Sprint(q.look(n))] = true
	}
	require.Len(t, seen, 24, "no two of 24 names look alike")
}

func TestTicks(t *testing.T) {
	labels := func(a axisRange) string {
		var out []string
		for _, t := range a.ticks {
			if t.Label != "" {
				out = append(out, t.Label)
			}
		}
		return strings.Join(out, " ")
	}
	require.Equal(t, "0 10k 20k 30k 40k 50k", labels(linearAxis(3, 41000, true, false, 5)))
	require.Equal(t, "0 0.2 0.4 0.6 0.8 1.0", labels(linearAxis(0, 1, true, false, 5)))
	require.Equal(t, "0 1 2 3", labels(linearAxis(0, 3, true, true, 5)))
	require.Equal(t, "1 10 100 1k 10k", labels(logAxis(1, 20000, 8)))
	require.Equal(t, "1 2 5 10 20 50 100", labels(logAxis(1, 120, 8)))
	require.Equal(t, "4 7 10 16 25 40", labels(valueAxis([]float64{4, 7, 10, 16, 25, 40})))
	require.NotEmpty(t, labels(linearAxis(5, 5, false, false, 5)))
	require.NotEmpty(t, labels(logAxis(7, 7, 8)))
	require.Equal(t, "4", labels(valueAxis([]float64{4})))
}

const suiteText = `
suite: s
base: {clients: 8, workload: {kind: open, rate: 1k/s, timeout: 1s}, window: {warmup: 100ms, measure: 200ms}}
matrix:
  protocol: [alpha, beta]
  f: [1, 2, 3]
  workload.rate: [200/s, 1k/s, 2k/s, 4k/s, 8k/s]
  seed: {count: 6}
runs:
  - name: crash
    set: {protocol: alpha, workload.rate: 500/s, window: {warmup: 1s, measure: 11s, cooldown: 100ms}, faults: [{kind: crash, at: 4s, for: 2s, nodes: [0]}]}
    matrix: {seed: {count: 3}}
  - name: slow
    set: {protocol: alpha, workload.rate: 500/s}
    matrix: {variant: {calm: {}, big: {f: 4}, bigger: {f: 6}}, seed: {count: 6}}
figures:
  - {kind: tput-latency, by: protocol, y: latency_p50, band: latency_p99, where: {run: "", f: 1}, title: "Throughput and latency"}
  - {kind: tput-latency, name: by-n, by: n, where: {run: "", protocol: alpha}}
  - {kind: peak-n, by: protocol, cap: 50ms, where: {run: ""}}
  - {kind: latency-n, by: protocol, where: {run: "", workload.rate: 200/s}, band: latency_p99}
  - {kind: latency-n, name: latency-by-load, by: workload.rate, where: {run: "", protocol: alpha}}
  - {kind: messages-n, by: protocol, where: {run: "", workload.rate: 200/s}}
  - {kind: bytes-n, by: protocol, where: {run: "", workload.rate: 200/s}}
  - {kind: latency-cdf, by: n, where: {run: "", protocol: alpha, workload.rate: 1k/s}}
  - {kind: latency-tail, by: n, where: {run: "", protocol: alpha, workload.rate: 1k/s}}
  - {kind: fault-timeline, where: {run: crash}}
  - {kind: bars, by: variant, where: {run: slow}, y: latency_p50}
  - {kind: robustness, by: protocol, where: {run: "", f: 1}}
  - {kind: bars, name: nothing, by: variant, where: {run: none}}
`

var recorded = sync.OnceValues(func() ([]*store.Record, error) { return record("s", suiteText) })

// record runs a suite and returns what was recorded.
func record(name, text string) ([]*store.Record, error) {
	s, err := suite.Parse("s.yaml", []byte(text), "")
	if err != nil {
		return nil, err
	}
	cells, err := s.Expand(testrun.Catalog())
	if err != nil {
		return nil, err
	}
	st, err := store.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	for _, c := range cells {
		out, err := testrun.Run(context.Background(), c.Scenario)
		if err != nil {
			return nil, err
		}
		stats.Judge(out, stats.DefaultGates)
		m := store.NewManifest(c.Scenario, "s", c.Axes, &store.Environment{Revision: store.Revision{Commit: "0123456789abcdef", Source: "git"}})
		m.Run = c.Run
		p, err := st.Begin(m)
		if err != nil {
			return nil, err
		}
		if err := p.Commit(out, result.OK, "", false); err != nil {
			return nil, err
		}
	}
	return st.Records()
}

var dir string

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "figure"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func data(t *testing.T) *Data {
	t.Helper()
	records, err := recorded()
	require.NoError(t, err)
	return dataOf(t, suiteText, records)
}

func dataOf(t *testing.T, text string, records []*store.Record) *Data {
	t.Helper()
	s, err := suite.Parse("s.yaml", []byte(text), "")
	require.NoError(t, err)
	groups, err := stats.Groups(records)
	require.NoError(t, err)
	return NewData(s, groups)
}

func TestBuild(t *testing.T) {
	d := data(t)
	style, err := FindStyle("")
	require.NoError(t, err)
	if *gallery == "" {
		style.DPI = 60
	}
	built := map[string]*Figure{}
	for _, f := range d.Suite.Figures {
		fig, err := Build(d, f)
		require.NoError(t, err)
		built[f.Name] = fig
		r, err := Render(fig, style, d.Palette(orElse(f.By, "protocol")), "svg", "png", "pdf")
		require.NoError(t, err)
		show(t, r)
		require.NotContains(t, r.Caption(), "could not be shown")
		require.Less(t, len(r.Inline()), 100_000, f.Name)
		names, err := r.Write(t.TempDir(), nil)
		require.NoError(t, err)
		require.Len(t, names, 3)
	}
	tl := built["tput-latency"].Panels[0]
	require.Len(t, tl.Series, 4)
	require.Equal(t, []string{"alpha", "alpha", "beta", "beta"}, []string{tl.Series[0].Name, tl.Series[1].Name, tl.Series[2].Name, tl.Series[3].Name})
	require.Len(t, tl.Series[0].Points, 5)
	require.True(t, tl.Series[0].Points[4].Hollow, "8k/s is above the capacity of alpha")
	require.False(t, tl.Series[0].Points[0].Hollow)
	require.Equal(t, 6, tl.Series[0].Points[0].N)
	require.Contains(t, built["tput-latency"].Caption, "Throughput and latency. 6 runs per point; medians with exact 95 % confidence intervals. Mode sim, revision 0123456789. Network-only model. Thin lines: 99th percentile latency. Hollow: saturated")

	require.Len(t, built["by-n"].Panels[0].Series, 3)
	peak := built["peak-n"].Panels[0].Series[0].Points
	require.Len(t, peak, 3)
	require.Greater(t, peak[0].Y, peak[2].Y)
	require.Contains(t, built["peak-n"].Panels[0].Y.Label, "p99 ≤ 50ms")
	require.Len(t, built["latency-by-load"].Panels[0].Series, 5)
	msgs := built["messages-n"].Panels[0]
	require.Len(t, msgs.Guides, 2)
	require.InDelta(t, 2*16, msgs.Series[0].Points[0].Y, 1e-9)
	cdf := built["latency-cdf"].Panels[0].Series
	require.Len(t, cdf, 3)
	for _, s := range cdf {
		require.LessOrEqual(t, len(s.Points), maxVertices)
		require.Equal(t, 1.0, s.Points[len(s.Points)-1].Y)
	}
	time := built["fault-timeline"]
	require.Len(t, time.Panels, 3)
	require.Equal(t, []Shade{{4, 6, "crash"}}, time.Panels[0].Shades)
	require.Len(t, time.Panels[0].Marks, 1)
	require.Equal(t, 0.0, time.Panels[2].Series[0].Points[0].Y)
	bars := built["bars"].Panels[0]
	require.Equal(t, []string{"calm", "big", "bigger"}, bars.Categories)
	require.Equal(t, 1.0, bars.Series[0].Points[0].Y)
	require.Greater(t, bars.Series[0].Points[1].Y, 1.0)
	require.Empty(t, built["nothing"].Panels[0].Series)

	_, err = Build(d, suite.Figure{Kind: "pie"})
	require.Error(t, err)
	_, err = FindStyle("a0-poster")
	require.Error(t, err)
}

func TestSeriesThatWouldHideEachOtherAreSplit(t *testing.T) {
	d := data(t)
	fig, err := Build(d, suite.Figure{Kind: "latency-n", By: "protocol", Where: suite.Match{"run": ""}})
	require.NoError(t, err)
	require.Len(t, fig.Panels[0].Series, 10)
	require.Equal(t, "alpha rate = 200/s", fig.Panels[0].Series[0].Name)
}

// A closed loop measures clients over latency: as long as more clients bring more,
// that is no peak, and the caption says so for each point.
func TestAPeakThatWasNotReachedIsALowerBound(t *testing.T) {
	for _, x := range []struct{ name, load, want string }{
		{"few", "clients: [1, 2]", "No load that was run is too high: these are lower bounds of the peak."},
		{"many", "clients: [8, 12, 16]", "for these, which are lower bounds of the peak: alpha at n = 4."},
		{"open", "workload: [{kind: open, rate: 400/s, timeout: 1s}, {kind: open, rate: 1500/s, timeout: 1s}]", "lower bounds of the peak: alpha at n = 4, 7."},
		{"enough", "workload: [{kind: open, rate: 400/s, timeout: 1s}, {kind: open, rate: 6k/s, timeout: 1s}]", ""},
	} {
		text := "{suite: p, base: {protocol: alpha, workload: {kind: closed, timeout: 1s}, window: {warmup: 100ms, measure: 500ms}}, matrix: {f: [1, 2, 4], " + x.load + "}, figures: [{kind: peak-n, cap: 900ms}]}"
		records, err := record(x.name, text)
		require.NoError(t, err)
		d := dataOf(t, text, records)
		fig, err := Build(d, d.Suite.Figures[0])
		require.NoError(t, err)
		if x.want == "" {
			require.NotContains(t, fig.Caption, "lower bounds", x.name)
			continue
		}
		require.Contains(t, fig.Caption, x.want, x.name)
	}
}

func TestBarsOfFurtherAxesAreSeries(t *testing.T) {
	const text = "{suite: b, base: {protocol: alpha, workload: {kind: open, timeout: 1s}, window: {warmup: 100ms, measure: 200ms}}, matrix: {variant: {calm: {}, big: {f: 4}}, workload.rate: [100/s, 300/s]}, figures: [{kind: tput-latency, by: variant}, {kind: bars, by: variant, y: latency_p50}]}"
	records, err := record("bars", text)
	require.NoError(t, err)
	d := dataOf(t, text, records)
	fig, err := Build(d, d.Suite.Figures[1])
	require.NoError(t, err)
	p := fig.Panels[0]
	require.Equal(t, []string{"calm", "big"}, p.Categories)
	require.Len(t, p.Series, 2)
	require.Equal(t, "alpha rate = 100/s", p.Series[0].Name)
	require.Equal(t, "alpha rate = 300/s", p.Series[1].Name)
	require.Len(t, p.Series[1].Points, 2)
}

// One figure looks as it does among all of them.
func TestOneFigureLooksTheSame(t *testing.T) {
	style, err := FindStyle("")
	require.NoError(t, err)
	all, err := RenderAll(data(t), style, "svg")
	require.NoError(t, err)
	for i, name := range Names(data(t).Suite) {
		if name != "bars" && name != "by-n" {
			continue
		}
		one, err := RenderOne(data(t), name, style, "svg")
		require.NoError(t, err)
		require.Equal(t, string(all[i].Files["svg"]), string(one.Files["svg"]), name)
	}
	_, err = RenderOne(data(t), "pie", style, "svg")
	require.ErrorContains(t, err, `the suite has no figure "pie"; it has: tput-latency, by-n,`)
}

func BenchmarkRender(b *testing.B) {
	style, err := FindStyle("")
	require.NoError(b, err)
	f := samples()[0]
	for i := 0; i < b.N; i++ {
		_, err := Render(f, style, nil, "svg")
		require.NoError(b, err)
	}
}
