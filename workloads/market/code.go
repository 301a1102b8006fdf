package market

import (
	"fmt"
	"sort"
)

// Code is the outcome of a transaction: 0 or one of the error codes of the
// marketplace. It is the first part of every result, and equal on all replicas.
type Code uint16

// Result codes. 101 to 109 and 112 refuse the envelope: nothing changes, not
// even the nonce. Every other code means that the transaction was executed and
// refused by rule: only nonce and fee remain of it.
const (
	OK Code = 0

	ErrEncoding         Code = 101
	ErrVersion          Code = 102
	ErrChain            Code = 103
	ErrSignature        Code = 104
	ErrUnknownSigner    Code = 105
	ErrNonceReplay      Code = 106
	ErrNonceGap         Code = 107
	ErrExpired          Code = 108
	ErrFee              Code = 109
	ErrFunds            Code = 110
	ErrRole             Code = 111
	ErrCoSignature      Code = 112
	ErrOverflow         Code = 113
	ErrLimit            Code = 114
	ErrKeyInUse         Code = 120
	ErrUnknownRecipient Code = 121
	ErrClockQuorum      Code = 130
	ErrClockNotAhead    Code = 131
	ErrBeaconEpoch      Code = 132
	ErrBeaconReveal     Code = 133
	ErrPastHeight       Code = 134

	ErrModel           Code = 201
	ErrDeviceUnknown   Code = 202
	ErrNotOwner        Code = 203
	ErrOEMMismatch     Code = 204
	ErrNotCheckedIn    Code = 205
	ErrStaleLink       Code = 206
	ErrRevoked         Code = 207
	ErrBusy            Code = 208
	ErrDeviceExists    Code = 209
	ErrFirmwareVersion Code = 210
	ErrFirmwareHash    Code = 211
	ErrSlotReplay      Code = 220
	ErrSequence        Code = 221
	ErrTimestamp       Code = 222
	ErrCustody         Code = 223
	ErrDuplicateEvent  Code = 224
	ErrPurchaseOrder   Code = 225

	ErrAuctionExists  Code = 301
	ErrAuctionLive    Code = 302
	ErrPhase          Code = 303
	ErrReserve        Code = 304
	ErrCommitment     Code = 305
	ErrEscrow         Code = 306
	ErrDuplicateBid   Code = 307
	ErrNotWinner      Code = 308
	ErrAlreadyAwarded Code = 309
	ErrPayLate        Code = 310
	ErrKeyLate        Code = 311
	ErrWindowShort    Code = 312
	ErrSelfBid        Code = 313

	ErrBudget        Code = 401
	ErrStake         Code = 402
	ErrPrice         Code = 403
	ErrQoS           Code = 404
	ErrWindow        Code = 405
	ErrNotInPanel    Code = 406
	ErrVoterStake    Code = 407
	ErrSeal          Code = 408
	ErrSampleSize    Code = 409
	ErrAttestation   Code = 410
	ErrMeasurement   Code = 411
	ErrCounterReplay Code = 412
	ErrNotDue        Code = 413
	ErrReportGap     Code = 414
	ErrStakeLocked   Code = 415
	ErrChannelExists Code = 501
	ErrChannelParams Code = 502
	ErrChannelState  Code = 503
	ErrWrongParty    Code = 504
	ErrPromise       Code = 505
	ErrTooEarly      Code = 506
	ErrEVSEBusy      Code = 601
	ErrTariffChanged Code = 602
	ErrSessionState  Code = 603
	ErrMeter         Code = 604
	ErrSlotExists    Code = 701
	ErrGate          Code = 702
	ErrPriceBand     Code = 703
	ErrCleared       Code = 704
	ErrEnergyMeter   Code = 705
	ErrTopicKind     Code = 801
	ErrUnits         Code = 802
	ErrMaximumTotal  Code = 803
)

var codeNames = map[Code]string{
	OK: "ok", ErrEncoding: "encoding", ErrVersion: "version", ErrChain: "chain", ErrSignature: "signature",
	ErrUnknownSigner: "unknown signer", ErrNonceReplay: "nonce replay", ErrNonceGap: "nonce gap", ErrExpired: "expired",
	ErrFee: "fee", ErrFunds: "insufficient funds", ErrRole: "role", ErrCoSignature: "missing or duplicate co-signature",
	ErrOverflow: "overflow", ErrLimit: "limit", ErrKeyInUse: "key in use", ErrUnknownRecipient: "unknown recipient",
	ErrClockQuorum: "clock quorum", ErrClockNotAhead: "clock not ahead", ErrBeaconEpoch: "beacon epoch",
	ErrBeaconReveal: "beacon reveal", ErrPastHeight: "past height", ErrModel: "model", ErrDeviceUnknown: "device unknown",
	ErrNotOwner: "not owner", ErrOEMMismatch: "OEM mismatch", ErrNotCheckedIn: "not checked in",
	ErrStaleLink: "stale ownership link", ErrRevoked: "revoked", ErrBusy: "busy", ErrDeviceExists: "device exists",
	ErrFirmwareVersion: "firmware version", ErrFirmwareHash: "firmware hash", ErrSlotReplay: "slot replay",
	ErrSequence: "sequence", ErrTimestamp: "timestamp", ErrCustody: "custody", ErrDuplicateEvent: "duplicate event",
	ErrPurchaseOrder: "purchase order", ErrAuctionExists: "auction exists", ErrAuctionLive: "auction live",
	ErrPhase: "wrong phase", ErrReserve: "below reserve or above cap", ErrCommitment: "commitment mismatch",
	ErrEscrow: "escrow short or wrong amount", ErrDuplicateBid: "duplicate bid", ErrNotWinner: "not winner",
	ErrAlreadyAwarded: "already awarded", ErrPayLate: "pay late", ErrKeyLate: "key late",
	ErrWindowShort: "window too short", ErrSelfBid: "self bid", ErrBudget: "budget", ErrStake: "stake", ErrPrice: "price",
	ErrQoS: "QoS", ErrWindow: "window", ErrNotInPanel: "not in panel", ErrVoterStake: "voter stake",
	ErrSeal: "seal mismatch", ErrSampleSize: "sample size", ErrAttestation: "broker or enclave signature",
	ErrMeasurement: "measurement", ErrCounterReplay: "counter replay", ErrNotDue: "not due", ErrReportGap: "report gap",
	ErrStakeLocked: "stake locked", ErrChannelExists: "channel exists", ErrChannelParams: "channel parameters",
	ErrChannelState: "channel state", ErrWrongParty: "wrong party", ErrPromise: "promise signature",
	ErrTooEarly: "too early", ErrEVSEBusy: "EVSE busy", ErrTariffChanged: "tariff changed",
	ErrSessionState: "session state", ErrMeter: "meter", ErrSlotExists: "slot exists", ErrGate: "gate",
	ErrPriceBand: "price band or duplicate order", ErrCleared: "cleared", ErrEnergyMeter: "energy meter",
	ErrTopicKind: "topic kind", ErrUnits: "units", ErrMaximumTotal: "maximum total",
}

// String returns number and name, "303 wrong phase".
func (c Code) String() string {
	if n, ok := codeNames[c]; ok {
		return fmt.Sprintf("%d %s", uint16(c), n)
	}
	return fmt.Sprintf("%d ?", uint16(c))
}

// Refused reports whether the code is one of the envelope: the transaction left
// no trace, not even in the sender's nonce.
func (c Code) Refused() bool { return c >= ErrEncoding && c <= ErrFee || c == ErrCoSignature }

// Codes returns all codes in ascending order.
func Codes() []Code {
	out := make([]Code, 0, len(codeNames))
	for c := range codeNames {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

// CodeOf returns the code of a result of State.Apply; a result too short to hold
// one gives ErrEncoding.
func CodeOf(result []byte) Code {
	if len(result) < 2 {
		return ErrEncoding
	}
	return Code(uint16(result[0])<<8 | uint16(result[1]))
}

// plain holds the results that consist of a code only, so that the common case
// allocates nothing. They are never written to after initialisation.
var plain = func() map[Code][]byte {
	m := make(map[Code][]byte, len(codeNames))
	for c := range codeNames {
		m[c] = []byte{byte(c >> 8), byte(c)}
	}
	return m
}()
