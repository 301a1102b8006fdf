package scenario

import (
	"fmt"
	"slices"
)

// Process is a process of clients: c<First> and the following, Count in all.
// Faults strike it as a whole.
type Process struct{ First, Count int }

// ClientProcesses returns the processes that Spread divides the clients into.
func (s *Scenario) ClientProcesses() []Process {
	var out []Process
	first := 0
	for _, count := range s.Spread() {
		out = append(out, Process{First: first, Count: count})
		first += count
	}
	return out
}

// Byzantine returns the replicas that are not to be trusted: the adversaries, and
// those that forget what they signed.
func (s *Scenario) Byzantine() []Node {
	var bad []Node
	add := func(nodes []Node) {
		for _, n := range nodes {
			if _, ok := n.Replica(); ok && !slices.Contains(bad, n) {
				bad = append(bad, n)
			}
		}
	}
	for i := range s.Adversaries {
		add(s.Adversaries[i].Nodes)
	}
	for i := range s.Faults {
		if s.Faults[i].Disk == "forget" {
			add(s.Faults[i].Nodes)
		}
	}
	return bad
}

// checkProcesses refuses a list that names only some clients of a process.
func (s *Scenario) checkProcesses(nodes []Node) error {
	named := make(map[int]bool)
	for _, n := range nodes {
		if c, ok := n.Client(); ok {
			named[c] = true
		}
	}
	if len(named) == 0 {
		return nil
	}
	for _, p := range s.ClientProcesses() {
		in := 0
		for c := p.First; c < p.First+p.Count; c++ {
			if named[c] {
				in++
			}
		}
		if in > 0 && in < p.Count {
			return fmt.Errorf("c%d to c%d are one process, which a fault strikes as a whole; name all of them, or give client_hosts: %d", p.First, p.First+p.Count-1, s.Clients)
		}
	}
	return nil
}
