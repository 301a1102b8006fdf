package mix

import (
	"bytes"
	"sort"
	"time"

	"github.com/edgebft/edgebft/workloads/market"
)

// auction is a sealed auction of a device from its opening to the key.
type auction struct {
	id          market.ID
	device      int
	owner       *account
	kind        market.AuctionKind
	mode        market.AuctionMode
	commitUntil int64
	revealUntil int64
	payMS       int64
	bids        []bid
	revealing   int // reveals that are not decided yet
	candidates  []int
	position    int
}

type bid struct {
	acc      *account
	amount   uint64
	lock     uint64
	salt     market.Hash
	revealed bool
	hidden   bool // will not be revealed
}

const (
	stepAuctionOpen uint8 = iota
	stepCommit
	stepReveal
	stepClose
	stepPay
	stepForceDefault
	stepKey
)

// startAuction takes a popular device whose last auction is over.
func (g *Generator) startAuction() bool {
	now := g.clock()
	if now*1000 < g.opens {
		return false
	}
	if len(g.devices) == 0 {
		return false
	}
	d, old := 0, len(g.c.devices)
	if old > 0 {
		d = g.c.popular.Key(g.r.Uint64())
	}
	if extra := len(g.devices) - old; extra > 0 && g.uniform(len(g.devices)) < extra {
		d = old + g.uniform(extra) // those registered in the run take their share
	}
	for i := 0; g.devices[d].busy || g.devices[d].free > now || g.account(g.c.users, g.devices[d].owner).busy; i++ {
		if i == 64 || i == len(g.devices) {
			return false
		}
		d = (d + 1) % len(g.devices)
	}
	g.devices[d].busy = true
	g.opens = max(g.opens, (now-4*g.tick)*1000) + g.spacing(g.cfg.opsPerSession(Auction))
	s := &auction{device: d, owner: g.account(g.c.users, g.devices[d].owner), kind: market.FirstPrice, mode: market.Full}
	switch {
	case g.chance(g.cfg.BondPermille):
		s.mode = market.Bond
	case g.chance(500):
		s.kind = market.SecondPrice
	}
	g.after(0, s, s.owner, stepAuctionOpen, 0)
	return true
}

func (s *auction) payload(g *Generator, step uint8, arg int) (market.Payload, []market.Signer) {
	switch step {
	case stepAuctionOpen:
		s.commitUntil = g.clock() + g.window()
		s.revealUntil = s.commitUntil + g.window()
		s.payMS = g.window()
		p := &market.AuctionOpen{
			Device: g.devices[s.device].id, Kind: s.kind, Mode: s.mode, Reserve: floorPrice, Term: g.cfg.param(market.GrantTerm),
			CommitUntil: uint64(s.commitUntil), RevealUntil: uint64(s.revealUntil), PayMS: uint32(min(s.payMS, 1<<31)),
		}
		if s.mode == market.Bond {
			p.Bond = bond
		}
		return p, nil
	case stepCommit:
		b := &s.bids[arg]
		return &market.BidCommit{
			Auction: s.id, Lock: b.lock,
			Commitment: market.BidCommitment(g.w.cluster.Chain, s.id, b.acc.w.Account, b.amount, b.salt),
		}, nil
	case stepReveal:
		return &market.BidReveal{Auction: s.id, Amount: s.bids[arg].amount, Salt: s.bids[arg].salt}, nil
	case stepPay:
		return &market.AwardPay{Auction: s.id, Amount: s.bids[arg].amount}, nil
	case stepKey:
		key := salt(s.owner.w.Seed, s.id, 1<<40)
		sealed := make([]byte, 80)
		copy(sealed, key[:])
		return &market.KeyDeliver{Auction: s.id, SealedKey: sealed, KeyHash: key}, nil
	default:
		return &market.AuctionClose{Auction: s.id}, nil
	}
}

func (s *auction) result(g *Generator, j *job, code market.Code, result []byte) {
	now := g.clock()
	switch j.step {
	case stepAuctionOpen:
		if code != market.OK || len(result) < 18 {
			s.end(g, now+20*g.tick)
			g.stats.GivenUp++
			return
		}
		s.id = market.ID(result[2:18])
		s.placeBids(g, now)
	case stepCommit:
		if code != market.OK {
			s.revealDone(g)
			return
		}
		s.scheduleReveal(g, j.arg)
	case stepReveal:
		if code == market.ErrPhase && now < s.revealUntil && g.retry(j) {
			return
		}
		s.bids[j.arg].revealed = code == market.OK
		s.revealDone(g)
	case stepClose:
		if code == market.ErrPhase && now < s.revealUntil+g.lag() && g.retry(j) {
			return
		}
		s.closed(g, now)
	case stepPay:
		switch {
		case code == market.OK:
			g.after(0, s, s.owner, stepKey, 0)
		case (code == market.ErrPhase || code == market.ErrNotWinner) && g.retry(j):
		default:
			s.giveUp(g, now)
		}
	case stepForceDefault:
		s.pay(g, now)
	case stepKey:
		switch {
		case code == market.OK:
			g.stats.Delivered++
			s.end(g, 0)
		case code == market.ErrPhase && g.retry(j):
		default:
			s.giveUp(g, now)
		}
	}
}

// placeBids draws the bidders and when each of them bids: late.
func (s *auction) placeBids(g *Generator, now int64) {
	guard := 3*g.latency() + 2*g.late + 20
	span := s.commitUntil - guard - now
	seen := make([]*account, 0, g.cfg.Bidders+1)
	seen = append(seen, s.owner)
	n := g.c.users.n
	for i := range min(g.cfg.Bidders, n-1) {
		u := g.w.bidder.Key(g.r.Uint64())
		acc := g.account(g.c.users, u)
		for contains(seen, acc) {
			u = (u + 1) % n
			acc = g.account(g.c.users, u)
		}
		seen = append(seen, acc)
		b := bid{acc: acc, amount: uint64(floorPrice + g.uniform(9*floorPrice)), salt: salt(acc.w.Seed, s.id, uint64(i)), hidden: g.chance(g.cfg.UnrevealedPermille)}
		b.lock = b.amount + uint64(g.uniform(floorPrice))
		if s.mode == market.Bond {
			b.lock = bond
		}
		s.bids = append(s.bids, b)
		s.revealing++
		due := now
		if span > 0 {
			before := g.w.sniper.Before(g.r.Uint64(), time.Duration(span)*time.Millisecond)
			due = s.commitUntil - guard - before.Milliseconds()
		}
		g.after(due, s, acc, stepCommit, i)
	}
}

func contains(list []*account, a *account) bool {
	for _, b := range list {
		if a == b {
			return true
		}
	}
	return false
}

// scheduleReveal opens a bid in the first half of the window.
func (s *auction) scheduleReveal(g *Generator, i int) {
	if s.bids[i].hidden {
		s.revealDone(g)
		return
	}
	due := s.commitUntil + g.lag()
	if room := (s.revealUntil+s.commitUntil)/2 - due; room > 0 {
		due += int64(g.uniform(int(min(room, 1<<30))))
	}
	g.after(due, s, s.bids[i].acc, stepReveal, i)
}

// revealDone counts the bids that need no more attention; after the last one the
// auction waits for its end.
func (s *auction) revealDone(g *Generator) {
	if s.revealing--; s.revealing > 0 {
		return
	}
	for i := range s.bids {
		if s.bids[i].revealed {
			s.candidates = append(s.candidates, i)
		}
	}
	sort.SliceStable(s.candidates, func(a, b int) bool {
		x, y := &s.bids[s.candidates[a]], &s.bids[s.candidates[b]]
		if x.amount != y.amount {
			return x.amount > y.amount
		}
		tx, ty := market.TieHash(s.id, x.acc.w.Account), market.TieHash(s.id, y.acc.w.Account)
		return bytes.Compare(tx[:], ty[:]) < 0
	})
	due := s.revealUntil + g.lag()
	switch {
	case g.cfg.Explicit:
		g.after(due, s, s.owner, stepClose, 0)
	case len(s.candidates) == 0:
		s.end(g, due)
	case s.mode == market.Full:
		g.after(due, s, s.owner, stepKey, 0)
	default:
		s.pay(g, due)
	}
}

// closed goes on after an explicit close.
func (s *auction) closed(g *Generator, now int64) {
	switch {
	case len(s.candidates) == 0:
		s.end(g, now+g.lag())
	case s.mode == market.Full:
		g.after(0, s, s.owner, stepKey, 0)
	default:
		s.pay(g, now)
	}
}

// pay lets the next candidate of a bond auction pay, or fail to. from is when the
// candidate's time begins at the latest.
func (s *auction) pay(g *Generator, from int64) {
	for ; s.position < len(s.candidates) && uint64(s.position) < g.cfg.param(market.Cascade); from += s.payMS + g.lag() {
		i := s.candidates[s.position]
		s.position++
		if !g.chance(g.cfg.DefaultPermille) {
			g.after(from, s, s.bids[i].acc, stepPay, i)
			return
		}
		if g.cfg.Explicit {
			g.after(from+s.payMS+g.lag(), s, s.owner, stepForceDefault, 0)
			return
		}
	}
	s.end(g, from+g.lag()) // nobody pays
}

// giveUp leaves the rest to the ledger's queue.
func (s *auction) giveUp(g *Generator, now int64) {
	s.end(g, now+3*s.payMS+1000*g.tick)
}

// end frees the device at a time.
func (s *auction) end(g *Generator, at int64) {
	g.devices[s.device].busy, g.devices[s.device].free = false, at
}
