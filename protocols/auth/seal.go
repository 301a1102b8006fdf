package auth

import "github.com/edgebft/edgebft/protocols"

// SealDigest hashes the canonical encoding of a message for its seals and
// charges for it. Types without a seal are not hashed. One digest serves all
// copies of a multicast.
func SealDigest(k Keys, c Charge, seal protocols.Seal, body []byte) protocols.Digest {
	if seal == protocols.SealNone {
		return protocols.Digest{}
	}
	c.charge(protocols.OpDigest, len(body))
	return k.Digest(body)
}

// Seal appends the seal of one copy: nothing, a MAC for the receiver, or the
// signature. A signature is the same for all copies, so a host makes it once per
// multicast. d comes from SealDigest.
func Seal(dst []byte, k Keys, c Charge, mt *protocols.MessageType, path string, to protocols.NodeID, d protocols.Digest) []byte {
	s := Scope{Use: SealUse, Path: path, Type: mt.Tag}
	switch mt.Seal {
	case protocols.SealMAC:
		c.charge(protocols.OpMAC, 0)
		mac := k.MAC(s, to, d)
		dst = append(dst, mac[:]...)
	case protocols.SealSignature:
		c.charge(protocols.OpSign, 0)
		sig := k.Sign(s, d)
		dst = append(dst, sig[:]...)
	}
	return dst
}

// CheckSeal checks the seal of a received message. d is the SealDigest that the
// receiver computed itself. A seal of the wrong size is rejected free of charge.
func CheckSeal(k Keys, c Charge, mt *protocols.MessageType, path string, from protocols.NodeID, d protocols.Digest, seal []byte) bool {
	if len(seal) != mt.Seal.SealSize() {
		return false
	}
	s := Scope{Use: SealUse, Path: path, Type: mt.Tag}
	switch mt.Seal {
	case protocols.SealNone:
		return true
	case protocols.SealMAC:
		c.charge(protocols.OpMACVerify, 0)
		return k.CheckMAC(s, from, d, seal)
	case protocols.SealSignature:
		c.charge(protocols.OpVerify, 0)
		return k.CheckSignature(s, from, d, seal)
	default:
		return false
	}
}
