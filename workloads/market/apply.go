package market

import (
	"encoding/binary"

	"github.com/edgebft/edgebft/protocols"
)

// rule is one row of the transaction tables: how a type is decoded, who signs it
// besides the envelope's rules, and what it does.
type rule struct {
	name    string
	payload func() Payload
	// roles that must have signed, ascending, each once. An administrative rule
	// instead wants m signatures in RoleAdmin, the sender's among them.
	roles []Role
	admin bool
	apply func(*State, Payload) Code
}

// newKeyed is a payload that carries the key of RoleNewKey or RoleDevice.
type newKeyed interface{ newKey() Key }

func (p *AccountOpen) newKey() Key    { return p.Key }
func (p *DeviceRegister) newKey() Key { return p.DeviceKey }

// countersigned is a payload that names the account of RoleCounterparty.
type countersigned interface{ counterparty() uint64 }

func (p *OwnershipTransfer) counterparty() uint64 { return p.To }

// innerSigned is a payload that carries signatures of its own.
type innerSigned interface {
	innerChecks(s *State, dst []protocols.SigCheck) []protocols.SigCheck
}

func newRule[P any, PP interface {
	*P
	Payload
}](name string, apply func(*State, PP) Code, roles ...Role) *rule {
	return &rule{
		name:    name,
		payload: func() Payload { return PP(new(P)) },
		roles:   roles,
		apply:   func(s *State, p Payload) Code { return apply(s, p.(PP)) },
	}
}

// rules is the one table that everything about a transaction type follows from.
// Codes of tier 2 have no row: they give 101. It is filled by init, because what
// it refers to refers back to it.
var rules [256]*rule

func init() {
	self := RoleSender
	add := func(t Type, r *rule) { rules[t] = r }
	add(TypeAccountOpen, newRule("AccountOpen", (*State).accountOpen, self, RoleNewKey))
	add(TypeTransfer, newRule("Transfer", (*State).transfer, self))
	add(TypeClockTick, newRule("ClockTick", (*State).clockTick))
	add(TypeBeaconReveal, newRule("BeaconReveal", (*State).beaconReveal, self))
	add(TypeParamSet, newRule("ParamSet", (*State).paramSet))
	rules[TypeParamSet].admin = true
	add(TypeModelPut, newRule("ModelPut", (*State).modelPut, self))
	add(TypeDeviceRegister, newRule("DeviceRegister", (*State).deviceRegister, self, RoleOwner, RoleDevice))
	add(TypeDeviceCheckIn, newRule("DeviceCheckIn", (*State).deviceCheckIn, self))
	add(TypeDeviceCheckOut, newRule("DeviceCheckOut", (*State).deviceCheckOut, self))
	add(TypeOwnershipTransfer, newRule("OwnershipTransfer", (*State).ownershipTransfer, self, RoleCounterparty))
	add(TypeDeviceRevoke, newRule("DeviceRevoke", (*State).deviceRevoke, self))
	add(TypeAnchorReadings, newRule("AnchorReadings", (*State).anchorReadings, self))
	add(TypeReadingAppend, newRule("ReadingAppend", (*State).readingAppend, self))
	add(TypeAuctionOpen, newRule("AuctionOpen", (*State).auctionOpen, self))
	add(TypeAuctionBatchOpen, newRule("AuctionBatchOpen", (*State).auctionBatchOpen, self))
	add(TypeBidCommit, newRule("BidCommit", (*State).bidCommit, self))
	add(TypeBidReveal, newRule("BidReveal", (*State).bidReveal, self))
	add(TypeBidOpen, newRule("BidOpen", (*State).bidOpen, self))
	add(TypeAuctionClose, newRule("AuctionClose", (*State).auctionClose, self))
	add(TypeAwardPay, newRule("AwardPay", (*State).awardPay, self))
	add(TypeKeyDeliver, newRule("KeyDeliver", (*State).keyDeliver, self))
	add(TypeAwardCancel, newRule("AwardCancel", (*State).awardCancel, self))
	add(TypeTopicPut, newRule("TopicPut", (*State).topicPut, self))
	add(TypeAccessBuy, newRule("AccessBuy", (*State).accessBuy, self))
	add(TypeServicePost, newRule("ServicePost", (*State).servicePost, self))
	add(TypeProviderOffer, newRule("ProviderOffer", (*State).providerOffer, self))
	add(TypeVerdictCommit, newRule("VerdictCommit", (*State).verdictCommit, self))
	add(TypeVerdictReveal, newRule("VerdictReveal", (*State).verdictReveal, self))
	add(TypeSampleReport, newRule("SampleReport", (*State).sampleReport, self))
	add(TypeAttestedVerdict, newRule("AttestedVerdict", (*State).attestedVerdict, self))
	add(TypeVerdictFinalize, newRule("VerdictFinalize", (*State).verdictFinalize, self))
	add(TypeUptimeReport, newRule("UptimeReport", (*State).uptimeReport, self))
	add(TypeStakeDeposit, newRule("StakeDeposit", (*State).stakeDeposit, self))
	add(TypeStakeWithdraw, newRule("StakeWithdraw", (*State).stakeWithdraw, self))
	add(TypeChannelOpen, newRule("ChannelOpen", (*State).channelOpen, self))
	add(TypeChannelDeposit, newRule("ChannelDeposit", (*State).channelDeposit, self))
	add(TypeChannelClaim, newRule("ChannelClaim", (*State).channelClaim, self))
	add(TypeChannelStartSettle, newRule("ChannelStartSettle", (*State).channelStartSettle, self))
	add(TypeChannelSettle, newRule("ChannelSettle", (*State).channelSettle, self))
}

// parse decodes op into the scratch transaction. The payload returned is scratch
// as well.
func (s *State) parse(op []byte) (Payload, *rule) {
	if len(op) > MaxTx || !s.tx.decode(op) {
		return nil, nil
	}
	r := rules[s.tx.Type]
	if r == nil {
		return nil, nil
	}
	p := s.scratch[s.tx.Type]
	if p == nil {
		p = r.payload()
		s.scratch[s.tx.Type] = p
	}
	c := codec{b: s.tx.Payload}
	p.fields(&c)
	if !c.done() {
		return nil, nil
	}
	return p, r
}

// Apply implements protocols.Application. The result is the u16 result code,
// followed, for some types, by what came of it: the account handle, the id of the
// auction, topic, service or channel, the list of codes of a batch.
func (s *State) Apply(op []byte, verify protocols.Verify) []byte {
	s.version++
	s.body = s.body[:0]
	code := s.execute(op, verify)
	if code != OK || len(s.body) == 0 {
		return plain[code]
	}
	out := make([]byte, 2, 2+len(s.body))
	binary.BigEndian.PutUint16(out, uint16(code))
	return append(out, s.body...)
}

func (s *State) execute(op []byte, verify protocols.Verify) Code {
	if s.broken != nil {
		return ErrEncoding
	}
	s.step = 2 * s.version
	p, r := s.parse(op)
	if r == nil {
		return ErrEncoding
	}
	if code := s.admit(p, r, verify); code != OK {
		return code
	}
	if sender := s.tx.Sender; sender != 0 {
		a := s.accounts.mut(sender)
		a.Nonce++
		fee := uint64(s.tx.Fee)
		a.Balance -= fee
		s.pay(Fees, fee)
	}
	// The body has a step of its own: a rule that fails in the middle leaves
	// nothing behind.
	s.step++
	// Rules that check inner signatures do so through this.
	s.verify = verify
	code := r.apply(s, p)
	s.verify = nil
	if code != OK {
		for _, t := range s.tables {
			t.revert(s.step - 1)
		}
	}
	return code
}

// admit makes the checks of the envelope, in their order.
func (s *State) admit(p Payload, r *rule, verify protocols.Verify) Code {
	x := &s.tx
	if x.Version != Version {
		return ErrVersion
	}
	if x.Chain != s.config.chain {
		return ErrChain
	}
	tick := x.Type == TypeClockTick
	var sender *Account
	if tick {
		if x.Sender != 0 {
			return ErrUnknownSigner
		}
	} else if sender = s.accounts.get(x.Sender); sender == nil {
		return ErrUnknownSigner
	}
	for i := range x.Signatures {
		g := &x.Signatures[i]
		if g.Role == RoleNewKey || g.Role == RoleDevice {
			if g.Signer != 0 {
				return ErrUnknownSigner
			}
		} else if s.accounts.get(g.Signer) == nil {
			return ErrUnknownSigner
		}
	}
	if !s.complete(p, r) {
		return ErrCoSignature
	}
	if len(x.Signatures) > 0 {
		msg := x.signedMessage()
		for i := range x.Signatures {
			key, _ := s.signerKey(p, &x.Signatures[i])
			if !verify(protocols.SigCheck{Key: key, Message: msg, Signature: x.Signatures[i].Sig[:]}) {
				return ErrSignature
			}
		}
	}
	var last uint64
	if tick {
		last = s.clock.get(0).Tick
	} else {
		last = sender.Nonce
	}
	if x.Nonce <= last {
		return ErrNonceReplay
	}
	if x.Nonce != last+1 {
		return ErrNonceGap
	}
	if s.Now() >= x.ValidUntil {
		return ErrExpired
	}
	if tick {
		if x.Fee != 0 {
			return ErrFee
		}
	} else if fee := uint64(x.Fee); fee < s.param(MinimumFee) || fee > sender.Balance {
		return ErrFee
	}
	return OK
}

// complete reports whether exactly the signatures are there that the rule asks
// for. Signers are known to exist.
func (s *State) complete(p Payload, r *rule) bool {
	x := &s.tx
	if r.admin {
		own := false
		for i := range x.Signatures {
			g := &x.Signatures[i]
			if g.Role != RoleAdmin || i > 0 && g.Signer == x.Signatures[i-1].Signer {
				return false
			}
			own = own || g.Signer == x.Sender
		}
		return own && len(x.Signatures) >= s.config.adminsMin
	}
	if len(x.Signatures) != len(r.roles) {
		return false
	}
	for i, role := range r.roles {
		g := &x.Signatures[i]
		if g.Role != role {
			return false
		}
		switch role {
		case RoleSender:
			if g.Signer != x.Sender {
				return false
			}
		case RoleCounterparty:
			if g.Signer != p.(countersigned).counterparty() {
				return false
			}
		}
	}
	return true
}

// signerKey is the key that a signature must verify under.
func (s *State) signerKey(p Payload, g *Signature) (Key, bool) {
	if g.Role == RoleNewKey || g.Role == RoleDevice {
		k, ok := p.(newKeyed)
		if !ok {
			return Key{}, false
		}
		return k.newKey(), true
	}
	a := s.accounts.get(g.Signer)
	if a == nil {
		return Key{}, false
	}
	return a.Key, true
}

// signerIn returns the account that signed in a role.
func (s *State) signerIn(role Role) uint64 {
	for i := range s.tx.Signatures {
		if s.tx.Signatures[i].Role == role {
			return s.tx.Signatures[i].Signer
		}
	}
	return 0
}

// Checks implements protocols.Application.
func (s *State) Checks(dst []protocols.SigCheck, op []byte) []protocols.SigCheck {
	if s.broken != nil {
		return dst
	}
	p, r := s.parse(op)
	if r == nil || s.tx.Version != Version || s.tx.Chain != s.config.chain {
		return dst
	}
	if len(s.tx.Signatures) > 0 {
		msg := s.tx.signedMessage()
		for i := range s.tx.Signatures {
			g := &s.tx.Signatures[i]
			if key, ok := s.signerKey(p, g); ok {
				// The scratch transaction is reused; the check is not.
				sig := append([]byte(nil), g.Sig[:]...)
				dst = append(dst, protocols.SigCheck{Key: key, Message: msg, Signature: sig})
			}
		}
	}
	if in, ok := p.(innerSigned); ok {
		dst = in.innerChecks(s, dst)
	}
	return dst
}

// check asks for one signature inside a payload.
func (s *State) check(key Key, message []byte, sig Sig) bool {
	return s.verify(protocols.SigCheck{Key: key, Message: message, Signature: sig[:]})
}

// answer appends a handle or an id to the result.
func (s *State) answer(v uint64)   { s.body = binary.BigEndian.AppendUint64(s.body, v) }
func (s *State) answerID(id ID)    { s.body = append(s.body, id[:]...) }
func (s *State) answerCode(c Code) { s.body = binary.BigEndian.AppendUint16(s.body, uint16(c)) }
