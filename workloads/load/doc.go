// Package load decides when the clients of one process submit operations, and
// records what became of each.
//
//   - [Closed]: every client has one operation open (or Config.Outstanding), then
//     thinks, then submits the next. It finds the saturation of a system and hides its queueing.
//   - [Open]: operations arrive on their own (package arrival) and are given to a
//     pool of clients. While all of them are busy, arrivals wait in a bounded
//     queue. Latency counts from the intended time, so waiting shows
//     (no coordinated omission); a full queue is a Dropped sample.
//
// What is submitted comes from a [Generator], which sees every result and may
// hold operations that exist only after an earlier one completed.
//
// # Rules
//
// An operation that has no result [Config.Timeout] after its intended time gives
// one TimedOut sample whose latency is exactly the time-out. Its client stays
// busy until the protocol answers, because a protocol client cannot abandon a
// request; the late result reaches the generator and gives no second sample. An
// arrival that is still waiting at its time-out is given up in the same way and
// never submitted. Such arrivals, and dropped ones, never got a class from the
// generator: they carry the class Config.Unsent.
//
// A load ends at [Config.Until]: nothing is intended from then on, but what waits
// is still submitted. Whoever stops a run calls Close, so that operations without
// an end are counted and censored instead of being forgotten.
//
// When the generator has nothing for a client, it is asked again whenever an
// operation completes, and every [Retry] at the latest.
//
// Warm-up and the measurement window are the recorder's business. Everything here
// is deterministic: it obeys the rules of a protocols.Node.
package load
