// Package result holds what one run leaves behind: the summary (the stable JSON
// of `edgebft schema result`), the latency histograms, and the tables of the
// load and of the replicas by second.
//
// Inside, times are integer nanoseconds and other quantities integers in
// millionths; they become decimal numbers with the unit in the key name once, on
// output, exactly. No float takes part, so equal runs give equal bytes on every
// architecture.
//
// What is counted (sheet "experiments", section 4):
//   - latency counts from the intended time, and covers every request that was
//     intended inside the measured window, whenever it ended;
//   - a request that timed out or could not be submitted is counted, and enters
//     the latency distribution censored at the time-out;
//   - committed are the requests answered inside the window, refused ones
//     included, since they were ordered and executed; throughput is committed
//     over the length of the window;
//   - percentiles are never averaged: histograms are merged ([Merge]).
//
// The tables are CSV compressed with zstd, not Parquet: parquet-go would add
// about 12 MB to the binary and a noticeable part of a cold build for tables of a
// few thousand rows, and every tool that reads Parquet reads these too.
//
// It is not for judging a run (package stats) or for storing it (package store).
package result
