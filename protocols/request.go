package protocols

import "math/rand/v2"

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
// that order identifiers (RBFT) use the identifier form: Op and Auth empty and
// Ident set to the digest of the body.
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

// Digest returns the digest of (client, timestamp, operation) and charges for
// computing it. Auth is not covered: one body may carry several valid
// authenticators.
func (r *Request) Digest(h Hasher) Digest {
	if r.digest.IsZero() {
		r.digest = r.digestBody(h)
	} else if c, ok := h.(interface{ Charge(Op, int) }); ok {
		c.Charge(OpDigest, len(r.Op)+requestHeader)
	}
	return r.digest
}

// Known returns the digest without charging for it if it was computed before, as
// it always was for a request that passed admission; otherwise it computes it.
func (r *Request) Known(h Hasher) Digest {
	if r.digest.IsZero() {
		r.digest = r.digestBody(h)
	}
	return r.digest
}

const requestHeader = 12

func (r *Request) digestBody(h Hasher) Digest {
	if len(r.Ident) == DigestSize {
		return Digest(r.Ident)
	}
	var stack [256]byte
	b := append(stack[:0], byte(r.Client>>24), byte(r.Client>>16), byte(r.Client>>8), byte(r.Client))
	for s := 56; s >= 0; s -= 8 {
		b = append(b, byte(r.Timestamp>>s))
	}
	b = append(b, r.Op...)
	return h.Digest(b)
}

// Key identifies a request: two requests with one key are the same request,
// whatever their bodies.
func (r *Request) Key() RequestKey { return RequestKey{Client: r.Client, Timestamp: r.Timestamp} }

// RequestKey is the identity of a request.
type RequestKey struct {
	Client    NodeID
	Timestamp uint64
}

// Part returns what authenticates the request.
func (r *Request) Part(h Hasher) Part {
	p := Part{Kind: PartMAC, Signer: r.Client, Type: TagRequest, Digest: r.Digest(h), Proof: r.Auth}
	if r.Signed {
		p.Kind = PartSignature
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

// TraceRequest feeds the identity and digest of a request to a trace.
func TraceRequest(r *Request, t TraceHash) {
	t.U64(uint64(uint32(r.Client)))
	t.U64(r.Timestamp)
	t.U64(uint64(len(r.Op)))
	if !r.digest.IsZero() {
		t.Digest(r.digest)
	}
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
