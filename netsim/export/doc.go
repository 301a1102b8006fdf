// Package export turns the trace of a run into files for people and tools. An
// exporter is a netsim.TraceSink; put it into netsim.Config.Sink, run, and Close
// it.
//
//   - [JSONLines]: the project's own trace, one JSON object per line;
//   - [Perfetto]: Chrome trace JSON for ui.perfetto.dev: a process per node (or per
//     group of clients that share one), a thread per lane, a slice per step, an
//     arrow per copy of a message, a thread for the NIC, counters of inboxes;
//   - [ShiViz]: text with vector clocks, for a few dozen nodes.
//
// [Create] picks one by the name of a file and compresses if it ends in .zst. All
// are written while the run goes on, hold a bounded amount of memory, and are
// capped: what lies beyond the cap is left out, counted, and the file says so.
// Times are virtual nanoseconds; no wall-clock time is ever in a trace.
//
// A host reports what a step sent and emitted before the step itself, since it
// knows the length of a step only at its end. Exporters turn that around: cause
// before effect.
//
// The receiving side has no track of its own: a slice says how long what it handled
// had been waiting (queued_ns).
package export
