// Package agents holds the nodes that live beside the replicas and the clients of
// a ledger and do what no protocol should know about. At present that is the
// clock: ledger time advances only by ordered ticks that carry clock readings
// signed by replicas.
//
//   - A [Clock] lives beside each replica and signs, with the replica's
//     application key, at most one reading per tick number.
//   - A [Collector] is a client. It asks the clocks (CLOCK-REQUEST), gathers a
//     quorum of readings (CLOCK-REPORT), submits the tick through the ordinary
//     protocol client that it wraps, and moves on when the tick was applied.
//
// The agents know the ledger through the functions of [Ledger] only.
//
// # What keeps time going
//
// A clock signs once per tick number, for ever: it logs the reading before the
// report leaves, and answers repeated requests from that memory. So a tick whose
// readings turn out not to lie ahead of ledger time could never be repeated. A
// request therefore carries the ledger time that the collector knows, and a clock
// whose reading is not past it answers later, when it is. A collector that wrongly
// claims a far future gets no answers; one that asks for tick numbers that are not
// yet due wastes them. Collectors are thus trusted for the progress of time, not
// for its correctness; clocks answer only those that they were configured with.
//
// Lost messages and crashed clocks are met by asking again, until a quorum has
// answered. A clock that is asked for a tick below its last one sends its last one
// too; when enough of them agree that time went on (another collector, or an
// earlier life of this one), the collector joins them there. Its log of the last
// tick saves it that.
//
// A clock that lost its disk does not know what it signed. It waits for a request
// whose collector itself saw the tick before applied, so that it learns how far
// time is, and stays silent for that tick, for the next (the request may be a late
// copy), and for all below.
//
// One collector at a time is meant to be at work; another one is a standby that
// starts when the first has died. Two at once mostly get along, but each knows the
// ledger time of the other's ticks only roughly. Where the clocks are further apart
// than a tick lasts, one may then have readings signed that do not move time, or
// mislead a clock that lost its disk into signing a tick twice.
//
// What this package is not: it does not choose the median (the ledger does), and
// it holds no beacon yet.
package agents
