package agents

import "github.com/edgebft/edgebft/protocols"

//go:generate go tool -modfile=../../tools/go.mod msgp -file=messages.go -o=messages_gen.go -tests=false -io=false

//msgp:tuple ClockRequest
//msgp:tuple ClockReport
//msgp:tuple ClockRecord
//msgp:tuple ClockProgress
//msgp:limit arrays:64 maps:0

// Tags of this package.
const (
	TagClockRequest protocols.Tag = 0x0801
	TagClockReport  protocols.Tag = 0x0802
	TagClockRecord  protocols.Tag = 0x0803
	TagProgress     protocols.Tag = 0x0804
)

// Path is the path of the agents' messages, timers and records.
const Path = "clock"

// ClockRequest (CLOCK-REQUEST) asks a clock to sign its reading for a tick.
type ClockRequest struct {
	Tick uint64
	// After is the ledger time in ms that the reading has to exceed.
	After uint64
	// Synced says that the collector itself saw the tick before this one
	// applied.
	Synced bool
}

// ClockReport (CLOCK-REPORT) is a clock's signed reading for a tick.
type ClockReport struct {
	Tick uint64
	// Time is the reading in ms.
	Time      uint64
	Signature []byte `msg:",limit=64"`
}

// ClockRecord (CLOCK-RECORD) is what a clock logs before it reports.
type ClockRecord struct {
	// Wiped says that the clock lost what it signed and was not asked since.
	Wiped bool
	// Floor is the highest tick that is not signed any more, unless it is in
	// Reports; 0 if there is none.
	Floor   uint64
	Reports []ClockReport
}

// ClockProgress (CLOCK-PROGRESS) is what a collector logs when a tick was
// applied.
type ClockProgress struct {
	// Tick is the next one, Now the ledger time in ms.
	Tick, Now uint64
}

// Tag implements protocols.Message.
func (*ClockProgress) Tag() protocols.Tag { return TagProgress }

// Tag implements protocols.Message.
func (*ClockRequest) Tag() protocols.Tag { return TagClockRequest }

// Tag implements protocols.Message.
func (*ClockReport) Tag() protocols.Tag { return TagClockReport }

// Tag implements protocols.Message.
func (*ClockRecord) Tag() protocols.Tag { return TagClockRecord }

// Messages returns the table entries of the agents, to be gathered with those of
// the protocol.
func Messages() []protocols.MessageType {
	return []protocols.MessageType{
		{
			Tag: TagClockRequest, Name: "CLOCK-REQUEST", Class: protocols.ClassGossip, Seal: protocols.SealMAC,
			New:   func() protocols.WireMessage { return new(ClockRequest) },
			Round: func(m protocols.WireMessage) protocols.Round { return protocols.Round{Seq: m.(*ClockRequest).Tick} },
			Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
				r := m.(*ClockRequest)
				t.U64(r.Tick)
				t.U64(r.After)
			},
		},
		{
			Tag: TagClockReport, Name: "CLOCK-REPORT", Class: protocols.ClassGossip, Seal: protocols.SealMAC,
			New: func() protocols.WireMessage { return new(ClockReport) },
			Round: func(m protocols.WireMessage) protocols.Round {
				return protocols.Round{Seq: m.(*ClockReport).Tick, Phase: 1}
			},
			Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
				r := m.(*ClockReport)
				t.U64(r.Tick)
				t.U64(r.Time)
			},
		},
		{
			Tag: TagClockRecord, Name: "CLOCK-RECORD", Class: protocols.ClassGossip, Record: true,
			New: func() protocols.WireMessage { return new(ClockRecord) },
		},
		{
			Tag: TagProgress, Name: "CLOCK-PROGRESS", Class: protocols.ClassGossip, Record: true,
			New: func() protocols.WireMessage { return new(ClockProgress) },
		},
	}
}
