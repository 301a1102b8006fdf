package pbft

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/protocols/smr"
)

// perjurer signs, with its own good key, a root of its own and sends it before
// everybody else's.
type perjurer struct{}

func (perjurer) Env(_ int, inner protocols.Env) protocols.Env    { return perjuringEnv{inner} }
func (perjurer) Node(_ int, inner protocols.Node) protocols.Node { return inner }

type perjuringEnv struct{ protocols.Env }

func (e perjuringEnv) Sub(label string) protocols.Env { return e.Env.Sub(label) }

func (e perjuringEnv) Multicast(to protocols.Group, m protocols.WireMessage) {
	if c, ok := m.(*smr.Certify); ok {
		for ahead := range uint64(10) {
			lie := *c
			lie.Applied += ahead * 10
			lie.Root[0] ^= 1
			lie.Signature = e.Auth().Sign(smr.TagCertify, lie.Digest(e.Auth()))
			e.Env.Multicast(to, &lie)
		}
		return
	}
	e.Env.Multicast(to, m)
}

// certified counts what the replicas say they have certified, and what is wrong.
type certified struct {
	roots  map[uint64]protocols.Digest
	events map[protocols.NodeID]int
	inside int // states transferred that stand inside a block of 10
	bad    []string
}

func (c *certified) Observe(_ protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if ev.Kind == protocols.EventTransfer && ev.Index%10 != 0 && !ev.Digest.IsZero() {
		c.inside++
	}
	if ev.Kind != protocols.EventProtocol {
		return
	}
	switch ev.Note {
	case "certified":
		c.events[node]++
		if root, ok := c.roots[ev.Index]; ok && root != ev.Digest {
			c.bad = append(c.bad, fmt.Sprintf("two roots at %d", ev.Index))
		}
		c.roots[ev.Index] = ev.Digest
	case "own state differs from its certificate":
		c.bad = append(c.bad, ev.Note)
	}
}

func (*certified) Finish(protocols.Time) []protocols.Violation { return nil }

// Every replica comes to hold certificates with f+1 valid signatures, and all hold
// the same ones, whatever happens to one or to all of them on the way.
func TestCertificates(t *testing.T) {
	const n, f, clients, perClient, block, total = 4, 1, 4, 60, 10, 240
	attacked := func(a protocols.Adversary, id protocols.NodeID) func(testing.TB) map[protocols.NodeID]protocols.Adversary {
		return func(testing.TB) map[protocols.NodeID]protocols.Adversary {
			return map[protocols.NodeID]protocols.Adversary{id: a}
		}
	}
	for _, c := range []struct {
		name   string
		config func(*netsim.Config)
		attack func(t testing.TB) map[protocols.NodeID]protocols.Adversary
		quiet  protocols.NodeID // who signs nothing that counts; Nobody is none
		away   bool             // some states are transferred in the middle of a block
	}{
		{name: "no fault", quiet: protocols.Nobody},
		{name: "real cryptography", quiet: protocols.Nobody, config: func(c *netsim.Config) { c.RealCrypto = true }},
		{name: "a silent replica", quiet: 3, attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "silent", n, f, nil, 3)
		}},
		{name: "a replica that is dead", quiet: 2, config: crash(0, 0, false, 2)},
		{name: "a replica that swears falsely", quiet: 1, attack: attacked(perjurer{}, 1)},
		{name: "a primary that swears falsely", quiet: 0, attack: attacked(perjurer{}, 0)},
		{name: "a replica that signs badly", quiet: 1, attack: attacked(lie(func(m protocols.WireMessage) protocols.WireMessage {
			if c, ok := m.(*smr.Certify); ok {
				bad := *c
				bad.Signature = append([]byte(nil), c.Signature...)
				bad.Signature[5] ^= 1
				return &bad
			}
			return m
		}), 1)},
		{name: "a restart", quiet: protocols.Nobody, config: crash(50*time.Millisecond, 20*time.Millisecond, false, 2)},
		{name: "all restart", quiet: protocols.Nobody, config: crash(50*time.Millisecond, 20*time.Millisecond, false, 0, 1, 2, 3)},
		{name: "a restart with an empty disk", quiet: protocols.Nobody, config: crash(50*time.Millisecond, 20*time.Millisecond, true, 2)},
		{name: "a replica that was away", quiet: protocols.Nobody, away: true, config: crash(50*time.Millisecond, 150*time.Millisecond, false, 2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			inside := 0
			for seed := range uint64(4) {
				seen := &certified{roots: map[uint64]protocols.Digest{}, events: map[protocols.NodeID]int{}}
				real := false
				s := setup{n: n, f: f, clients: clients, perClient: perClient, seed: seed, options: quick(), config: func(cfg *netsim.Config) {
					if c.config != nil {
						c.config(cfg)
					}
					real = cfg.RealCrypto
					cfg.Observers = append(cfg.Observers, seen)
				}}
				s.options["block"] = block
				s.options["snapshot_every"] = 1 + 24*int64(seed%2)
				if c.attack != nil {
					s.adversaries = c.attack(t)
				}
				w := newWorld(t, s)
				w.finish(t, time.Minute, total)
				w.run(t, 2*time.Second)
				require.Empty(t, seen.bad)
				byApplied := map[uint64]smr.Certificate{}
				for id := range protocols.NodeID(n) {
					if id == c.quiet {
						continue
					}
					require.Equal(t, uint64(total), w.replicas[id].Executor().Executed(), w.state())
					last, ok := w.replicas[id].Certificate()
					require.True(t, ok, "seed %d: replica %d: %s", seed, id, w.state())
					require.Equal(t, uint64(total), last.Applied, "seed %d: replica %d", seed, id)
					require.Equal(t, w.replicas[id].Executor().Application().Root(), last.Root)
					own, end := w.replicas[id].Executor().Block()
					require.True(t, end)
					require.Equal(t, own, last.Block)
					require.NotZero(t, seen.events[id])
					kept := w.replicas[id].Certificates()
					require.Equal(t, last, kept[len(kept)-1])
					require.LessOrEqual(t, len(kept), 8)
					for i, cert := range kept {
						require.True(t, i == 0 || kept[i-1].Applied < cert.Applied)
						require.Zero(t, cert.Applied%block)
						require.Len(t, cert.Signers, f+1)
						require.NotContains(t, cert.Signers, c.quiet)
						if !real {
							judge := auth.New(auth.NewModelled(7, s.seed+1).Keys(protocols.FirstClient), "", nil)
							require.NoError(t, smr.VerifyCertificate(&cert, judge, smr.SignedAt(judge, ""), n, f))
						}
						if other, ok := byApplied[cert.Applied]; ok {
							require.Equal(t, [2]protocols.Digest{other.Block, other.Root}, [2]protocols.Digest{cert.Block, cert.Root})
						}
						byApplied[cert.Applied] = cert
					}
				}
				require.GreaterOrEqual(t, len(byApplied), 8)
				inside += seen.inside
			}
			require.True(t, inside > 0 || !c.away, "no state was transferred inside a block")
		})
	}
}

// A certificate costs each replica one signature and n-1 messages per block, also
// where blocks end inside batches, and none is sent where the option is off.
func TestCertificatesCost(t *testing.T) {
	for _, block := range []int64{0, 5, 7, 60, 61} {
		const n, total = 7, 60
		w := newWorld(t, setup{n: n, f: 2, clients: 4, perClient: total / 4, options: map[string]int64{"block": block, "pipeline": 1}})
		w.finish(t, time.Minute, total)
		w.run(t, time.Second)
		blocks := uint64(0)
		if block > 0 {
			blocks = total / uint64(block)
		}
		stats := w.sim.Stats()
		require.Less(t, stats.Type("PRE-PREPARE").Sent, uint64(total*(n-1)), "batches hold several requests")
		require.Equal(t, n*(n-1)*blocks, stats.Type("CERTIFY").Sent)
		for i := range protocols.NodeID(n) {
			require.Equal(t, blocks, stats.Node(i).Ops[protocols.OpSign])
			require.Equal(t, (n-1)*blocks, stats.Node(i).Ops[protocols.OpVerify])
			last, ok := w.replicas[i].Certificate()
			require.Equal(t, blocks > 0, ok)
			require.Equal(t, blocks*uint64(block), last.Applied)
		}
	}
}
