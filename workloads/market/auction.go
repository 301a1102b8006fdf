package market

import (
	"bytes"
)

func (s *State) auctionOpen(p *AuctionOpen) Code {
	if p.Mode == Bond && p.Kind != FirstPrice {
		return ErrLimit
	}
	if code := s.mayAuction(p.Device); code != OK {
		return code
	}
	if code := s.windows(p.CommitUntil, p.RevealUntil); code != OK {
		return code
	}
	if p.Reserve < s.devices.get(p.Device).MinPrice {
		return ErrReserve
	}
	if s.atLimit(s.tx.Sender) {
		return ErrLimit
	}
	s.answerID(s.startAuction(p))
	return OK
}

// mayAuction judges the device: known, not revoked, checked in, no auction live.
func (s *State) mayAuction(device ID) Code {
	d := s.devices.get(device)
	switch {
	case d == nil:
		return ErrDeviceUnknown
	case d.Revoked:
		return ErrRevoked
	case !d.CheckedIn:
		return ErrNotCheckedIn
	case d.LiveAuction != ID{}:
		return ErrAuctionLive
	}
	return OK
}

// windows judges now < commit < reveal and the bound that keeps a censoring
// leader from making honest bidders pay.
func (s *State) windows(commitUntil, revealUntil uint64) Code {
	if s.Now() >= commitUntil || commitUntil >= revealUntil {
		return ErrPhase
	}
	if revealUntil-commitUntil < s.param(WMin) {
		return ErrWindowShort
	}
	return OK
}

func (s *State) startAuction(p *AuctionOpen) ID {
	id := AuctionID(s.config.chain, p.Device, s.tx.Sender, s.tx.Nonce)
	d := s.devices.mut(p.Device)
	d.LiveAuction = id
	s.auctions.put(id, Auction{
		Device: p.Device, Owner: d.Owner, Requester: s.tx.Sender, Kind: p.Kind, Mode: p.Mode, Phase: PhaseCommit,
		Reserve: p.Reserve, Bond: p.Bond, Term: p.Term, CommitUntil: p.CommitUntil, RevealUntil: p.RevealUntil,
		PayMS: p.PayMS, Opened: s.position(),
	})
	s.opened(s.tx.Sender)
	end := p.RevealUntil
	if p.Kind == English {
		end = p.CommitUntil
	}
	s.schedule(end, ExpireAuctionClose, id)
	return id
}

// auctionBatchOpen judges every device alone and answers one code per device.
func (s *State) auctionBatchOpen(p *AuctionBatchOpen) Code {
	if p.Mode == Bond && p.Kind != FirstPrice || uint64(len(p.Devices)) > s.param(BatchMax) {
		return ErrLimit
	}
	for i := 1; i < len(p.Devices); i++ {
		if compareID(p.Devices[i-1], p.Devices[i]) >= 0 {
			return ErrLimit
		}
	}
	if code := s.windows(p.CommitUntil, p.RevealUntil); code != OK {
		return code
	}
	for _, device := range p.Devices {
		code := s.mayAuction(device)
		if code == OK && s.devices.get(device).MinPrice > p.MaxPrice {
			code = ErrReserve
		}
		if code == OK && s.atLimit(s.tx.Sender) {
			code = ErrLimit
		}
		if code == OK {
			s.startAuction(&AuctionOpen{
				Device: device, Kind: p.Kind, Mode: p.Mode, Reserve: s.devices.get(device).MinPrice, Bond: p.Bond,
				Term: p.Term, CommitUntil: p.CommitUntil, RevealUntil: p.RevealUntil, PayMS: p.PayMS,
			})
		}
		s.answerCode(code)
	}
	return OK
}

// BatchCodes reads the per-device codes out of the result of an AuctionBatchOpen.
func BatchCodes(result []byte) []Code {
	var out []Code
	for i := 2; i+1 < len(result); i += 2 {
		out = append(out, CodeOf(result[i:]))
	}
	return out
}

func (s *State) bidCommit(p *BidCommit) Code {
	now := s.Now()
	a := s.auctions.get(p.Auction)
	if a == nil || a.Kind == English || a.Phase != PhaseCommit || now >= a.CommitUntil {
		return ErrPhase
	}
	if a.Owner == s.tx.Sender {
		return ErrSelfBid
	}
	k := partyKey{p.Auction, s.tx.Sender}
	if s.bids.get(k) != nil {
		return ErrDuplicateBid
	}
	if a.Mode == Full && p.Lock < a.Reserve || a.Mode == Bond && p.Lock != a.Bond {
		return ErrEscrow
	}
	if s.accounts.get(s.tx.Sender).Balance < p.Lock {
		return ErrFunds
	}
	if s.atLimit(s.tx.Sender) {
		return ErrLimit
	}
	s.debit(s.tx.Sender, p.Lock)
	s.pay(PotBids, p.Lock)
	s.opened(s.tx.Sender)
	s.bids.put(k, Bid{Commitment: p.Commitment, Lock: p.Lock, State: BidCommitted})
	s.auctions.mut(p.Auction).Bids++
	return OK
}

// bidReveal checks the escrow before the commitment: an amount over the lock is
// refused without saying whether it was the committed one.
func (s *State) bidReveal(p *BidReveal) Code {
	now := s.Now()
	a := s.auctions.get(p.Auction)
	if a == nil || a.Kind == English || a.Phase != PhaseCommit || now < a.CommitUntil || now >= a.RevealUntil {
		return ErrPhase
	}
	k := partyKey{p.Auction, s.tx.Sender}
	b := s.bids.get(k)
	if b == nil || b.State != BidCommitted {
		return ErrCommitment
	}
	if a.Mode == Full && p.Amount > b.Lock {
		return ErrEscrow
	}
	if p.Amount < a.Reserve {
		return ErrReserve
	}
	if BidCommitment(s.config.chain, p.Auction, s.tx.Sender, p.Amount, p.Salt) != b.Commitment {
		return ErrCommitment
	}
	b = s.bids.mut(k)
	b.Amount = p.Amount
	b.State = BidRevealed
	return OK
}

// bidOpen bids in an English auction: the high bid is always locked, the one it
// outbids is refunded, and a late one extends the end up to the hard end.
func (s *State) bidOpen(p *BidOpen) Code {
	now := s.Now()
	bidder := s.tx.Sender
	a := s.auctions.get(p.Auction)
	if a == nil || a.Kind != English || a.Phase != PhaseCommit || now >= a.CommitUntil {
		return ErrPhase
	}
	if a.Owner == bidder {
		return ErrSelfBid
	}
	least := a.Reserve
	if a.Winner != 0 {
		least = max(least, addSat(a.Price, max(1, bps(a.Price, s.paramAt(EnglishIncrementBps, a.Opened)))))
	}
	if p.Amount < least {
		return ErrReserve
	}
	funds := s.accounts.get(bidder).Balance
	if a.Winner == bidder {
		funds += a.Price // the own high bid comes back
	}
	if funds < p.Amount {
		return ErrFunds
	}
	k := partyKey{p.Auction, bidder}
	first := s.bids.get(k) == nil
	if first && s.atLimit(bidder) {
		return ErrLimit
	}
	if a.Winner != 0 {
		s.refund(p.Auction, a.Winner, BidLost)
	}
	s.debit(bidder, p.Amount)
	s.pay(PotBids, p.Amount)
	s.bids.put(k, Bid{Lock: p.Amount, Amount: p.Amount, State: BidRevealed})
	a = s.auctions.mut(p.Auction)
	if first {
		s.opened(bidder)
		a.Bids++
	}
	a.Winner, a.Price = bidder, p.Amount
	if a.CommitUntil-now <= s.paramAt(EnglishWindow, a.Opened) && uint64(a.Extensions) < s.paramAt(EnglishCap, a.Opened) {
		end := min(addSat(a.CommitUntil, s.paramAt(EnglishExtension, a.Opened)), a.RevealUntil)
		if end > a.CommitUntil {
			s.unschedule(a.CommitUntil, ExpireAuctionClose, p.Auction)
			a.CommitUntil = end
			a.Extensions++
			s.schedule(end, ExpireAuctionClose, p.Auction)
		}
	}
	return OK
}

// refund returns the whole lock of a bid and says what became of it.
func (s *State) refund(auction ID, bidder uint64, state BidState) {
	b := s.bids.mut(partyKey{auction, bidder})
	s.draw(PotBids, b.Lock)
	s.credit(bidder, b.Lock)
	b.Lock = 0
	b.State = state
}

// penalise takes the non-reveal penalty out of a lock and returns the rest.
func (s *State) penalise(auction ID, bidder, opened uint64) {
	b := s.bids.mut(partyKey{auction, bidder})
	fine := bps(b.Lock, s.paramAt(NoRevealBps, opened))
	s.draw(PotBids, b.Lock)
	s.pay(Kitty, fine)
	s.credit(bidder, b.Lock-fine)
	b.Lock = 0
	b.State = BidUnrevealed
}

// auctionClose may also run an overdue default that the queue has not got to.
func (s *State) auctionClose(p *AuctionClose) Code {
	a := s.auctions.get(p.Auction)
	if a == nil {
		return ErrPhase
	}
	if a.Phase == PhasePay && s.Now() >= a.Deadline {
		s.defaultCandidate(p.Auction)
		return OK
	}
	if !s.closeAuction(p.Auction) {
		return ErrPhase
	}
	return OK
}

// end is when the bidding is over.
func (a *Auction) end() uint64 {
	if a.Kind == English {
		return a.CommitUntil
	}
	return a.RevealUntil
}

// closeAuction ends the bidding: it penalises who did not reveal and awards, or in
// bond mode asks the first candidate to pay. It reports false if it is not time.
func (s *State) closeAuction(id ID) bool {
	a := s.auctions.get(id)
	if a == nil || a.Phase != PhaseCommit || s.Now() < a.end() {
		return false
	}
	s.unschedule(a.end(), ExpireAuctionClose, id)
	a = s.auctions.mut(id)
	for _, bidder := range s.index.bidders[id] {
		if s.bids.get(partyKey{id, bidder}).State == BidCommitted {
			s.penalise(id, bidder, a.Opened)
		}
	}
	if a.Mode == Bond {
		s.nextCandidate(id, a)
		return true
	}
	first, second := s.rank(id)
	if first == 0 {
		s.endAuction(id, a, PhaseFailed)
		return true
	}
	b := s.bids.mut(partyKey{id, first})
	price := b.Amount
	if a.Kind == SecondPrice {
		price = a.Reserve
		if second != 0 {
			price = max(price, s.bids.get(partyKey{id, second}).Amount)
		}
	}
	s.draw(PotBids, b.Lock)
	s.credit(first, b.Lock-price)
	b.Lock = 0
	b.State = BidWon
	s.award(id, a, first, price)
	return true
}

// rank returns the best and the second-best bid that was revealed and is still in
// the running: the higher amount, then the smaller tie hash.
func (s *State) rank(id ID) (first, second uint64) {
	var best, next uint64
	for _, bidder := range s.index.bidders[id] {
		b := s.bids.get(partyKey{id, bidder})
		if b.State != BidRevealed {
			continue
		}
		switch {
		case first == 0 || s.ranksBefore(id, b.Amount, bidder, best, first):
			second, next = first, best
			first, best = bidder, b.Amount
		case second == 0 || s.ranksBefore(id, b.Amount, bidder, next, second):
			second, next = bidder, b.Amount
		}
	}
	return first, second
}

func (s *State) ranksBefore(id ID, amount, bidder, otherAmount, other uint64) bool {
	if amount != otherAmount {
		return amount > otherAmount
	}
	x, y := TieHash(id, bidder), TieHash(id, other)
	return bytes.Compare(x[:], y[:]) < 0
}

// award puts the price, which the caller has taken from the winner, into award
// escrow, and refunds everybody who is still locked.
func (s *State) award(id ID, a *Auction, winner, price uint64) {
	a.Phase = PhaseAwarded
	a.Winner, a.Price, a.Escrow = winner, price, price
	s.pay(PotAwards, price)
	a.Deadline = addSat(s.Now(), s.paramAt(KeyMS, a.Opened))
	s.schedule(a.Deadline, ExpireKey, id)
	s.refundRest(id)
}

// refundRest returns what is locked in bids that did not win.
func (s *State) refundRest(id ID) {
	for _, bidder := range s.index.bidders[id] {
		switch s.bids.get(partyKey{id, bidder}).State {
		case BidCommitted, BidRevealed:
			s.refund(id, bidder, BidLost)
		}
	}
}

// nextCandidate gives the best bid that has not defaulted its time to pay, or ends
// the auction if there is none or enough had their chance.
func (s *State) nextCandidate(id ID, a *Auction) {
	first, _ := s.rank(id)
	if first == 0 || uint64(a.Position) >= s.paramAt(Cascade, a.Opened) {
		s.refundRest(id)
		s.endAuction(id, a, PhaseFailed)
		return
	}
	a.Phase = PhasePay
	a.Position++
	a.Candidate = first
	a.Deadline = addSat(s.Now(), uint64(a.PayMS))
	s.schedule(a.Deadline, ExpirePay, id)
}

// defaultCandidate confiscates the bond of a candidate who did not pay in time.
func (s *State) defaultCandidate(id ID) {
	a := s.auctions.get(id)
	if a == nil || a.Phase != PhasePay || s.Now() < a.Deadline {
		return
	}
	s.unschedule(a.Deadline, ExpirePay, id)
	a = s.auctions.mut(id)
	b := s.bids.mut(partyKey{id, a.Candidate})
	toOwner := bps(b.Lock, s.paramAt(BondOwnerBps, a.Opened))
	s.draw(PotBids, b.Lock)
	s.credit(a.Owner, toOwner)
	s.pay(Kitty, b.Lock-toOwner)
	b.Lock = 0
	b.State = BidDefaulted
	a.Candidate = 0
	s.nextCandidate(id, a)
}

func (s *State) awardPay(p *AwardPay) Code {
	a := s.auctions.get(p.Auction)
	if a != nil && (a.Phase == PhaseAwarded || a.Phase == PhaseDelivered) {
		return ErrAlreadyAwarded
	}
	if a == nil || a.Phase != PhasePay {
		return ErrPhase
	}
	if a.Candidate != s.tx.Sender {
		return ErrNotWinner
	}
	if s.Now() >= a.Deadline {
		return ErrPayLate
	}
	k := partyKey{p.Auction, s.tx.Sender}
	if p.Amount != s.bids.get(k).Amount {
		return ErrEscrow
	}
	if s.accounts.get(s.tx.Sender).Balance < p.Amount {
		return ErrFunds
	}
	a = s.auctions.mut(p.Auction)
	s.unschedule(a.Deadline, ExpirePay, p.Auction)
	s.debit(s.tx.Sender, p.Amount)
	s.refund(p.Auction, s.tx.Sender, BidWon)
	s.award(p.Auction, a, s.tx.Sender, p.Amount)
	return OK
}

func (s *State) keyDeliver(p *KeyDeliver) Code {
	a := s.auctions.get(p.Auction)
	if a == nil || a.Phase != PhaseAwarded {
		return ErrPhase
	}
	if a.Owner != s.tx.Sender && s.accounts.get(s.tx.Sender).Key != s.devices.get(a.Device).Key {
		return ErrNotOwner
	}
	now := s.Now()
	if now >= a.Deadline {
		return ErrKeyLate
	}
	a = s.auctions.mut(p.Auction)
	s.unschedule(a.Deadline, ExpireKey, p.Auction)
	fee := bps(a.Price, s.paramAt(MarketFeeBps, a.Opened))
	s.draw(PotAwards, a.Escrow)
	a.Escrow = 0
	s.credit(a.Owner, a.Price-fee)
	s.pay(Fees, fee)
	a.KeyHash = p.KeyHash
	g := Grant{Start: now, End: addSat(now, a.Term), Ref: p.Auction, KeyHash: p.KeyHash}
	k := partyKey{a.Device, a.Winner}
	if old := s.grants.get(k); old != nil && old.End > now {
		g.Start, g.End = old.Start, max(old.End, g.End)
	}
	s.grants.put(k, g)
	s.endAuction(p.Auction, a, PhaseDelivered)
	return OK
}

func (s *State) awardCancel(p *AwardCancel) Code {
	if !s.cancelAward(p.Auction) {
		return ErrPhase
	}
	return OK
}

// cancelAward refunds a winner whose key did not come. It reports false if it is
// not time.
func (s *State) cancelAward(id ID) bool {
	a := s.auctions.get(id)
	if a == nil || a.Phase != PhaseAwarded || s.Now() < a.Deadline {
		return false
	}
	s.unschedule(a.Deadline, ExpireKey, id)
	a = s.auctions.mut(id)
	s.refundAward(a)
	s.loseRep(a.Owner, a.Opened)
	s.endAuction(id, a, PhaseCancelled)
	return true
}

func (s *State) refundAward(a *Auction) {
	s.draw(PotAwards, a.Escrow)
	s.credit(a.Winner, a.Escrow)
	a.Escrow = 0
}

// abandonAuction undoes a live auction of a revoked device: everybody gets
// everything back.
func (s *State) abandonAuction(id ID) {
	a := s.auctions.mut(id)
	switch a.Phase {
	case PhaseCommit:
		s.unschedule(a.end(), ExpireAuctionClose, id)
	case PhasePay:
		s.unschedule(a.Deadline, ExpirePay, id)
	case PhaseAwarded:
		s.unschedule(a.Deadline, ExpireKey, id)
		s.refundAward(a)
	}
	s.refundRest(id)
	s.endAuction(id, a, PhaseCancelled)
}

// endAuction frees the device and the accounts' open counts.
func (s *State) endAuction(id ID, a *Auction, phase Phase) {
	a.Phase = phase
	a.Candidate = 0
	s.devices.mut(a.Device).LiveAuction = ID{}
	s.closed(a.Requester)
	for _, bidder := range s.index.bidders[id] {
		s.closed(bidder)
	}
	s.schedule(addSat(s.Now(), s.param(TRetain)), ExpirePrune, id)
}
