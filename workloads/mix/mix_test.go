package mix

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/market"
)

func marketConfig() Config {
	return Config{
		Weights: [numFamilies]int{10, 30, 20, 25, 15}, Theta: 990, BidderTheta: 600, Devices: 400, Clients: 16,
		BondPermille: 400, DefaultPermille: 200, UnrevealedPermille: 20, FailPermille: 50, Services: 8,
	}
}

func closed(t require.TestingT, cfg Config, clients int, end time.Duration) (*stage, *Generator) {
	s := newStage(t, cfg, modelled())
	var g *Generator
	l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
	require.NoError(t, err)
	s.load = l
	s.play(clients, end)
	return s, g
}

func report(t *testing.T, g *Generator) {
	st := g.Stats()
	t.Logf("sent %d accepted %d rejected %d codes %v sessions %v retried %d given up %d promises %d delivered %d judged %d",
		st.Sent, st.Accepted, st.Rejected, st.Codes, st.Sessions, st.Retried, st.GivenUp, st.Promises, st.Delivered, st.Judged)
}

func TestMarketDrivesAllFamilies(t *testing.T) {
	cfg := marketConfig()
	s, g := closed(t, cfg, 16, 8*time.Second)
	report(t, g)
	count := map[string]int{}
	done := map[string]int{}
	for _, x := range s.samples {
		count[Classes()[x.Class]]++
		if x.Outcome == protocols.Done {
			done[Classes()[x.Class]]++
		}
	}
	t.Log(count)
	for _, name := range Classes() {
		switch name {
		case "unsent", "AuctionClose", "ChannelSettle": // the queue closes
			require.Zero(t, count[name], name)
		default:
			require.Positive(t, done[name], name)
		}
	}
	st := g.Stats()
	require.Less(t, st.Rejected*100, st.Sent, "less than a hundredth is rejected")
	require.Less(t, st.GivenUp*50, st.Sent)
	require.NoError(t, market.Check(s.state))
}

// workloads of the edge sheet's table that consist of single transactions.
func tableConfig(id string) Config {
	switch id {
	case "w1":
		return Config{Weights: [numFamilies]int{Register: 1}, Clients: 16}
	case "w3":
		return Config{Weights: [numFamilies]int{Auction: 1}, Clients: 16, Theta: 990, BidderTheta: 600, BondPermille: 1000, Explicit: true}
	case "w4":
		return Config{Weights: [numFamilies]int{Service: 1}, Clients: 16, NoSampling: true, Services: 200, Epochs: 8, EpochTicks: 20, Devices: 1}
	default:
		return Config{Weights: [numFamilies]int{Channel: 1}, Clients: 16, Theta: 990, Devices: 1, Explicit: true}
	}
}

// Self-check 6 of the edge sheet: the mean wire bytes per transaction.
func TestMeanWireBytes(t *testing.T) {
	for id, want := range map[string]float64{"w1": 262, "w3": 167, "w4": 175, "w5": 164} {
		t.Run(id, func(t *testing.T) {
			s := newStage(t, tableConfig(id), modelled())
			var g *Generator
			bytes, count, total := 0, 0, map[market.Type]int{}
			s.applied = func(op, _ []byte) {
				x, _, err := market.DecodeTx(op)
				require.NoError(t, err)
				if x.Type == market.TypeClockTick {
					return
				}
				bytes += len(op)
				count++
				total[x.Type]++
			}
			l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
			require.NoError(t, err)
			s.load = l
			s.play(16, 20*time.Second)
			report(t, g)
			t.Log(total)
			require.Greater(t, count, 5000)
			require.InEpsilon(t, want, float64(bytes)/float64(count), 0.01)
			st := g.Stats()
			require.Less(t, st.Rejected*200, st.Sent)
			require.NoError(t, market.Check(s.state))
		})
	}
}

// The weights are shares of the transactions.
func TestWeightsAreShares(t *testing.T) {
	cfg := marketConfig()
	cfg.Weights = [numFamilies]int{20, 20, 20, 20, 20}
	cfg.Devices = 2000
	s, g := closed(t, cfg, 8, 25*time.Second)
	report(t, g)
	family := map[market.Type]Family{}
	for f, types := range [numFamilies][]int{Register: {1, 2}, Auction: {3, 4, 5, 6, 7, 8}, Service: {9, 10, 11, 12, 13, 14, 15}, Channel: {16, 17, 18, 19, 20}, Transfer: {0}} {
		for _, i := range types {
			family[classTypes[i]] = Family(f)
		}
	}
	var count [numFamilies]int
	for _, x := range s.samples {
		count[family[classTypes[x.Class]]]++
	}
	for f, n := range count {
		require.InDelta(t, 0.2, float64(n)/float64(len(s.samples)), 0.02, "%v", Family(f))
	}
}

func TestEqualRunsAreEqual(t *testing.T) {
	a, _ := closed(t, marketConfig(), 8, 3*time.Second)
	b, _ := closed(t, marketConfig(), 8, 3*time.Second)
	require.Equal(t, a.samples, b.samples)
	require.Equal(t, a.state.Root(), b.state.Root())
}

// Under overload the windows grow with the latency, so that sessions still end
// well.
func TestOverload(t *testing.T) {
	s := newStage(t, marketConfig(), modelled())
	n := 0
	s.latency = func() time.Duration { n++; return time.Duration(400+n%300) * time.Millisecond }
	var g *Generator
	l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
	require.NoError(t, err)
	s.load = l
	s.play(200, 30*time.Second)
	report(t, g)
	st := g.Stats()
	require.Less(t, st.Rejected*20, st.Sent)
	require.Positive(t, st.Delivered)
	require.NoError(t, market.Check(s.state))
}

func TestOpenLoop(t *testing.T) {
	cfg := marketConfig()
	cfg.Origin = 1_700_000_000_000_000_000 // a wall clock
	s := newStage(t, cfg, modelled())
	var g *Generator
	l, err := load.NewOpen(load.OpenConfig{Config: s.config(&g), Arrivals: arrival.Config{Kind: arrival.Poisson, Rate: 800 * arrival.PerSecond}})
	require.NoError(t, err)
	s.load = l
	s.play(32, 10*time.Second)
	report(t, g)
	require.InEpsilon(t, 8000, len(s.samples), 0.03)
	require.Less(t, g.Stats().Rejected*100, g.Stats().Sent)
	require.NoError(t, market.Check(s.state))
}

// Processes that share a ledger play different parts of the cast.
func TestShardsDoNotMeet(t *testing.T) {
	cfg := marketConfig()
	cfg.Shards = 2
	var seen [2]map[uint64]bool
	for shard := range 2 {
		cfg.Shard = shard
		s := newStage(t, cfg, modelled())
		seen[shard] = map[uint64]bool{}
		s.applied = func(op, _ []byte) {
			x, _, err := market.DecodeTx(op)
			require.NoError(t, err)
			if x.Sender != 0 {
				seen[shard][x.Sender] = true
			}
		}
		var g *Generator
		l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
		require.NoError(t, err)
		s.load = l
		s.play(8, 6*time.Second)
		require.Less(t, g.Stats().Rejected*100, g.Stats().Sent)
		require.Positive(t, g.Stats().Judged)
	}
	require.Greater(t, len(seen[0]), 50)
	for acc := range seen[0] {
		require.False(t, seen[1][acc], "account %d", acc)
	}
	a, err := NewWorld(cfg, cluster(), modelled())
	require.NoError(t, err)
	cfg.Shard = 0
	b, err := NewWorld(cfg, cluster(), modelled())
	require.NoError(t, err)
	require.Equal(t, a.Application().Root(), b.Application().Root(), "one genesis for all")
}

// A transaction that was refused, or whose fate surprises, leaves the nonce right.
func TestNoncesAreRepaired(t *testing.T) {
	s := newStage(t, marketConfig(), modelled())
	g := s.world.NewGenerator(s, 4)
	acc := g.account(g.c.users, 0)
	send := func() market.Code {
		op, err := acc.w.Tx(&market.Transfer{To: g.c.account(g.c.users, 1), Amount: 1})
		require.NoError(t, err)
		code := market.CodeOf(s.state.Apply(op, s.verify))
		g.repair(&acc.w, code)
		return code
	}
	require.Equal(t, market.OK, send())
	acc.w.Seed[0]++
	require.Equal(t, market.ErrSignature, send())
	acc.w.Seed[0]--
	require.Equal(t, market.OK, send())
	acc.w.Nonce -= 2
	require.Equal(t, market.ErrNonceReplay, send())
	require.Equal(t, market.ErrNonceReplay, send())
	require.Equal(t, market.OK, send())
	acc.w.Nonce += 2
	require.Equal(t, market.ErrNonceGap, send())
	require.Equal(t, market.ErrNonceGap, send())
	require.Equal(t, market.OK, send())
}

func TestRealSignaturesVerify(t *testing.T) {
	cfg := marketConfig()
	cfg.Devices, cfg.Users, cfg.Clients = 20, 32, 4
	s := newStage(t, cfg, realScheme{})
	var g *Generator
	l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
	require.NoError(t, err)
	s.load = l
	s.play(4, 1500*time.Millisecond)
	require.Zero(t, g.Stats().Codes[market.ErrSignature])
	require.Greater(t, g.Stats().Accepted, uint64(500))
}

func BenchmarkGenerator(b *testing.B) {
	for _, scheme := range []struct {
		name string
		s    protocols.AppScheme
	}{{"modelled", modelled()}, {"ed25519", realScheme{}}} {
		b.Run(scheme.name, func(b *testing.B) {
			s := newStage(b, marketConfig(), scheme.s)
			g := s.world.NewGenerator(s, 1)
			s.now = 1
			result := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			b.ReportAllocs()
			for b.Loop() {
				s.now += 200_000
				_, op, ok := g.Next(0, s.now)
				if !ok {
					b.Fatal("starved")
				}
				g.Result(0, s.now, op, result)
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	s := newStage(b, marketConfig(), modelled())
	var g *Generator
	l, _ := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
	var ops [][]byte
	s.applied = func(op, _ []byte) { ops = append(ops, op) }
	s.load = l
	s.play(16, 10*time.Second)
	b.ReportAllocs()
	i := len(ops)
	var app *market.State
	for b.Loop() {
		if i == len(ops) {
			i, app = 0, s.world.Application().(*market.State)
		}
		app.Apply(ops[i], s.verify)
		app.Release(app.Version())
		i++
	}
}

func BenchmarkWorld(b *testing.B) {
	for b.Loop() {
		w, err := NewWorld(marketConfig(), cluster(), modelled())
		if err != nil {
			b.Fatal(err)
		}
		w.Application()
	}
}

func TestWorldIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"all weights are 0": func(c *Config) { c.Weights = [numFamilies]int{} },
		"weight of auction": func(c *Config) { c.Weights[Auction] = -1 },
		"tick of 1ms":       func(c *Config) { c.Tick = time.Millisecond },
		"devices is -1":     func(c *Config) { c.Devices = -1 },
		"panel is 65":       func(c *Config) { c.Panel = 65 },
		"shard is 1":        func(c *Config) { c.Shard = 1 },
		"explicit closing":  func(c *Config) { c.Explicit = true },
		"theta is 2001":     func(c *Config) { c.Theta = arrival.MaxTheta + 1 },
		"an epoch of 2000 ticks of 1h0m0s is 7200000000 ms; at most 4294967295 ms":     func(c *Config) { c.Tick, c.EpochTicks = time.Hour, 2000 },
		"8 services of each of 256 processes run 4096 epochs, which is 8388608 panels": func(c *Config) { c.Shards, c.Epochs = 256, MaxEpochs },
		"parameter w_min_ms cannot be set":                                             func(c *Config) { c.Params = []market.GenesisParam{{Key: market.WMin}} },
		"slash_bps = 10001":                                                            func(c *Config) { c.Params = []market.GenesisParam{{Key: market.SlashBps, Value: 10_001}} },
		"neither services":                                                             func(c *Config) { c.NoSampling, c.Services = true, 0 },
	} {
		c := marketConfig()
		change(&c)
		_, err := NewWorld(c, cluster(), modelled())
		require.ErrorContains(t, err, want)
	}
	_, err := NewWorld(marketConfig(), Cluster{Chain: 1, N: 3, F: 1}, modelled())
	require.ErrorContains(t, err, "at least 4 needed")
}

// There is something to vote on from the start of the load to its end.
func TestServicesLastAsLongAsTheLoad(t *testing.T) {
	cfg := tableConfig("w4")
	cfg.Epochs = 0
	const load = 24 * time.Second
	require.Equal(t, 5*time.Second, cfg.Lead())
	require.NoError(t, cfg.ResolveEpochs(load))
	require.Equal(t, 5, cfg.Epochs)
	s, _ := closed(t, cfg, 16, load)
	done := make([]int, load/(4*time.Second))
	for _, x := range s.samples {
		if x.Outcome == protocols.Done {
			done[int(time.Duration(x.Finished)/(4*time.Second))]++
		}
	}
	for i, n := range done {
		// 200 services, 11 transactions each in 5 s; the first verdicts take an epoch.
		require.Greater(t, n, map[bool]int{true: 700, false: 1500}[i == 0], "seconds %d to %d: %v", 4*i, 4*i+4, done)
	}

	cfg.Epochs = 4
	require.ErrorContains(t, cfg.ResolveEpochs(load), "4 epochs of 5s for a load of 24s; it takes 5 and at most 4096 are allowed: leave epochs out")
	cfg.Epochs = 0
	require.ErrorContains(t, cfg.ResolveEpochs(24*time.Hour), "it takes 17280 and at most 4096 are allowed")
	cfg = tableConfig("w3")
	require.NoError(t, cfg.ResolveEpochs(24*time.Hour), "no services")
	require.Zero(t, cfg.Lead())
}

// In an open loop of few requests no more votes are opened than can be finished.
func TestVotesOfAnOpenLoopEndWell(t *testing.T) {
	for _, perSecond := range []arrival.Rate{50, 200} {
		cfg := tableConfig("w4")
		cfg.Tick, cfg.Rate = 100*time.Millisecond, perSecond*arrival.PerSecond
		s := newStage(t, cfg, modelled())
		var g *Generator
		l, err := load.NewOpen(load.OpenConfig{Config: s.config(&g), Arrivals: arrival.Config{Kind: arrival.Poisson, Rate: cfg.Rate}})
		require.NoError(t, err)
		s.load = l
		s.play(128, 12*time.Second)
		report(t, g)
		st := g.Stats()
		require.Greater(t, st.Judged, uint64(perSecond)*12/11/2)
		require.Less(t, st.Rejected*10, st.Sent)
	}
}

// What a session draws does not depend on how long others take: the same seed gives
// the same transfers on a slow system.
func TestSessionsHaveTheirOwnDraws(t *testing.T) {
	amounts := func(latency time.Duration) (out []uint64) {
		s := newStage(t, marketConfig(), modelled())
		s.latency = func() time.Duration { return latency }
		s.applied = func(op, _ []byte) {
			x, p, err := market.DecodeTx(op)
			require.NoError(t, err)
			if x.Type == market.TypeTransfer {
				out = append(out, p.(*market.Transfer).Amount)
			}
		}
		var g *Generator
		l, err := load.NewClosed(load.ClosedConfig{Config: s.config(&g)})
		require.NoError(t, err)
		s.load = l
		s.play(8, 3*time.Second)
		return out
	}
	fast, slow := amounts(2*time.Millisecond), amounts(9*time.Millisecond)
	require.Greater(t, len(slow), 100)
	require.Equal(t, slow, fast[:len(slow)])
}

// The devices are divided among the processes, and popularity with them; transfers
// go to users of all processes.
func TestShardsDivideTheKeys(t *testing.T) {
	cfg := marketConfig()
	cfg.Weights = [numFamilies]int{Transfer: 1}
	cfg.Devices, cfg.Shards = 10, 4
	w, err := NewWorld(cfg, cluster(), modelled())
	require.NoError(t, err)
	require.Len(t, w.genesis.Devices, 10)
	for shard, want := range []int{3, 3, 2, 2} {
		require.Len(t, w.shards[shard].devices, want)
		require.Equal(t, want, w.shards[shard].popular.Keys())
	}
	g := w.Shard(1).NewGenerator(newStage(t, cfg, modelled()), 4)
	g.r = g.stream(Transfer, 0)
	count := map[uint64]int{}
	var per [4]int
	for range 20_000 {
		acc := g.anyPayee(0)
		count[acc]++
		for s := range w.shards {
			k := &w.shards[s]
			if acc >= k.account(k.users, 0) && acc < k.account(k.users, k.users.n) {
				per[s]++
			}
		}
	}
	require.Equal(t, 20_000, per[0]+per[1]+per[2]+per[3])
	n := w.cfg.Users
	top := w.shards[0].account(w.shards[0].users, n/3)
	require.InDelta(t, q32(w.payee.Share(0)), float64(count[top])/20_000, 0.01, "rank 0 of all users")
	require.Greater(t, per[3], 2_000)

	cfg.Devices, cfg.Weights = 2, [numFamilies]int{Auction: 1}
	w, err = NewWorld(cfg, cluster(), modelled())
	require.NoError(t, err)
	require.False(t, w.Shard(3).NewGenerator(newStage(t, cfg, modelled()), 4).startAuction(), "this process has no device")
}

func q32(v uint64) float64 { return float64(v) / (1 << 32) }
