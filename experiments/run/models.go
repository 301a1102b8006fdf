package run

import (
	"slices"
	"strings"
	"sync"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
)

func loadTopology(name string, file *scenario.File) (*topology.Topology, error) {
	if file != nil {
		return topology.Parse(file.Path, file.Data)
	}
	return topology.Load(name)
}

func loadProfile(name string, file *scenario.File) (*profile.Profile, error) {
	if file != nil {
		return profile.Parse(file.Path, file.Data)
	}
	return profile.Load(name)
}

// What embedded files are known by, kept because every cell of a suite asks.
var (
	topologyModels sync.Map // name to scenario.TopologyModel
	profileHashes  sync.Map // name to string
)

func topologyModel(name string, file *scenario.File) (scenario.TopologyModel, error) {
	if m, ok := topologyModels.Load(name); ok && file == nil {
		return m.(scenario.TopologyModel), nil
	}
	t, err := loadTopology(name, file)
	if err != nil {
		return scenario.TopologyModel{}, err
	}
	m := scenario.TopologyModel{Hash: t.Hash}
	for _, i := range slices.Concat(t.Replicas, t.Clients) {
		m.Profiles = append(m.Profiles, t.Places[i].Profile)
	}
	if file == nil {
		topologyModels.Store(name, m)
	}
	return m, nil
}

func profileHash(name string, file *scenario.File) (string, error) {
	if h, ok := profileHashes.Load(name); ok && file == nil {
		return h.(string), nil
	}
	p, err := loadProfile(name, file)
	if err != nil {
		return "", err
	}
	if file == nil {
		profileHashes.Store(name, p.Hash)
	}
	return p.Hash, nil
}

// costs are the CPU profiles of the hosts of a run.
type costs struct {
	replica func(place int) *profile.Profile // nil costs nothing
	client  func(place int) *profile.Profile
	// clientCores replaces the cores of a client's profile, if not 0.
	clientCores int
	// used are the profiles of replicas, then those of clients only, each once.
	used     []*profile.Profile
	replicas int // so many of used are those of replicas
}

func newCosts(s *scenario.Scenario, t *topology.Topology) (*costs, error) {
	free := func(int) *profile.Profile { return nil }
	c := &costs{replica: free, client: free, clientCores: clientCores}
	if s.Costs == scenario.CostsNone {
		return c, nil
	}
	byName := make(map[string]*profile.Profile)
	load := func(name string, file *scenario.File) (*profile.Profile, error) {
		p := byName[name]
		if p == nil {
			var err error
			if p, err = loadProfile(name, file); err != nil {
				return nil, err
			}
			byName[name] = p
			c.used = append(c.used, p)
		}
		return p, nil
	}
	if s.Costs != scenario.CostsTopology {
		r, err := load(s.Costs, s.CostsFile)
		if err != nil {
			return nil, err
		}
		c.replicas = len(c.used)
		k, err := load(scenario.HostProfile, nil)
		if err != nil {
			return nil, err
		}
		c.replica = func(int) *profile.Profile { return r }
		c.client = func(int) *profile.Profile { return k }
		return c, nil
	}
	at := make([]*profile.Profile, len(t.Places))
	put := func(places []int) (err error) {
		for _, i := range places {
			name := t.Places[i].Profile
			if name == "" {
				name = scenario.HostProfile
			}
			if at[i], err = load(name, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if err := put(t.Replicas); err != nil {
		return nil, err
	}
	c.replicas = len(c.used)
	if err := put(t.Clients); err != nil {
		return nil, err
	}
	c.replica = func(place int) *profile.Profile { return at[place] }
	c.client, c.clientCores = c.replica, 0
	return c, nil
}

// charged says whether CPU time costs anything.
func (c *costs) charged() bool { return len(c.used) > 0 }

// profiles describes the profiles for the result.
func (c *costs) profiles() []result.Profile {
	list := make([]result.Profile, 0, len(c.used))
	for i, p := range c.used {
		list = append(list, result.Profile{Name: p.Name, Hash: p.Hash, Origin: p.Origin, Assumed: append([]string{}, p.Assumed...), ClientsOnly: i >= c.replicas})
	}
	return list
}

// labels says how far the costs of replicas are to be trusted.
func (c *costs) labels() []string {
	var list []string
	for _, p := range c.used[:c.replicas] {
		switch {
		case p.Origin != "measured":
			list = append(list, "CPU costs of "+p.Name+" "+p.Origin)
		case len(p.Assumed) > 0:
			list = append(list, "CPU costs of "+p.Name+" measured, but "+strings.Join(p.Assumed, ", ")+" assumed")
		}
	}
	return list
}
