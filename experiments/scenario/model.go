package scenario

import (
	"fmt"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/internal/strict"
)

// CPU costs that are no profile.
const (
	// CostsNone charges nothing: a network-only model.
	CostsNone = "none"
	// CostsTopology gives each host the profile that the topology names for its
	// place, and HostProfile where it names none.
	CostsTopology = "topology"
)

// HostProfile is the profile of client hosts when costs are charged, and of hosts at
// places without one.
const HostProfile = "server"

// TopologyModel is what resolving has to know of the content of a topology.
type TopologyModel struct {
	// Hash identifies the content.
	Hash string
	// Profiles are those that the places of replicas and of client hosts name, ""
	// for a place that names none.
	Profiles []string
}

// model identifies what a scenario runs on beside its own keys: the contents of
// embedded files, which a new version of the program may change.
type model struct {
	topology string   // hash
	costs    []string // name:hash of each profile that a host has, ascending
}

// resolveModels chooses the costs where none are given and notes what the content of
// topology and profiles is known by.
func (s *Scenario) resolveModels(c *Catalog) error {
	var named []string
	top := TopologyModel{}
	if c.TopologyModel != nil {
		var err error
		if top, err = c.TopologyModel(s.Topology, s.TopologyFile); err != nil {
			return s.doc.Errorf("topology", "%v", err)
		}
		s.model.topology = top.Hash
		for _, p := range top.Profiles {
			if p != "" && !contains(named, p) {
				named = append(named, p)
			}
		}
		sort.Strings(named)
	}
	if s.Costs == "" {
		if s.Costs = orElse(c.DefaultCosts, CostsNone); len(named) > 0 {
			s.Costs = CostsTopology
		}
	}
	profiles := c.Profiles
	if profiles != nil {
		profiles = append([]string{CostsNone, CostsTopology}, profiles...)
	}
	var err error
	if s.CostsFile, err = s.resolveName(c, "costs", s.Costs, profiles, c.Profile); err != nil {
		return err
	}
	used := []string{s.Costs, HostProfile}
	switch s.Costs {
	case CostsNone:
		return nil
	case CostsTopology:
		if len(named) == 0 && c.TopologyModel != nil {
			return s.doc.Errorf("costs", "topology %s names no CPU profiles; give one of %s, or leave costs out", s.Topology, strings.Join(c.Profiles, ", "))
		}
		used = named
		if contains(top.Profiles, "") {
			used = append(used, HostProfile)
		}
	}
	if c.ProfileHash == nil {
		return nil
	}
	sort.Strings(used)
	for i, name := range used {
		if i > 0 && used[i-1] == name {
			continue
		}
		if s.Costs == CostsTopology && c.Profiles != nil && !contains(c.Profiles, name) {
			return s.doc.Errorf("topology", "%s gives its hosts the unknown CPU profile %q%s", s.Topology, name, strict.Suggest(name, c.Profiles))
		}
		var file *File
		if name == s.Costs {
			file = s.CostsFile
		}
		hash, err := c.ProfileHash(name, file)
		if err != nil {
			return s.doc.Errorf("costs", "%v", err)
		}
		if file != nil {
			name = "file"
		}
		s.model.costs = append(s.model.costs, name+":"+hash)
	}
	return nil
}

// identity returns what stands for the topology and the costs in the canonical form.
func (s *Scenario) identity() (top, costs string) {
	top, costs = s.Topology, s.Costs
	switch {
	case s.TopologyFile != nil:
		top = "sha256:" + s.TopologyFile.SHA256
	case s.model.topology != "":
		top += "@" + s.model.topology
	}
	if s.CostsFile != nil {
		costs = "sha256:" + s.CostsFile.SHA256
	}
	if len(s.model.costs) > 0 {
		costs = fmt.Sprintf("%s@%s", costs, strings.Join(s.model.costs, ","))
	}
	return top, costs
}
