package protocols

// Adversary turns a correct node into a Byzantine one by decorating the Env and
// the Node of each of its lanes. It sees and changes what the node sends and
// receives, and holds the node's own keys only. Adversaries obey the same
// determinism rules as nodes and run on both hosts.
type Adversary interface {
	// Env decorates the Env of a lane. It must decorate what Sub returns too.
	Env(lane int, inner Env) Env
	// Node decorates a lane.
	Node(lane int, inner Node) Node
}

// Attack is a named kind of adversary with parameters.
type Attack struct {
	Name, Doc string
	Options   []Option
	// Copies is how many endpoints with the identity of the node the host runs; 0 stands
	// for 1. New is called for each of them, with another Config.Copy.
	Copies int
	// New builds the adversary of one node. peers is the set of nodes that
	// collude with it, itself included; they may share what New keeps per call
	// only through messages.
	New func(c *Config, o Options, peers Group) Adversary
}

// Tamper is implemented by the Envs of hosts for adversaries: it sends a message
// as Multicast would, except that the seals of the copies for which bad returns
// true do not verify. An Env that does not implement it cannot be tampered with.
type Tamper interface {
	MulticastBad(to Group, m WireMessage, bad func(to NodeID) bool)
}
