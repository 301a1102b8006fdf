package smr

//go:generate go tool -modfile=../../tools/go.mod msgp -file=certificate.go -o=certificate_gen.go -tests=false -io=false

//msgp:tuple Certify
//msgp:tuple Certificate
//msgp:limit arrays:16384 maps:0
//msgp:replace protocols.Digest with:[32]byte
//msgp:replace protocols.NodeID with:int32

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/edgebft/edgebft/protocols"
)

// certificateDomain begins what a replica signs for a certificate.
const certificateDomain = "edgebft/certificate/v1"

// phaseCertify is the phase of CERTIFY, after all others of a request.
const phaseCertify = 10

// Certify (CERTIFY) is a replica's signed word that its state after Applied
// requests has this Root and that the block of requests which ends there has the
// digest Block.
type Certify struct {
	Applied     uint64
	Block, Root protocols.Digest
	Signature   []byte `msg:",limit=64"`
}

// Tag implements protocols.Message.
func (*Certify) Tag() protocols.Tag { return TagCertify }

// Digest is what the signature covers.
func (m *Certify) Digest(h protocols.Hasher) protocols.Digest {
	return certificateDigest(h, m.Applied, m.Block, m.Root)
}

// Certificate proves, to anyone who knows the replicas' keys, that the state of
// the service after Applied requests has this Root, and that the block of requests
// which ends there has the digest Block: more than f replicas signed that. Signers
// ascend and Signatures (protocols.SignatureSize bytes each) are in their order, so
// that equal sets of signatures give equal bytes. A certificate must not be
// modified.
type Certificate struct {
	Applied     uint64
	Block, Root protocols.Digest
	Signers     []protocols.NodeID `msg:",limit=16384"`
	Signatures  [][]byte           `msg:",limit=16384"`
}

// Digest is what each signature covers.
func (c *Certificate) Digest(h protocols.Hasher) protocols.Digest {
	return certificateDigest(h, c.Applied, c.Block, c.Root)
}

func certificateDigest(h protocols.Hasher, applied uint64, block, root protocols.Digest) protocols.Digest {
	b := make([]byte, 0, len(certificateDomain)+8+2*protocols.DigestSize)
	b = append(b, certificateDomain...)
	b = binary.BigEndian.AppendUint64(b, applied)
	b = append(b, block[:]...)
	b = append(b, root[:]...)
	return h.Digest(b)
}

// VerifyCertificate checks a certificate of a cluster of n replicas of which f may
// be faulty: at least f+1 distinct replicas in ascending order, one signature of the
// right size for each, and all of them good in the eyes of verify. h must hash as
// the signers do. One signature that is bad makes the whole certificate bad, even if
// enough others are good: correct replicas make no such thing.
func VerifyCertificate(c *Certificate, h protocols.Hasher, verify func(signer protocols.NodeID, d protocols.Digest, signature []byte) bool, n, f int) error {
	if f < 0 || n <= f || n > protocols.MaxReplicas {
		return fmt.Errorf("certificate: impossible cluster of n=%d, f=%d; allowed is 0 <= f < n <= %d", n, f, protocols.MaxReplicas)
	}
	if c.Applied == 0 {
		return errors.New("certificate: it is for 0 applied requests; the first block ends after at least 1")
	}
	if len(c.Signatures) != len(c.Signers) {
		return fmt.Errorf("certificate: %d signatures of %d signers; there must be one each", len(c.Signatures), len(c.Signers))
	}
	if need := protocols.WeakQuorum(f); len(c.Signers) < need {
		return fmt.Errorf("certificate: %d signers, at least f+1 = %d are needed", len(c.Signers), need)
	}
	for i, s := range c.Signers {
		switch {
		case s < 0 || int(s) >= n:
			return fmt.Errorf("certificate: signer %d is no replica; allowed is 0 to %d", s, n-1)
		case i > 0 && c.Signers[i-1] >= s:
			return fmt.Errorf("certificate: signer %d comes after %d; signers must be distinct and ascend", s, c.Signers[i-1])
		case len(c.Signatures[i]) != protocols.SignatureSize:
			return fmt.Errorf("certificate: the signature of %d has %d bytes; it must have %d", s, len(c.Signatures[i]), protocols.SignatureSize)
		}
	}
	d := c.Digest(h)
	for i, s := range c.Signers {
		if !verify(s, d, c.Signatures[i]) {
			return fmt.Errorf("certificate: the signature of %d does not verify", s)
		}
	}
	return nil
}

// SignedAt returns the verify function of VerifyCertificate for certificates of the
// replicas whose shell runs at path ("" where it is the outermost instance). Checks
// are charged to a.
func SignedAt(a protocols.Auth, path string) func(signer protocols.NodeID, d protocols.Digest, signature []byte) bool {
	return func(signer protocols.NodeID, d protocols.Digest, signature []byte) bool {
		return a.VerifyPart(&protocols.Part{Kind: protocols.PartSignature, Signer: signer, Path: path, Type: TagCertify, Digest: d, Proof: signature}, 0, 0)
	}
}

// DecodeCertificate decodes the canonical encoding of a certificate, which fills b.
// It does not verify it.
func DecodeCertificate(b []byte) (Certificate, error) {
	var c Certificate
	rest, err := c.UnmarshalMsg(b)
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	if len(rest) != 0 {
		return Certificate{}, fmt.Errorf("certificate: %d bytes after it", len(rest))
	}
	again, err := c.MarshalMsg(make([]byte, 0, len(b)))
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	if string(again) != string(b) {
		return Certificate{}, errors.New("certificate: encoding is not canonical")
	}
	return c, nil
}

// certifyType is the table entry of CERTIFY. It has no seal: its part is the
// signature, which goes into certificates.
func certifyType() protocols.MessageType {
	change := func(name string, f func(*Certify, *rand.Rand)) protocols.Mutation {
		return protocols.Mutation{Name: name, Apply: func(m protocols.WireMessage, r *rand.Rand) protocols.WireMessage {
			c := *m.(*Certify)
			f(&c, r)
			return &c
		}}
	}
	return protocols.MessageType{
		Tag: TagCertify, Name: "CERTIFY", Class: protocols.ClassBulk, Seal: protocols.SealNone,
		New: func() protocols.WireMessage { return new(Certify) },
		Parts: func(dst []protocols.Part, h protocols.Hasher, e *protocols.Envelope, m protocols.WireMessage) []protocols.Part {
			c := m.(*Certify)
			return append(dst, protocols.Part{
				Kind: protocols.PartSignature, Signer: e.From, Path: e.Path, Type: TagCertify, Digest: c.Digest(h), Proof: c.Signature,
			})
		},
		Round: func(m protocols.WireMessage) protocols.Round {
			return protocols.Round{Seq: m.(*Certify).Applied, Phase: phaseCertify}
		},
		Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
			c := m.(*Certify)
			t.U64(c.Applied)
			t.Digest(c.Block)
			t.Digest(c.Root)
		},
		// Without the key to sign again with, all of these fail admission.
		Mutations: []protocols.Mutation{
			change("applied+1", func(c *Certify, _ *rand.Rand) { c.Applied++ }),
			change("applied*2", func(c *Certify, _ *rand.Rand) { c.Applied *= 2 }),
			change("block", func(c *Certify, r *rand.Rand) { c.Block[r.IntN(len(c.Block))] ^= 1 }),
			change("root", func(c *Certify, r *rand.Rand) { c.Root[r.IntN(len(c.Root))] ^= 1 }),
			change("signature", func(c *Certify, _ *rand.Rand) { c.Signature = make([]byte, protocols.SignatureSize) }),
		},
	}
}
