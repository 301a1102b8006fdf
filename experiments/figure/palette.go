package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours of Okabe and Ito, darkest first, so that the first few are also
// told apart in grey. Yellow comes last: it is pale on white.
var okabeIto = []color.RGBA{
	{0x00, 0x72, 0xB2, 0xFF}, // blue
	{0xD5, 0x5E, 0x00, 0xFF}, // vermilion
	{0x00, 0x9E, 0x73, 0xFF}, // bluish green
	{0xCC, 0x79, 0xA7, 0xFF}, // reddish purple
	{0xE6, 0x9F, 0x00, 0xFF}, // orange
	{0x56, 0xB4, 0xE9, 0xFF}, // sky blue
	{0x00, 0x00, 0x00, 0xFF}, // black
	{0xF0, 0xE4, 0x42, 0xFF}, // yellow
}

var dashes = [][]vg.Length{
	nil,
	{4, 1.5},
	{1, 1.2},
	{5, 1.5, 1, 1.5},
	{8, 2},
	{3, 1, 1, 1, 1, 1},
	{2, 2},
	{6, 1, 2, 1},
}

// look is how a name is drawn.
type look struct {
	colour color.RGBA
	dash   []vg.Length
	marker int
}

// Palette gives every name one look. Names keep the look of their position in
// the list, so that a protocol looks the same in all figures of a suite.
type Palette struct{ index map[string]int }

// NewPalette returns a palette for names in this order.
func NewPalette(names []string) *Palette {
	p := &Palette{index: make(map[string]int, len(names))}
	for _, n := range names {
		p.add(n)
	}
	return p
}

func (p *Palette) add(name string) int {
	i, ok := p.index[name]
	if !ok {
		i = len(p.index)
		p.index[name] = i
	}
	return i
}

// include gives every series of a figure its look, so that drawing only reads.
func (p *Palette) include(f *Figure) {
	for _, panel := range f.Panels {
		for _, s := range panel.Series {
			p.add(s.Name)
		}
	}
}

func (p *Palette) look(name string) look {
	i := p.add(name)
	// The periods differ, so that the ninth name does not look like the first.
	return look{okabeIto[i%len(okabeIto)], dashes[(i+i/len(okabeIto))%len(dashes)], (i + i/markers) % markers}
}

const markers = 8

// drawMarker draws marker number kind, filled or hollow.
func drawMarker(c *draw.Canvas, kind int, at vg.Point, r vg.Length, col color.Color, width vg.Length, hollow bool) {
	polygon := func(n int, turn, scale float64) []vg.Point {
		pts := make([]vg.Point, n)
		for i := range pts {
			a := turn + 2*math.Pi*float64(i)/float64(n)
			pts[i] = vg.Point{X: at.X + vg.Length(float64(r)*scale*math.Cos(a)), Y: at.Y + vg.Length(float64(r)*scale*math.Sin(a))}
		}
		return pts
	}
	line := draw.LineStyle{Color: col, Width: width}
	shape := func(pts []vg.Point) {
		fill := col
		if hollow {
			fill = color.White
		}
		c.FillPolygon(fill, pts)
		c.StrokeLines(line, append(pts, pts[0]))
	}
	switch kind {
	case 0:
		var p vg.Path
		p.Move(vg.Point{X: at.X + r, Y: at.Y})
		p.Arc(at, r, 0, 2*math.Pi)
		p.Close()
		if hollow {
			c.SetColor(color.White)
		} else {
			c.SetColor(col)
		}
		c.Fill(p)
		c.SetLineStyle(line)
		c.Stroke(p)
	case 1:
		shape(polygon(4, math.Pi/4, 1.25))
	case 2:
		shape(polygon(3, math.Pi/2, 1.35))
	case 3:
		shape(polygon(4, 0, 1.35))
	case 4:
		shape(polygon(3, -math.Pi/2, 1.35))
	case 5:
		shape(polygon(5, math.Pi/2, 1.25))
	default:
		// Crosses cannot be hollow; a saturated one gets a ring.
		turn := 0.0
		if kind == 7 {
			turn = math.Pi / 4
		}
		for _, p := range [][]vg.Point{polygon(2, turn, 1.2), polygon(2, turn+math.Pi/2, 1.2)} {
			c.StrokeLines(draw.LineStyle{Color: col, Width: width * 1.3}, p)
		}
		if hollow {
			drawMarker(c, 0, at, r*1.4, col, width, true)
		}
	}
}

func lighter(c color.RGBA, share float64) color.RGBA {
	mix := func(v uint8) uint8 { return uint8(255 - share*(255-float64(v))) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 0xFF}
}
