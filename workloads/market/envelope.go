package market

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/edgebft/edgebft/protocols"
)

// Sizes in bytes.
const (
	EnvelopeSize  = 36
	SignatureSize = 73 // role, signer and signature
	MaxPayload    = math.MaxUint16
	// MaxTx bounds the wire form of a transaction.
	MaxTx = EnvelopeSize + MaxPayload + 1 + math.MaxUint8*SignatureSize
)

// Envelope is the head of every transaction. The payload length, its last field
// on the wire, is not kept here.
type Envelope struct {
	Version uint8
	Chain   uint32
	Type    Type
	// Sender is the account that pays the fee and whose nonce advances; 0 for a
	// ClockTick.
	Sender uint64
	// Nonce is the sender's nonce plus one; the tick number for a ClockTick.
	Nonce uint64
	// ValidUntil is a time in ms; at or after it the transaction is expired.
	ValidUntil uint64
	Fee        uint32
}

// Signature is one signature of a transaction over its signed bytes.
type Signature struct {
	Role   Role
	Signer uint64
	Sig    Sig
}

// Tx is a decoded transaction whose payload is still bytes.
type Tx struct {
	Envelope
	Payload    []byte
	Signatures []Signature
	// signed is envelope and payload as they stand on the wire.
	signed []byte
}

func (e *Envelope) fields(c *codec, payloadLen *uint16) {
	c.u8(&e.Version)
	c.u32(&e.Chain)
	t := uint8(e.Type)
	c.u8(&t)
	e.Type = Type(t)
	c.u64(&e.Sender)
	c.u64(&e.Nonce)
	c.u64(&e.ValidUntil)
	c.u32(&e.Fee)
	c.u16(payloadLen)
}

// decode reads the wire form into x, reusing its signature slice. Payload and
// signed bytes alias op.
func (x *Tx) decode(op []byte) bool {
	c := codec{b: op}
	var n uint16
	x.Envelope.fields(&c, &n)
	x.Payload = c.take(int(n))
	if c.bad {
		return false
	}
	x.signed = op[:c.off:c.off]
	var nsig uint8
	c.u8(&nsig)
	x.Signatures = x.Signatures[:0]
	for i := range int(nsig) {
		var s Signature
		r := uint8(0)
		c.u8(&r)
		s.Role = Role(r)
		c.u64(&s.Signer)
		c.sig(&s.Sig)
		if c.bad || s.Role > RoleAdmin {
			return false
		}
		// Descending is an encoding fault; an equal pair is a duplicate
		// co-signature, which has its own code.
		if i > 0 {
			p := &x.Signatures[i-1]
			if s.Role < p.Role || s.Role == p.Role && s.Signer < p.Signer {
				return false
			}
		}
		x.Signatures = append(x.Signatures, s)
	}
	return c.done()
}

// DecodeTx decodes a transaction and its payload. It refuses what a replica
// answers with code 101: trailing bytes, unsorted sets and signatures, over-long
// lists, unknown types.
func DecodeTx(op []byte) (*Tx, Payload, error) {
	x := new(Tx)
	if len(op) > MaxTx || !x.decode(op) {
		return nil, nil, fmt.Errorf("transaction of %d bytes: malformed envelope or signatures; %d to %d bytes expected", len(op), EnvelopeSize+1, MaxTx)
	}
	p, err := DecodePayload(x.Type, x.Payload)
	if err != nil {
		return nil, nil, err
	}
	return x, p, nil
}

// ID is the transaction id; signatures are not part of it.
func (x *Tx) ID() Hash {
	h := sha256.New()
	h.Write([]byte(domainTxID))
	h.Write(x.signed)
	return Hash(h.Sum(nil))
}

// signedMessage is what every signature of the transaction covers.
func (x *Tx) signedMessage() []byte {
	m := make([]byte, 0, len(domainTx)+len(x.signed))
	m = append(m, domainTx...)
	return append(m, x.signed...)
}

// Signer signs a transaction in a role. Account is 0 for RoleNewKey and
// RoleDevice.
type Signer struct {
	Role    Role
	Account uint64
	Seed    [32]byte
}

// Sign builds the wire form of a transaction: envelope, payload, and one
// signature per signer in canonical order. It sets the envelope's type, and its
// version if that is zero. It fails if a list of the payload is longer than the
// encoding allows.
func Sign(scheme protocols.AppScheme, e Envelope, p Payload, signers ...Signer) ([]byte, error) {
	e.Type = p.Type()
	if e.Version == 0 {
		e.Version = Version
	}
	if len(signers) > math.MaxUint8 {
		return nil, fmt.Errorf("transaction with %d signatures, at most %d allowed", len(signers), math.MaxUint8)
	}
	body, err := AppendPayload(nil, p)
	if err != nil {
		return nil, err
	}
	c := codec{enc: true, b: make([]byte, 0, EnvelopeSize+len(body)+1+len(signers)*SignatureSize)}
	n := uint16(len(body))
	e.fields(&c, &n)
	c.raw(body)
	msg := append([]byte(domainTx), c.b...)
	sorted := slices.Clone(signers)
	slices.SortStableFunc(sorted, func(a, b Signer) int {
		if a.Role != b.Role {
			return int(a.Role) - int(b.Role)
		}
		switch {
		case a.Account < b.Account:
			return -1
		case a.Account > b.Account:
			return 1
		}
		return 0
	})
	k := uint8(len(sorted))
	c.u8(&k)
	for _, s := range sorted {
		r := uint8(s.Role)
		c.u8(&r)
		c.u64(&s.Account)
		sig := Sig(scheme.Sign(s.Seed, msg))
		c.sig(&sig)
	}
	return c.b, nil
}

// Forever is the ValidUntil of a transaction that does not expire.
const Forever = math.MaxUint64

// Wallet builds the transactions of one account: it keeps the nonce. The zero
// ValidUntil stands for Forever.
type Wallet struct {
	Scheme     protocols.AppScheme
	Chain      uint32
	Account    uint64
	Seed       [32]byte
	Nonce      uint64 // of the last transaction built
	ValidUntil uint64
	Fee        uint32
}

// Tx builds and signs the account's next transaction, with further signers if it
// needs any. A ParamSet is signed in the administrator's role, everything else in
// the sender's. The nonce advances only if there is no error.
func (w *Wallet) Tx(p Payload, co ...Signer) ([]byte, error) {
	e := Envelope{Chain: w.Chain, Sender: w.Account, Nonce: w.Nonce + 1, ValidUntil: w.ValidUntil, Fee: w.Fee}
	if e.ValidUntil == 0 {
		e.ValidUntil = Forever
	}
	role := RoleSender
	if p.Type() == TypeParamSet {
		role = RoleAdmin
	}
	op, err := Sign(w.Scheme, e, p, append([]Signer{{role, w.Account, w.Seed}}, co...)...)
	if err == nil {
		w.Nonce++
	}
	return op, err
}

// Signer is the wallet's account as a further signer of somebody else's
// transaction.
func (w *Wallet) Signer(r Role) Signer { return Signer{Role: r, Account: w.Account, Seed: w.Seed} }

// SignClock makes one replica's report for tick k.
func SignClock(scheme protocols.AppScheme, seed [32]byte, chain uint32, replica uint16, k, ts uint64) ClockReport {
	return ClockReport{Replica: replica, Time: ts, Sig: Sig(scheme.Sign(seed, ClockMessage(chain, k, ts)))}
}

// NewClockTick assembles reports, sorted by replica, into the transaction of tick
// k. It needs no key: the reports carry the signatures.
func NewClockTick(chain uint32, k uint64, reports []ClockReport) ([]byte, error) {
	r := slices.Clone(reports)
	slices.SortStableFunc(r, func(a, b ClockReport) int { return int(a.Replica) - int(b.Replica) })
	return Sign(nil, Envelope{Chain: chain, Nonce: k, ValidUntil: Forever}, &ClockTick{Reports: r})
}
