// Package explore searches for a schedule that makes a protocol break its
// promise. It is the engine of edgebft check.
//
// From a registered protocol and a seed, [Space.Draw] makes a scenario: cluster
// size, protocol options, timers, topology, transport, clients and their
// contention, faults, Byzantine replicas and clients. Every run draws its own
// configuration, with some features off and ranges narrow or wide, so that rare
// combinations are not averaged away. What is drawn is data, an ordinary
// [scenario.Scenario]: it can be printed, replayed and shrunk.
//
// A run has two phases. In the safety phase all faults are on. They end, each at
// its own time, and the calm phase begins (see [CalmAt]): links heal, nodes are
// up, clocks run, Byzantine nodes stay Byzantine. Requests go on into the calm
// phase, and all of them must be answered within a bound (see [Bound]). The
// verdict is ok, violation (an invariant broke in either phase), no-progress, or
// no-progress with an excuse that has a name and is proven from the scenario.
//
// [Campaign] runs a range of seeds, one kernel per core, and stops at the first
// finding: the one of the lowest seed, whatever the number of cores. [Shrink]
// then takes away whatever the finding does not need, by delta debugging over
// faults, adversaries, clients, requests and parameters; every candidate is a
// complete run and must break the same invariant. Because random draws of a run
// are keyed, taking one fault away leaves all other draws as they were.
//
// What is drawn stays within what the protocol promises to withstand: at most f
// replicas are Byzantine or come back without their disk, together and over the
// whole run; crash-fault protocols get neither; for cross-fault protocols a run
// has either Byzantine replicas or an unreliable network, since both at once is
// anarchy. Any number of replicas may crash and keep their disk. Out of reach are
// therefore faults one after the other: a replica that lost its disk, recovered from
// that, and votes while another one is faulty, or loses its disk again.
//
// All replicas must catch up, too: every correct one must come as far as the
// first one had when the last request was answered. If it does not by itself, more
// requests are offered, since a replica that fell behind unnoticed learns from
// traffic that it did.
//
// Byzantine replicas get generic attacks, those that the protocol registers itself,
// which lie in its own terms, or a twin: a second instance with their identity. What is
// judged is not only what comes of it, but also what correct nodes say (no promise is
// contradicted) and, by the protocol's own observers, on what they act. Leaders fail
// repeatedly in some strategies, and faults may wait for an event; a part of the
// schedules has many requests and small windows, and a few run the marketplace with
// its clocks.
//
// A campaign is a sample. It says how many schedules ran per strategy, and never
// that it was exhaustive. Not among the strategies are schedules with a guaranteed
// probability of finding a bug of given depth (PCTCP).
//
// Topologies whose links are slower than 10 Mbit/s are not drawn: with the timers
// of a cluster their queues grow without end, whatever the schedule. Narrowband
// radio is studied with timers that are made for it.
package explore
