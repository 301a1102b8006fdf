package stories

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/market"
)

// registration is AC1: registration, opt-in, filters.
func registration(b *book) {
	oem1 := b.account("oem-1", 0, roles(market.OEM))
	oem2 := b.account("oem-2", 0, roles(market.OEM))
	model := id16(0x4D)
	b.do("model M of class 7", oem1, &market.ModelPut{Model: model, Class: 7}, market.OK)

	prices := []uint64{500, 600, 900, 700, 800, 650}
	owners := make([]*market.Wallet, 6)
	ids := make([]market.ID, 6)
	register := func(comment string, oem, owner *market.Wallet, name string, attr uint32, want market.Code, withKey bool) market.ID {
		key := market.Key(b.scheme.Public(seed(name)))
		co := []market.Signer{owner.Signer(market.RoleOwner)}
		if withKey {
			co = append(co, market.Signer{Role: market.RoleDevice, Seed: seed(name)})
		}
		b.do(comment, oem, &market.DeviceRegister{DeviceKey: key, Model: model, Attrs: []market.Attr{{Key: 1, Value: attr}}}, want, co...)
		return market.DeviceID(key)
	}
	for i := range owners {
		owners[i] = b.account(fmt.Sprintf("o%d", i+1), 0)
		ids[i] = register(fmt.Sprintf("d%d", i+1), oem1, owners[i], fmt.Sprintf("d%d", i+1), uint32(10*(i+1)), market.OK, true)
	}
	for i := range 5 {
		b.do(fmt.Sprintf("d%d checks in", i+1), owners[i], &market.DeviceCheckIn{Device: ids[i], MinPrice: prices[i]}, market.OK)
	}
	register("d7 signed by another OEM", oem2, owners[0], "d7", 70, market.ErrOEMMismatch, true)
	register("d7 without the device's signature", oem1, owners[0], "d7", 70, market.ErrCoSignature, false)
	register("d1 again", oem1, owners[0], "d1", 10, market.ErrDeviceExists, true)

	filter := &market.DeviceFilter{Class: 7, Attrs: []market.AttrRange{{Key: 1, Min: 20, Max: 60}}, MaxPrice: 800, CheckedIn: true}
	b.after(sees(filter, ids[1], ids[3], ids[4]))
	b.do("auction on d6, which is not checked in", owners[0],
		&market.AuctionOpen{Device: ids[5], Kind: market.FirstPrice, Mode: market.Full, Reserve: 650, CommitUntil: 100, RevealUntil: 200}, market.ErrNotCheckedIn)
	b.do("d2 checks out", owners[1], &market.DeviceCheckOut{Device: ids[1]}, market.OK)
	b.finally(sees(filter, ids[3], ids[4]))
	b.finally(func(s *market.State) error {
		chain := s.OwnerChain(ids[0])
		_, owner, err := chain.Verify()
		return errors.Join(err, want("owner of d1 by its chain", owner, owners[0].Account))
	})
}

// sees demands the exact answer to a device query, as a client reads it.
func sees(f *market.DeviceFilter, expected ...market.ID) func(*market.State) error {
	slices.SortFunc(expected, func(a, b market.ID) int { return bytes.Compare(a[:], b[:]) })
	return func(s *market.State) error {
		a, err := market.DecodeAnswer(s.Query(market.NewQuery(market.QueryDevices, f)))
		if err != nil {
			return err
		}
		ids, err := market.DecodeIDs(a.Body)
		if err == nil && !slices.Equal(ids, expected) {
			err = fmt.Errorf("query gives %x, want %x", ids, expected)
		}
		return err
	}
}

// device places a checked-in device and returns its id.
func (b *book) device(name string, owner *market.Wallet) market.ID {
	oem := b.account(name+"-oem", 0, roles(market.OEM))
	model := market.DeviceID(seed(name + "-model"))
	b.genesis.Models = append(b.genesis.Models, market.GenesisModel{ID: model, Model: market.Model{OEM: oem.Account, Class: 1}})
	key := market.Key(b.scheme.Public(seed(name)))
	b.genesis.Devices = append(b.genesis.Devices, market.GenesisDevice{Key: key, Model: model, Owner: owner.Account, CheckedIn: true})
	return market.DeviceID(key)
}

const month = 2_592_000_000

// open opens an auction and returns its id.
func (b *book) open(owner *market.Wallet, p *market.AuctionOpen) market.ID {
	p.Term = month
	b.do("auction opens", owner, p, market.OK)
	return market.AuctionID(chain, p.Device, owner.Account, owner.Nonce)
}

func salt(w *market.Wallet) market.Hash { return hashOf(fmt.Sprintf("salt-%d", w.Account)) }

func (b *book) commit(a market.ID, w *market.Wallet, amount, lock uint64, want market.Code) {
	b.do(fmt.Sprintf("%d commits", w.Account), w,
		&market.BidCommit{Auction: a, Commitment: market.BidCommitment(chain, a, w.Account, amount, salt(w)), Lock: lock}, want)
}

func (b *book) reveal(a market.ID, w *market.Wallet, amount uint64, want market.Code) {
	b.do(fmt.Sprintf("%d reveals %d", w.Account, amount), w, &market.BidReveal{Auction: a, Amount: amount, Salt: salt(w)}, want)
}

// phase demands an auction's phase.
func phase(a market.ID, p market.Phase) func(*market.State) error {
	return func(s *market.State) error { return want("phase", s.PhaseOf(a), p) }
}

// firstPrice is AC2: first-price sealed auction, full mode.
func (b *book) firstPrice() {
	own := b.account("ac2-own", 0)
	c1, c2 := b.account("ac2-c1", 10_000), b.account("ac2-c2", 10_000)
	c3, c4 := b.account("ac2-c3", 10_000), b.account("ac2-c4", 10_000)
	dev := b.device("ac2-device", own)

	b.now = 0
	a := b.open(own, &market.AuctionOpen{Device: dev, Kind: market.FirstPrice, Mode: market.Full, Reserve: 2000, CommitUntil: 100, RevealUntil: 200})
	b.commit(a, c1, 4000, 6000, market.OK)
	b.commit(a, c2, 5500, 6000, market.OK)
	b.commit(a, c3, 5000, 5000, market.OK)
	b.commit(a, c4, 2500, 3000, market.OK)
	b.commit(a, c1, 4100, 5000, market.ErrDuplicateBid)
	b.now = 100
	b.commit(a, own, 4000, 6000, market.ErrPhase)
	b.reveal(a, c1, 4000, market.OK)
	b.reveal(a, c2, 5500, market.OK)
	b.reveal(a, c3, 5001, market.ErrEscrow)
	b.reveal(a, c3, 5000, market.OK)
	b.now = 200
	b.after(func(s *market.State) error {
		v, _ := s.Auction(a)
		return errors.Join(want("winner", v.Winner, c2.Account), want("price", v.Price, 5500), want("award escrow", v.Escrow, 5500),
			balance(s, c1, 10_000), balance(s, c2, 4500), balance(s, c3, 10_000), balance(s, c4, 9700))
	})
	b.do("second close; the tick was the first", c1, &market.AuctionClose{Auction: a}, market.ErrPhase)
	b.now = 210
	b.do("key", own, &market.KeyDeliver{Auction: a, SealedKey: make([]byte, 80), KeyHash: hashOf("key")}, market.OK)
	b.balances(own, 5500, c1, 10_000, c2, 4500, c3, 10_000, c4, 9700)
	b.kitty += 300
	b.finally(func(s *market.State) error {
		g, _ := s.Grant(dev, c2.Account)
		return errors.Join(want("grant start", g.Start, 210), want("grant end", g.End, 2_592_000_210), phase(a, market.PhaseDelivered)(s))
	})
}

// secondPrice is AC3: second price, 2 % fee, epoch payout.
func secondPrice(b *book) {
	b.param(market.MarketFeeBps, 200)
	own := b.account("own", 0)
	c1, c2, c3 := b.account("c1", 10_000), b.account("c2", 10_000), b.account("c3", 10_000)
	dev := b.device("device", own)
	a := b.open(own, &market.AuctionOpen{Device: dev, Kind: market.SecondPrice, Mode: market.Full, Reserve: 2000, CommitUntil: 100, RevealUntil: 200})
	b.commit(a, c1, 4000, 6000, market.OK)
	b.commit(a, c2, 5500, 6000, market.OK)
	b.commit(a, c3, 5000, 5000, market.OK)
	b.now = 100
	b.reveal(a, c1, 4000, market.OK)
	b.reveal(a, c2, 5500, market.OK)
	b.reveal(a, c3, 5000, market.OK)
	b.now = 200
	b.after(func(s *market.State) error {
		v, _ := s.Auction(a)
		return errors.Join(want("winner", v.Winner, c2.Account), want("price", v.Price, 5000))
	})
	b.now = 210
	b.do("key", own, &market.KeyDeliver{Auction: a, SealedKey: make([]byte, 80), KeyHash: hashOf("key")}, market.OK)
	b.after(func(s *market.State) error { return want("FEES", s.Pot(market.Fees), 100) })
	b.now = 60_000
	b.after(func(s *market.State) error { return want("FEES after the epoch", s.Pot(market.Fees), 0) })
	b.balances(own, 4900, c1, 10_000, c2, 5000, c3, 10_000)
	b.finally(func(s *market.State) error {
		for r := range uint64(replicas) {
			if err := balance(s, &market.Wallet{Account: r + 1}, 25); err != nil {
				return err
			}
		}
		return nil
	})
}

// keyWithheld is AC4.
func keyWithheld(b *book) {
	b.param(market.KeyMS, 1000)
	own, c1 := b.account("own", 0), b.account("c1", 10_000)
	dev := b.device("device", own)
	a := b.open(own, &market.AuctionOpen{Device: dev, Kind: market.FirstPrice, Mode: market.Full, Reserve: 1000, CommitUntil: 100, RevealUntil: 200})
	b.commit(a, c1, 4000, 4000, market.OK)
	b.now = 100
	b.reveal(a, c1, 4000, market.OK)
	b.now = 200
	b.after(phase(a, market.PhaseAwarded))
	b.now = 1200
	b.after(phase(a, market.PhaseCancelled))
	b.do("key after the refund", own, &market.KeyDeliver{Auction: a, SealedKey: make([]byte, 80), KeyHash: hashOf("key")}, market.ErrPhase)
	b.balances(own, 0, c1, 10_000)
	b.finally(func(s *market.State) error {
		v, _ := s.Account(own.Account)
		_, granted := s.Grant(dev, c1.Account)
		return errors.Join(want("owner's reputation", v.Rep, 3333), want("grant", granted, false))
	})
}

// tokensPerHour is AC5: 500 tokens per hour.
func tokensPerHour(b *book) {
	jane, john := b.account("jane", 0), b.account("john", 1200)
	dev := b.device("device", jane)
	const hour = 3_600_000
	public, live := hashOf("minute average"), hashOf("live")
	b.do("public topic", jane, &market.TopicPut{Device: dev, Topic: public, Kind: market.Public}, market.OK)
	b.do("live topic", jane, &market.TopicPut{Device: dev, Topic: live, Kind: market.Live, UnitPrice: 500, UnitMS: hour, MinUnits: 1}, market.OK)
	topic := market.TopicID(chain, dev, live)
	buy := func(want market.Code) {
		b.do("john buys an hour", john, &market.AccessBuy{Topic: topic, Units: 1, MaxTotal: 500, Cred: make([]byte, 80)}, want)
	}
	end := func(expected uint64) {
		b.after(func(s *market.State) error {
			g, _ := s.Grant(topic, john.Account)
			return want("grant end", g.End, expected)
		})
	}
	b.now = 1_000_000
	buy(market.OK)
	end(4_600_000)
	b.now = 2_800_000
	buy(market.OK)
	end(8_200_000)
	buy(market.ErrFunds)
	b.balances(jane, 1000, john, 200)
	b.finally(func(s *market.State) error {
		return errors.Join(
			want("anonymous access to the public topic", s.AccessCheck(market.TopicID(chain, dev, public), 0, 0), true),
			want("anonymous access to the live topic", s.AccessCheck(topic, 0, 3_000_000), false),
			want("access before the end", s.AccessCheck(topic, john.Account, 8_199_999), true),
			want("access at the end", s.AccessCheck(topic, john.Account, 8_200_000), false))
	})
}

// Payments is the number of promises of the channel story, and Owed the amount
// that the i-th of them, counted from 1, promises in total.
const Payments = 7200

// Owed is ⌊500·i/7200⌋.
func Owed(i int) uint64 { return uint64(500 * i / Payments) }

// channelParties returns seed of the payer and id of the channel of AC6 when its
// accounts have the given handles.
func channelParties(payer, payee uint64) ([32]byte, market.ID) {
	return seed("john"), market.ChannelID(chain, payer, payee, 1)
}

// channel is AC6: 7,200 payments, two ledger transactions. The payments themselves
// are off the ledger; see Stream.
func (b *book) channel() {
	john, jane := b.account("john", 1000), b.account("jane", 0)
	secret, id := channelParties(john.Account, jane.Account)
	b.now = 10
	b.do("john opens", john, &market.ChannelOpen{Payee: jane.Account, Deposit: 600, SettleMS: 172_800_000}, market.OK)
	b.now = 3600
	last := market.SignPromise(b.scheme, secret, chain, id, Owed(Payments))
	claim := b.do("jane claims 500", jane, last.Claim(), market.OK)
	b.do("the same claim under a new nonce", jane, last.Claim(), market.ErrChannelState)
	b.raw("the old envelope again", claim, market.ErrNonceReplay)
	b.balances(john, 500, jane, 500)
	b.finally(func(s *market.State) error {
		v, _ := s.Channel(id)
		return errors.Join(want("channel state", v.State, market.ChannelClosed), want("paid", v.Paid, 500))
	})
}

// Stream makes all promises of AC6, one each half second, and gives them to the
// receiver's checks. It returns the last one.
func Stream(scheme protocols.AppScheme) (market.Promise, error) {
	secret, id := channelParties(1001, 1002)
	r := market.Receiver{Chain: chain, Channel: id, PayerKey: scheme.Public(secret), Deposit: 600, Settle: 172_800_000, MinSettle: 3_600_000}
	for i := 1; i <= Payments; i++ {
		if err := r.Accept(market.SignPromise(scheme, secret, chain, id, Owed(i)), Owed(i), scheme); err != nil {
			return r.Best, fmt.Errorf("promise %d: %w", i, err)
		}
	}
	return r.Best, nil
}

// bond is a bond-mode auction whose first candidate does not pay.
func (b *book) bond() {
	own := b.account("bond-own", 0)
	c1, c2, c3 := b.account("bond-c1", 5000), b.account("bond-c2", 5000), b.account("bond-c3", 5000)
	dev := b.device("bond-device", own)
	b.now = 0
	a := b.open(own, &market.AuctionOpen{Device: dev, Kind: market.FirstPrice, Mode: market.Bond, Reserve: 2000, Bond: 501, CommitUntil: 150, RevealUntil: 300, PayMS: 500})
	b.commit(a, c1, 4000, 501, market.OK)
	b.commit(a, c2, 3000, 501, market.OK)
	b.commit(a, c3, 2500, 500, market.ErrEscrow)
	b.commit(a, c3, 2500, 501, market.OK)
	b.now = 150
	b.reveal(a, c1, 4000, market.OK)
	b.reveal(a, c2, 3000, market.OK)
	b.reveal(a, c3, 2500, market.OK)
	b.now = 300
	b.after(phase(a, market.PhasePay))
	b.do("out of turn", c2, &market.AwardPay{Auction: a, Amount: 3000}, market.ErrNotWinner)
	b.now = 800
	b.after(func(s *market.State) error {
		v, _ := s.Auction(a)
		return errors.Join(want("candidate", v.Candidate, c2.Account), want("pay deadline", v.Deadline, 1300), balance(s, own, 250), balance(s, c1, 4499))
	})
	b.do("too late", c1, &market.AwardPay{Auction: a, Amount: 4000}, market.ErrNotWinner)
	b.now = 850
	b.do("wrong amount", c2, &market.AwardPay{Auction: a, Amount: 2999}, market.ErrEscrow)
	b.do("c2 pays", c2, &market.AwardPay{Auction: a, Amount: 3000}, market.OK)
	b.do("c3 pays as well", c3, &market.AwardPay{Auction: a, Amount: 2500}, market.ErrAlreadyAwarded)
	b.now = 900
	b.do("key", own, &market.KeyDeliver{Auction: a, SealedKey: make([]byte, 80), KeyHash: hashOf("key")}, market.OK)
	b.balances(own, 3250, c1, 4499, c2, 2000, c3, 5000)
	b.kitty += 251
	b.finally(phase(a, market.PhaseDelivered))
}

// equivalence is AC13's log: AC2, AC6, AC7 and a bond-mode auction, interleaved by
// time, each with accounts of its own.
func equivalence(b *book) {
	b.firstPrice()
	b.channel()
	b.voting()
	b.bond()
}
