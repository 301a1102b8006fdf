// Package figure is the only place that draws. It wraps gonum.org/v1/plot so that
// every figure of the project keeps one house style and no data can make drawing
// panic:
//
//   - Okabe-Ito colours plus distinct markers plus dash patterns, legible in grey;
//     one name has one style in all figures of a suite ([Palette]).
//   - Own tickers, units in every label, legend above the axes, two panels instead
//     of a second axis, widths of one and two columns, 8 pt.
//   - Values that an axis cannot show (not positive on a logarithmic axis, not a
//     number) are left out and counted in [Rendered].Notes; error bars that would
//     leave a logarithmic axis are clamped to it.
//   - Every figure is a [Figure] value first: the JSON specification, the CSV of
//     exactly the plotted points, the caption and the drawing come from it.
//   - SVG and PNG are byte-stable; so are PDFs, whose two dates are patched from
//     SOURCE_DATE_EPOCH (1 January 2000 if unset).
//
// [Build] makes the figures of a suite from its recorded cells.
//
// It is not for computing statistics (package stats) or for pages (package
// report).
package figure
