package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"regexp"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Rendered is a drawn figure in the formats that were asked for.
type Rendered struct {
	// Figure is what was drawn: without the points that could not be.
	Figure        *Figure
	Width, Height vg.Length
	// Files holds the drawing by format: svg, png, pdf.
	Files map[string][]byte
	// Pixels gives every drawn point its place in the SVG, in points from the top
	// left corner, in the order of panels, series and points.
	Pixels []Pixel
	// Areas are the data areas of the panels in the same coordinates.
	Areas []Area
}

// Pixel is the place of a point.
type Pixel struct {
	Panel, Series, Point int
	X, Y                 float64
}

// Area is a rectangle.
type Area struct{ X0, Y0, X1, Y1 float64 }

// Formats lists the formats that Render knows.
func Formats() []string { return []string{"svg", "png", "pdf"} }

// Render draws a figure. The palette may be nil.
func Render(f *Figure, style Style, palette *Palette, formats ...string) (*Rendered, error) {
	if palette == nil {
		palette = NewPalette(nil)
	}
	r := &Rendered{Figure: f.clean(), Files: map[string][]byte{}}
	l := newLayout(r.Figure, style, palette)
	r.Width, r.Height = style.Width, l.height
	for i, format := range formats {
		data, err := l.render(format, r, i == 0)
		if err != nil {
			return nil, fmt.Errorf("figure %s: %w", f.Name, err)
		}
		r.Files[format] = data
	}
	if len(formats) == 0 {
		return r, nil
	}
	return r, nil
}

type layout struct {
	f       *Figure
	style   Style
	palette *Palette
	legend  []legendEntry
	rows    int
	height  vg.Length
	plots   []*plot.Plot
}

type legendEntry struct {
	name   string
	series Series
	width  vg.Length
	row    int
	x      vg.Length
}

func newLayout(f *Figure, style Style, palette *Palette) *layout {
	l := &layout{f: f, style: style, palette: palette}
	l.arrangeLegend()
	base := style.Width * 0.62
	if style.Width > 5*vg.Inch {
		base = style.Width * 0.42
	}
	for i := range f.Panels {
		w := f.Panels[i].Weight
		if w == 0 {
			w = 1
		}
		l.height += base * vg.Length(w)
	}
	if len(f.Panels) == 0 {
		l.height = base
	}
	l.height += vg.Length(l.rows) * style.Font * 1.45
	for i := range f.Panels {
		l.plots = append(l.plots, l.panel(i))
	}
	return l
}

// arrangeLegend puts the names above the axes, in as many rows as they need. A
// single series needs no legend.
func (l *layout) arrangeLegend() {
	sty := l.style.text(1)
	seen := map[string]int{}
	for _, p := range l.f.Panels {
		for _, s := range p.Series {
			if s.Silent || s.Thin || s.Name == "" || len(s.Points) == 0 {
				continue
			}
			if i, ok := seen[s.Name]; ok {
				l.legend[i].series.Markers = l.legend[i].series.Markers || s.Markers
				continue
			}
			seen[s.Name] = len(l.legend)
			s.Band = s.Band || len(p.Categories) > 0
			l.legend = append(l.legend, legendEntry{name: s.Name, series: s, width: sty.Width(s.Name) + l.style.Font*3.4})
		}
	}
	if len(l.legend) < 2 {
		l.legend = nil
		return
	}
	var x vg.Length
	for i := range l.legend {
		e := &l.legend[i]
		if x > 0 && x+e.width > l.style.Width-l.style.Font {
			l.rows++
			x = 0
		}
		e.row, e.x = l.rows, x
		x += e.width
	}
	l.rows++
}

func (l *layout) panel(i int) *plot.Plot {
	p := &l.f.Panels[i]
	last := i == len(l.f.Panels)-1
	plt := plot.New()
	plt.BackgroundColor = color.White
	for _, a := range []*plot.Axis{&plt.X, &plt.Y} {
		a.Label.TextStyle = l.style.text(1)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = text.XCenter, text.YBottom
		a.Label.Padding = l.style.Font * 0.3
		a.Tick.Label = l.style.text(0.92)
		a.Tick.LineStyle = draw.LineStyle{Color: color.Black, Width: l.style.Line * 0.5}
		a.Tick.Length = l.style.Font * 0.35
		a.LineStyle = draw.LineStyle{Color: color.Black, Width: l.style.Line * 0.6}
		a.Padding = 0
	}
	plt.X.Tick.Label.XAlign, plt.X.Tick.Label.YAlign = text.XCenter, text.YTop
	plt.Y.Tick.Label.XAlign, plt.Y.Tick.Label.YAlign = text.XRight, text.YCenter
	if last {
		plt.X.Label.Text = p.X.Label
	}
	xr, yr := l.ranges(p)
	if !last {
		// Only the lowest panel labels the shared axis.
		for i := range xr.ticks {
			xr.ticks[i].Label = ""
		}
	}
	l.setAxis(&plt.X, p.X.Scale, xr)
	l.setAxis(&plt.Y, p.Y.Scale, yr)
	if len(p.Categories) > 0 {
		l.categoryAxis(plt, p)
	}
	plt.Add(&contents{p: p, style: l.style, palette: l.palette, first: i == 0, bottom: last})
	return plt
}

func (l *layout) setAxis(a *plot.Axis, s Scale, r axisRange) {
	a.Min, a.Max = r.min, r.max
	a.Tick.Marker = fixedTicks(r.ticks)
	if s == Log || s == Log2 {
		a.Scale = plot.LogScale{}
	}
}

// categoryAxis puts names below the bars, slanted where they would touch.
func (l *layout) categoryAxis(plt *plot.Plot, p *Panel) {
	var ticks []plot.Tick
	sty := l.style.text(0.92)
	widest := vg.Length(0)
	for i, c := range p.Categories {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: c})
		widest = max(widest, sty.Width(c))
	}
	plt.X.Min, plt.X.Max = -0.6, float64(len(p.Categories))-0.4
	plt.X.Tick.Marker = fixedTicks(ticks)
	plt.X.Tick.Length = 0
	if widest > (l.style.Width-5*l.style.Font)/vg.Length(len(p.Categories))*0.95 {
		plt.X.Tick.Label.Rotation = math.Pi / 4
		plt.X.Tick.Label.XAlign, plt.X.Tick.Label.YAlign = text.XRight, text.YTop
	}
}

// ranges finds what the axes of a panel show. Panels share the horizontal one.
func (l *layout) ranges(p *Panel) (x, y axisRange) {
	var xs, ys []float64
	for i := range l.f.Panels {
		q := &l.f.Panels[i]
		for _, s := range q.Series {
			for _, pt := range s.Points {
				xs = append(xs, pt.X, pt.XLo, pt.XHi)
			}
		}
		if q.X.Scale == Linear || q.X.Scale == "" {
			for _, s := range q.Shades {
				xs = append(xs, s.From, s.To)
			}
		}
	}
	for _, s := range p.Series {
		for _, pt := range s.Points {
			ys = append(ys, pt.Y)
			if !s.Thin {
				ys = append(ys, pt.YLo, pt.YHi)
			}
		}
	}
	if p.Reference != nil && len(ys) > 0 {
		ys = append(ys, *p.Reference)
	}
	rows := 5
	if p.Weight > 0 && p.Weight < 0.6 {
		rows = 3
	}
	x, y = axisFor(p.X, xs, 6), axisFor(p.Y, ys, rows)
	if len(p.Shades) > 0 && (p.Y.Scale == Linear || p.Y.Scale == "") {
		// Room for the labels of the faults.
		for _, s := range p.Shades {
			if s.Label != "" && l.first(p) {
				y.max += (y.max - y.min) * 0.12
				break
			}
		}
	}
	return x, y
}

func (l *layout) first(p *Panel) bool { return p == &l.f.Panels[0] }

func axisFor(a Axis, values []float64, n int) axisRange {
	if len(values) == 0 {
		if a.Scale == Log || a.Scale == Log2 {
			return axisRange{min: 1, max: 10, ticks: []plot.Tick{{Value: 1, Label: "1"}, {Value: 10, Label: "10"}}}
		}
		return axisRange{min: 0, max: 1, ticks: []plot.Tick{{Value: 0, Label: "0"}, {Value: 1, Label: "1"}}}
	}
	lo, hi := values[0], values[0]
	for _, v := range values {
		lo, hi = math.Min(lo, v), math.Max(hi, v)
	}
	switch a.Scale {
	case Log:
		return logAxis(lo, hi, n+3)
	case Log2:
		return valueAxis(values)
	}
	r := linearAxis(lo, hi, a.FromZero, a.Whole, n)
	if a.Tight && lo < hi {
		r.max = hi
		if !a.FromZero {
			r.min = lo
		}
		kept := r.ticks[:0]
		for _, t := range r.ticks {
			if t.Value >= r.min && t.Value <= r.max {
				kept = append(kept, t)
			}
		}
		r.ticks = kept
	}
	return r
}

func (l *layout) render(format string, r *Rendered, record bool) ([]byte, error) {
	var c vg.CanvasWriterTo
	switch format {
	case "svg":
		c = vgsvg.NewWith(vgsvg.UseWH(l.style.Width, l.height), vgsvg.EmbedFonts(false))
	case "png":
		c = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(l.style.Width, l.height), vgimg.UseDPI(l.style.DPI), vgimg.UseBackgroundColor(color.White))}
	case "pdf":
		p := vgpdf.New(l.style.Width, l.height)
		p.EmbedFonts(true)
		c = p
	default:
		return nil, fmt.Errorf("unknown format %q; allowed: %v", format, Formats())
	}
	l.draw(draw.New(c), r, record)
	var buf bytes.Buffer
	if _, err := c.WriteTo(&buf); err != nil {
		return nil, err
	}
	if format == "pdf" {
		return patchPDF(buf.Bytes()), nil
	}
	return buf.Bytes(), nil
}

func (l *layout) draw(c draw.Canvas, r *Rendered, record bool) {
	c.FillPolygon(color.White, []vg.Point{{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y}})
	l.drawLegend(c)
	top := vg.Length(l.rows) * l.style.Font * 1.45
	margin := l.style.Font * 0.4
	// The vertical labels are drawn here: plot misplaces their box on logarithmic
	// axes and would leave room above the data for it.
	area := draw.Crop(c, margin+l.style.Font*1.3, -l.style.Font*0.9, margin, -top-margin)
	if len(l.plots) == 0 {
		l.noData(area)
		return
	}
	canvases := l.tiles(area)
	for i, plt := range l.plots {
		plt.Draw(canvases[i])
		data := plt.DataCanvas(canvases[i])
		l.verticalLabel(c, data, l.f.Panels[i].Y.Label)
		empty := true
		tx, ty := plt.Transforms(&data)
		for j, s := range l.f.Panels[i].Series {
			for k, pt := range s.Points {
				empty = false
				if record && !s.Thin {
					r.Pixels = append(r.Pixels, Pixel{i, j, k, round(tx(pt.X)), round(l.height - ty(pt.Y))})
				}
			}
		}
		if record {
			r.Areas = append(r.Areas, Area{round(data.Min.X), round(l.height - data.Max.Y), round(data.Max.X), round(l.height - data.Min.Y)})
		}
		if empty {
			l.noData(data)
		}
	}
}

// verticalLabel writes the label of a vertical axis beside its data area, smaller
// if it is longer than that.
func (l *layout) verticalLabel(c, data draw.Canvas, label string) {
	if label == "" {
		return
	}
	sty := l.style.text(1)
	middle := (data.Min.Y + data.Max.Y) / 2
	room := min(data.Max.Y-data.Min.Y+l.style.Font*2, 2*(c.Max.Y-middle-l.style.Font*0.3))
	if w := sty.Width(label); w > room {
		sty.Font.Size *= max(room/w, 0.6)
	}
	sty.XAlign, sty.YAlign = text.XCenter, text.YTop
	sty.Rotation = math.Pi / 2
	c.FillText(sty, vg.Point{X: c.Min.X + l.style.Font*0.25, Y: middle}, label)
}

func round(v vg.Length) float64 { return math.Round(float64(v)*100) / 100 }

// tiles divides the area among the panels by their weights, with the data areas
// aligned on the left and right.
func (l *layout) tiles(area draw.Canvas) []draw.Canvas {
	total := 0.0
	weight := func(i int) float64 {
		if w := l.f.Panels[i].Weight; w > 0 {
			return w
		}
		return 1
	}
	for i := range l.plots {
		total += weight(i)
	}
	out := make([]draw.Canvas, len(l.plots))
	y := area.Max.Y
	height := area.Max.Y - area.Min.Y
	gap := l.style.Font * 0.5
	for i := range l.plots {
		h := height * vg.Length(weight(i)/total)
		out[i] = draw.Canvas{Canvas: area.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: area.Min.X, Y: y - h}, Max: vg.Point{X: area.Max.X, Y: y}}}
		if i > 0 {
			out[i].Max.Y -= gap
		}
		y -= h
	}
	left, right := area.Min.X, area.Max.X
	for i, plt := range l.plots {
		d := plt.DataCanvas(out[i])
		left, right = max(left, d.Min.X), min(right, d.Max.X)
	}
	for i, plt := range l.plots {
		d := plt.DataCanvas(out[i])
		out[i].Min.X += left - d.Min.X
		out[i].Max.X -= d.Max.X - right
	}
	return out
}

func (l *layout) noData(c draw.Canvas) {
	sty := l.style.text(1)
	sty.Color = grey
	sty.XAlign, sty.YAlign = text.XCenter, text.YCenter
	c.FillText(sty, c.Center(), "no data")
}

func (l *layout) drawLegend(c draw.Canvas) {
	sty := l.style.text(1)
	sty.YAlign = text.YCenter
	line := l.style.Font * 1.45
	// Rows are centred, each for itself.
	widths := make([]vg.Length, l.rows)
	for _, e := range l.legend {
		widths[e.row] = max(widths[e.row], e.x+e.width)
	}
	for _, e := range l.legend {
		x := c.Min.X + (c.Max.X-c.Min.X-widths[e.row])/2 + e.x + l.style.Font*0.5
		y := c.Max.Y - l.style.Font*0.3 - line*(vg.Length(e.row)+0.5)
		k := l.palette.look(e.name)
		end := x + l.style.Font*2
		switch {
		case e.series.Line || e.series.Steps:
			c.StrokeLine2(draw.LineStyle{Color: k.colour, Width: l.style.Line, Dashes: scaled(k.dash, l.style.Line)}, x, y, end, y)
		case e.series.Band:
			h := l.style.Font * 0.35
			box := []vg.Point{{X: x, Y: y - h}, {X: end, Y: y - h}, {X: end, Y: y + h}, {X: x, Y: y + h}}
			c.FillPolygon(lighter(k.colour, 0.75), box)
			(&contents{style: l.style}).hatch(&c, k.marker, x, end, y-h, y+h)
			c.StrokeLines(draw.LineStyle{Color: k.colour, Width: l.style.Line * 0.7}, append(box, box[0]))
		}
		if e.series.Markers {
			drawMarker(&c, k.marker, vg.Point{X: (x + end) / 2, Y: y}, l.style.Marker, k.colour, l.style.Line*0.8, false)
		}
		c.FillText(sty, vg.Point{X: end + l.style.Font*0.4, Y: y}, e.name)
	}
}

var pdfDate = regexp.MustCompile(`/(CreationDate|ModDate) \(D:\d{14}`)

// patchPDF replaces the two dates, which are of fixed width, so that equal
// figures are equal files.
func patchPDF(data []byte) []byte {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil && s >= 0 && s < 1<<36 {
		at = time.Unix(s, 0).UTC()
	}
	date := at.Format("20060102150405")
	return pdfDate.ReplaceAllFunc(data, func(m []byte) []byte {
		return append(append([]byte(nil), m[:len(m)-14]...), date...)
	})
}
