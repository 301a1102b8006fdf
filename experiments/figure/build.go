package figure

import (
	"fmt"
	"math"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/suite"
	"golang.org/x/sync/errgroup"
)

// Data is what the figures of one suite are made from.
type Data struct {
	Suite  *suite.Suite
	Groups []*stats.Group
	// Warnings are repeated in every caption, for example mixed revisions.
	Warnings []string

	palettes map[string]*Palette
}

// NewData returns the data of a suite.
func NewData(s *suite.Suite, groups []*stats.Group, warnings ...string) *Data {
	return &Data{Suite: s, Groups: groups, Warnings: warnings, palettes: map[string]*Palette{}}
}

// Palette returns the looks of the values of an axis. It covers all cells of the
// suite, so that a value looks the same in figures that show only some.
func (d *Data) Palette(by string) *Palette {
	p := d.palettes[by]
	if p == nil {
		var names []string
		for _, g := range d.Groups {
			names = append(names, seriesValue(g, by))
		}
		if by == "n" || by == "f" || by == "clients" {
			sort.SliceStable(names, func(i, j int) bool { return numberOf(names[i]) < numberOf(names[j]) })
		}
		p = NewPalette(names)
		d.palettes[by] = p
	}
	return p
}

func seriesValue(g *stats.Group, by string) string {
	if v := g.Value(by); v != "" {
		return axisLabel(by, v)
	}
	return g.Scenario.Protocol
}

// axisLabel is the name of a value of an axis.
func axisLabel(by, v string) string {
	switch {
	case by == "protocol" || by == suite.Variant || by == "run" || by == "topology":
		return v
	}
	return by[strings.LastIndexByte(by, '.')+1:] + " = " + v
}

// numberOf returns the first number in a label.
func numberOf(s string) float64 {
	i := strings.LastIndexByte(s, ' ') + 1
	v, err := strconv.ParseFloat(s[i:], 64)
	if err != nil {
		return math.Inf(1)
	}
	return v
}

// DefaultFigures are drawn for a suite that names none.
func DefaultFigures() []suite.Figure {
	return []suite.Figure{
		{Name: "tput-latency", Kind: "tput-latency", Y: "latency_p50", Band: "latency_p99"},
		{Name: "latency-cdf", Kind: "latency-cdf"},
	}
}

// Build makes the figure that a suite describes. A figure without data is not an
// error: it says so.
func Build(d *Data, f suite.Figure) (*Figure, error) {
	if f.By == "" {
		f.By = "protocol"
	}
	if f.Name == "" {
		f.Name = f.Kind
	}
	groups := stats.Select(d.Groups, f.Where)
	b := &builder{d: d, f: f, groups: groups}
	var err error
	out := &Figure{Name: f.Name, Kind: f.Kind}
	switch f.Kind {
	case "tput-latency":
		out.Panels, err = b.tputLatency()
	case "peak-n":
		out.Panels, err = b.peak()
	case "latency-n":
		out.Panels, err = b.againstN(orElse(f.Y, "latency_p50"), f.Band, Log, nil)
	case "messages-n":
		out.Panels, err = b.againstN("msgs_per_req", "", Log, []float64{1, 2})
	case "bytes-n":
		out.Panels, err = b.againstN("bytes_per_req", "", Log, []float64{1, 2})
	case "latency-cdf", "latency-tail":
		out.Panels, err = b.distribution(f.Kind == "latency-tail")
	case "fault-timeline":
		out.Panels, err = b.timeline()
	case "bars":
		out.Panels, err = b.bars()
	case "robustness":
		out.Panels, err = b.robustness()
	default:
		return nil, fmt.Errorf("unknown kind of figure %q", f.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("figure %s: %w", f.Name, err)
	}
	out.Caption = b.caption()
	return out, nil
}

// RenderAll draws the figures of the suite, or DefaultFigures if it names none.
func RenderAll(d *Data, style Style, formats ...string) ([]*Rendered, error) {
	return render(d, "", style, formats...)
}

// RenderOne draws one of the figures that RenderAll draws, in the same way. The error
// names the figures that there are.
func RenderOne(d *Data, name string, style Style, formats ...string) (*Rendered, error) {
	all, err := render(d, name, style, formats...)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r != nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the suite has no figure %q; it has: %s", name, strings.Join(Names(d.Suite), ", "))
}

// Names returns the names of the figures that RenderAll draws.
func Names(s *suite.Suite) []string {
	var names []string
	for _, f := range figuresOf(s) {
		names = append(names, orElse(f.Name, f.Kind))
	}
	return names
}

func figuresOf(s *suite.Suite) []suite.Figure {
	if s != nil && len(s.Figures) > 0 {
		return s.Figures
	}
	return DefaultFigures()
}

// render builds all figures, so that the looks of names do not depend on which are
// drawn, and draws all or only one.
func render(d *Data, only string, style Style, formats ...string) ([]*Rendered, error) {
	list := figuresOf(d.Suite)
	figures, out := make([]*Figure, len(list)), make([]*Rendered, len(list))
	if err := each(len(list), func(i int) (err error) {
		figures[i], err = Build(d, list[i])
		return err
	}); err != nil {
		return nil, err
	}
	palettes := make([]*Palette, len(list))
	for i, f := range list {
		palettes[i] = d.Palette(seriesAxis(f))
		palettes[i].include(figures[i])
	}
	// From here on the palettes are only read.
	if err := each(len(list), func(i int) (err error) {
		if only != "" && figures[i].Name != only {
			return nil
		}
		out[i], err = Render(figures[i], style, palettes[i], formats...)
		return err
	}); err != nil {
		return nil, err
	}
	return out, nil
}

// seriesAxis is the axis whose values are the series of a figure.
func seriesAxis(f suite.Figure) string {
	if f.Kind == "bars" {
		return "protocol" // By makes the categories
	}
	return orElse(f.By, "protocol")
}

// each calls do for 0 to n-1 on all cores.
func each(n int, do func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error { return do(i) })
	}
	return g.Wait()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

type builder struct {
	d      *Data
	f      suite.Figure
	groups []*stats.Group
	notes  []string
}

// caption says what a reader must know: title, runs, mode, revision, caveats.
func (b *builder) caption() string {
	title := strings.TrimSuffix(orElse(b.f.Title, b.f.Kind), ".")
	parts := []string{title + "."}
	least, most := math.MaxInt, 0
	modes, revisions, labels := newSet(), newSet(), newSet()
	ns := newSet()
	for _, g := range b.groups {
		least, most = min(least, len(g.Records)), max(most, len(g.Records))
		for _, r := range g.Records {
			modes.add(r.Manifest.Mode)
			revisions.add(r.Manifest.Revision.String())
			ns.add(fmt.Sprint(r.Result.N))
			for _, l := range r.Result.Labels {
				labels.add(l)
			}
		}
	}
	if most > 0 {
		if len(ns.list) == 1 {
			parts = append(parts, "n = "+ns.list[0]+".")
		}
		runs := fmt.Sprintf("%d runs per point", most)
		if least != most {
			runs = fmt.Sprintf("%d to %d runs per point", least, most)
		}
		if most == 1 {
			runs = "One run per point"
		}
		switch {
		case least >= stats.MinRuns:
			runs += "; medians with exact 95 % confidence intervals"
		case most >= stats.MinRuns:
			runs += "; medians, with exact 95 % confidence intervals where there are at least 6 runs"
		case most > 1:
			runs += ", too few for confidence intervals"
		default:
			runs += ", hence no confidence intervals"
		}
		parts = append(parts, runs+".", "Mode "+strings.Join(modes.list, ", ")+", revision "+strings.Join(revisions.list, ", ")+".")
		if len(revisions.list) > 1 {
			parts = append(parts, "WARNING: revisions are mixed.")
		}
		for _, l := range labels.list {
			parts = append(parts, strings.ToUpper(l[:1])+l[1:]+".")
		}
	}
	parts = append(parts, b.notes...)
	return strings.Join(append(parts, b.d.Warnings...), " ")
}

type set struct {
	list []string
	has  map[string]bool
}

func newSet() *set { return &set{has: map[string]bool{}} }

func (s *set) add(v string) {
	if !s.has[v] {
		s.has[v] = true
		s.list = append(s.list, v)
	}
}

// seriesOf divides the groups into series by the axis seriesAxis. Where two groups of a
// series would share a place on the horizontal axis, the coordinates in which
// they differ become part of the name, so that no point hides another.
func (b *builder) seriesOf(place func(*stats.Group) string, along ...string) (names []string, series map[string][]*stats.Group) {
	by := seriesAxis(b.f)
	skip := map[string]bool{by: true, "seed": true}
	for _, a := range along {
		skip[a] = true
	}
	var extra []string
	for {
		series = map[string][]*stats.Group{}
		names = nil
		taken := map[string]*stats.Group{}
		var clash [2]*stats.Group
		for _, g := range b.groups {
			name := seriesValue(g, by)
			for _, e := range extra {
				name += " " + seriesValue(g, e)
			}
			if _, ok := series[name]; !ok {
				names = append(names, name)
			}
			series[name] = append(series[name], g)
			key := name + "\x00" + place(g)
			if o := taken[key]; o != nil && clash[0] == nil {
				clash = [2]*stats.Group{o, g}
			}
			taken[key] = g
		}
		if clash[0] == nil {
			return names, series
		}
		more := ""
		for _, path := range append([]string{"run"}, axesOf(b.groups)...) {
			if !skip[path] && clash[0].Value(path) != clash[1].Value(path) {
				more = path
				break
			}
		}
		if more == "" {
			return names, series
		}
		skip[more] = true
		extra = append(extra, more)
	}
}

func axesOf(groups []*stats.Group) []string {
	s := newSet()
	for _, g := range groups {
		for _, a := range g.Axes {
			s.add(a.Path)
		}
	}
	return s.list
}

// point makes a point from two summaries.
func point(x, y stats.Summary) Point {
	p := Point{X: x.Median, Y: y.Median, XLo: x.Median, XHi: x.Median, YLo: y.Median, YHi: y.Median, N: max(x.N, y.N)}
	if x.HasCI {
		p.XLo, p.XHi = x.Lo, x.Hi
	}
	if y.HasCI {
		p.YLo, p.YHi = y.Lo, y.Hi
	}
	return p
}

func (b *builder) metric(name string) (stats.Metric, error) { return stats.FindMetric(name) }

// tputLatency is the achieved throughput against latency, along the offered
// load.
func (b *builder) tputLatency() ([]Panel, error) {
	tput, err := b.metric("throughput")
	if err != nil {
		return nil, err
	}
	offered, err := b.metric("offered")
	if err != nil {
		return nil, err
	}
	y, err := b.metric(orElse(b.f.Y, "latency_p50"))
	if err != nil {
		return nil, err
	}
	p := Panel{X: Axis{Label: tput.Axis(), FromZero: true}, Y: Axis{Label: y.Axis(), Scale: Log}}
	names, series := b.seriesOf(func(g *stats.Group) string { return g.Value("workload.rate") + g.Value("clients") }, "workload.rate", "clients")
	hollow := false
	for _, name := range names {
		gs := series[name]
		load := func(g *stats.Group) float64 { return stats.Summarise(g.Values(offered)).Median }
		sort.SliceStable(gs, func(i, j int) bool { return load(gs[i]) < load(gs[j]) })
		main := Series{Name: name, Line: true, Markers: true}
		for _, g := range gs {
			pt := point(stats.Summarise(g.Values(tput)), stats.Summarise(g.Values(y)))
			pt.Hollow = g.Saturated()
			hollow = hollow || pt.Hollow
			pt.Label = "offered " + stats.Number(load(g)) + " ops/s"
			main.Points = append(main.Points, pt)
		}
		p.Series = append(p.Series, main)
		if b.f.Band != "" {
			m, err := b.metric(b.f.Band)
			if err != nil {
				return nil, err
			}
			thin := Series{Name: name, Line: true, Thin: true}
			for _, g := range gs {
				pt := point(stats.Summarise(g.Values(tput)), stats.Summarise(g.Values(m)))
				pt.Label = m.Label
				thin.Points = append(thin.Points, pt)
			}
			p.Series = append(p.Series, thin)
		}
	}
	if b.f.Band != "" {
		m, err := b.metric(b.f.Band)
		if err != nil {
			return nil, err
		}
		b.notes = append(b.notes, "Thin lines: "+strings.ToLower(m.Label)+".")
	}
	if hollow {
		b.notes = append(b.notes, "Hollow: saturated, the backlog grows.")
	}
	b.notes = append(b.notes, "Latency counts from the intended time of a request.")
	return []Panel{p}, nil
}

// peak is the highest throughput below the latency cap against n.
func (b *builder) peak() ([]Panel, error) {
	capAt := b.f.Cap
	if capAt == 0 {
		capAt = b.d.Suite.Auto.Cap
	}
	m, err := b.metric(orElse(b.f.Y, b.d.Suite.Auto.Metric))
	if err != nil {
		return nil, err
	}
	p := Panel{X: Axis{Label: "Replicas n", Scale: Log2}, Y: Axis{Label: fmt.Sprintf("Peak throughput (ops/s), %s ≤ %s", shortMetric(m.Name), capAt), FromZero: true}}
	// Everything but n and the load is a series; the loads are searched for the peak.
	names, series := b.seriesOf(func(g *stats.Group) string {
		return g.Value("n") + "\x00" + g.Value("workload.rate") + "\x00" + g.Value("clients")
	}, "workload.rate", "clients", "n", "f")
	points := 0
	var open []string // series with the places where nothing was worse than the peak
	for _, name := range names {
		byN := map[int][]*stats.Group{}
		for _, g := range series[name] {
			byN[g.Scenario.N] = append(byN[g.Scenario.N], g)
		}
		s := Series{Name: name, Line: true, Markers: true}
		var at []string
		for _, n := range sortedKeys(byN) {
			peaks := stats.PeakBySeed(byN[n], m, float64(capAt)/1e6)
			var values []float64
			for _, seed := range sortedKeys(peaks) {
				values = append(values, peaks[seed])
			}
			pt := point(stats.Summarise([]float64{float64(n)}), stats.Summarise(values))
			pt.N = len(values)
			if len(values) == 0 {
				b.notes = append(b.notes, fmt.Sprintf("%s at n = %d: no load stays below the cap.", name, n))
				continue
			}
			pt.X, pt.XLo, pt.XHi = float64(n), float64(n), float64(n)
			s.Points = append(s.Points, pt)
			if points++; !peakReached(byN[n], m, float64(capAt)/1e6) {
				at = append(at, strconv.Itoa(n))
			}
		}
		p.Series = append(p.Series, s)
		if len(at) > 0 {
			open = append(open, fmt.Sprintf("%s at n = %s", name, strings.Join(at, ", ")))
			points -= len(at)
		}
	}
	b.notes = append(b.notes, fmt.Sprintf("Peak is the highest throughput among the loads that were run whose %s stays at or below %s without saturation.", strings.ToLower(m.Label), capAt))
	switch {
	case len(open) == 0:
	case points == 0:
		b.notes = append(b.notes, "No load that was run is too high: these are lower bounds of the peak.")
	default:
		b.notes = append(b.notes, fmt.Sprintf("No load that was run is too high for these, which are lower bounds of the peak: %s.", strings.Join(open, "; ")))
	}
	return []Panel{p}, nil
}

// peakReached says whether some load was too high: saturated, above the cap, or, for
// the heaviest, with less than a hundredth more throughput than a lower one. Otherwise
// the peak lies beyond what was run, also in a closed loop, whose throughput is clients
// over latency.
func peakReached(groups []*stats.Group, m stats.Metric, capMS float64) bool {
	tput, err := stats.FindMetric("throughput")
	if err != nil {
		return false
	}
	var most, last, others float64 // the heaviest load, its throughput, the best of the others
	for _, g := range groups {
		if v := stats.Summarise(g.Values(m)); g.Saturated() || v.N > 0 && v.Median > capMS {
			return true
		}
		load := float64(g.Scenario.Workload.Rate)
		if g.Scenario.Workload.Kind == "closed" {
			load = float64(g.Scenario.Clients) * float64(max(g.Scenario.Workload.Outstanding, 1))
		}
		t := stats.Summarise(g.Values(tput)).Median
		if load > most {
			most, last, others = load, t, math.Max(others, last)
		} else {
			others = math.Max(others, t)
		}
	}
	return last <= 1.01*others
}

func shortMetric(name string) string {
	return strings.TrimPrefix(name, "latency_")
}

// againstN is a metric against n, with guides n^k.
func (b *builder) againstN(name, band string, scale Scale, guides []float64) ([]Panel, error) {
	m, err := b.metric(name)
	if err != nil {
		return nil, err
	}
	p := Panel{X: Axis{Label: "Replicas n", Scale: Log2}, Y: Axis{Label: m.Axis(), Scale: scale}}
	names, series := b.seriesOf(func(g *stats.Group) string { return g.Value("n") }, "n", "f")
	var first *Point
	lastN := 0.0
	for _, sname := range names {
		gs := series[sname]
		sort.SliceStable(gs, func(i, j int) bool { return gs[i].Scenario.N < gs[j].Scenario.N })
		add := func(m stats.Metric, thin bool) {
			s := Series{Name: sname, Line: true, Markers: !thin, Thin: thin}
			for _, g := range gs {
				y := stats.Summarise(g.Values(m))
				if y.N == 0 {
					continue
				}
				pt := point(y, y)
				pt.X = float64(g.Scenario.N)
				pt.XLo, pt.XHi = pt.X, pt.X
				pt.Hollow = g.Saturated() && !thin
				s.Points = append(s.Points, pt)
				if first == nil || pt.X < first.X {
					q := pt
					first = &q
				}
				lastN = math.Max(lastN, pt.X)
			}
			p.Series = append(p.Series, s)
		}
		add(m, false)
		if band != "" {
			bm, err := b.metric(band)
			if err != nil {
				return nil, err
			}
			add(bm, true)
		}
	}
	if band != "" {
		bm, err := b.metric(band)
		if err != nil {
			return nil, err
		}
		b.notes = append(b.notes, "Thin lines: "+strings.ToLower(bm.Label)+".")
	}
	if first != nil && lastN > first.X {
		for _, k := range guides {
			g := Guide{Label: map[float64]string{1: "O(n)", 2: "O(n²)"}[k]}
			for i := 0; i <= 16; i++ {
				x := first.X * math.Pow(lastN/first.X, float64(i)/16)
				g.Points = append(g.Points, [2]float64{x, first.Y * math.Pow(x/first.X, k)})
			}
			p.Guides = append(p.Guides, g)
		}
	}
	return []Panel{p}, nil
}

// robustness is offered against achieved load.
func (b *builder) robustness() ([]Panel, error) {
	offered, err := b.metric("offered")
	if err != nil {
		return nil, err
	}
	tput, err := b.metric("throughput")
	if err != nil {
		return nil, err
	}
	p := Panel{X: Axis{Label: offered.Axis(), FromZero: true}, Y: Axis{Label: tput.Axis(), FromZero: true}}
	names, series := b.seriesOf(func(g *stats.Group) string { return g.Value("workload.rate") }, "workload.rate", "clients")
	most := 0.0
	for _, name := range names {
		s := Series{Name: name, Line: true, Markers: true}
		gs := series[name]
		load := func(g *stats.Group) float64 { return stats.Summarise(g.Values(offered)).Median }
		sort.SliceStable(gs, func(i, j int) bool { return load(gs[i]) < load(gs[j]) })
		for _, g := range gs {
			pt := point(stats.Summarise(g.Values(offered)), stats.Summarise(g.Values(tput)))
			pt.Hollow = g.Saturated()
			most = math.Max(most, pt.X)
			s.Points = append(s.Points, pt)
		}
		p.Series = append(p.Series, s)
	}
	if most > 0 && finite(most) {
		p.Guides = []Guide{{Label: "y = x", Points: [][2]float64{{0, 0}, {most, most}}}}
	}
	return []Panel{p}, nil
}

// bars is a metric by the axis By, relative to its first value, with the interval
// of the ratio. Absolute values belong in a table.
func (b *builder) bars() ([]Panel, error) {
	m, err := b.metric(orElse(b.f.Y, "throughput"))
	if err != nil {
		return nil, err
	}
	var categories []string
	cell := map[string]map[string]*stats.Group{}
	category := func(g *stats.Group) string { return seriesValue(g, b.f.By) }
	for _, g := range b.groups {
		if c := category(g); cell[c] == nil {
			cell[c] = map[string]*stats.Group{}
			categories = append(categories, c)
		}
	}
	names, series := b.seriesOf(category, b.f.By)
	for _, name := range names {
		for _, g := range series[name] {
			c := category(g)
			if o := cell[c][name]; o != nil {
				b.notes = append(b.notes, fmt.Sprintf("%s in %s: one of several configurations is shown.", name, c))
				continue
			}
			cell[c][name] = g
		}
	}
	// The order of the file, not that of the index: the first value is the baseline.
	if order := b.d.order(b.f.By); len(order) > 0 {
		at := func(c string) int {
			for i, o := range order {
				if axisLabel(b.f.By, o) == c {
					return i
				}
			}
			return len(order)
		}
		sort.SliceStable(categories, func(i, j int) bool { return at(categories[i]) < at(categories[j]) })
	}
	one := 1.0
	p := Panel{X: Axis{}, Y: Axis{Label: m.Label + " relative to baseline", FromZero: true}, Categories: categories, Reference: &one}
	if len(categories) > 0 {
		p.Y.Label = m.Label + " relative to " + categories[0]
	}
	for _, name := range names {
		s := Series{Name: name}
		if len(categories) > 0 {
			base := cell[categories[0]][name]
			for i, c := range categories {
				g := cell[c][name]
				if g == nil || base == nil {
					continue
				}
				r := stats.Ratio(g.BySeed(m), base.BySeed(m))
				pt := Point{X: float64(i), Y: r.Ratio, XLo: float64(i), XHi: float64(i), YLo: r.Ratio, YHi: r.Ratio, N: r.N}
				if r.HasCI && i > 0 {
					pt.YLo, pt.YHi = r.Lo, r.Hi
				}
				pt.Label = stats.Cell(stats.Summarise(g.Values(m))) + " " + m.Unit
				s.Points = append(s.Points, pt)
			}
		}
		p.Series = append(p.Series, s)
	}
	return []Panel{p}, nil
}

// order returns the values of an axis as the suite lists them.
func (d *Data) order(by string) []string {
	if d.Suite == nil {
		return nil
	}
	return d.Suite.AxisValues(by)
}

func sortedKeys[K int | int64, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
