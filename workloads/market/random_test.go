package market

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

var randomTxs = flag.Int("market.random", 100_000, "random transactions in TestRandomTransactions")

// chance writes random transactions that know enough of the state to get
// everywhere: most are sensible, some have one thing wrong, some are garbage.
type chance struct {
	*kit
	r    *rand.Rand
	accs []uint64
	seed map[uint64][32]byte
}

func chanceEdits() []func(*Genesis) {
	return []func(*Genesis){withDevice("d0"), withDevice("d1"), withDevice("d2"), func(g *Genesis) {
		g.Params = append(g.Params, GenesisParam{MarketFeeBps, 150}, GenesisParam{TUnbond, 3000}, GenesisParam{TRetain, 20_000},
			GenesisParam{KeyMS, 400}, GenesisParam{BeaconEpoch, 1000}, GenesisParam{OpenObjects, 40}, GenesisParam{ExpiryBatch, 2},
			GenesisParam{EnglishWindow, 50}, GenesisParam{EnglishExtension, 50})
		g.Brokers = []GenesisBroker{{accountNamed("broker"), 0, 1 << 40}}
	}}
}

// chanceGenesis is the genesis of every chance; they differ in their draws only.
func chanceGenesis() *Genesis { return kitGenesis(modelled, chanceEdits()...) }

func newChance(t testing.TB, seed uint64) *chance {
	k := newKit(t, chanceEdits()...)
	c := &chance{kit: k, r: rand.New(rand.NewPCG(seed, 7)), seed: make(map[uint64][32]byte)}
	for _, a := range kitAccounts {
		c.accs = append(c.accs, a.id)
		c.seed[a.id] = seedOf(a.name)
	}
	for r := range uint64(4) {
		c.seed[r+1] = seedOf(fmt.Sprint("replica", r))
	}
	return c
}

func (c *chance) n(n int) int             { return c.r.IntN(n) }
func (c *chance) u(n uint64) uint64       { return c.r.Uint64N(n) }
func (c *chance) one(of ...string) uint64 { return accountNamed(of[c.n(len(of))]) }
func (c *chance) acc() uint64             { return c.accs[c.n(len(c.accs))] }
func (c *chance) trader() uint64          { return c.one("alice", "bob", "carol", "dave", "p1", "p2") }

func pick[K comparable, V any](c *chance, t *table[K, V]) (k K) {
	keys := t.sorted()
	if len(keys) == 0 {
		return k
	}
	return keys[c.n(len(keys))]
}

// live picks mostly among the rows that a test likes.
func live[K comparable, V any](c *chance, t *table[K, V], likes func(*V) bool) K {
	var keys []K
	for _, k := range t.sorted() {
		if likes(t.get(k)) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || c.n(10) == 0 {
		return pick(c, t)
	}
	return keys[c.n(len(keys))]
}

func (c *chance) liveAuction(p ...Phase) ID {
	return live(c, c.s.auctions, func(a *Auction) bool { return slices.Contains(p, a.Phase) })
}

// settable are the parameters that random administrators play with.
var settable = []Param{MarketFeeBps, NoRevealBps, BondOwnerBps, Cascade, SlashBps, KittyBps, KittyMin, PanelSize, SampleC, VoterStake, 999}

// amount is mostly reasonable and sometimes extreme.
func (c *chance) amount() uint64 {
	switch c.n(12) {
	case 0:
		return 0
	case 1:
		return c.r.Uint64()
	case 2:
		return kitBalance + c.u(kitBalance)
	}
	return c.u(3000)
}

func (c *chance) soon(n uint64) uint64 { return c.s.Now() + c.u(n) }

func (c *chance) salt(acc uint64) Hash { return fill32(byte(acc)) }

// bidOf is what an account bids in an auction: a fixed function, so that it can be
// revealed without remembering.
func bidOf(auction ID, acc uint64) uint64 {
	h := TieHash(auction, acc)
	return 1000 + uint64(h[0])*10
}

// next builds one transaction.
func (c *chance) next() []byte {
	now := c.s.Now()
	var sender uint64
	var p Payload
	var co []Signer
	sign := func(role Role, acc uint64) { co = append(co, Signer{role, acc, c.seed[acc]}) }
	switch c.n(35) {
	case 0, 1, 2:
		step := uint64(50)
		if c.n(30) == 0 {
			step = 1500 // more comes due than one tick may run
		}
		return c.tickTo(now+1+c.u(step), 0, 1, 2)
	case 6:
		return c.garbage()
	case 7:
		sender, p = c.acc(), &Transfer{c.acc(), c.amount(), nil}
	case 8:
		name := fmt.Sprint("born", c.n(40))
		key := Key(modelled.Public(seedOf(name)))
		sender, p = c.one("registrar", "registrar", "alice"), &AccountOpen{key, SchemeEd25519, uint16(c.n(1 << 13)), uint32(c.n(9))}
		co = append(co, Signer{RoleNewKey, 0, seedOf(name)})
	case 9:
		sender, p = c.trader(), &StakeDeposit{c.amount()}
		if c.n(2) == 0 {
			p = &StakeWithdraw{c.amount()}
		}
	case 10:
		r := uint16(c.n(4))
		sender = uint64(r) + 1
		epoch := c.s.Clock().Epoch
		reveal := Hash{}
		if sh := c.s.shares.get(r); sh != nil && sh.CommitEpoch == epoch && c.n(5) > 0 {
			reveal = fill32(byte(epoch) + 1)
		}
		p = &BeaconReveal{epoch, BeaconCommitment(kitChain, epoch+1, r, fill32(byte(epoch)+2)), reveal}
	case 11:
		name := fmt.Sprint("d", c.n(8))
		sender = c.one("oem", "oem", "oem2")
		if c.n(3) == 0 {
			p = &ModelPut{fill16(byte(0x4D + c.n(2))), Hash{}, 7, 0}
			break
		}
		p = &DeviceRegister{DeviceKey: modelled.Public(seedOf(name)), Model: fill16(0x4D), Attrs: []Attr{{1, uint32(c.n(9))}}}
		sign(RoleOwner, c.trader())
		co = append(co, Signer{RoleDevice, 0, seedOf(name)})
	case 12:
		d := pick(c, c.s.devices)
		sender = c.ownerOf(d)
		switch c.n(8) {
		case 0:
			p = &DeviceCheckOut{d}
		case 1:
			to := c.trader()
			p = &OwnershipTransfer{d, c.headOf(d), to, c.amount()}
			sign(RoleCounterparty, to)
		case 2:
			if c.n(12) == 0 {
				sender, p = accountNamed("oem"), &DeviceRevoke{d, 1}
				break
			}
			fallthrough
		default:
			p = &DeviceCheckIn{d, 0, c.u(1500), 0, 0}
		}
	case 13:
		d := pick(c, c.s.devices)
		sender = c.ownerOf(d)
		if c.n(2) == 0 {
			p = &TopicPut{d, fill32(byte(c.n(3))), TopicKind(c.n(4)), c.amount(), c.u(1000), uint16(c.n(3))}
		} else {
			sender, p = c.trader(), &AccessBuy{pick(c, c.s.topics), uint32(c.n(5)), c.amount() * 3, nil}
		}
	case 14:
		if c.n(2) == 0 {
			sender, p = accountNamed("gateway"), &AnchorReadings{Site: 44, Slot: c.u(1 << 30)}
		} else {
			d := pick(c, c.s.devices)
			v, _ := c.s.Device(d)
			sender, p = accountNamed("gateway"), &ReadingAppend{d, v.ReadSeq + uint64(c.n(3)), now + c.u(6000), 5, 1}
		}
	case 15, 16:
		kind, mode := AuctionKind(1+c.n(3)), AuctionMode(1+c.n(2))
		commit := c.soon(300)
		sender = c.trader()
		if c.n(4) == 0 {
			ids := c.s.devices.sorted()
			p = &AuctionBatchOpen{kind, mode, 1400, 500, 1000, commit, commit + 40 + c.u(200), 100, ids[:c.n(len(ids)+1)]}
		} else {
			p = &AuctionOpen{pick(c, c.s.devices), kind, mode, 900 + c.u(600), 500, 1000, commit, commit + 40 + c.u(200), 100}
		}
	case 17, 18, 19:
		id := c.liveAuction(PhaseCommit)
		a, _ := c.s.Auction(id)
		sender = c.trader()
		lock := bidOf(id, sender) + c.u(100)
		if a.Mode == Bond {
			lock = 500
		}
		if a.Kind == English {
			p = &BidOpen{id, a.Price + a.Price/50 + c.u(900)}
		} else {
			p = &BidCommit{id, BidCommitment(kitChain, id, sender, bidOf(id, sender), c.salt(sender)), lock}
		}
	case 20, 21, 22:
		b := live(c, c.s.bids, func(b *Bid) bool { return b.State == BidCommitted })
		sender, p = b.party, &BidReveal{b.object, bidOf(b.object, b.party), c.salt(b.party)}
	case 23:
		id := c.liveAuction(PhaseAwarded)
		for _, x := range c.s.auctions.sorted() {
			if a := c.s.auctions.get(x); a.Phase == PhaseCommit && now >= a.end() || a.Phase == PhaseAwarded && now >= a.Deadline && c.n(2) == 0 {
				id = x
			}
		}
		a, _ := c.s.Auction(id)
		switch c.n(4) {
		case 0:
			sender, p = c.trader(), &AuctionClose{id}
		case 1:
			sender, p = c.trader(), &AwardCancel{id}
		default:
			sender, p = a.Owner, &KeyDeliver{Auction: id}
		}
	case 24:
		id := c.liveAuction(PhasePay)
		a, _ := c.s.Auction(id)
		sender, p = a.Candidate, &AwardPay{id, bidOf(id, a.Candidate)}
	case 25:
		mech := Mechanism(1 + c.n(4))
		sender = c.trader()
		p = &ServicePost{
			PriceMax: c.u(200), PanelFee: c.u(50), EpochMS: 300 + uint32(c.n(900)), Epochs: 1 + uint32(c.n(4)), Mechanism: mech,
			Trust: uint32(c.n(20)), SampleK: 10, HystBps: uint16(c.n(2000)), Budget: 1000 + c.amount(), UptimeBps: 9900, QMin: uint16(c.n(3000)),
		}
	case 26, 34:
		sender, p = c.one("p1", "p2", "p3"), &ProviderOffer{live(c, c.s.services, func(v *Service) bool { return v.State != ServiceEnded }), c.u(220), c.u(700), uint16(c.n(10_001)), uint32(c.n(5))}
	case 27, 28, 29:
		e := c.openEpoch()
		switch v, _ := c.s.Service(e.service); v.Mechanism {
		case Voting:
			j, _ := c.s.Judgement(e.service, e.epoch)
			if len(j.Panel) == 0 {
				sender, p = c.trader(), &VerdictFinalize{e.service, e.epoch}
				break
			}
			sender = j.Panel[c.n(len(j.Panel))]
			verdict := Verdict(1 + (sender+uint64(e.epoch))%7/5)
			switch c.n(5) {
			case 0, 1:
				p = &VerdictCommit{e.service, e.epoch, VoteSeal(e.service, e.epoch, sender, verdict, 9000, Hash{}, c.salt(sender))}
			case 2, 3:
				p = &VerdictReveal{e.service, e.epoch, verdict, 9000, Hash{}, c.salt(sender)}
			default:
				p = &VerdictFinalize{e.service, e.epoch}
			}
		case Uptime:
			sender, p = accountNamed("auditor"), &UptimeReport{e.service, e.epoch, uint64(v.EpochMS) - c.u(4), uint64(v.EpochMS)}
		default:
			sender, p = accountNamed("auditor"), &SampleReport{e.service, e.epoch, 10, uint16(c.n(11) / 6), Hash{}}
		}
	case 30:
		sender, p = c.trader(), &ChannelOpen{c.acc(), c.amount(), 50 + c.u(500)}
	case 31, 32:
		id := live(c, c.s.channels, func(v *Channel) bool { return v.State != ChannelClosed })
		v, _ := c.s.Channel(id)
		switch c.n(5) {
		case 0:
			sender, p = v.Payer, &ChannelDeposit{id, c.amount()}
		case 1:
			sender, p = v.Payer, &ChannelStartSettle{id}
		case 2:
			sender, p = c.trader(), &ChannelSettle{id}
		default:
			pr := SignPromise(modelled, c.seed[v.Payer], kitChain, id, c.amount())
			sender, p = v.Payee, pr.Claim()
		}
	default:
		sender, p = c.one("admin1", "admin2", "alice"), &ParamSet{settable[c.n(len(settable))], c.u(50), c.s.Version() + c.u(40)}
		sign(RoleAdmin, accountNamed("admin3"))
	}
	e := Envelope{Chain: kitChain, Sender: sender, ValidUntil: Forever, Fee: uint32(c.n(3))}
	a, _ := c.s.Account(sender)
	e.Nonce = a.Nonce + 1
	role := RoleSender
	if p.Type() == TypeParamSet {
		role = RoleAdmin
	}
	co = append(co, Signer{role, sender, c.seed[sender]})
	switch c.n(60) { // one thing wrong
	case 0:
		e.Nonce += 1 - uint64(c.n(3))
	case 1:
		e.Chain++
	case 2:
		e.ValidUntil = now
	case 3:
		e.Sender = c.acc()
	case 4:
		co = co[:len(co)-1]
	case 5:
		co[0].Seed = seedOf("nobody")
	case 6:
		co[0].Role = Role(c.n(6))
	}
	op, err := Sign(modelled, e, p, co...)
	require.NoError(c.t, err)
	if c.n(40) == 0 {
		op[c.n(len(op))] ^= byte(1 + c.n(255))
	}
	return op
}

func (c *chance) ownerOf(d ID) uint64 {
	v, _ := c.s.Device(d)
	return v.Owner
}

func (c *chance) headOf(d ID) Hash {
	v, _ := c.s.Device(d)
	return v.Head
}

func (c *chance) openEpoch() epochKey {
	var open []epochKey
	for _, k := range c.s.verdicts.sorted() {
		if c.s.verdicts.get(k).State == JudgementOpen {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return pick(c, c.s.verdicts)
	}
	return open[c.n(len(open))]
}

func (c *chance) garbage() []byte {
	b := make([]byte, c.n(200))
	for i := range b {
		b[i] = byte(c.n(256))
	}
	if len(b) > 40 {
		types := Types()
		copy(b, []byte{1, 0, 0, 0, kitChain, byte(types[c.n(len(types))])})
		b[34], b[35] = 0, byte(len(b)-EnvelopeSize-1)
	}
	return b
}

// checkEvery is how often TestRandomTransactions checks all invariants: 7 has no
// factor in common with anything that the transactions repeat.
const checkEvery = 7

// TestRandomTransactions keeps the invariants after every transaction, wants every
// kind of transaction to succeed and to fail many times, and in the end replays
// everything from genesis.
func TestRandomTransactions(t *testing.T) {
	var done, refused [256]int
	codes := make(map[Code]int)
	total := 0
	for seed := uint64(1); total < *randomTxs; seed++ {
		c := newChance(t, seed)
		var log [][]byte
		for range min(3000, *randomTxs-total) {
			op := c.next()
			log = append(log, op)
			result := c.s.Apply(op, c.verify)
			// Money after every one; all rows are looked at now and then.
			require.NoError(t, conserved(c.s), "seed %d transaction %d", seed, len(log))
			if len(log)%checkEvery == 0 {
				require.NoError(t, Check(c.s), "seed %d transaction %d", seed, len(log))
			}
			require.NoError(t, c.monitor.After(c.s), "seed %d transaction %d", seed, len(log))
			code := CodeOf(result)
			codes[code]++
			if len(op) > EnvelopeSize {
				if code == OK {
					done[op[5]]++
				} else {
					refused[op[5]]++
				}
			}
		}
		total += len(log)
		again, err := New(chanceGenesis())
		require.NoError(t, err)
		for i, op := range log {
			again.Apply(op, c.verify)
			if i%97 == 0 {
				again.Release(again.Version()) // what is released and hashed when makes no difference
				again.Root()
			}
		}
		require.Equal(t, c.s.Root(), again.Root(), "seed %d: replay from genesis", seed)
	}
	if *randomTxs < 10_000 {
		return
	}
	for _, typ := range Types() {
		if typ == TypeAttestedVerdict {
			continue // a story's business
		}
		require.NotZero(t, done[typ], "%s never succeeded", typ)
		require.NotZero(t, refused[typ], "%s was never refused", typ)
	}
	require.Greater(t, len(codes), 50, "%v", codes)
}

// TestRollback goes back and forth at random: the root at every version is always
// the same, whenever it is asked for, released versions stay out of reach, and a
// restored snapshot goes on like the original.
func TestRollback(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newChance(t, rapid.Uint64().Draw(rt, "seed"))
		roots := map[uint64]protocols.Digest{0: c.s.Root()}
		compare := func() {
			v, root := c.s.Version(), c.s.Root()
			if old, ok := roots[v]; ok {
				require.Equal(rt, old, root, "version %d", v)
			}
			roots[v] = root
		}
		var log [][]byte
		floor := uint64(0)
		for range rapid.IntRange(5, 25).Draw(rt, "legs") {
			every := rapid.IntRange(1, 30).Draw(rt, "root every")
			for i := range rapid.IntRange(1, 40).Draw(rt, "transactions") {
				v := c.s.Version()
				var op []byte
				if v < uint64(len(log)) {
					op = log[v] // the same again after going back
				} else {
					op = c.next()
					log = append(log, op)
				}
				c.s.Apply(op, c.verify)
				if i%every == every-1 {
					compare()
				}
			}
			switch rapid.IntRange(0, 3).Draw(rt, "then") {
			case 0:
				floor = max(floor, rapid.Uint64Range(0, c.s.Version()).Draw(rt, "release"))
				c.s.Release(floor)
			case 1:
				var snap bytes.Buffer
				require.NoError(rt, c.s.Snapshot(&snap))
				other, err := New(chanceGenesis())
				require.NoError(rt, err)
				require.NoError(rt, other.Restore(bytes.NewReader(snap.Bytes())))
				require.Equal(rt, c.s.Root(), other.Root())
				require.Equal(rt, c.s.Version(), other.Version())
				var again bytes.Buffer
				require.NoError(rt, other.Snapshot(&again))
				require.Equal(rt, snap.Bytes(), again.Bytes())
				c.s = other
				floor = other.Version()
			default:
				if floor > 0 {
					require.Error(rt, c.s.Rollback(floor-1))
				}
				require.Error(rt, c.s.Rollback(c.s.Version()+1))
				require.NoError(rt, c.s.Rollback(rapid.Uint64Range(floor, c.s.Version()).Draw(rt, "back to")))
				compare()
				require.NoError(rt, Check(c.s))
			}
		}
		compare()
		again, err := New(chanceGenesis())
		require.NoError(rt, err)
		for _, op := range log[:c.s.Version()] {
			again.Apply(op, c.verify)
		}
		require.Equal(rt, again.Root(), c.s.Root())
	})
}

// indices is everything that the index knows, in comparable form.
func indices(s *State) map[string]any {
	classes := make(map[uint16][]ID)
	for class, set := range s.index.classes {
		if ids := set.ascending(); len(ids) > 0 {
			classes[class] = slices.Clone(ids)
		}
	}
	params := make(map[int][]uint64)
	for i, list := range s.index.params {
		if len(list) > 0 {
			params[i] = list
		}
	}
	var queue []expiryKey
	for h := slices.Clone(s.index.queue); ; h.pop() {
		k, ok := h.least(s.expiry)
		if !ok {
			break
		}
		if len(queue) == 0 || queue[len(queue)-1] != k {
			queue = append(queue, k)
		}
	}
	return map[string]any{
		"keys": s.index.byKey, "voters": append([]uint64{}, s.index.voters...), "classes": classes, "bidders": s.index.bidders,
		"offerers": s.index.offerers, "granted": s.index.granted, "sites": s.index.sites, "params": params, "queue": queue, "fixed": append([]uint32{}, s.index.fixed...),
	}
}

// TestIndexFollows compares the index after going back with one that is built anew
// by restoring a snapshot.
func TestIndexFollows(t *testing.T) {
	for seed := range uint64(20) {
		c := newChance(t, 100+seed)
		for range 5 {
			for range 200 {
				c.s.Apply(c.next(), c.verify)
			}
			require.NoError(t, c.s.Rollback(c.s.Version()-c.u(150)))
			var snap bytes.Buffer
			require.NoError(t, c.s.Snapshot(&snap))
			other, err := New(chanceGenesis())
			require.NoError(t, err)
			require.NoError(t, other.Restore(&snap))
			require.Equal(t, indices(other), indices(c.s))
			c.s.Release(c.s.Version())
		}
	}
}

// TestQueueIsBounded: entries that leave the expiry table before their time do not
// pile up in the heap.
func TestQueueIsBounded(t *testing.T) {
	k := newKit(t)
	for i := range uint64(5000) {
		k.s.version++
		k.s.step = 2 * k.s.version
		k.s.schedule(1<<40+i, ExpirePrune, ID{})
		k.s.unschedule(1<<40+i, ExpirePrune, ID{})
		k.s.Release(k.s.version)
	}
	require.Less(t, len(k.s.index.queue), 100)
}

// halfway is a transaction that changes much and then fails.
type halfway struct{ StakeDeposit }

func (*halfway) Type() Type { return 0x7F }

// TestFailingRuleLeavesNothing: a body that is refused after it wrote is taken
// back, nonce and fee stay.
func TestFailingRuleLeavesNothing(t *testing.T) {
	rules[0x7F] = newRule("halfway", func(s *State, _ *halfway) Code {
		s.credit(s.tx.Sender, 5)
		s.accounts.put(9999, Account{Key: Key(fill32(7))})
		s.schedule(1, ExpirePrune, ID{})
		s.accounts.del(accountNamed("bob"))
		return ErrLimit
	}, RoleSender)
	defer func() { rules[0x7F] = nil }()
	k := newKit(t)
	before := k.account("alice")
	op, err := Sign(modelled, Envelope{Chain: kitChain, Sender: accountNamed("alice"), Nonce: 1, ValidUntil: Forever, Fee: 2}, &halfway{}, k.signer("alice", RoleSender))
	require.NoError(t, err)
	require.Equal(t, ErrLimit, k.apply(op))
	before.Nonce++
	before.Balance -= 2
	require.Equal(t, before, k.account("alice"))
	require.Equal(t, uint64(kitBalance), k.balance("bob"))
	require.Zero(t, k.s.AccountOf(Key(fill32(7))))
	require.Equal(t, accountNamed("bob"), k.s.AccountOf(modelled.Public(seedOf("bob"))))
	require.NoError(t, k.s.Rollback(0))
	before.Nonce--
	before.Balance += 2
	require.Equal(t, before, k.account("alice"))
}

func TestJournalIsBounded(t *testing.T) {
	c := newChance(t, 5)
	most := 0
	for i := range 3000 {
		c.s.Apply(c.next(), c.verify)
		if i%10 == 9 {
			most = max(most, c.s.Journal())
			c.s.Release(c.s.Version())
			require.Zero(t, c.s.Journal())
		}
	}
	require.Less(t, most, 1000)
	for _, tab := range []int{cap(c.s.accounts.undo), cap(c.s.expiry.undo), cap(c.s.bids.undo)} {
		require.Less(t, tab, 4096)
	}
}

// TestSplitting: how often the root is asked for, and when versions are released,
// leaves no trace.
func TestSplitting(t *testing.T) {
	c := newChance(t, 11)
	var log [][]byte
	for range 1500 {
		op := c.next()
		log = append(log, op)
		c.s.Apply(op, c.verify)
	}
	for _, batch := range []int{1, 7, 256} {
		s, err := New(chanceGenesis())
		require.NoError(t, err)
		for i, op := range log {
			s.Apply(op, c.verify)
			if i%batch == batch-1 {
				s.Root()
				s.Release(s.Version())
			}
		}
		require.Equal(t, c.s.Root(), s.Root())
	}
}

// TestResultsStay: a result must not change when later transactions are applied.
func TestResultsStay(t *testing.T) {
	c := newChance(t, 3)
	var results, copies [][]byte
	for range 500 {
		r := c.s.Apply(c.next(), c.verify)
		results, copies = append(results, r), append(copies, slices.Clone(r))
	}
	require.Equal(t, copies, results)
}
