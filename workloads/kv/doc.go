// Package kv is a store of numbered registers with get, put and compare-and-swap,
// whose client histories can be judged for linearizability.
//
// Every result carries the value that the register held before the operation, so
// that a history says as much as it can. [Decode] turns the bytes of an operation
// and its result into values, and [Step] is the sequential specification; both
// have the shapes that porcupine wants:
//
//	porcupine.Model{
//		Partition: by Input.Key,
//		Init:      func() any { return kv.Initial },
//		Step:      func(s, in, out any) (bool, any) { return kv.Step(s.(uint64), in.(kv.Input), out.(kv.Output)) },
//	}
//
// (This package does not import it: workloads depend on the contract alone.) An
// operation whose client never saw a result has Output.Unknown set and is given
// the end of the run as its return time.
//
// # Encoding
//
// Big-endian. An operation is kind u8, key u32 and then nothing (get), value u64
// (put) or expected u64, value u64 (compare-and-swap). A result is status u8,
// previous value u64. A malformed operation counts as applied and changes nothing.
//
// The root hashes pages of 64 registers, dirty ones only.
package kv
