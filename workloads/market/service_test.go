package market

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// deal is a service of alice's in a kit.
type deal struct {
	*kit
	id   ID
	post ServicePost
}

func postService(t testing.TB, post ServicePost, edit ...func(*Genesis)) *deal {
	k := newKit(t, edit...)
	if post.PriceMax == 0 {
		post.PriceMax = 1000
	}
	if post.EpochMS == 0 {
		post.EpochMS = 1000
	}
	if post.Epochs == 0 {
		post.Epochs = 3
	}
	if post.Mechanism == 0 {
		post.Mechanism = Sampling
	}
	post.Budget = uint64(post.Epochs) * (post.PriceMax + post.PanelFee)
	k.ok("alice", &post)
	return &deal{k, k.resultID(), post}
}

func (d *deal) offer(want Code, name string, price, stake uint64, q uint16) {
	d.t.Helper()
	require.Equal(d.t, want, d.do(name, &ProviderOffer{d.id, price, stake, q, 100}), "offer of %s", name)
}

func (d *deal) service() Service {
	v, ok := d.s.Service(d.id)
	require.True(d.t, ok)
	return v
}

func (d *deal) judgement(epoch uint32) Judgement {
	j, ok := d.s.Judgement(d.id, epoch)
	require.True(d.t, ok)
	return j
}

func (d *deal) active() uint64 { return d.service().Active }

func (d *deal) sample(want Code, epoch uint32, fails uint16) {
	d.t.Helper()
	require.Equal(d.t, want, d.do("auditor", &SampleReport{Service: d.id, Epoch: epoch, K: d.post.SampleK, Fails: fails}))
}

func TestServicePostErrors(t *testing.T) {
	k := newKit(t)
	good := ServicePost{PriceMax: 90, PanelFee: 10, EpochMS: 10, Epochs: 5, Mechanism: Sampling, Budget: 500}
	try := func(want Code, name string, edit func(*ServicePost)) {
		t.Helper()
		p := good
		edit(&p)
		k.refuse(want, name, &p)
	}
	try(ErrBudget, "alice", func(p *ServicePost) { p.Budget = 499 })
	try(ErrBudget, "alice", func(p *ServicePost) { p.PriceMax = 1<<64 - 5 })
	try(ErrBudget, "alice", func(p *ServicePost) { p.PriceMax = 1 << 62; p.Epochs = 4 })
	try(ErrFunds, "poor", func(*ServicePost) {})
	try(ErrLimit, "alice", func(p *ServicePost) { p.EpochMS = 9 })
	try(ErrLimit, "alice", func(p *ServicePost) { p.Epochs = 0 })
	try(ErrLimit, "alice", func(p *ServicePost) { p.QMin = 10_001 })
	k.ok("alice", &good)
	require.Equal(t, ServiceID(kitChain, accountNamed("alice"), k.account("alice").Nonce), k.resultID())
	require.Equal(t, uint64(kitBalance-500), k.balance("alice"))
}

func TestOfferErrors(t *testing.T) {
	d := postService(t, ServicePost{QMin: 5000, MinStake: 100})
	d.offer(ErrRole, "alice", 1, 100, 5000)
	require.Equal(t, ErrWindow, d.do("p1", &ProviderOffer{fill16(1), 1, 1, 5000, 1}))
	d.offer(ErrPrice, "p1", 1001, 100, 4999)
	d.offer(ErrQoS, "p1", 1000, 99, 4999)
	d.offer(ErrQoS, "p1", 1000, 100, 10_001)
	d.offer(ErrStake, "p1", 1000, 99, 5000)
	d.offer(ErrStake, "p1", 1000, 5001, 5000)
	d.offer(OK, "p1", 1000, 5000, 5000)
	d.offer(ErrStake, "p1", 1000, 0, 5000)
	require.Zero(t, d.account("p1").FreeStake)
	require.Equal(t, uint64(5000), d.s.Pot(PotOffers))
}

// TestSelection: greatest value for the price; ties to the lower account; what is
// paid; the rest of the budget comes back.
func TestSelection(t *testing.T) {
	d := postService(t, ServicePost{PanelFee: 10, SampleK: 10}, withParam(TUnbond, 100))
	d.offer(OK, "p2", 800, 5000, 8000)
	d.offer(OK, "p1", 800, 5000, 8000)
	d.offer(OK, "p3", 800, 4000, 8000)
	require.Zero(t, d.active())
	d.at(1000)
	require.Equal(t, accountNamed("p1"), d.active())
	require.Equal(t, Service{}.Epoch, d.service().Epoch)
	d.sample(ErrNotDue, 0, 0)
	d.at(2000)
	require.Equal(t, ErrRole, d.do("alice", &SampleReport{Service: d.id, K: 10}))
	require.Equal(t, ErrNotDue, d.do("auditor", &SampleReport{Service: fill16(1), K: 10}))
	require.Equal(t, ErrSampleSize, d.do("auditor", &SampleReport{Service: d.id, K: 9}))
	require.Equal(t, ErrSampleSize, d.do("auditor", &SampleReport{Service: d.id, K: 10, Fails: 11}))
	require.Equal(t, ErrReportGap, d.do("auditor", &UptimeReport{Service: d.id, UpMS: 1, TotalMS: 1000}))
	d.sample(OK, 0, 0)
	require.Equal(t, uint64(kitBalance+800), d.balance("p1"))
	require.Equal(t, uint16(5000+(10000-5000)/32), d.rep("p1"))
	require.Equal(t, uint64(kitBalance+10), d.balance("auditor"))
	d.sample(ErrNotDue, 0, 0)
	d.at(3000)
	d.at(4000) // nobody reported on epoch 1: None
	require.Equal(t, None, d.judgement(1).Verdict)
	require.Equal(t, JudgementSettled, d.judgement(1).State)
	d.sample(ErrNotDue, 1, 0)
	d.sample(OK, 2, 0)
	require.Equal(t, ServiceEnded, d.service().State)
	require.Equal(t, uint64(kitBalance-2*810), d.balance("alice"))
	d.offer(ErrWindow, "p1", 800, 0, 8000)
	d.at(4999)
	require.Zero(t, d.account("p1").FreeStake)
	d.at(5000) // the active one waits for the final window, the others for T_unbond
	for _, p := range []string{"p1", "p2", "p3"} {
		require.Equal(t, uint64(5000), d.account(p).FreeStake, p)
		require.Zero(t, d.account(p).Open, p)
	}
}

// TestSwitching: a failed provider is replaced at once; a better offer takes over
// at an edge when it beats the hysteresis and the cooldown is over.
func TestSwitching(t *testing.T) {
	d := postService(t, ServicePost{SampleK: 10, Epochs: 9, HystBps: 1000}, withParam(CooldownEpochs, 2))
	d.offer(OK, "p1", 500, 1000, 8000)
	d.at(1000)
	d.offer(OK, "p2", 480, 1000, 8000) // better, but by less than 10 %
	d.at(2000)
	d.sample(OK, 0, 0)
	d.at(3000)
	require.Equal(t, accountNamed("p1"), d.active())
	d.sample(OK, 1, 5) // fails
	require.Equal(t, accountNamed("p2"), d.active())
	o, _ := d.s.Offer(d.id, accountNamed("p1"))
	require.Equal(t, OfferLeaving, o.State)
	require.Equal(t, uint64(800), o.Stake)
	require.Equal(t, uint64(200), d.s.Pot(Kitty))
	require.Equal(t, uint16((5000+156)*2/3), d.rep("p1"))
	require.Equal(t, uint64(200), d.judgement(1).Slashed)
	d.offer(OK, "p3", 200, 1000, 8000) // far better
	d.at(4000)
	require.Equal(t, accountNamed("p2"), d.judgement(2).Provider, "each epoch is the provider's who is active at its end")
	require.Equal(t, accountNamed("p2"), d.active(), "cooldown")
	d.sample(OK, 2, 0)
	require.Equal(t, uint64(kitBalance+480+20), d.balance("p2"), "price and 10 % of KITTY")
	d.at(5000)
	require.Equal(t, accountNamed("p3"), d.active())
	d.sample(OK, 3, 0)
	d.at(6000)
	d.sample(OK, 4, 10) // p3 fails, but there is nobody else
	require.Equal(t, accountNamed("p3"), d.active())
}

// TestQualityThreshold: a provider that passes but whose mean falls below the
// minimum is replaced.
func TestQualityThreshold(t *testing.T) {
	d := postService(t, ServicePost{SampleK: 10, Epochs: 9, QMin: 9000}, withParam(SampleC, 5))
	d.offer(OK, "p1", 500, 1000, 9100)
	d.offer(OK, "p2", 900, 1000, 9000)
	d.at(1000)
	d.at(2000)
	d.sample(OK, 0, 4) // passes with quality 6,000: mean 7,550
	require.Equal(t, Pass, d.judgement(0).Verdict)
	require.Equal(t, accountNamed("p2"), d.active())
}

func TestNoProvider(t *testing.T) {
	d := postService(t, ServicePost{Epochs: 2})
	d.at(1000)
	d.at(2000)
	require.Equal(t, ServiceEnded, d.service().State)
	require.Equal(t, uint64(kitBalance), d.balance("alice"))
	require.Zero(t, d.account("alice").Open)
}

// TestOfferLapses: an offer whose time is over leaves; the epoch without provider
// is settled as None.
func TestOfferLapses(t *testing.T) {
	d := postService(t, ServicePost{Epochs: 3, SampleK: 1})
	d.ok("p1", &ProviderOffer{d.id, 700, 0, 9000, 1})
	d.at(1000)
	d.at(2000)
	d.sample(OK, 0, 0)
	require.Zero(t, d.active())
	d.at(3000)
	d.at(4000)
	require.Equal(t, None, d.judgement(2).Verdict)
	require.Equal(t, ServiceEnded, d.service().State)
	require.Equal(t, uint64(kitBalance-700), d.balance("alice"))
}

// TestJump: a clock jump over all epochs runs the edges one after the other.
func TestJump(t *testing.T) {
	d := postService(t, ServicePost{Epochs: 5})
	d.offer(OK, "p1", 700, 1000, 9000)
	d.at(1_000_000)
	require.Equal(t, ServiceEnded, d.service().State)
	for e := range uint32(5) {
		require.Equal(t, None, d.judgement(e).Verdict)
		require.Equal(t, uint64(1000*(e+2)), d.judgement(e).Due)
	}
	require.Equal(t, uint64(kitBalance), d.balance("alice"))
}

var voters = []string{"v1", "v2", "v3", "v4", "v5"}

// votingDeal runs to the first epoch's due time, 2000: commit until 2700, reveal
// until 2900, final at 3000.
func votingDeal(t testing.TB, trust uint32, edit ...func(*Genesis)) *deal {
	caps := func(g *Genesis) {
		g.Params = append(g.Params, GenesisParam{PanelSize, 5})
	}
	d := postService(t, ServicePost{Mechanism: Voting, PanelFee: 100, Epochs: 1, Trust: trust}, append([]func(*Genesis){caps}, edit...)...)
	d.offer(OK, "p1", 1000, 1000, 9000)
	d.at(1000)
	d.at(2000)
	require.Len(t, d.judgement(0).Panel, 5)
	return d
}

func (d *deal) seal(name string, v Verdict, bucket uint16) Hash {
	return VoteSeal(d.id, 0, accountNamed(name), v, bucket, fill32(9), fill32(3))
}

func (d *deal) vote(want Code, name string, v Verdict, bucket uint16) {
	d.t.Helper()
	require.Equal(d.t, want, d.do(name, &VerdictCommit{d.id, 0, d.seal(name, v, bucket)}))
}

func (d *deal) show(want Code, name string, v Verdict, bucket uint16) {
	d.t.Helper()
	require.Equal(d.t, want, d.do(name, &VerdictReveal{d.id, 0, v, bucket, fill32(9), fill32(3)}))
}

func TestVotingErrors(t *testing.T) {
	d := votingDeal(t, 100)
	require.Equal(t, ErrWindow, d.do("v1", &VerdictCommit{Service: fill16(1)}))
	require.Equal(t, ErrWindow, d.do("v1", &VerdictCommit{Service: d.id, Epoch: 1}))
	d.vote(ErrNotInPanel, "bob", Pass, 0)
	require.Equal(t, OK, d.do("v5", &StakeWithdraw{460}))
	d.vote(ErrVoterStake, "v5", Pass, 0)
	d.vote(OK, "v1", Pass, 0)
	d.vote(ErrWindow, "v1", Pass, 0)
	d.vote(OK, "v2", Fail, 0)
	d.show(ErrWindow, "v1", Pass, 0)
	require.Equal(t, ErrWindow, d.do("bob", &VerdictFinalize{d.id, 0}))
	require.Equal(t, ErrNotDue, d.do("bob", &VerdictFinalize{d.id, 1}))
	require.Equal(t, ErrNotDue, d.do("bob", &VerdictFinalize{fill16(1), 0}))
	require.Equal(t, ErrNotDue, d.do("auditor", &SampleReport{Service: d.id}))
	d.at(2700)
	d.vote(ErrWindow, "v3", Pass, 0)
	d.show(ErrNotInPanel, "bob", Pass, 0)
	d.show(ErrSeal, "v3", Pass, 0) // no vote
	d.show(ErrSeal, "v1", Fail, 0)
	d.show(ErrSeal, "v1", Pass, 1)
	require.Equal(t, ErrSeal, d.do("v1", &VerdictReveal{d.id, 0, Pass, 0, fill32(8), fill32(3)}))
	d.show(OK, "v1", Pass, 0)
	d.show(ErrSeal, "v1", Pass, 0)
	require.Equal(t, ErrWindow, d.do("bob", &VerdictFinalize{d.id, 0}), "v2 may still reveal")
	d.at(2900)
	d.show(ErrWindow, "v2", Fail, 0)
	require.Equal(t, ErrWindow, d.do("bob", &VerdictFinalize{d.id, 0}), "9 of 10 is not above 99 %; no result before the final window's end")
	d.at(3000)
	j := d.judgement(0)
	require.Equal(t, None, j.Verdict)
	require.Equal(t, uint64(500), d.account("v1").FreeStake, "all stakes return, unrevealed ones too")
	require.Equal(t, uint64(500), d.account("v2").FreeStake)
	require.Equal(t, uint32(30), d.account("v2").Score)
	require.Equal(t, uint64(kitBalance), d.balance("alice"))
	require.Equal(t, uint64(kitBalance), d.balance("p1"))
	require.Equal(t, ErrNotDue, d.do("bob", &VerdictFinalize{d.id, 0}))
	d.vote(ErrWindow, "v3", Pass, 0)
	d.show(ErrWindow, "v3", Pass, 0)
}

func TestVotingPass(t *testing.T) {
	d := votingDeal(t, 100)
	for _, v := range voters[:4] {
		d.vote(OK, v, Pass, 9500)
	}
	d.vote(OK, "v5", Pass, 9000) // another bucket
	d.at(2700)
	for _, v := range voters[:4] {
		d.show(OK, v, Pass, 9500)
	}
	d.at(2900) // v5 does not reveal
	d.ok("bob", &VerdictFinalize{d.id, 0})
	j := d.judgement(0)
	require.Equal(t, Pass, j.Verdict)
	require.Equal(t, uint16(9500), j.QBucket)
	// Pool 100+50 in four equal shares; 2 left over.
	require.Equal(t, uint64(kitBalance+37), d.balance("v1"))
	require.Equal(t, uint64(500), d.account("v1").FreeStake)
	require.Equal(t, uint64(450), d.account("v5").FreeStake)
	require.Equal(t, uint32(31), d.account("v1").Score)
	require.Equal(t, uint32(20), d.account("v5").Score)
	require.Equal(t, uint64(2), d.s.Pot(Kitty))
	require.Equal(t, uint64(kitBalance+1000), d.balance("p1"))
	require.Equal(t, uint64(kitBalance-1100), d.balance("alice"))
}

// TestVotingBuckets: votes for one verdict in different buckets are different
// groups, unless only the verdict's bit counts.
func TestVotingBuckets(t *testing.T) {
	for mode, want := range []Verdict{None, Fail} {
		d := votingDeal(t, 100, withParam(QMode, uint64(mode)))
		for i, v := range voters {
			d.vote(OK, v, Fail, uint16(i))
		}
		d.at(2700)
		for i, v := range voters {
			d.show(OK, v, Fail, uint16(i))
		}
		d.at(3000)
		require.Equal(t, want, d.judgement(0).Verdict)
	}
}

// TestFirstVoteCounts: trust 0 or 1 turns replication off.
func TestFirstVoteCounts(t *testing.T) {
	for trust := range uint32(2) {
		d := votingDeal(t, trust)
		d.vote(OK, "v1", Pass, 1)
		d.vote(OK, "v2", Fail, 1)
		d.vote(OK, "v3", Pass, 1)
		d.at(2700)
		d.show(OK, "v2", Fail, 1)
		d.show(OK, "v1", Pass, 1)
		d.show(OK, "v3", Pass, 1)
		d.ok("bob", &VerdictFinalize{d.id, 0})
		require.Equal(t, Fail, d.judgement(0).Verdict)
		require.Equal(t, uint64(450), d.account("v1").FreeStake)
	}
}

// TestLoneVote: a vote that nobody else cast earns no credibility.
func TestLoneVote(t *testing.T) {
	for commits := 1; commits <= 2; commits++ {
		d := votingDeal(t, 0)
		for _, v := range voters[:commits] {
			d.vote(OK, v, Pass, 1)
		}
		d.at(2700)
		for _, v := range voters[:commits] {
			d.show(OK, v, Pass, 1)
		}
		d.ok("bob", &VerdictFinalize{d.id, 0})
		require.Equal(t, uint32(30+commits-1), d.account("v1").Score)
	}
}

// TestCredibility repeats the table of voters needed for a unanimous verdict, and
// with one fresh dissenter.
func TestCredibility(t *testing.T) {
	scores := []uint32{0, 12, 30, 150, 303}
	for _, row := range []struct {
		trust uint32
		need  [5][2]int
	}{
		{10, [5][2]int{{4, 5}, {3, 4}, {2, 2}, {1, 1}, {1, 1}}},
		{100, [5][2]int{{7, 9}, {5, 6}, {3, 3}, {2, 2}, {1, 2}}},
		{1000, [5][2]int{{10, 12}, {7, 8}, {4, 4}, {2, 3}, {2, 2}}},
		{10_000, [5][2]int{{14, 15}, {9, 10}, {5, 5}, {3, 3}, {2, 3}}},
		{1_000_000, [5][2]int{{20, 22}, {13, 14}, {7, 7}, {4, 4}, {3, 4}}},
	} {
		for i, score := range scores {
			for dissent := range 2 {
				n := 0
				for {
					n++
					g := &group{verdict: Pass}
					g.weight.SetUint64(1)
					for range n {
						var w group
						w.weight.SetUint64(weightOf(score))
						g.weight.Mul(&g.weight, &w.weight)
					}
					groups := []*group{g}
					if dissent == 1 {
						other := &group{verdict: Fail}
						other.weight.SetUint64(weightOf(0))
						groups = append(groups, other)
					}
					if accepted(groups, g, row.trust) == g {
						break
					}
				}
				require.Equal(t, row.need[i][dissent], n, "trust %d score %d dissent %d", row.trust, score, dissent)
			}
		}
	}
}

// TestPanel: one seat per organisation, none for the parties, at most a third of
// the seats for fresh voters, and the draw follows the stakes.
func TestPanel(t *testing.T) {
	k := newKit(t, func(g *Genesis) {
		g.Params = append(g.Params, GenesisParam{PanelSize, 9})
		for i := range uint64(60) {
			a := GenesisAccount{ID: 300 + i, Key: Key(modelled.Public(seedOf(fmt.Sprint("extra", i)))), Roles: Voter, FreeStake: 100, Org: uint32(60 + i%20), Score: 9}
			switch {
			case i%3 == 0:
				a.Score = 8
			case i%5 == 0:
				a.Org = 6 // the client's
			case i%7 == 0:
				a.FreeStake = 49
			case i%11 == 0:
				a.Org = 20 // the provider's
			}
			g.Accounts = append(g.Accounts, a)
		}
	})
	v := &Service{Client: accountNamed("alice"), Opened: 0}
	seated := make(map[uint64]int)
	for e := range uint32(200) {
		panel := k.s.drawPanel(fill16(1), v, e, accountNamed("p1"))
		require.Len(t, panel, 9)
		require.True(t, slices.IsSorted(panel))
		require.Equal(t, panel, k.s.drawPanel(fill16(1), v, e, accountNamed("p1")))
		orgs := make(map[uint32]bool)
		fresh := 0
		for _, acc := range panel {
			a, _ := k.s.Account(acc)
			require.False(t, orgs[a.Org], "two seats for one organisation")
			orgs[a.Org] = true
			require.NotContains(t, []uint32{6, 20}, a.Org)
			require.GreaterOrEqual(t, a.FreeStake, uint64(50))
			if a.Score < 9 {
				fresh++
			}
			seated[acc]++
		}
		require.LessOrEqual(t, fresh, 3)
	}
	// v1..v5 have five times the stake of the others.
	for _, n := range voters {
		require.Greater(t, seated[accountNamed(n)], 100, n)
	}
	empty := newKit(t)
	require.Empty(t, empty.s.drawPanel(fill16(1), &Service{Client: 120, Opened: 0}, 0, accountNamed("p1"))[5:])
}

func TestSampleProperties(t *testing.T) {
	for _, c := range []struct{ n, k uint32 }{{1, 1}, {10, 10}, {10, 20}, {120, 30}, {1 << 31, 5}, {0, 3}} {
		got := Sample(fill16(2), 3, fill32(4), c.n, c.k)
		require.Len(t, got, int(min(c.n, c.k)))
		seen := make(map[uint32]bool)
		for _, u := range got {
			require.Less(t, u, c.n)
			require.False(t, seen[u])
			seen[u] = true
		}
	}
}

func TestUptimeErrors(t *testing.T) {
	d := postService(t, ServicePost{Mechanism: Uptime, UptimeBps: 9900, Epochs: 2, PanelFee: 10}, func(g *Genesis) {
		g.Accounts = append(g.Accounts, GenesisAccount{ID: 501, Key: Key(modelled.Public(seedOf("inside"))), Roles: Auditor, Org: 20})
	})
	d.offer(OK, "p1", 1000, 1000, 9000)
	d.at(1000)
	report := func(want Code, name string, epoch uint32, up, total uint64) {
		t.Helper()
		require.Equal(t, want, d.do(name, &UptimeReport{d.id, epoch, up, total}))
	}
	report(ErrRole, "alice", 0, 1000, 1000)
	report(ErrReportGap, "auditor", 0, 1000, 1000) // not due
	d.at(2000)
	report(ErrReportGap, "auditor", 1, 1000, 1000)
	report(ErrReportGap, "auditor", 0, 1001, 1000)
	report(ErrReportGap, "auditor", 0, 999, 999)
	report(OK, "auditor", 0, 990, 1000)
	report(ErrReportGap, "auditor", 0, 990, 1000)
	require.Equal(t, Pass, d.judgement(0).Verdict)
	require.Equal(t, uint16(9900), d.judgement(0).QBucket)
	d.at(3000)
	report(OK, "auditor", 1, 989, 1000)
	require.Equal(t, Fail, d.judgement(1).Verdict)
	require.Equal(t, uint64(kitBalance+20), d.balance("auditor"))
}

// TestSampleOf: the active provider anchors its service's data, and the first
// beacon fixed after that draws the sample.
func TestSampleOf(t *testing.T) {
	d := postService(t, ServicePost{SampleK: 10, Epochs: 9}, withParam(BeaconEpoch, 1000))
	d.offer(OK, "p1", 1000, 1000, 9000)
	anchor := &AnchorReadings{Site: ServiceSite(d.id), Slot: 0, Count: 120, Root: fill32(1)}
	d.refuse(ErrRole, "p1", anchor)
	value := func(epoch uint32) Hash { return fill32(byte(epoch) + 1) }
	fix := func(epoch uint32) Hash {
		for r := range uint16(2) {
			reveal := value(epoch)
			if epoch == 0 {
				reveal = Hash{}
			}
			d.ok(fmt.Sprint("replica", r), &BeaconReveal{epoch, BeaconCommitment(kitChain, epoch+1, r, value(epoch+1)), reveal})
		}
		b, _ := d.s.BeaconOf(epoch)
		return b.Value
	}
	fix(0)
	d.at(1000)
	fix(1)
	d.refuse(ErrRole, "p2", anchor)
	d.ok("p1", anchor)
	_, ok := d.s.SampleOf(d.id, 0)
	require.False(t, ok, "the beacon of before the anchor does not count")
	d.at(2000)
	want := fix(2)
	d.at(3000)
	fix(3)
	got, ok := d.s.SampleOf(d.id, 0)
	require.True(t, ok)
	require.Equal(t, Sample(d.id, 0, want, 120, 10), got)
	a, err := DecodeAnswer(d.s.Query(NewQuery(QuerySample, d.id, uint32(0))))
	require.NoError(t, err)
	require.Len(t, a.Body, 2+4*10)
	_, ok = d.s.SampleOf(d.id, 1)
	require.False(t, ok)
}

// A provider anchors the epoch that runs and no other, so that whoever takes over
// can anchor the next.
func TestOnlyTheRunningEpochIsAnchored(t *testing.T) {
	d := postService(t, ServicePost{SampleK: 10, Epochs: 9})
	d.offer(OK, "p1", 900, 1000, 9000)
	d.offer(OK, "p2", 1000, 1000, 9000)
	anchor := func(want Code, name string, slot uint64) {
		t.Helper()
		require.Equal(t, want, d.do(name, &AnchorReadings{Site: ServiceSite(d.id), Slot: slot, Count: 120, Root: fill32(1)}))
	}
	d.at(1000)
	anchor(ErrRole, "p2", 0)
	anchor(ErrSlotReplay, "p1", math.MaxUint64)
	anchor(ErrSlotReplay, "p1", 1)
	anchor(OK, "p1", 0)
	anchor(ErrSlotReplay, "p1", 0)
	d.at(2000)
	require.Equal(t, OK, d.do("auditor", &SampleReport{Service: d.id, Epoch: 0, K: 10, Fails: 2}))
	anchor(ErrRole, "p1", 1)
	anchor(ErrSlotReplay, "p2", 0)
	anchor(OK, "p2", 1)
}
