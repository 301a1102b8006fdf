package explore

import "github.com/edgebft/edgebft/experiments/scenario"

// honours refuses a resolved scenario with keys that exploring would ignore: what it
// runs is a closed load of kv or micro, with liveness judged in its own way.
func honours(s *scenario.Scenario) error {
	w := &s.Workload
	for _, x := range []struct {
		path, what string
		bad        bool
	}{
		{"mode", "schedules are explored in mode sim only", s.Mode != scenario.Sim},
		{"placement", "exploring has one host per replica: leave placement out", s.Placement != "spread"},
		{"hosts", "exploring has one host per replica: leave hosts out", len(s.Hosts) > 0},
		{"nic", "exploring has network cards as they are by default: leave nic out", s.NIC.Sched == "fair" || s.NIC.Forward == "store"},
		{"workload.app", "exploring knows the applications kv, micro and market", w.App != "kv" && w.App != "micro" && w.App != "market"},
		{"workload.kind", "exploring offers a closed load: write kind: closed, and no rate or arrivals", w.Kind != "closed"},
		{"workload.outstanding", "exploring keeps one request of each client open: leave outstanding out", w.Outstanding > 1},
		{"workload.mix", "exploring has a mix of its own: leave mix out", len(w.Mix) > 0},
		{"workload.zipf", "exploring draws keys evenly: leave zipf out", w.Zipf != 0 && w.App != "market"},
		{"workload.options", "exploring gives kv and micro no options, and market only tick, users and services: leave others out", otherOptions(w)},
		{"checks.liveness", "exploring always judges liveness: leave checks.liveness out", !s.Checks.Liveness},
		{"trace", "exploring records no trace: leave trace out", s.Trace.Record != "none" || s.Trace.Requests},
	} {
		if x.bad {
			return s.Document().Errorf(x.path, "%s, or run the scenario with edgebft sim", x.what)
		}
	}
	return nil
}

// otherOptions reports whether the application is given options that exploring does
// not pass on.
func otherOptions(w *scenario.Workload) bool {
	if w.App != "market" {
		return len(w.Options.Values) > 0
	}
	for name := range w.Options.Set {
		if name != "tick" && name != "users" && name != "services" {
			return true
		}
	}
	return false
}
