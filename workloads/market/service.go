package market

import "slices"

func (s *State) servicePost(p *ServicePost) Code {
	per := p.PriceMax + p.PanelFee
	need, fits := mulFits(per, uint64(p.Epochs))
	if per < p.PriceMax || !fits || p.Budget < need {
		return ErrBudget
	}
	client := s.tx.Sender
	if s.accounts.get(client).Balance < p.Budget {
		return ErrFunds
	}
	// An epoch shorter than ten ms has no voting windows, and quality and uptime
	// are shares of 10,000.
	if p.EpochMS < 10 || p.Epochs == 0 || p.QMin > maxRep || p.UptimeBps > maxRep || s.atLimit(client) {
		return ErrLimit
	}
	id := ServiceID(s.config.chain, client, s.tx.Nonce)
	s.debit(client, p.Budget)
	s.pay(PotBudgets, p.Budget)
	s.opened(client)
	edge := addSat(s.Now(), uint64(p.EpochMS))
	s.services.put(id, Service{
		Client: client, SpecHash: p.SpecHash, QMin: p.QMin, DelayMS: p.DelayMS, UptimeBps: p.UptimeBps, PriceMax: p.PriceMax,
		EpochMS: p.EpochMS, Epochs: p.Epochs, Mechanism: p.Mechanism, Trust: p.Trust, SampleK: p.SampleK, MinStake: p.MinStake,
		HystBps: p.HystBps, PanelFee: p.PanelFee, Opened: s.position(), State: ServiceOpen, Budget: p.Budget, NextEdge: edge,
	})
	s.schedule(edge, ExpireServiceEpoch, id)
	s.answerID(id)
	return OK
}

func (s *State) providerOffer(p *ProviderOffer) Code {
	provider := s.tx.Sender
	a := s.accounts.get(provider)
	if !a.Has(Provider) {
		return ErrRole
	}
	v := s.services.get(p.Service)
	if v == nil || v.State == ServiceEnded {
		return ErrWindow
	}
	if p.Price > v.PriceMax {
		return ErrPrice
	}
	if p.Q < v.QMin || p.Q > maxRep {
		return ErrQoS
	}
	k := partyKey{p.Service, provider}
	if p.Stake < v.MinStake || p.Stake > a.FreeStake || s.offers.get(k) != nil {
		return ErrStake // also while an earlier offer holds a stake
	}
	if s.atLimit(provider) {
		return ErrLimit
	}
	till := uint64(p.TTLEpochs)
	if v.State == ServiceActive {
		till += uint64(v.Epoch) + 1
	}
	s.accounts.mut(provider).FreeStake -= p.Stake
	s.pay(PotOffers, p.Stake)
	s.opened(provider)
	s.offers.put(k, Offer{Price: p.Price, Stake: p.Stake, State: OfferCandidate, LastTill: uint32(min(till, 1<<32-1)), Qs: 1, Q: [qualityWindow]uint16{p.Q}})
	return OK
}

// value is what a provider is worth at its price: quality, reputation and stake,
// each 0 to 10,000.
func (s *State) value(v *Service, provider uint64, o *Offer) uint64 {
	stake := min(mulDiv(o.Stake, maxRep, s.paramAt(StakeRef, v.Opened)), maxRep)
	rep := uint64(s.accounts.get(provider).Rep)
	return (5*uint64(o.Quality()) + 3*rep + 2*stake) * 1000 / max(o.Price, 1)
}

// best returns the offer of greatest value besides one provider's, 0 if there is
// none; the lower account wins a tie.
func (s *State) best(id ID, v *Service, besides uint64) (provider, value uint64) {
	for _, acc := range s.index.offerers[id] {
		o := s.offers.get(partyKey{id, acc})
		if acc == besides || o.State == OfferLeaving || o.Quality() < v.QMin || o.Price > v.PriceMax {
			continue
		}
		if x := s.value(v, acc, o); provider == 0 || x > value {
			provider, value = acc, x
		}
	}
	return provider, value
}

// activate makes a candidate the active provider; whoever was, leaves.
func (s *State) activate(id ID, v *Service, provider uint64) {
	if v.Active != 0 {
		s.leave(id, v, v.Active)
	}
	s.offers.mut(partyKey{id, provider}).State = OfferActive
	v.Active = provider
	v.LastSwitch = v.Epoch
}

// leave withdraws an offer. Its stake stays locked for the unbonding time, and at
// least until every verdict on the provider's epochs is out.
func (s *State) leave(id ID, v *Service, provider uint64) {
	o := s.offers.mut(partyKey{id, provider})
	wait := s.paramAt(TUnbond, v.Opened)
	if o.State == OfferActive {
		wait = max(wait, s.span(v, FinalTenths))
	}
	o.State = OfferLeaving
	o.UnlockAt = addSat(s.Now(), wait)
	s.schedule(o.UnlockAt, ExpireUnbonding, id)
	if v.Active == provider {
		v.Active = 0
	}
}

// unlockOffers frees the stakes of providers who left long enough ago.
func (s *State) unlockOffers(id ID) {
	now := s.Now()
	for _, acc := range slices.Clone(s.index.offerers[id]) {
		k := partyKey{id, acc}
		o := s.offers.get(k)
		if o.State != OfferLeaving || o.UnlockAt > now {
			continue
		}
		s.draw(PotOffers, o.Stake)
		a := s.accounts.mut(acc)
		a.FreeStake += o.Stake
		a.Open--
		s.offers.del(k)
	}
}

// span is a verdict window's end counted from the due time.
func (s *State) span(v *Service, p Param) uint64 {
	return uint64(v.EpochMS) * s.paramAt(p, v.Opened) / 10
}

func (s *State) finalAt(v *Service, j *Judgement) uint64 {
	return addSat(j.Due, s.span(v, FinalTenths))
}

// serviceEdge is the end of an epoch and the beginning of the next: the ended one
// becomes due, offers lapse, the provider of the next is chosen. Before the first
// provider is found, edges only look for one; the service gives up after as many
// of them as it has epochs.
func (s *State) serviceEdge(id ID, at uint64) {
	v := s.services.mut(id)
	if v == nil || v.State == ServiceEnded {
		return
	}
	if v.State == ServiceActive {
		s.epochDue(id, v, at)
		v.Epoch++
		if v.Epoch == v.Epochs {
			s.endIfDone(id, v)
			return
		}
	}
	s.lapse(id, v)
	if v.Active == 0 {
		if p, _ := s.best(id, v, 0); p != 0 {
			s.activate(id, v, p)
		}
	} else if uint64(v.Epoch-v.LastSwitch) >= s.paramAt(CooldownEpochs, v.Opened) {
		mine := s.value(v, v.Active, s.offers.get(partyKey{id, v.Active}))
		if p, x := s.best(id, v, v.Active); p != 0 && x > mine && atLeastProduct(x, 10_000, mine, 10_000+uint64(v.HystBps)) {
			s.activate(id, v, p)
		}
	}
	if v.State == ServiceOpen {
		if v.Active == 0 {
			v.Idle++
			if v.Idle == v.Epochs {
				s.endService(id, v)
				return
			}
		} else {
			v.State = ServiceActive
			v.Start = at
		}
	}
	v.NextEdge = addSat(at, uint64(v.EpochMS))
	s.schedule(v.NextEdge, ExpireServiceEpoch, id)
}

// lapse withdraws offers that may not be chosen for the epoch to come.
func (s *State) lapse(id ID, v *Service) {
	for _, acc := range s.index.offerers[id] {
		o := s.offers.get(partyKey{id, acc})
		if o.State != OfferLeaving && o.LastTill <= v.Epoch {
			s.leave(id, v, acc)
		}
	}
}

// epochDue opens the judgement on the epoch that ends. An epoch without provider
// is settled on the spot.
func (s *State) epochDue(id ID, v *Service, at uint64) {
	k := epochKey{id, v.Epoch}
	j := Judgement{Due: at, State: JudgementOpen, Provider: v.Active}
	if planned := s.verdicts.get(k); planned != nil {
		j.Panel = planned.Panel
	}
	v.Pending++
	if v.Active == 0 {
		s.verdicts.put(k, j)
		s.settle(id, v, v.Epoch, None, 0, Hash{})
		return
	}
	j.Price = s.offers.get(partyKey{id, v.Active}).Price
	if v.Mechanism == Voting && len(j.Panel) == 0 {
		j.Panel = s.drawPanel(id, v, v.Epoch, v.Active)
	}
	s.verdicts.put(k, j)
	s.schedule(s.finalAt(v, &j), ExpireVerdict, id)
}

// settle pays, or punishes, and closes the judgement on an epoch. The panel fee of
// a Pass or Fail has left the budget when it returns, and is the caller's to hand
// out.
func (s *State) settle(id ID, v *Service, epoch uint32, verdict Verdict, q uint16, evidence Hash) {
	j := s.verdicts.mut(epochKey{id, epoch})
	refund := v.PriceMax + v.PanelFee
	s.draw(PotBudgets, refund)
	v.Budget -= refund
	switch verdict {
	case Pass:
		refund -= j.Price + v.PanelFee
		s.credit(j.Provider, j.Price)
		a := s.accounts.mut(j.Provider)
		a.Rep += uint16((maxRep - uint64(a.Rep)) / s.paramAt(RepGainDivisor, v.Opened))
		kitty := s.Pot(Kitty)
		bonus := min(max(bps(kitty, s.paramAt(KittyBps, v.Opened)), s.paramAt(KittyMin, v.Opened)), kitty)
		s.draw(Kitty, bonus)
		s.credit(j.Provider, bonus)
	case Fail:
		refund -= v.PanelFee
		if o := s.offers.mut(partyKey{id, j.Provider}); o != nil {
			j.Slashed = bps(o.Stake, s.paramAt(SlashBps, v.Opened))
			o.Stake -= j.Slashed
			s.draw(PotOffers, j.Slashed)
			s.pay(Kitty, j.Slashed)
		}
		s.loseRep(j.Provider, v.Opened)
	}
	s.credit(v.Client, refund)
	if j.Provider != 0 {
		s.unschedule(s.finalAt(v, j), ExpireVerdict, id)
	}
	j.State, j.Verdict, j.QBucket, j.Evidence = JudgementSettled, verdict, q, evidence
	v.Pending--
	v.Judged = max(v.Judged, epoch+1)
	if verdict != None {
		s.measured(id, v, j, verdict, q)
	}
	s.endIfDone(id, v)
}

// measured enters a verdict into the provider's record and, if it failed or fell
// below the threshold, hands over to the best other offer at once.
func (s *State) measured(id ID, v *Service, j *Judgement, verdict Verdict, q uint16) {
	o := s.offers.mut(partyKey{id, j.Provider})
	if o == nil {
		return
	}
	o.Verdicts = o.Verdicts<<2 | uint32(verdict)
	if o.Qs == qualityWindow {
		copy(o.Q[:], o.Q[1:])
		o.Qs--
	}
	o.Q[o.Qs] = min(q, maxRep)
	o.Qs++
	if v.State != ServiceActive || v.Epoch == v.Epochs || v.Active != j.Provider {
		return
	}
	if verdict == Fail || o.Quality() < v.QMin {
		if p, _ := s.best(id, v, v.Active); p != 0 {
			s.activate(id, v, p)
		}
	}
}

// endIfDone ends a service whose epochs are over and judged.
func (s *State) endIfDone(id ID, v *Service) {
	if v.State == ServiceActive && v.Epoch == v.Epochs && v.Pending == 0 {
		s.endService(id, v)
	}
}

// endService returns what is left of the budget and releases the offers.
func (s *State) endService(id ID, v *Service) {
	v.State = ServiceEnded
	s.draw(PotBudgets, v.Budget)
	s.credit(v.Client, v.Budget)
	v.Budget = 0
	s.closed(v.Client)
	for _, acc := range s.index.offerers[id] {
		if s.offers.get(partyKey{id, acc}).State != OfferLeaving {
			s.leave(id, v, acc)
		}
	}
}

// expireVerdict settles an epoch that nobody judged in time.
func (s *State) expireVerdict(id ID, deadline uint64) {
	v := s.services.get(id)
	if v == nil {
		return
	}
	due := deadline - s.span(v, FinalTenths)
	epoch := uint32((due-v.Start)/uint64(v.EpochMS)) - 1
	if j := s.verdicts.get(epochKey{id, epoch}); j != nil && j.State == JudgementOpen {
		s.finalize(id, s.services.mut(id), epoch, true)
	}
}

// open returns an epoch's judgement if it is due, not settled, and the service
// uses the mechanism.
func (s *State) open(id ID, epoch uint32, m Mechanism) (*Service, *Judgement) {
	v := s.services.get(id)
	if v == nil || v.Mechanism != m {
		return nil, nil
	}
	j := s.verdicts.get(epochKey{id, epoch})
	if j == nil || j.State != JudgementOpen {
		return nil, nil
	}
	return v, j
}
