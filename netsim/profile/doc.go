// Package profile says what work costs on a kind of host: hashing, MACs,
// signatures, applying operations, socket work, handling a message or timer, and
// making records durable. The simulator charges these prices; nothing else of it
// knows the speed of a machine.
//
// A profile is a file (see [Parse] for the format and data/ for the embedded
// ones) in integer picoseconds, because 0.46 ns per byte is no integer of
// nanoseconds; the simulator rounds up once per step. [Load] takes the name of an
// embedded profile or of a file. [Measure] measures the host it runs on, which is
// what `edgebft calibrate` does.
//
// Origin says how far to trust it: measured on the named host, emulated (scaled
// from library cycle counts to a board that nobody had at hand), assumed, or none
// (the network-only model). Figures print it unless it is measured. Assumed lists
// the keys of a profile that are assumed even so.
//
// Decisions where the sources leave room:
//
//   - Operations are named as protocols.Op names them (digest, mac, ...), not by
//     algorithm; which algorithm stands behind is said in the doc line.
//   - A profile must price every operation. A missing one is an error when the
//     file is read and never a silent zero.
//   - A size below the first entry of a table costs what the first entry costs;
//     above the last one the last slope goes on.
//   - The emulated profiles scale everything that their source does not give
//     (socket work, steps, fixed parts of hashing) by their ratio of Ed25519
//     verification to that of the measured server. Storage times are assumed.
//
// What it is not: a model of the network (netsim/topology) or of memory.
package profile
