package figure

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/vg"
)

// Scale of an axis.
type Scale string

// Scales.
const (
	Linear Scale = "linear"
	Log    Scale = "log"
	// Log2 is logarithmic with the values of the data as ticks.
	Log2 Scale = "log2"
)

// Figure is a figure as data: one or more panels above each other that share
// their horizontal axis.
type Figure struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Caption string   `json:"caption"`
	Panels  []Panel  `json:"panels"`
	Notes   []string `json:"notes,omitempty"`
}

// Panel is one pair of axes.
type Panel struct {
	X Axis `json:"x"`
	Y Axis `json:"y"`
	// Weight of the height among the panels; 0 is 1.
	Weight float64  `json:"weight,omitempty"`
	Series []Series `json:"series"`
	Guides []Guide  `json:"guides,omitempty"`
	Shades []Shade  `json:"shades,omitempty"`
	Marks  []Mark   `json:"marks,omitempty"`
	// Categories make it a bar chart: point i of a series is the bar over
	// category X.
	Categories []string `json:"categories,omitempty"`
	// Reference is a horizontal line, for example at 1.
	Reference *float64 `json:"reference,omitempty"`
}

// Axis is one axis.
type Axis struct {
	Label string `json:"label"`
	Scale Scale  `json:"scale"`
	// FromZero makes a linear axis begin at 0, Tight makes it end with the data.
	// Whole allows whole ticks only.
	FromZero bool `json:"from_zero,omitempty"`
	Tight    bool `json:"tight,omitempty"`
	Whole    bool `json:"whole,omitempty"`
}

// Series is a named set of points, drawn in the style of its name.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
	// Line joins the points, Steps in steps, Markers draws them, Thin is for a
	// secondary line of the series of the same name.
	Line    bool `json:"line"`
	Steps   bool `json:"steps,omitempty"`
	Markers bool `json:"markers"`
	Thin    bool `json:"thin,omitempty"`
	// Band fills the area between YLo and YHi.
	Band bool `json:"band,omitempty"`
	// Gap, if positive, is the largest horizontal distance that is joined: a
	// second without data is a hole in the line.
	Gap float64 `json:"gap,omitempty"`
	// Silent leaves the series out of the legend.
	Silent bool `json:"silent,omitempty"`
}

// Point is one point with the bounds of its uncertainty; bounds that are equal
// to the value are not drawn.
type Point struct {
	X, Y, XLo, XHi, YLo, YHi float64
	// Hollow marks a saturated point.
	Hollow bool
	// N is the number of runs.
	N int
	// Label says more, for example the offered rate; it is in the CSV and in the
	// read-out.
	Label string
}

// At is a point without uncertainty.
func At(x, y float64) Point { return Point{X: x, Y: y, XLo: x, XHi: x, YLo: y, YHi: y, N: 1} }

// Guide is a thin grey line with a label at its end, for example O(n^2).
type Guide struct {
	Label  string       `json:"label"`
	Points [][2]float64 `json:"points"`
}

// Shade is a shaded interval of the horizontal axis.
type Shade struct {
	From, To float64
	Label    string
}

// Mark is a labelled vertical line.
type Mark struct {
	X     float64
	Label string
}

// Style is the size of a figure and of its text.
type Style struct {
	Name  string
	Width vg.Length
	// Font is the size of text, Line the width of lines, Marker the radius of
	// markers.
	Font, Line, Marker vg.Length
	// DPI of the PNG.
	DPI int
}

// Styles by name. The widths are those of one and of two columns.
var styles = []Style{
	{"acm-1col", 3.33 * vg.Inch, 8, 1, 2.1, 300},
	{"acm-2col", 7 * vg.Inch, 8, 1, 2.1, 300},
	{"ieee", 3.5 * vg.Inch, 8, 1, 2.1, 300},
	{"slides", 9 * vg.Inch, 16, 2, 4, 150},
}

// StyleNames lists the styles.
func StyleNames() []string {
	names := make([]string, len(styles))
	for i, s := range styles {
		names[i] = s.Name
	}
	return names
}

// FindStyle returns a style by name; "" is the first.
func FindStyle(name string) (Style, error) {
	if name == "" {
		return styles[0], nil
	}
	for _, s := range styles {
		if s.Name == name {
			return s, nil
		}
	}
	return Style{}, fmt.Errorf("unknown style %q; allowed: %v", name, StyleNames())
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// largest value that is drawn; beyond it float arithmetic of axes breaks down.
const largest = 1e150

// usable says whether a value can be shown on a scale.
func (s Scale) usable(v float64) bool {
	if !finite(v) || math.Abs(v) > largest {
		return false
	}
	return s == Linear || s == "" || v > 1/largest
}

// clean returns the figure with everything removed that its axes cannot show,
// and notes about what was removed. The result is safe to draw, and what the CSV
// holds.
func (f *Figure) clean() *Figure {
	out := *f
	out.Panels = make([]Panel, len(f.Panels))
	out.Notes = append([]string(nil), f.Notes...)
	dropped, clamped := 0, 0
	for i, p := range f.Panels {
		// Panels share the horizontal axis, and bars stand on a linear zero.
		p.X.Scale = f.Panels[0].X.Scale
		if len(f.Panels[0].Categories) > 0 {
			p.X.Scale = Linear
		}
		if len(p.Categories) > 0 {
			p.X.Scale, p.Y.Scale = Linear, Linear
		}
		q := p
		q.Series = make([]Series, len(p.Series))
		for j, s := range p.Series {
			t := s
			t.Points = nil
			for _, pt := range s.Points {
				if !p.X.Scale.usable(pt.X) || !p.Y.Scale.usable(pt.Y) || len(p.Categories) > 0 && (pt.X < 0 || int(pt.X) >= len(p.Categories)) {
					dropped++
					continue
				}
				for _, b := range []struct {
					v     *float64
					at    float64
					scale Scale
					sign  float64
				}{{&pt.XLo, pt.X, p.X.Scale, -1}, {&pt.XHi, pt.X, p.X.Scale, 1}, {&pt.YLo, pt.Y, p.Y.Scale, -1}, {&pt.YHi, pt.Y, p.Y.Scale, 1}} {
					if !finite(*b.v) || (*b.v-b.at)*b.sign < 0 {
						*b.v = b.at
					}
					if !b.scale.usable(*b.v) {
						*b.v = b.at / 10
						clamped++
					}
				}
				t.Points = append(t.Points, pt)
			}
			q.Series[j] = t
		}
		q.Guides = nil
		for _, g := range p.Guides {
			h := Guide{Label: g.Label}
			for _, pt := range g.Points {
				if p.X.Scale.usable(pt[0]) && p.Y.Scale.usable(pt[1]) {
					h.Points = append(h.Points, pt)
				}
			}
			if len(h.Points) > 1 {
				q.Guides = append(q.Guides, h)
			}
		}
		q.Shades = nil
		for _, s := range p.Shades {
			if p.X.Scale.usable(s.From) && p.X.Scale.usable(s.To) && s.To >= s.From {
				q.Shades = append(q.Shades, s)
			}
		}
		q.Marks = nil
		for _, m := range p.Marks {
			if p.X.Scale.usable(m.X) {
				q.Marks = append(q.Marks, m)
			}
		}
		if q.Reference != nil && !p.Y.Scale.usable(*q.Reference) {
			q.Reference = nil
		}
		out.Panels[i] = q
	}
	if dropped > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d points could not be shown on their axes (not positive on a logarithmic axis, or not a number)", dropped))
	}
	if clamped > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d error bars reach below a logarithmic axis and are cut", clamped))
	}
	return &out
}
