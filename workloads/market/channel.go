package market

import (
	"errors"
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

func (s *State) channelOpen(p *ChannelOpen) Code {
	payer := s.tx.Sender
	if s.accounts.get(p.Payee) == nil || p.Payee == payer || p.SettleMS < s.param(SMin) {
		return ErrChannelParams
	}
	if s.accounts.get(payer).Balance < p.Deposit {
		return ErrFunds
	}
	if s.atLimit(payer) {
		return ErrLimit
	}
	id := ChannelID(s.config.chain, payer, p.Payee, s.tx.Nonce)
	s.debit(payer, p.Deposit)
	s.pay(PotChannels, p.Deposit)
	s.opened(payer)
	s.channels.put(id, Channel{Payer: payer, Payee: p.Payee, Deposit: p.Deposit, SettleMS: p.SettleMS, State: ChannelOpened})
	s.answerID(id)
	return OK
}

func (s *State) channelDeposit(p *ChannelDeposit) Code {
	v := s.channels.get(p.Channel)
	switch {
	case v == nil || v.State != ChannelOpened:
		return ErrChannelState
	case v.Payer != s.tx.Sender:
		return ErrWrongParty
	case s.accounts.get(v.Payer).Balance < p.Amount:
		return ErrFunds
	}
	s.debit(v.Payer, p.Amount)
	s.pay(PotChannels, p.Amount)
	s.channels.mut(p.Channel).Deposit += p.Amount
	return OK
}

func (p *ChannelClaim) innerChecks(s *State, dst []protocols.SigCheck) []protocols.SigCheck {
	v := s.channels.get(p.Channel)
	if v == nil {
		return dst
	}
	sig := append([]byte(nil), p.PayerSig[:]...)
	return append(dst, protocols.SigCheck{
		Key: s.accounts.get(v.Payer).Key, Message: PromiseMessage(s.config.chain, p.Channel, p.Cum), Signature: sig,
	})
}

// channelClaim pays the payee once and returns the rest, whether the payer has
// begun to settle or not, even after the settle period as long as nobody settled.
func (s *State) channelClaim(p *ChannelClaim) Code {
	v := s.channels.get(p.Channel)
	switch {
	case v == nil || v.State == ChannelClosed:
		return ErrChannelState
	case v.Payee != s.tx.Sender:
		return ErrWrongParty
	case !s.check(s.accounts.get(v.Payer).Key, PromiseMessage(s.config.chain, p.Channel, p.Cum), p.PayerSig):
		return ErrPromise
	}
	s.closeChannel(p.Channel, min(p.Cum, v.Deposit))
	return OK
}

func (s *State) channelStartSettle(p *ChannelStartSettle) Code {
	v := s.channels.get(p.Channel)
	switch {
	case v == nil || v.State != ChannelOpened:
		return ErrChannelState
	case v.Payer != s.tx.Sender:
		return ErrWrongParty
	}
	v = s.channels.mut(p.Channel)
	v.State = ChannelSettling
	v.Until = addSat(s.Now(), v.SettleMS)
	s.schedule(v.Until, ExpireChannelSettle, p.Channel)
	return OK
}

func (s *State) channelSettle(p *ChannelSettle) Code {
	v := s.channels.get(p.Channel)
	switch {
	case v == nil || v.State != ChannelSettling:
		return ErrChannelState
	case s.Now() < v.Until:
		return ErrTooEarly
	}
	s.closeChannel(p.Channel, 0)
	return OK
}

// settleChannel is the queue's ChannelSettle.
func (s *State) settleChannel(id ID) {
	if v := s.channels.get(id); v != nil && v.State == ChannelSettling && s.Now() >= v.Until {
		s.closeChannel(id, 0)
	}
}

// closeChannel splits the deposit and ends the channel.
func (s *State) closeChannel(id ID, toPayee uint64) {
	v := s.channels.mut(id)
	if v.State == ChannelSettling {
		s.unschedule(v.Until, ExpireChannelSettle, id)
	}
	v.State = ChannelClosed
	v.Paid = toPayee
	s.draw(PotChannels, v.Deposit)
	s.credit(v.Payee, toPayee)
	s.credit(v.Payer, v.Deposit-toPayee)
	s.closed(v.Payer)
	s.schedule(addSat(s.Now(), s.param(TRetain)), ExpirePrune, id)
}

// Promise is the off-ledger payment: the payer of a channel owes Cum in total.
type Promise struct {
	Channel ID
	Cum     uint64
	Sig     Sig
}

// PromiseSize is the wire size of a promise in bytes.
const PromiseSize = 16 + 8 + 64

// SignPromise makes a promise with the payer's seed.
func SignPromise(scheme protocols.AppScheme, seed [32]byte, chain uint32, channel ID, cum uint64) Promise {
	return Promise{channel, cum, Sig(scheme.Sign(seed, PromiseMessage(chain, channel, cum)))}
}

func (p *Promise) fields(c *codec) {
	c.id(&p.Channel)
	c.u64(&p.Cum)
	c.sig(&p.Sig)
}

// Append appends the wire form.
func (p *Promise) Append(dst []byte) []byte {
	c := codec{enc: true, b: dst}
	p.fields(&c)
	return c.b
}

// DecodePromise reads the wire form, exactly PromiseSize bytes.
func DecodePromise(b []byte) (Promise, error) {
	c := codec{b: b}
	var p Promise
	p.fields(&c)
	if !c.done() {
		return Promise{}, fmt.Errorf("promise of %d bytes, want %d", len(b), PromiseSize)
	}
	return p, nil
}

// Claim is the transaction that redeems the promise.
func (p *Promise) Claim() *ChannelClaim {
	return &ChannelClaim{Channel: p.Channel, Cum: p.Cum, PayerSig: p.Sig}
}

// Receiver is the payee's end of a channel: it takes promises off the ledger and
// keeps only the largest. The zero Best means nothing was received.
type Receiver struct {
	Chain     uint32
	Channel   ID
	PayerKey  Key
	Deposit   uint64
	Settle    uint64 // ms
	MinSettle uint64 // the payee's own minimum, ms
	// Price is the least that each promise must add; 0 takes any schedule.
	Price uint64
	Best  Promise
}

// Reasons why a Receiver refuses a promise.
var (
	ErrPromiseChannel   = errors.New("promise is for another channel")
	ErrPromiseRange     = errors.New("promise exceeds the deposit")
	ErrPromiseShort     = errors.New("promise adds less than the price")
	ErrPromiseSignature = errors.New("promise signature does not verify")
	ErrSettleShort      = errors.New("settle period of the channel is below the payee's minimum")
)

// Accept takes a promise or says why not. owed is what the agreed schedule
// demands in total by now.
func (r *Receiver) Accept(p Promise, owed uint64, scheme protocols.AppScheme) error {
	switch {
	case p.Channel != r.Channel:
		return ErrPromiseChannel
	case r.Settle < r.MinSettle:
		return ErrSettleShort
	case p.Cum > r.Deposit:
		return fmt.Errorf("%w: %d of %d", ErrPromiseRange, p.Cum, r.Deposit)
	case p.Cum < owed || p.Cum < r.Best.Cum || p.Cum-r.Best.Cum < r.Price:
		return fmt.Errorf("%w: %d after %d, owed %d, price %d", ErrPromiseShort, p.Cum, r.Best.Cum, owed, r.Price)
	case !scheme.Verify(r.PayerKey, PromiseMessage(r.Chain, p.Channel, p.Cum), p.Sig[:]):
		return ErrPromiseSignature
	}
	r.Best = p
	return nil
}
