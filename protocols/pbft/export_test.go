package pbft

import (
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Mutations are the deliberate bugs that tests know, by name.
var Mutations = []struct {
	Name string
	bug  mutation
}{
	{"2f commits instead of 2f+1", mutation{commitQuorum: 1}},
	{"NEW-VIEW without its certificate check", mutation{trustNewView: true}},
	{"execution before commit", mutation{executeEarly: true}},
	{"P left out of VIEW-CHANGE", mutation{dropPrepared: true}},
	{"two proposals accepted for a slot", mutation{doubleDigest: true}},
	{"checkpoints stable with 2f votes", mutation{skipStability: 1}},
}

// Broken is PBFT with one of the Mutations.
func Broken(i int) protocols.Entry {
	e := Protocol()
	e.Name = "broken"
	e.NewReplica = func(c *protocols.Config) []protocols.Node {
		oc := Configure(c)
		oc.mutate = Mutations[i].bug
		return []protocols.Node{smr.NewReplica(c, NewOrderer(oc), replicaOptions(c, oc))}
	}
	return e
}
