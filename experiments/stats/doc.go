// Package stats judges runs and compares them, so that nobody has to remember
// how.
//
//   - [Judge] applies the steady-state test and the validity gates to one run.
//   - [Summarise] gives the median with its exact non-parametric confidence
//     interval; fewer than six runs get no interval.
//   - [Compare] is a Mann-Whitney test that prints ~ where no difference is shown.
//   - [Ratio] is a bootstrap interval, paired by seed and itself seeded, so that
//     figures are byte-stable.
//   - [Groups] puts repetitions together; [Evaluate] gives the verdicts on the
//     claims and thresholds of a suite.
//
// Callers' slices are never sorted in place. Percentiles of several runs are
// never averaged: merge histograms (package result), or take the spread of the
// percentile across runs, which is what Summarise does.
//
// Decisions where the sheet is silent:
//   - A run is steady when the two halves of the window differ by at most a tenth,
//     or by no more than three standard deviations of a Poisson count.
//   - An open run is saturated when the backlog grows in both halves, by more than
//     a hundredth of what was offered and by at least ten requests, or when more
//     than a hundredth of the requests failed or timed out.
//   - In the simulator the generator is late only because all clients wait. That is
//     excused, and the run called saturated instead of invalid, only where a lane, all
//     cores, the disk or the link of a replica worked for nine tenths of the window. Otherwise there were simply too
//     few clients, and the limit that was measured is theirs.
package stats
