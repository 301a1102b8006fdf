package smr

//go:generate go tool -modfile=../../tools/go.mod msgp -file=messages.go -o=messages_gen.go -tests=false -io=false

//msgp:tuple FetchState
//msgp:tuple StateChunk
//msgp:tuple StateRecord
//msgp:limit arrays:65536 maps:0
//msgp:replace protocols.Digest with:[32]byte
//msgp:replace protocols.NodeID with:int32

import (
	"math/rand/v2"

	"github.com/edgebft/edgebft/protocols"
)

// Tags of this package.
const (
	TagFetchState  protocols.Tag = 0x0101
	TagStateChunk  protocols.Tag = 0x0102
	TagStateRecord protocols.Tag = 0x0103
	TagCertify     protocols.Tag = 0x0104
)

// chunkSize is the size of one piece of a snapshot on the wire, in bytes;
// chunksPerFetch how many of them one FETCH-STATE asks for.
const (
	chunkSize      = 64 << 10
	chunksPerFetch = 16
	maxSnapshot    = 1 << 31
)

// FetchState (FETCH-STATE) asks a replica for the oldest state at or above Slot that
// it has, from a chunk on.
type FetchState struct {
	Slot  uint64
	Chunk uint32
}

// StateChunk (STATE) is one piece of the snapshot at a stable slot.
type StateChunk struct {
	Slot   uint64
	Digest protocols.Digest
	Chunk  uint32
	Chunks uint32
	Data   []byte `msg:",limit=65536"`
}

// StateRecord is the log record of a replica's last stable state.
type StateRecord struct {
	Slot     uint64
	Digest   protocols.Digest
	Snapshot []byte `msg:",limit=2147483648"`
}

// Tag implements protocols.Message.
func (*FetchState) Tag() protocols.Tag { return TagFetchState }

// Tag implements protocols.Message.
func (*StateChunk) Tag() protocols.Tag { return TagStateChunk }

// Tag implements protocols.Message.
func (*StateRecord) Tag() protocols.Tag { return TagStateRecord }

// MessageTypes returns the types that every replica shell uses: REQUEST, REPLY,
// CERTIFY, state transfer and the state record.
func MessageTypes() []protocols.MessageType {
	return []protocols.MessageType{
		protocols.RequestType(),
		protocols.ReplyType(),
		certifyType(),
		{
			Tag: TagFetchState, Name: "FETCH-STATE", Class: protocols.ClassBulk, Seal: protocols.SealMAC,
			New:   func() protocols.WireMessage { return new(FetchState) },
			Round: func(m protocols.WireMessage) protocols.Round { return protocols.Round{Seq: m.(*FetchState).Slot} },
			Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
				f := m.(*FetchState)
				t.U64(f.Slot)
				t.U64(uint64(f.Chunk))
			},
		},
		{
			Tag: TagStateChunk, Name: "STATE", Class: protocols.ClassBulk, Seal: protocols.SealMAC,
			New:   func() protocols.WireMessage { return new(StateChunk) },
			Round: func(m protocols.WireMessage) protocols.Round { return protocols.Round{Seq: m.(*StateChunk).Slot} },
			Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
				s := m.(*StateChunk)
				t.U64(s.Slot)
				t.Digest(s.Digest)
				t.U64(uint64(s.Chunk)<<32 | uint64(s.Chunks))
				t.U64(uint64(len(s.Data)))
			},
			Mutations: []protocols.Mutation{{Name: "data", Apply: func(m protocols.WireMessage, r *rand.Rand) protocols.WireMessage {
				c := *m.(*StateChunk)
				c.Data = append([]byte(nil), c.Data...)
				if len(c.Data) > 0 {
					c.Data[r.IntN(len(c.Data))] ^= 1
				}
				return &c
			}}},
		},
		{
			Tag: TagStateRecord, Name: "state record", Class: protocols.ClassBulk, Record: true,
			New: func() protocols.WireMessage { return new(StateRecord) },
		},
	}
}
