package market

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// sale is an auction of alice's device in a kit.
type sale struct {
	*kit
	id ID
}

func openSale(t testing.TB, p AuctionOpen, edit ...func(*Genesis)) *sale {
	k := newKit(t, append([]func(*Genesis){withDevice("d1"), withDevice("d2")}, edit...)...)
	return k.open(p)
}

func (k *kit) open(p AuctionOpen) *sale {
	p.Device = k.deviceID("d1")
	if p.Kind == 0 {
		p.Kind = FirstPrice
	}
	if p.Mode == 0 {
		p.Mode = Full
	}
	if p.Reserve == 0 {
		p.Reserve = 1000
	}
	if p.CommitUntil == 0 {
		p.CommitUntil, p.RevealUntil = 100, 200
	}
	p.Term = 5000
	k.ok("alice", &p)
	return &sale{k, k.resultID()}
}

func (a *sale) commit(want Code, name string, amount, lock uint64) {
	a.t.Helper()
	c := BidCommitment(kitChain, a.id, accountNamed(name), amount, fill32(3))
	require.Equal(a.t, want, a.do(name, &BidCommit{a.id, c, lock}), "commit of %s", name)
}

func (a *sale) reveal(want Code, name string, amount uint64) {
	a.t.Helper()
	require.Equal(a.t, want, a.do(name, &BidReveal{a.id, amount, fill32(3)}), "reveal of %s", name)
}

func (a *sale) auction() Auction {
	v, ok := a.s.Auction(a.id)
	require.True(a.t, ok)
	return v
}

func TestAuctionOpenErrors(t *testing.T) {
	k := newKit(t, withDevice("d1"), withDevice("d2"), withParam(OpenObjects, 1))
	k.at(10)
	good := AuctionOpen{Device: k.deviceID("d1"), Kind: FirstPrice, Mode: Full, Reserve: 1000, CommitUntil: 100, RevealUntil: 150}
	try := func(want Code, edit func(*AuctionOpen)) {
		t.Helper()
		p := good
		edit(&p)
		k.refuse(want, "bob", &p)
	}
	try(ErrLimit, func(p *AuctionOpen) { p.Kind, p.Mode, p.Device = SecondPrice, Bond, ID{} })
	try(ErrLimit, func(p *AuctionOpen) { p.Kind, p.Mode = English, Bond })
	try(ErrDeviceUnknown, func(p *AuctionOpen) { p.Device = fill16(1); p.CommitUntil = 0 })
	try(ErrPhase, func(p *AuctionOpen) { p.CommitUntil = 10 })
	try(ErrPhase, func(p *AuctionOpen) { p.RevealUntil = 100; p.Reserve = 0 })
	try(ErrWindowShort, func(p *AuctionOpen) { p.RevealUntil = 149; p.Reserve = 0 })
	try(ErrReserve, func(p *AuctionOpen) { p.Reserve = 999 })
	k.ok("bob", &good)
	require.Equal(t, AuctionID(kitChain, good.Device, accountNamed("bob"), k.account("bob").Nonce), k.resultID())
	try(ErrAuctionLive, func(p *AuctionOpen) { p.CommitUntil = 0 })
	try(ErrLimit, func(p *AuctionOpen) { p.Device = k.deviceID("d2") })
	k.ok("alice", &DeviceCheckOut{k.deviceID("d2")})
	try(ErrNotCheckedIn, func(p *AuctionOpen) { p.Device = k.deviceID("d2"); p.CommitUntil = 0 })
	k.ok("oem", &DeviceRevoke{Device: k.deviceID("d2")})
	try(ErrRevoked, func(p *AuctionOpen) { p.Device = k.deviceID("d2") })
	k.at(150) // no bid
	v, _ := k.s.Auction(k.auctionOn(good.Device))
	require.Equal(t, PhaseFailed, v.Phase)
	require.Zero(t, k.account("bob").Open)
}

// auctionOn finds the one auction of a device.
func (k *kit) auctionOn(device ID) ID {
	for _, id := range k.s.auctions.sorted() {
		if k.s.auctions.get(id).Device == device {
			return id
		}
	}
	return ID{}
}

func TestBidErrors(t *testing.T) {
	a := openSale(t, AuctionOpen{})
	unknown := &sale{a.kit, fill16(9)}
	unknown.commit(ErrPhase, "bob", 1, 2000)
	unknown.reveal(ErrPhase, "bob", 1)
	a.commit(ErrSelfBid, "alice", 2000, 2000)
	a.commit(ErrEscrow, "bob", 2000, 999)
	a.commit(ErrFunds, "poor", 2000, 2000)
	a.commit(OK, "bob", 2000, 3000)
	require.Equal(t, uint64(kitBalance-3000), a.balance("bob"))
	a.commit(ErrDuplicateBid, "bob", 2000, 3000)
	a.reveal(ErrPhase, "bob", 2000)
	require.Equal(t, ErrPhase, a.do("carol", &BidOpen{a.id, 5000}), "not an English auction")
	// Bytes copied from bob bind bob; carol cannot open them.
	bobs, _ := a.s.Bid(a.id, accountNamed("bob"))
	a.ok("carol", &BidCommit{a.id, bobs.Commitment, 3000})
	a.commit(OK, "dave", 900, 1000)
	a.at(100)
	a.commit(ErrPhase, "p1", 2000, 2000)
	a.reveal(ErrCommitment, "p1", 2000) // no bid
	a.reveal(ErrEscrow, "bob", 3001)    // before the hash
	a.reveal(ErrReserve, "bob", 999)
	a.reveal(ErrReserve, "dave", 900)
	a.reveal(ErrCommitment, "bob", 2001)
	a.reveal(ErrCommitment, "carol", 2000)
	require.Equal(t, ErrPhase, a.do("bob", &AuctionClose{a.id}))
	a.reveal(OK, "bob", 2000)
	a.reveal(ErrCommitment, "bob", 2000)
	require.Equal(t, PhaseReveal, a.s.PhaseOf(a.id))
	a.at(200)
	a.reveal(ErrPhase, "carol", 2000)
	v := a.auction()
	require.Equal(t, PhaseAwarded, v.Phase)
	require.Equal(t, accountNamed("bob"), v.Winner)
	require.Equal(t, uint64(kitBalance-300), a.balance("carol"), "penalty of 10 % of the lock")
	require.Equal(t, uint64(kitBalance-100), a.balance("dave"))
	require.Equal(t, uint64(400), a.s.Pot(Kitty))

	require.Equal(t, ErrAlreadyAwarded, a.do("bob", &AwardPay{a.id, 2000}))
	require.Equal(t, ErrPhase, a.do("bob", &AwardPay{fill16(9), 2000}))
	require.Equal(t, ErrPhase, a.do("bob", &AwardCancel{a.id}))
	require.Equal(t, ErrNotOwner, a.do("bob", &KeyDeliver{Auction: a.id}))
	require.Equal(t, ErrPhase, a.do("alice", &KeyDeliver{Auction: fill16(9)}))
	a.ok("alice", &KeyDeliver{Auction: a.id, KeyHash: fill32(8)})
	require.Equal(t, ErrPhase, a.do("alice", &KeyDeliver{Auction: a.id}))
	require.Equal(t, ErrAlreadyAwarded, a.do("bob", &AwardPay{a.id, 2000}))
	require.Equal(t, uint64(kitBalance+2000), a.balance("alice"))
	g, _ := a.s.Grant(a.deviceID("d1"), accountNamed("bob"))
	require.Equal(t, Grant{Start: 200, End: 5200, Ref: a.id, KeyHash: fill32(8)}, g)
	for _, n := range []string{"alice", "bob", "carol", "dave"} {
		require.Zero(t, a.account(n).Open, n)
	}
}

func TestFailedAuctionReturnsDevice(t *testing.T) {
	a := openSale(t, AuctionOpen{})
	a.commit(OK, "bob", 2000, 3000)
	a.at(200)
	require.Equal(t, PhaseFailed, a.auction().Phase)
	require.Equal(t, uint64(kitBalance-300), a.balance("bob"))
	require.Equal(t, ErrPhase, a.do("bob", &AuctionClose{a.id}))
	require.Equal(t, ErrPhase, a.do("bob", &AwardPay{a.id, 2000}))
	a.open(AuctionOpen{CommitUntil: 300, RevealUntil: 400})
}

func TestSecondPriceWithOneBid(t *testing.T) {
	a := openSale(t, AuctionOpen{Kind: SecondPrice})
	a.commit(OK, "bob", 2000, 3000)
	a.at(100)
	a.reveal(OK, "bob", 2000)
	a.at(200)
	require.Equal(t, uint64(1000), a.auction().Price, "the reserve")
	require.Equal(t, uint64(kitBalance-1000), a.balance("bob"))
}

// TestTies: equal bids rank by tie hash, whatever the order of commits and reveals.
func TestTies(t *testing.T) {
	names := []string{"bob", "carol", "dave", "p1"}
	var winner uint64
	for i := range 4 {
		a := openSale(t, AuctionOpen{Kind: SecondPrice})
		for j := range names {
			a.commit(OK, names[(i+j)%4], 2000, 3000)
		}
		a.at(100)
		for j := range names {
			a.reveal(OK, names[(i+4-j)%4], 2000)
		}
		a.at(200)
		v := a.auction()
		best := slices.MinFunc(names, func(x, y string) int {
			hx, hy := TieHash(a.id, accountNamed(x)), TieHash(a.id, accountNamed(y))
			return slices.Compare(hx[:], hy[:])
		})
		require.Equal(t, accountNamed(best), v.Winner)
		require.Equal(t, uint64(2000), v.Price)
		require.True(t, winner == 0 || winner == v.Winner)
		winner = v.Winner
	}
}

// TestCascade: every candidate defaults; after the third the auction fails and the
// fourth bidder gets its bond back.
func TestCascade(t *testing.T) {
	a := openSale(t, AuctionOpen{Mode: Bond, Bond: 501, PayMS: 100})
	names := []string{"bob", "carol", "dave", "p1", "p2"}
	for i, n := range names {
		a.commit(OK, n, 5000-uint64(i)*100, 501)
	}
	a.commit(ErrEscrow, "p3", 5000, 500)
	a.commit(ErrEscrow, "p3", 5000, 502)
	a.at(100)
	for i, n := range names[:4] {
		a.reveal(OK, n, 5000-uint64(i)*100)
	}
	a.at(200)
	require.Equal(t, PhasePay, a.auction().Phase)
	require.Equal(t, uint64(kitBalance-50), a.balance("p2"), "10 % of the bond")
	require.Equal(t, ErrPhase, a.do("bob", &AuctionClose{a.id}))
	require.Equal(t, ErrNotWinner, a.do("carol", &AwardPay{a.id, 4900}))
	require.Equal(t, ErrEscrow, a.do("bob", &AwardPay{a.id, 4999}))
	for i, n := range names[:3] {
		require.Equal(t, accountNamed(n), a.auction().Candidate)
		require.Equal(t, uint8(i+1), a.auction().Position)
		a.at(a.auction().Deadline)
		require.Equal(t, uint64(kitBalance-501), a.balance(n))
	}
	require.Equal(t, PhaseFailed, a.auction().Phase)
	require.Equal(t, uint64(kitBalance), a.balance("p1"))
	require.Equal(t, uint64(kitBalance+3*250), a.balance("alice"))
	require.Equal(t, uint64(50+3*251), a.s.Pot(Kitty))
}

func TestBondPaid(t *testing.T) {
	a := openSale(t, AuctionOpen{Mode: Bond, Bond: 500, PayMS: 100}, withParam(MarketFeeBps, 250))
	for i, n := range []string{"bob", "carol", "dave"} {
		a.commit(OK, n, 4000-uint64(i), 500)
	}
	a.at(100)
	for i, n := range []string{"bob", "carol", "dave"} {
		a.reveal(OK, n, 4000-uint64(i)) // over the lock: bond mode does not mind
	}
	a.at(200)
	a.ok("bob", &Transfer{To: accountNamed("p1"), Amount: kitBalance - 500 - 3999})
	require.Equal(t, ErrFunds, a.do("bob", &AwardPay{a.id, 4000}), "the bond does not pay the price")
	a.at(300)
	require.Equal(t, ErrNotWinner, a.do("bob", &AwardPay{a.id, 4000}))
	a.ok("carol", &AwardPay{a.id, 3999})
	require.Equal(t, uint64(kitBalance-3999), a.balance("carol"))
	require.Equal(t, uint64(kitBalance), a.balance("dave"))
	a.ok("alice", &KeyDeliver{Auction: a.id})
	require.Equal(t, uint64(99), a.s.Pot(Fees))
	require.Equal(t, uint64(kitBalance+250+3900), a.balance("alice"))
}

// TestOverdue: what the queue has not got to can be forced, and is then late.
func TestOverdue(t *testing.T) {
	late := withParam(ExpiryBatch, 1)
	crowd := func(g *Genesis) { // actions that come first at time 1000
		for range 3 {
			g.Params = append(g.Params, GenesisParam{TUnbond, 10})
		}
	}
	a := openSale(t, AuctionOpen{Mode: Bond, Bond: 500, PayMS: 800}, late, crowd, withParam(KeyMS, 700))
	a.commit(OK, "bob", 4000, 500)
	a.at(100)
	a.reveal(OK, "bob", 4000)
	a.at(200)
	for i := range 2 {
		n := []string{"v1", "v2"}[i]
		a.ok(n, &StakeWithdraw{10}) // two entries at 210
	}
	a.at(1000) // pops one of them; the default at 1000 waits
	require.Equal(t, PhasePay, a.auction().Phase)
	require.Equal(t, ErrPayLate, a.do("bob", &AwardPay{a.id, 4000}))
	a.ok("carol", &AuctionClose{a.id})
	require.Equal(t, PhaseFailed, a.auction().Phase)

	b := a.open(AuctionOpen{CommitUntil: 1100, RevealUntil: 1200})
	b.commit(OK, "bob", 4000, 4000)
	b.at(1100)
	b.reveal(OK, "bob", 4000)
	b.at(1200)
	b.at(1201)
	require.Equal(t, PhaseAwarded, b.auction().Phase)
	deadline := b.auction().Deadline
	b.ok("v1", &StakeWithdraw{10})
	b.at(deadline) // pops the unbonding
	require.Equal(t, ErrKeyLate, b.do("alice", &KeyDeliver{Auction: b.id}))
	b.ok("bob", &AwardCancel{b.id})
	require.Equal(t, uint16(3333), b.rep("alice"))
	require.Equal(t, PhaseCancelled, b.auction().Phase)
	require.Equal(t, uint64(kitBalance-500), b.balance("bob"))
}

func TestRevokeRefundsEverything(t *testing.T) {
	for _, stage := range []string{"commit", "reveal", "pay", "awarded"} {
		mode := Full
		if stage == "pay" {
			mode = Bond
		}
		a := openSale(t, AuctionOpen{Mode: mode, Bond: 2000, PayMS: 1000})
		a.commit(OK, "bob", 1500, 2000)
		a.commit(OK, "carol", 1400, 2000)
		if stage != "commit" {
			a.at(100)
			a.reveal(OK, "bob", 1500)
		}
		if stage == "pay" || stage == "awarded" {
			a.reveal(OK, "carol", 1400)
			a.at(200)
		}
		a.ok("oem", &DeviceRevoke{Device: a.deviceID("d1")})
		require.Equal(t, PhaseCancelled, a.auction().Phase, stage)
		require.Equal(t, uint64(kitBalance), a.balance("bob"), stage)
		require.Equal(t, uint64(kitBalance), a.balance("carol"), stage)
		require.Equal(t, uint16(5000), a.rep("alice"), stage)
	}
}

func TestEnglish(t *testing.T) {
	a := openSale(t, AuctionOpen{Kind: English, CommitUntil: 60_000, RevealUntil: 95_000})
	bid := func(want Code, name string, amount uint64) {
		t.Helper()
		require.Equal(t, want, a.do(name, &BidOpen{a.id, amount}))
	}
	a.commit(ErrPhase, "bob", 1, 2000)
	bid(ErrSelfBid, "alice", 1000)
	bid(ErrReserve, "bob", 999)
	bid(ErrFunds, "poor", 1000)
	bid(OK, "bob", 1000)
	bid(ErrReserve, "carol", 1009) // 1 % more is 1,010
	bid(OK, "carol", 1010)
	require.Equal(t, uint64(kitBalance), a.balance("bob"))
	bid(OK, "bob", 50_000)
	bid(OK, "bob", 80_000) // the own high bid comes back first
	require.Equal(t, uint64(kitBalance-80_000), a.balance("bob"))
	a.at(50_001)
	bid(OK, "carol", 90_000)
	require.Equal(t, uint64(70_000), a.auction().CommitUntil)
	a.at(69_000)
	bid(OK, "bob", 91_000)
	a.at(79_000)
	bid(OK, "carol", 92_000)
	a.at(89_000)
	bid(OK, "bob", 93_000)
	require.Equal(t, uint64(95_000), a.auction().CommitUntil, "the hard end")
	a.at(94_000)
	bid(OK, "carol", 94_000)
	require.Equal(t, ErrPhase, a.do("dave", &AuctionClose{a.id}))
	a.at(95_000)
	bid(ErrPhase, "bob", 99_000)
	v := a.auction()
	require.Equal(t, PhaseAwarded, v.Phase)
	require.Equal(t, accountNamed("carol"), v.Winner)
	require.Equal(t, uint64(94_000), v.Price)
	require.Equal(t, uint64(kitBalance), a.balance("bob"))
	require.Equal(t, uint64(kitBalance-94_000), a.balance("carol"))
	a.ok("alice", &KeyDeliver{Auction: a.id})
	require.Equal(t, uint64(kitBalance+94_000), a.balance("alice"))
	require.Zero(t, a.account("bob").Open)
}

func TestBatch(t *testing.T) {
	k := newKit(t, withDevice("a"), withDevice("b"), withDevice("c"), withDevice("d"), func(g *Genesis) {
		g.Devices[1].MinPrice = 3000
		g.Devices[2].CheckedIn = false
	}, withParam(BatchMax, 5))
	ids := []ID{k.deviceID("a"), k.deviceID("b"), k.deviceID("c"), k.deviceID("d"), fill16(0xFE)}
	k.ok("oem", &DeviceRevoke{Device: ids[3]})
	codes := map[ID]Code{ids[0]: OK, ids[1]: ErrReserve, ids[2]: ErrNotCheckedIn, ids[3]: ErrRevoked, ids[4]: ErrDeviceUnknown}
	slices.SortFunc(ids, compareID)
	batch := func(edit func(*AuctionBatchOpen)) *AuctionBatchOpen {
		p := &AuctionBatchOpen{Kind: FirstPrice, Mode: Full, MaxPrice: 2000, Term: 10, CommitUntil: 100, RevealUntil: 200, Devices: slices.Clone(ids)}
		edit(p)
		return p
	}
	k.refuse(ErrLimit, "bob", batch(func(p *AuctionBatchOpen) { p.Devices[0], p.Devices[1] = p.Devices[1], p.Devices[0] }))
	k.refuse(ErrLimit, "bob", batch(func(p *AuctionBatchOpen) { p.Devices = append(p.Devices, fill16(0xFF)) }))
	k.refuse(ErrLimit, "bob", batch(func(p *AuctionBatchOpen) { p.Kind, p.Mode = SecondPrice, Bond }))
	k.refuse(ErrPhase, "bob", batch(func(p *AuctionBatchOpen) { p.RevealUntil = 100 }))
	k.refuse(ErrWindowShort, "bob", batch(func(p *AuctionBatchOpen) { p.RevealUntil = 149 }))
	k.ok("bob", batch(func(*AuctionBatchOpen) {}))
	var want []Code
	for _, id := range ids {
		want = append(want, codes[id])
	}
	require.Equal(t, want, BatchCodes(k.last))
	a := AuctionID(kitChain, k.deviceID("a"), accountNamed("bob"), k.account("bob").Nonce)
	v, ok := k.s.Auction(a)
	require.True(t, ok)
	require.Equal(t, uint64(1000), v.Reserve, "the floor price")
	k.ok("bob", batch(func(*AuctionBatchOpen) {}))
	require.Contains(t, BatchCodes(k.last), ErrAuctionLive)
}

func TestPrune(t *testing.T) {
	a := openSale(t, AuctionOpen{}, withParam(TRetain, 1000))
	a.commit(OK, "bob", 2000, 3000)
	a.at(100)
	a.reveal(OK, "bob", 2000)
	a.at(200)
	a.ok("alice", &KeyDeliver{Auction: a.id})
	a.at(1199)
	require.NotZero(t, a.s.PhaseOf(a.id))
	a.at(1200)
	require.Zero(t, a.s.PhaseOf(a.id))
	_, ok := a.s.Bid(a.id, accountNamed("bob"))
	require.False(t, ok)
	_, ok = a.s.Grant(a.deviceID("d1"), accountNamed("bob"))
	require.True(t, ok, "grants stand alone")
}
