package protocols

import (
	"encoding/binary"
	"math/rand/v2"
)

//go:generate go tool -modfile=../tools/go.mod msgp -file=request.go -o=request_gen.go -tests=false -io=false

//msgp:tuple Request
//msgp:tuple Reply
//msgp:limit arrays:65536 maps:0
//msgp:replace Digest with:[32]byte
//msgp:replace NodeID with:int32

// MaxOperation bounds an operation or a result, in bytes.
const MaxOperation = 1 << 20

// MaxReplicas bounds the number of replicas of a cluster.
const MaxReplicas = 16384

// Request is a client's operation, REQUEST in every protocol here. Timestamp is
// the client's incarnation in the upper and a counter in the lower 32 bits; it
// grows by every request.
//
// A request that comes from the client itself carries Op and Auth. Protocols
// that order identifiers (RBFT) use the identifier form: Op empty and Ident set to
// the digest of the body. Authenticators of one form are never good for the other:
// that of an identifier covers client, timestamp and Ident.
type Request struct {
	Client    NodeID
	Timestamp uint64
	Op        []byte `msg:",limit=1048576"`
	// Ident is empty, or the 32-byte digest of the body in the identifier form.
	Ident []byte `msg:",limit=32"`
	// Signed says that Auth is one signature; otherwise it is one MAC per
	// replica.
	Signed bool
	Auth   []byte `msg:",limit=262144"`

	digest Digest
}

// Tag implements Message.
func (*Request) Tag() Tag { return TagRequest }

// Digest returns the digest of (client, timestamp, operation), or Ident in the
// identifier form, and charges for computing it, whether or not that was done before:
// who has to compute it in reality pays, also where a simulator hands around the
// object of the sender. Auth is not covered: one body may carry several valid
// authenticators.
func (r *Request) Digest(h Hasher) Digest {
	switch c, ok := h.(interface{ Charge(Op, int) }); {
	case r.isIdent():
		return Digest(r.Ident)
	case r.digest.IsZero():
		r.digest = r.digestBody(h)
	case ok:
		c.Charge(OpDigest, len(r.Op)+requestHeader)
	}
	return r.digest
}

// Known returns the digest without charging for it. It is for requests that Digest
// was called for before in this node: at admission, where they are a part of a
// message, or by the handler that took them from one that has no parts.
func (r *Request) Known(h Hasher) Digest {
	if r.digest.IsZero() {
		return r.Digest(h)
	}
	return r.digest
}

const requestHeader = 12

// isIdent reports whether r is in the identifier form; with an Ident and still not,
// it is malformed.
func (r *Request) isIdent() bool { return len(r.Ident) == DigestSize && len(r.Op) == 0 }

func (r *Request) digestBody(h Hasher) Digest {
	var stack [256]byte
	b := append(stack[:0], byte(r.Client>>24), byte(r.Client>>16), byte(r.Client>>8), byte(r.Client))
	for s := 56; s >= 0; s -= 8 {
		b = append(b, byte(r.Timestamp>>s))
	}
	d := h.Digest(append(b, r.Op...))
	if len(r.Ident) != 0 { // malformed: no body has this digest, since no client has the id "edge"
		return h.Digest(append(append(append(b[:0], "edgebft/malformed/v1"...), d[:]...), r.Ident...))
	}
	return d
}

// Key identifies a request: two requests with one key are the same request,
// whatever their bodies.
func (r *Request) Key() RequestKey { return RequestKey{Client: r.Client, Timestamp: r.Timestamp} }

// RequestKey is the identity of a request.
type RequestKey struct {
	Client    NodeID
	Timestamp uint64
}

// Part returns what authenticates the request. A malformed one, with an Ident that is
// no digest or that comes with an Op, has no proof.
func (r *Request) Part(h Hasher) Part {
	p := Part{Kind: PartMAC, Signer: r.Client, Type: TagRequest, Digest: r.Digest(h), Proof: r.Auth}
	if r.Signed {
		p.Kind = PartSignature
	}
	switch {
	case r.isIdent():
		var stack [96]byte
		b := append(stack[:0], "edgebft/request identifier/v1"...)
		b = binary.BigEndian.AppendUint32(b, uint32(r.Client))
		b = binary.BigEndian.AppendUint64(b, r.Timestamp)
		p.Digest = h.Digest(append(b, r.Ident...))
	case len(r.Ident) != 0:
		p.Proof = nil
	}
	return p
}

// Reply is a replica's answer to a Request.
type Reply struct {
	View      uint64
	Client    NodeID
	Timestamp uint64
	Replica   NodeID
	Result    []byte `msg:",limit=1048576"`
}

// Tag implements Message.
func (*Reply) Tag() Tag { return TagReply }

// RequestType is the table entry of REQUEST. It has no seal of its own: its part
// is the client's authenticator, which survives being relayed.
func RequestType() MessageType {
	return MessageType{
		Tag: TagRequest, Name: "REQUEST", Class: ClassClient, Seal: SealNone,
		New: func() WireMessage { return new(Request) },
		Parts: func(dst []Part, h Hasher, _ *Envelope, m WireMessage) []Part {
			return append(dst, m.(*Request).Part(h))
		},
		Round: func(m WireMessage) Round { return Round{Seq: m.(*Request).Timestamp} },
		Trace: func(m WireMessage, t TraceHash) { TraceRequest(m.(*Request), t) },
		Mutations: []Mutation{
			{Name: "timestamp+1", Apply: mutateRequest(func(r *Request) { r.Timestamp++ })},
			{Name: "timestamp-1", Apply: mutateRequest(func(r *Request) { r.Timestamp-- })},
			{Name: "operation", Apply: mutateRequest(func(r *Request) { r.Op = append(append([]byte(nil), r.Op...), 1) })},
		},
	}
}

// ReplyType is the table entry of REPLY.
func ReplyType() MessageType {
	return MessageType{
		Tag: TagReply, Name: "REPLY", Class: ClassClient, Seal: SealMAC,
		New:   func() WireMessage { return new(Reply) },
		Round: func(m WireMessage) Round { r := m.(*Reply); return Round{View: r.View, Seq: r.Timestamp, Phase: 9} },
		Trace: func(m WireMessage, t TraceHash) {
			r := m.(*Reply)
			t.U64(r.View)
			t.U64(uint64(uint32(r.Client)))
			t.U64(r.Timestamp)
			t.U64(uint64(len(r.Result)))
		},
		Mutations: []Mutation{
			{Name: "view+1", Apply: mutateReply(func(r *Reply) { r.View++ })},
			{Name: "timestamp+1", Apply: mutateReply(func(r *Reply) { r.Timestamp++ })},
			{Name: "result", Apply: mutateReply(func(r *Reply) { r.Result = append(append([]byte(nil), r.Result...), 1) })},
		},
	}
}

// TraceRequest feeds the identity and size of a request to a trace. Its digest is not
// fed: whether it is known depends on how the object came about.
func TraceRequest(r *Request, t TraceHash) {
	t.U64(uint64(uint32(r.Client)))
	t.U64(r.Timestamp)
	t.U64(uint64(len(r.Op)))
	t.U64(uint64(len(r.Ident)))
}

// Clone returns a copy that shares no memo with r; adversaries change copies.
func (r *Request) Clone() *Request {
	c := *r
	c.digest = Digest{}
	return &c
}

func mutateRequest(f func(*Request)) func(WireMessage, *rand.Rand) WireMessage {
	return func(m WireMessage, _ *rand.Rand) WireMessage {
		c := m.(*Request).Clone()
		f(c)
		return c
	}
}

func mutateReply(f func(*Reply)) func(WireMessage, *rand.Rand) WireMessage {
	return func(m WireMessage, _ *rand.Rand) WireMessage {
		c := *m.(*Reply)
		f(&c)
		return &c
	}
}
