// Package report writes the results of a suite as one HTML file that makes no
// network request: everything is inside, a content security policy forbids the
// rest, and the few lines of JavaScript are our own. With NoJS it is a static
// page.
//
// What a reader must not miss comes first: violations, invalid and stale cells,
// then the claims with their verdicts, the figures, the tables, where the numbers
// come from, and the commands that repeat them.
//
// It is not for drawing (package figure) or judging (package stats).
package report
