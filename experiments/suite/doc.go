// Package suite reads suite files: a base scenario, axes to vary (their cross
// product), what to leave out, profiles that scale the whole down, and the
// claims, thresholds and figures that the results are for. All of it is data:
// there are no templates and no expressions. [Suite.Expand] turns it into cells,
// [Suite.ExpandJSON] prints them, and a file with such a list of cells is a suite
// too, so that other tools can generate or filter them.
//
//	suite: peak
//	base: {protocol: pbft, ...}                  a scenario
//	matrix:                                      cross product, in this order
//	  protocol: [pbft, raft]
//	  workload.rate: [1k/s, 5k/s, auto]          auto: look for the knee, see Auto
//	  seed: {count: 7, from: 1}
//	  variant: {calm: {}, crash: {faults: [..]}} named sets of overrides
//	runs: [{name: x, set: {..}, matrix: {..}}]   cells beside the matrix
//	exclude: [{protocol: raft, fault_class: byzantine}]
//	profiles: {laptop: {matrix.seed: {count: 3}, base.window.measure: 1s}}
//	auto: {cap: 500ms, metric: latency_p99, from: 100/s, precision: 5%}
//	thresholds, claims, figures                  see their types
//
// It does not run anything (package sweep) and judges nothing (package stats).
package suite
