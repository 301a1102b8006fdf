package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var (
	grey      = color.RGBA{0x80, 0x80, 0x80, 0xFF}
	gridGrey  = color.RGBA{0xE4, 0xE4, 0xE4, 0xFF}
	shadeGrey = color.RGBA{0xEE, 0xEA, 0xE2, 0xFF}
)

func (s Style) text(scale float64) text.Style {
	return text.Style{
		Color:   color.Black,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: s.Font * vg.Length(scale)},
		Handler: plot.DefaultTextHandler,
	}
}

// contents draws everything between the axes of one panel.
type contents struct {
	p       *Panel
	style   Style
	palette *Palette
	first   bool // the panel that labels the shades
	bottom  bool
}

// Plot implements plot.Plotter. All values were cleaned before.
func (d *contents) Plot(c draw.Canvas, plt *plot.Plot) {
	tx, ty := plt.Transforms(&c)
	at := func(x, y float64) vg.Point { return vg.Point{X: tx(x), Y: ty(y)} }
	clampX := func(x vg.Length) vg.Length { return min(max(x, c.Min.X), c.Max.X) }
	thin := draw.LineStyle{Color: grey, Width: d.style.Line * 0.6}

	for _, s := range d.p.Shades {
		x0, x1 := clampX(tx(s.From)), clampX(tx(s.To))
		c.FillPolygon(shadeGrey, []vg.Point{{X: x0, Y: c.Min.Y}, {X: x1, Y: c.Min.Y}, {X: x1, Y: c.Max.Y}, {X: x0, Y: c.Max.Y}})
	}
	grid := draw.LineStyle{Color: gridGrey, Width: d.style.Line * 0.5}
	for _, t := range plt.Y.Tick.Marker.Ticks(plt.Y.Min, plt.Y.Max) {
		if y := ty(t.Value); t.Label != "" && y >= c.Min.Y && y <= c.Max.Y {
			c.StrokeLine2(grid, c.Min.X, y, c.Max.X, y)
		}
	}
	if d.p.Reference != nil {
		c.StrokeLine2(thin, c.Min.X, ty(*d.p.Reference), c.Max.X, ty(*d.p.Reference))
	}
	for _, m := range d.p.Marks {
		x := tx(m.X)
		if x < c.Min.X || x > c.Max.X {
			continue
		}
		c.StrokeLine2(draw.LineStyle{Color: grey, Width: d.style.Line * 0.6, Dashes: []vg.Length{2, 2}}, x, c.Min.Y, x, c.Max.Y)
	}
	for _, g := range d.p.Guides {
		d.guide(&c, g, at)
	}
	for i := range d.p.Series {
		if d.p.Series[i].Band {
			d.band(&c, &d.p.Series[i], at)
		}
	}
	if len(d.p.Categories) > 0 {
		d.bars(&c, plt, at)
		return
	}
	for _, s := range d.p.Series {
		d.line(&c, &s, at)
	}
	for _, s := range d.p.Series {
		d.points(&c, &s, at)
	}
	d.labels(&c, tx)
}

func (d *contents) labels(c *draw.Canvas, tx func(float64) vg.Length) {
	sty := d.style.text(0.85)
	sty.Color = color.RGBA{0x55, 0x55, 0x55, 0xFF}
	sty.YAlign = text.YTop
	if d.first {
		var end vg.Length
		for _, s := range d.p.Shades {
			if s.Label == "" {
				continue
			}
			x0, x1 := max(tx(s.From), c.Min.X), min(tx(s.To), c.Max.X)
			if x1 < c.Min.X || x0 > c.Max.X {
				continue
			}
			w := sty.Width(s.Label)
			x := min(max((x0+x1-w)/2, c.Min.X), c.Max.X-w)
			// Labels of neighbouring faults step down instead of overlapping.
			y := c.Max.Y - d.style.Font*0.15
			if x < end {
				y -= d.style.Font
			}
			c.FillText(sty, vg.Point{X: x, Y: y}, s.Label)
			end = x + w
		}
	}
	for _, m := range d.p.Marks {
		x := tx(m.X)
		if m.Label == "" || x < c.Min.X || x > c.Max.X {
			continue
		}
		w := sty.Width(m.Label)
		at := x + d.style.Font*0.25
		if at+w > c.Max.X {
			at = x - w - d.style.Font*0.25
		}
		y := c.Min.Y + d.style.Font*1.2
		c.FillText(sty, vg.Point{X: at, Y: y}, m.Label)
	}
}

func (d *contents) guide(c *draw.Canvas, g Guide, at func(x, y float64) vg.Point) {
	pts := make([]vg.Point, len(g.Points))
	for i, p := range g.Points {
		pts[i] = at(p[0], p[1])
	}
	line := draw.LineStyle{Color: grey, Width: d.style.Line * 0.6, Dashes: []vg.Length{1.5, 1.5}}
	clipped := c.ClipLinesXY(pts)
	c.StrokeLines(line, clipped...)
	if len(clipped) == 0 || g.Label == "" {
		return
	}
	// The label stands left of the line, where its last fifth begins: at the end it
	// would lie on the last points of the data.
	first, last := clipped[0], clipped[len(clipped)-1]
	a, b := first[0], last[len(last)-1]
	end := vg.Point{X: a.X + (b.X-a.X)*0.8, Y: a.Y + (b.Y-a.Y)*0.8}
	sty := d.style.text(0.85)
	sty.Color = color.RGBA{0x55, 0x55, 0x55, 0xFF}
	sty.XAlign = text.XRight
	sty.YAlign = text.YBottom
	c.FillText(sty, vg.Point{X: end.X - d.style.Font*0.3, Y: min(end.Y, c.Max.Y-sty.Height(g.Label))}, g.Label)
}

// runs divides the points of a series where its gap says so.
func (s *Series) runs() [][]Point {
	var out [][]Point
	from := 0
	for i := 1; i <= len(s.Points); i++ {
		if i == len(s.Points) || s.Gap > 0 && s.Points[i].X-s.Points[i-1].X > s.Gap {
			out = append(out, s.Points[from:i])
			from = i
		}
	}
	return out
}

func (d *contents) band(c *draw.Canvas, s *Series, at func(x, y float64) vg.Point) {
	for _, run := range s.runs() {
		if len(run) < 2 {
			continue
		}
		var upper, lower []vg.Point
		for _, p := range run {
			upper = append(upper, at(p.X, p.YHi))
			lower = append(lower, at(p.X, p.YLo))
		}
		for i := len(lower) - 1; i >= 0; i-- {
			upper = append(upper, lower[i])
		}
		if pts := c.ClipPolygonXY(upper); len(pts) > 2 {
			c.FillPolygon(lighter(d.palette.look(s.Name).colour, 0.22), pts)
		}
	}
}

func (d *contents) line(c *draw.Canvas, s *Series, at func(x, y float64) vg.Point) {
	if !s.Line && !s.Steps || len(s.Points) < 2 {
		return
	}
	l := d.palette.look(s.Name)
	sty := draw.LineStyle{Color: l.colour, Width: d.style.Line, Dashes: scaled(l.dash, d.style.Line)}
	if s.Thin {
		sty.Width *= 0.5
		sty.Color = lighter(l.colour, 0.65)
		sty.Dashes = nil
	}
	for _, run := range s.runs() {
		var pts []vg.Point
		for i, p := range run {
			v := at(p.X, p.Y)
			if s.Steps && i > 0 {
				pts = append(pts, vg.Point{X: v.X, Y: pts[len(pts)-1].Y})
			}
			pts = append(pts, v)
		}
		if len(pts) > 1 {
			c.StrokeLines(sty, c.ClipLinesXY(pts)...)
		} else if !s.Markers {
			// A point between two holes would not be seen.
			drawMarker(c, l.marker, pts[0], d.style.Marker*0.5, sty.Color, sty.Width, false)
		}
	}
}

func scaled(d []vg.Length, by vg.Length) []vg.Length {
	out := make([]vg.Length, len(d))
	for i := range d {
		out[i] = d[i] * by
	}
	return out
}

func (d *contents) points(c *draw.Canvas, s *Series, at func(x, y float64) vg.Point) {
	l := d.palette.look(s.Name)
	bar := draw.LineStyle{Color: l.colour, Width: d.style.Line * 0.7}
	for _, p := range s.Points {
		v := at(p.X, p.Y)
		if !c.Contains(v) {
			continue
		}
		if !s.Band && !s.Thin {
			d.whiskers(c, bar, at(p.X, p.YLo), at(p.X, p.YHi), true)
			d.whiskers(c, bar, at(p.XLo, p.Y), at(p.XHi, p.Y), false)
		}
		if s.Markers {
			drawMarker(c, l.marker, v, d.style.Marker, l.colour, d.style.Line*0.8, p.Hollow)
		}
	}
	// A line of one point would not be seen at all.
	if !s.Markers && len(s.Points) == 1 {
		drawMarker(c, l.marker, at(s.Points[0].X, s.Points[0].Y), d.style.Marker, l.colour, d.style.Line*0.8, false)
	}
}

func (d *contents) whiskers(c *draw.Canvas, sty draw.LineStyle, a, b vg.Point, vertical bool) {
	a = vg.Point{X: min(max(a.X, c.Min.X), c.Max.X), Y: min(max(a.Y, c.Min.Y), c.Max.Y)}
	b = vg.Point{X: min(max(b.X, c.Min.X), c.Max.X), Y: min(max(b.Y, c.Min.Y), c.Max.Y)}
	if math.Abs(float64(a.X-b.X)) < 0.05 && math.Abs(float64(a.Y-b.Y)) < 0.05 {
		return
	}
	c.StrokeLine2(sty, a.X, a.Y, b.X, b.Y)
	cap := d.style.Marker * 0.8
	for _, e := range []vg.Point{a, b} {
		if vertical {
			c.StrokeLine2(sty, e.X-cap, e.Y, e.X+cap, e.Y)
		} else {
			c.StrokeLine2(sty, e.X, e.Y-cap, e.X, e.Y+cap)
		}
	}
}

func (d *contents) bars(c *draw.Canvas, plt *plot.Plot, at func(x, y float64) vg.Point) {
	n := len(d.p.Series)
	slot := float64(at(1, 0).X - at(0, 0).X)
	width := vg.Length(slot * 0.76 / float64(max(n, 1)))
	zero := min(max(at(0, 0).Y, c.Min.Y), c.Max.Y)
	for i := range d.p.Series {
		s := &d.p.Series[i]
		l := d.palette.look(s.Name)
		for _, p := range s.Points {
			v := at(p.X, p.Y)
			x0 := v.X - vg.Length(n)*width/2 + vg.Length(i)*width
			x1 := x0 + width*0.94
			y := min(max(v.Y, c.Min.Y), c.Max.Y)
			box := []vg.Point{{X: x0, Y: zero}, {X: x1, Y: zero}, {X: x1, Y: y}, {X: x0, Y: y}}
			fill := lighter(l.colour, 0.75)
			if p.Hollow {
				fill = color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}
			}
			c.FillPolygon(fill, box)
			if n > 1 {
				d.hatch(c, l.marker, x0, x1, min(zero, y), max(zero, y))
			}
			c.StrokeLines(draw.LineStyle{Color: l.colour, Width: d.style.Line * 0.7}, append(box, box[0]))
			mid := (x0 + x1) / 2
			d.whiskers(c, draw.LineStyle{Color: color.Black, Width: d.style.Line * 0.7}, vg.Point{X: mid, Y: at(0, p.YLo).Y}, vg.Point{X: mid, Y: at(0, p.YHi).Y}, true)
		}
	}
}

// hatch tells bars of different series apart in grey; the first is plain.
func (d *contents) hatch(c *draw.Canvas, kind int, x0, x1, y0, y1 vg.Length) {
	if kind == 0 || y1 <= y0 {
		return
	}
	sty := draw.LineStyle{Color: color.White, Width: d.style.Line * 0.6}
	gap := d.style.Font * 0.45
	height := y1 - y0
	if kind%2 == 1 {
		for x := x0 - height; x < x1; x += gap {
			a, b := vg.Point{X: x, Y: y0}, vg.Point{X: x + height, Y: y1}
			if a.X < x0 {
				a.Y += x0 - a.X
				a.X = x0
			}
			if b.X > x1 {
				b.Y -= b.X - x1
				b.X = x1
			}
			if a.X < b.X {
				c.StrokeLine2(sty, a.X, a.Y, b.X, b.Y)
			}
		}
		return
	}
	for y := y0 + gap; y < y1; y += gap {
		c.StrokeLine2(sty, x0, y, x1, y)
	}
}
