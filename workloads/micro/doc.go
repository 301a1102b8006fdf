// Package micro is the no-op application of the literature's 0/0, 1/0, 4/0 and
// 0/4 kB benchmarks: it shows the cost of a protocol alone.
//
// Its state is a counter and a running 128-bit hash over all operations in their
// order, so that replicas that executed different histories show different
// results and roots. The hash is fast, not collision-resistant: it detects
// accidents, and the observers compare request digests beside it.
//
// A result has the configured size. It repeats the running hash, cut off where it
// does not fit, so that with 8 bytes or more a client can tell results apart.
//
// What this package is not: an application with semantics. Package kv has reads
// and writes whose histories can be judged, package market is the real thing.
package micro
