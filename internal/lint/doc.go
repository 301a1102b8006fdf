// Package lint holds the two static checks of edgebft that no general linter
// offers. Both are go/analysis passes and are run by cmd/edgebftlint.
//
// # determinism
//
// A simulated run is a pure function of scenario and seed: same binary, same
// seed, same trace hash, on every machine. [Determinism] rejects, in the packages
// whose code decides what happens in a run (see [Deterministic]), whatever would
// let something else in:
//
//   - range over a map (or over maps.Keys, maps.Values, maps.All), unless the
//     loop is provably indifferent to the order: it collects into a slice that is
//     sorted in the same function before anything else reads it, deletes,
//     accumulates integers with one commutative operator, takes a minimum or
//     maximum, builds another map or set, or looks for the existence of an
//     element;
//   - go statements, channels, select, and the packages of locks, atomics and
//     pools;
//   - the wall clock and its timers, process-wide random generators, and reads of
//     environment, host, process or garbage collector;
//   - what shows addresses or per-process seeds: %p, hash/maphash, weak, unique;
//   - floating point where it could decide an event: conversions between floats
//     and time, signatures that mix both, float fields in messages and nodes,
//     float draws, and functions of package math that are not exact.
//
// Test files are not looked at. A finding that is right in general and wrong in
// this place is silenced by a comment with a reason,
//
//	//lint:allow determinism <reason>
//
// on the line of the finding or the line above it; in the doc comment of a
// function it covers the function, above the package clause the file. A comment
// without a reason, or one that silences nothing, is itself a finding.
//
// Out of reach, and left to review and to the comparison of trace hashes: a sort
// whose order leaves ties to chance (sort.Slice and slices.SortFunc with a
// comparison that is no total order), ordering by address through unsafe, a
// callback handed to maps.DeleteFunc, and nondeterminism that another package
// hides behind a function. Purity is judged inside one package; a call into
// another one counts as pure only if it is listed in purity.go.
//
// # layering
//
// [Layering] keeps the arrows of the architecture: no protocol imports a network,
// no network imports a protocol, and so on down the table in layers.go. It also
// bounds which third-party modules the ground floors may use. Test files may
// import upwards.
package lint
