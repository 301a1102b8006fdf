package auth

import "github.com/edgebft/edgebft/protocols"

// Auth is the protocols.Auth of one Env: keys of a node, the path of the
// instance, and somebody who counts.
type Auth struct {
	keys   Keys
	path   string
	charge Charge
}

var _ protocols.Auth = (*Auth)(nil)

// New returns the Auth of the instance at path. charge may be nil.
func New(k Keys, path string, charge Charge) *Auth {
	return &Auth{keys: k, path: path, charge: charge}
}

// Digest implements protocols.Hasher.
func (a *Auth) Digest(data []byte) protocols.Digest {
	a.charge.charge(protocols.OpDigest, len(data))
	return a.keys.Digest(data)
}

// MACs implements protocols.Auth.
func (a *Auth) MACs(t protocols.Tag, group protocols.Group, d protocols.Digest) []byte {
	out := make([]byte, 0, len(group)*protocols.MACSize)
	s, self := Scope{Use: PartUse, Path: a.path, Type: t}, a.keys.Self()
	for _, to := range group {
		if to != self {
			a.charge.charge(protocols.OpMAC, 0)
		}
		mac := a.keys.MAC(s, to, d)
		out = append(out, mac[:]...)
	}
	return out
}

// Sign implements protocols.Auth.
func (a *Auth) Sign(t protocols.Tag, d protocols.Digest) []byte {
	a.charge.charge(protocols.OpSign, 0)
	sig := a.keys.Sign(Scope{Use: PartUse, Path: a.path, Type: t}, d)
	return sig[:]
}

// VerifyPart implements protocols.Auth.
func (a *Auth) VerifyPart(p *protocols.Part, index, size int) bool {
	s := Scope{Use: PartUse, Path: p.Path, Type: p.Type}
	switch p.Kind {
	case protocols.PartMAC:
		if index < 0 || index >= size || len(p.Proof) != size*protocols.MACSize {
			return false
		}
		a.charge.charge(protocols.OpMACVerify, 0)
		return a.keys.CheckMAC(s, p.Signer, p.Digest, p.Proof[index*protocols.MACSize:][:protocols.MACSize])
	case protocols.PartSignature:
		if len(p.Proof) != protocols.SignatureSize {
			return false
		}
		a.charge.charge(protocols.OpVerify, 0)
		return a.keys.CheckSignature(s, p.Signer, p.Digest, p.Proof)
	default:
		return false
	}
}

// VerifyApp implements protocols.Auth.
func (a *Auth) VerifyApp(c protocols.SigCheck) bool {
	a.charge.charge(protocols.OpAppVerify, 0)
	return a.keys.App().Verify(c.Key, c.Message, c.Signature)
}

// Charge implements protocols.Auth.
func (a *Auth) Charge(op protocols.Op, size int) { a.charge.charge(op, size) }
