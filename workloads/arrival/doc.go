// Package arrival produces open-loop arrival times and skewed keys from seeds,
// with integers only.
//
// A [Process] yields the intended times of operations, in ascending order, as
// offsets from the start of the run. It never waits for replies: that is what
// open loop means, and latency counts from the time it yields. A [Config] names
// one of
//
//   - poisson: independent gaps, the baseline;
//   - constant: equal gaps, without drift;
//   - mmpp: a Poisson process whose rate a two-state Markov chain switches
//     between quiet and burst. A group of devices over one common background
//     chain (Config.Background) is the same process at the sum of their rates;
//   - diurnal: a Poisson process whose rate follows a cosine over the day, in
//     96 steps;
//   - piecewise: a rate that changes at given times;
//   - beta: a synchronised storm, N arrivals at Beta(3,4) times (3GPP TR 37.868
//     model 2, for example all devices coming back after an outage);
//   - uniform: the same with uniform times (its model 1);
//   - aligned: devices that fire at a clock edge plus a uniform jitter.
//
// [Zipf] draws keys with p(i) proportional to 1/i^theta, [Sniper] the distance of
// a bid from the close of its auction.
//
// # Why integers
//
// The simulator promises equal traces on every architecture, and compilers may
// fuse floating-point operations. Times are integer nanoseconds; rates are
// integer millionths of an operation per second; logarithms and powers are
// computed in fixed point (see fixed.go), with an error below 2e-8. A Beta(3,4)
// variable needs no transcendental function at all: it is the third smallest of
// six uniform ones.
//
// Equal configuration and seeds give equal sequences. Every purpose has its own
// generator (gaps, states of the chain), so that changing a rate does not move
// the bursts.
//
// What this package is not: it does not submit anything (package load does), and
// it does not model networks or devices.
package arrival
