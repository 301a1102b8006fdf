// Package run turns a resolved scenario into a simulation, runs it and returns
// what it measured: it is the one place where protocols, workloads, topologies,
// profiles, faults, adversaries and observers meet.
//
// # Time of a run
//
// Load is offered during warm-up, window and cool-down. Then nothing new arrives,
// faults without an end stay, and the run goes on, also for arrivals that still wait
// for a client, until every operation is answered or the liveness bound has passed.
// What has no end by then is counted, censored at the time-out. What Byzantine
// clients see is not measured. Counters of cost are differences
// between the ends of the measured window per request answered in it: messages and
// bytes of all nodes, clients and the agents of ledger time included; cryptographic
// operations and CPU time of the replicas.
//
// # Decisions
//
//   - Client hosts are not the bottleneck under study: when costs are charged they
//     have the profile "server" and 8 cores, whatever the replicas have. Only with
//     "costs: topology" they have what the topology names for their place, as
//     replicas do. The utilisation of their event loop is a validity gate
//     (thousandths of one core).
//   - The liveness bound, where the scenario gives none, is a minute of virtual time
//     after the load ends.
//   - view_changes counts the views above 0 that some correct replica took part in.
//   - A run stops at its first safety violation.
//
// What it is not: it expands no suites and writes no files.
package run
