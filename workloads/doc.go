// Package workloads assembles what a cluster is asked to do: the replicated
// application, the load of its clients, and the agents beside them.
//
//	app, err := workloads.Lookup(spec.App)
//	table := protocols.NewMessageTable(entry.Messages().Types, app.Messages())
//	built, err := workloads.New(spec, env)
//	config.NewApplication = built.NewApplication
//	// one process of clients per built.Loads[i]; one node per built.Agents[i],
//	// on the host of its replica; and, if built.Collector is not nil, one more
//	// client that it wraps
//
// The applications are listed by [Apps]: micro (no operation), kv (registers whose
// histories can be judged), market (the IoT marketplace with all families of
// transactions at once) and the marketplace workloads w1, w3, w4 and w5 of the edge
// table, which send single-device transactions of one family.
//
// The parts are packages of their own: arrival (when), load (open and closed
// loops), micro, kv, market (applications), mix (who does what in the marketplace),
// agents (clocks). This package holds no behaviour, only the choice.
package workloads
