package market

import "math"

func (s *State) accountOpen(p *AccountOpen) Code {
	// The replica set and the administrators come from genesis: a registrar must
	// not be able to add to either.
	if !s.accounts.get(s.tx.Sender).Has(Registrar) || p.Roles&(Replica|Admin) != 0 {
		return ErrRole
	}
	if _, used := s.index.byKey[p.Key]; used {
		return ErrKeyInUse
	}
	clock := s.clock.mut(0)
	handle := clock.NextAccount
	if handle == math.MaxUint64 {
		return ErrLimit
	}
	clock.NextAccount++
	s.accounts.put(handle, Account{Key: p.Key, Roles: p.Roles, Org: p.Org, Rep: uint16(s.param(RepInit))})
	s.answer(handle)
	return OK
}

func (s *State) transfer(p *Transfer) Code {
	if s.accounts.get(p.To) == nil {
		return ErrUnknownRecipient
	}
	if s.accounts.get(s.tx.Sender).Balance < p.Amount {
		return ErrFunds
	}
	s.debit(s.tx.Sender, p.Amount)
	s.credit(p.To, p.Amount)
	return OK
}

func (s *State) paramSet(p *ParamSet) Code {
	for i := range s.tx.Signatures {
		if !s.accounts.get(s.tx.Signatures[i].Signer).Has(Admin) {
			return ErrRole
		}
	}
	if p.EffectiveAt <= s.position() {
		return ErrPastHeight
	}
	if p.Key.Check(p.Value) != nil {
		return ErrLimit
	}
	s.params.put(paramKey{p.Key, p.EffectiveAt}, p.Value)
	return OK
}

func (s *State) stakeDeposit(p *StakeDeposit) Code {
	if s.accounts.get(s.tx.Sender).Balance < p.Amount {
		return ErrFunds
	}
	a := s.accounts.mut(s.tx.Sender)
	a.Balance -= p.Amount
	a.FreeStake += p.Amount
	return OK
}

func (s *State) stakeWithdraw(p *StakeWithdraw) Code {
	a := s.accounts.get(s.tx.Sender)
	if a.FreeStake < p.Amount {
		return ErrStakeLocked
	}
	if a.Unbonds == maxUnbonding {
		return ErrLimit
	}
	until := addSat(s.Now(), s.param(TUnbond))
	a = s.accounts.mut(s.tx.Sender)
	a.FreeStake -= p.Amount
	a.Unbonding[a.Unbonds] = Unbonding{p.Amount, until}
	a.Unbonds++
	s.schedule(until, ExpireUnbonding, accountID(s.tx.Sender))
	return OK
}

// accountID is an account's handle in the place of an id of the expiry queue. No
// service id looks like it: those are hashes, and genesis refuses others that do.
func accountID(acc uint64) ID {
	var id ID
	for i := range 8 {
		id[8+i] = byte(acc >> (56 - 8*i))
	}
	return id
}

func accountOfID(id ID) (acc uint64, ok bool) {
	for i := range 8 {
		if id[i] != 0 {
			return 0, false
		}
		acc = acc<<8 | uint64(id[8+i])
	}
	return acc, true
}

// unbond returns stake whose time is over to the balance.
func (s *State) unbond(acc uint64) {
	now := s.Now()
	a := s.accounts.mut(acc)
	if a == nil {
		return
	}
	kept := uint8(0)
	for i := range a.Unbonds {
		if u := a.Unbonding[i]; u.Until <= now {
			a.Balance += u.Amount
		} else {
			a.Unbonding[kept] = u
			kept++
		}
	}
	for i := kept; i < a.Unbonds; i++ {
		a.Unbonding[i] = Unbonding{}
	}
	a.Unbonds = kept
}
