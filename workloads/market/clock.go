package market

import (
	"crypto/sha256"
	"slices"

	"github.com/edgebft/edgebft/protocols"
)

func (p *ClockTick) innerChecks(s *State, dst []protocols.SigCheck) []protocols.SigCheck {
	for i := range p.Reports {
		r := &p.Reports[i]
		if a := s.replicaAccount(r.Replica); a != nil {
			sig := append([]byte(nil), r.Sig[:]...)
			dst = append(dst, protocols.SigCheck{Key: a.Key, Message: ClockMessage(s.config.chain, s.tx.Nonce, r.Time), Signature: sig})
		}
	}
	return dst
}

// replicaAccount is the account of a replica, or nil.
func (s *State) replicaAccount(replica uint16) *Account {
	if int(replica) >= len(s.config.replicas) {
		return nil
	}
	return s.accounts.get(s.config.replicas[replica])
}

// clockQuorum is how many valid reports a tick needs.
func (s *State) clockQuorum() int {
	if s.config.minimum {
		return s.config.f + 1
	}
	return 2*s.config.f + 1
}

// clockTick moves the ledger's time. With 2f+1 reports the lower median lies
// between honest readings. With f+1 reports (n = 2f+1) only the minimum cannot
// run ahead of an honest clock.
func (s *State) clockTick(p *ClockTick) Code {
	times := make([]uint64, 0, len(p.Reports))
	for i := range p.Reports {
		r := &p.Reports[i]
		a := s.replicaAccount(r.Replica)
		if a != nil && s.check(a.Key, ClockMessage(s.config.chain, s.tx.Nonce, r.Time), r.Sig) {
			times = append(times, r.Time)
		}
	}
	if len(times) < s.clockQuorum() {
		return ErrClockQuorum
	}
	slices.Sort(times)
	now := times[(len(times)-1)/2]
	if s.config.minimum {
		now = times[0]
	}
	if now <= s.Now() {
		return ErrClockNotAhead
	}
	c := s.clock.mut(0)
	c.Now = now
	c.Tick = s.tx.Nonce
	s.drain()
	return OK
}

// schedule puts an action into the expiry queue.
func (s *State) schedule(deadline uint64, kind ExpiryKind, id ID) {
	s.expiry.put(expiryKey{deadline, kind, id}, struct{}{})
}

// unschedule takes an action out that is no longer to happen.
func (s *State) unschedule(deadline uint64, kind ExpiryKind, id ID) {
	s.expiry.del(expiryKey{deadline, kind, id})
}

// drain runs due actions in the order (deadline, kind, id), at most ExpiryBatch of
// them; the rest waits for the next tick.
func (s *State) drain() {
	now := s.Now()
	for range s.param(ExpiryBatch) {
		k, ok := s.index.queue.least(s.expiry)
		if !ok || k.deadline > now {
			return
		}
		s.expiry.del(k)
		switch k.kind {
		case ExpireAuctionClose:
			s.closeAuction(k.id)
		case ExpirePay:
			s.defaultCandidate(k.id)
		case ExpireKey:
			s.cancelAward(k.id)
		case ExpireVerdict:
			s.expireVerdict(k.id, k.deadline)
		case ExpireServiceEpoch:
			s.serviceEdge(k.id, k.deadline)
		case ExpireChannelSettle:
			s.settleChannel(k.id)
		case ExpireUnbonding:
			if acc, ok := accountOfID(k.id); ok {
				s.unbond(acc)
			} else {
				s.unlockOffers(k.id)
			}
		case ExpireBeaconEpoch:
			s.beaconEdge(k.deadline)
		case ExpirePrune:
			s.prune(k.id)
		}
	}
}

// prune forgets a closed channel or auction. Ids never recur, and grants and
// ownership chains stand alone.
func (s *State) prune(id ID) {
	s.channels.del(id)
	if s.auctions.get(id) == nil {
		return
	}
	for _, b := range slices.Clone(s.index.bidders[id]) {
		s.bids.del(partyKey{id, b})
	}
	s.auctions.del(id)
}

func (s *State) beaconReveal(p *BeaconReveal) Code {
	replica := slices.Index(s.config.replicas, s.tx.Sender)
	if replica < 0 {
		return ErrRole
	}
	r := uint16(replica)
	epoch := s.clock.get(0).Epoch
	if p.Epoch != epoch {
		return ErrBeaconEpoch
	}
	old := s.shares.get(r)
	committed := old != nil && old.Committed && old.CommitEpoch == epoch
	switch {
	case old != nil && old.Committed && old.CommitEpoch == epoch+1:
		return ErrBeaconReveal // had its turn in this epoch
	case committed && BeaconCommitment(s.config.chain, epoch, r, p.Reveal) != old.Commit:
		return ErrBeaconReveal
	case !committed && p.Reveal != Hash{}:
		return ErrBeaconReveal
	}
	var share Share
	if old != nil {
		share = *old
	}
	share.Commit, share.CommitEpoch, share.Committed = p.CommitNext, epoch+1, true
	if committed {
		share.Reveal, share.RevealEpoch, share.Revealed = p.Reveal, epoch, true
	}
	s.shares.put(r, share)
	if committed {
		c := s.clock.mut(0)
		c.Reveals++
		if int(c.Reveals) == s.config.f+1 {
			s.fixBeacon(c)
		}
	}
	return OK
}

// fixBeacon makes the epoch's value from the f+1 reveals there are.
func (s *State) fixBeacon(c *Clock) {
	h := sha256.New()
	for r := range s.config.replicas {
		if v := s.shares.get(uint16(r)); v != nil && v.Revealed && v.RevealEpoch == c.Epoch {
			h.Write(v.Reveal[:])
		}
	}
	c.Beacon = Hash(h.Sum(nil))
	c.BeaconOf = c.Epoch
	s.beacons.put(c.Epoch, Beacon{Value: c.Beacon, Time: c.Now, At: s.position()})
}

// beaconEdge ends a beacon epoch: FEES go to the validators, what does not divide
// to KITTY. Epochs that a jump of the clock skipped had no fees and no reveals.
func (s *State) beaconEdge(deadline uint64) {
	c := s.clock.mut(0)
	for r := range s.config.replicas {
		v := s.shares.get(uint16(r))
		if v != nil && v.Committed && v.CommitEpoch == c.Epoch {
			s.shares.mut(uint16(r)).Withheld++ // a reveal would have replaced it
		}
	}
	length := s.param(BeaconEpoch)
	skipped := (c.Now - deadline) / length
	c.Epoch += uint32(skipped) + 1
	c.EpochAt = addSat(deadline, addSat(mulSat(skipped, length), length))
	c.Reveals = 0
	s.schedule(c.EpochAt, ExpireBeaconEpoch, ID{})

	if n := uint64(len(s.config.replicas)); n > 0 {
		fees := s.Pot(Fees)
		each := fees / n
		for _, acc := range s.config.replicas {
			s.credit(acc, each)
		}
		s.draw(Fees, fees)
		s.pay(Kitty, fees-each*n)
	}
}
