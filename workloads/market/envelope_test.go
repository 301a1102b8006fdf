package market

import (
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

func TestEnvelopeErrors(t *testing.T) {
	k := newKit(t, withParam(MinimumFee, 3))
	k.at(1000)
	pay := &Transfer{To: accountNamed("bob"), Amount: 5}
	build := func(edit func(*Envelope), signers ...Signer) []byte {
		e := k.envelope("alice")
		e.Fee = 3
		if edit != nil {
			edit(&e)
		}
		if signers == nil {
			signers = []Signer{k.signer("alice", RoleSender)}
		}
		op, err := Sign(k.scheme, e, pay, signers...)
		require.NoError(t, err)
		return op
	}
	good := build(nil)
	patch := func(at int, v byte) []byte {
		op := slices.Clone(good)
		op[at] = v
		return op
	}
	none := []Signer{}
	for _, c := range []struct {
		name string
		op   []byte
		want Code
	}{
		{"empty", nil, ErrEncoding},
		{"truncated", good[:len(good)-1], ErrEncoding},
		{"trailing byte", append(slices.Clone(good), 0), ErrEncoding},
		{"unknown type", patch(5, 0x99), ErrEncoding},
		{"tier 2 type", patch(5, 0x60), ErrEncoding},
		{"unknown signature role", patch(36+18+1, 6), ErrEncoding},
		{"memo longer than payload", patch(36+17, 9), ErrEncoding},
		{"descending signatures", swapSignatures(build(nil, k.signer("alice", RoleSender), k.signer("bob", RoleOwner))), ErrEncoding},
		{"version before chain", build(func(e *Envelope) { e.Version = 2; e.Chain = 8 }), ErrVersion},
		{"chain before sender", build(func(e *Envelope) { e.Chain = 8; e.Sender = 999 }), ErrChain},
		{"unknown sender", build(func(e *Envelope) { e.Sender = 999 }), ErrUnknownSigner},
		{"unknown co-signer", build(nil, k.signer("alice", RoleSender), Signer{RoleOwner, 998, seedOf("x")}), ErrUnknownSigner},
		{"device role with an account", build(nil, k.signer("alice", RoleSender), Signer{RoleDevice, 120, seedOf("x")}), ErrUnknownSigner},
		{"no signature", build(nil, none...), ErrCoSignature},
		{"somebody else's signature", build(nil, k.signer("bob", RoleSender)), ErrCoSignature},
		{"duplicate signature", build(nil, k.signer("alice", RoleSender), k.signer("alice", RoleSender)), ErrCoSignature},
		{"superfluous signature", build(nil, k.signer("alice", RoleSender), k.signer("bob", RoleOwner)), ErrCoSignature},
		{"wrong key", build(nil, Signer{RoleSender, accountNamed("alice"), seedOf("bob")}), ErrSignature},
		{"changed amount", patch(36+15, 6), ErrSignature},
		{"signature before nonce", build(func(e *Envelope) { e.Nonce = 7 }, Signer{RoleSender, accountNamed("alice"), seedOf("bob")}), ErrSignature},
		{"nonce 0", build(func(e *Envelope) { e.Nonce = 0 }), ErrNonceReplay},
		{"nonce gap before expiry", build(func(e *Envelope) { e.Nonce = 2; e.ValidUntil = 1 }), ErrNonceGap},
		{"expired at the end of the window", build(func(e *Envelope) { e.ValidUntil = 1000; e.Fee = 0 }), ErrExpired},
		{"fee below the minimum", build(func(e *Envelope) { e.Fee = 2 }), ErrFee},
		{"fee above the balance", build(func(e *Envelope) { e.Fee = kitBalance + 1 }), ErrFee},
		{"good", build(func(e *Envelope) { e.ValidUntil = 1001 }), OK},
		{"replayed", good, ErrNonceReplay},
	} {
		version := k.s.Version()
		require.Equal(t, c.want, k.apply(c.op), c.name)
		require.Equal(t, version+1, k.s.Version(), "every ordered operation counts")
	}
	require.Equal(t, uint64(kitBalance-5-3), k.balance("alice"))
	require.Equal(t, uint64(3), k.s.Pot(Fees))
	require.Equal(t, uint64(1), k.account("alice").Nonce)

	// A rejected transaction costs nonce and fee, nothing else.
	pay.Amount = kitBalance
	require.Equal(t, ErrFunds, k.apply(build(nil)))
	require.Equal(t, uint64(kitBalance-5-6), k.balance("alice"))
	require.Equal(t, uint64(2), k.account("alice").Nonce)
}

// swapSignatures exchanges the two signatures at the end.
func swapSignatures(op []byte) []byte {
	n := len(op)
	a, b := slices.Clone(op[n-2*SignatureSize:n-SignatureSize]), slices.Clone(op[n-SignatureSize:])
	return append(append(slices.Clone(op[:n-2*SignatureSize]), b...), a...)
}

// TestSignatureMalleability: S+L is the same point on the curve and must be
// refused by the Ed25519 rule of the project.
func TestSignatureMalleability(t *testing.T) {
	app := realScheme{}
	s, err := New(kitGenesis(app))
	require.NoError(t, err)
	op, err := Sign(app, Envelope{Chain: kitChain, Sender: accountNamed("alice"), Nonce: 1, ValidUntil: 1}, &Transfer{To: 1, Amount: 1},
		Signer{RoleSender, accountNamed("alice"), seedOf("alice")})
	require.NoError(t, err)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	le := slices.Clone(op[len(op)-32:])
	slices.Reverse(le)
	sum := new(big.Int).Add(new(big.Int).SetBytes(le), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	bad := append(slices.Clone(op[:len(op)-32]), sum...)
	verify := func(c protocols.SigCheck) bool { return app.Verify(c.Key, c.Message, c.Signature) }
	require.Equal(t, ErrSignature, CodeOf(s.Apply(bad, verify)))
	require.Equal(t, OK, CodeOf(s.Apply(op, verify)))
}

// TestWireSizes compares every transaction with the sizes that the cost model
// counts with: payload, signatures, whole.
func TestWireSizes(t *testing.T) {
	k := newKit(t)
	for _, c := range []struct {
		p             Payload
		payload, nsig int
		wire          int
	}{
		{&AccountOpen{Scheme: SchemeEd25519}, 39, 2, 222},
		{&Transfer{}, 18, 1, 128},
		{&ClockTick{Reports: []ClockReport{{Replica: 0}, {Replica: 1}, {Replica: 2}}}, 224, 0, 261},
		{&BeaconReveal{}, 68, 1, 178},
		{&ParamSet{}, 18, 3, 274},
		{&ModelPut{}, 54, 1, 164},
		{&DeviceRegister{Attrs: []Attr{{1, 0}, {2, 0}, {3, 0}, {4, 0}}}, 118, 3, 374},
		{&DeviceCheckIn{}, 41, 1, 151},
		{&DeviceCheckOut{}, 16, 1, 126},
		{&OwnershipTransfer{}, 64, 2, 247 - 0},
		{&DeviceRevoke{}, 17, 1, 127},
		{&AnchorReadings{}, 68, 1, 178},
		{&ReadingAppend{}, 42, 1, 152},
		{&AuctionOpen{Kind: 1, Mode: 1}, 62, 1, 172},
		{&AuctionBatchOpen{Kind: 1, Mode: 1, Devices: make([]ID, 100)}, 1648, 1, 1758},
		{&BidCommit{}, 56, 1, 166},
		{&BidReveal{}, 56, 1, 166},
		{&BidOpen{}, 24, 1, 134},
		{&AuctionClose{}, 16, 1, 126},
		{&AwardPay{}, 24, 1, 134},
		{&KeyDeliver{SealedKey: make([]byte, 80)}, 130, 1, 240},
		{&AwardCancel{}, 16, 1, 126},
		{&TopicPut{}, 67, 1, 177},
		{&AccessBuy{Cred: make([]byte, 80)}, 110, 1, 220},
		{&ServicePost{Mechanism: 1}, 87, 1, 197},
		{&ProviderOffer{}, 38, 1, 148},
		{&VerdictCommit{}, 52, 1, 162},
		{&VerdictReveal{Verdict: 1}, 87, 1, 197},
		{&SampleReport{}, 56, 1, 166},
		{&AttestedVerdict{Verdict: 1}, 223, 1, 333},
		{&VerdictFinalize{}, 20, 1, 130},
		{&UptimeReport{}, 36, 1, 146},
		{&StakeDeposit{}, 8, 1, 118},
		{&StakeWithdraw{}, 8, 1, 118},
		{&ChannelOpen{}, 24, 1, 134},
		{&ChannelDeposit{}, 24, 1, 134},
		{&ChannelClaim{}, 88, 1, 198},
		{&ChannelStartSettle{}, 16, 1, 126},
		{&ChannelSettle{}, 16, 1, 126},
	} {
		body, err := AppendPayload(nil, c.p)
		require.NoError(t, err)
		require.Len(t, body, c.payload, "%s", c.p.Type())
		signers := make([]Signer, c.nsig)
		for i := range signers {
			signers[i].Role = Role(i)
		}
		op, err := Sign(k.scheme, Envelope{Chain: kitChain}, c.p, signers...)
		require.NoError(t, err)
		require.Len(t, op, c.wire, "%s", c.p.Type())
		x, p, err := DecodeTx(op)
		require.NoError(t, err)
		again, err := AppendPayload(nil, p)
		require.NoError(t, err)
		require.Equal(t, body, again)
		require.Equal(t, uint16(c.payload), binary.BigEndian.Uint16(op[34:]))
		require.Equal(t, c.p.Type(), x.Type)
	}
}

func TestPayloadErrors(t *testing.T) {
	_, err := AppendPayload(nil, &Transfer{Memo: make([]byte, MaxMemo+1)})
	require.ErrorContains(t, err, "over its bound")
	_, err = Sign(realScheme{}, Envelope{}, &AuctionBatchOpen{Kind: 1, Mode: 1, Devices: make([]ID, MaxPayload/16)})
	require.Error(t, err)
	_, err = DecodePayload(0x99, nil)
	require.ErrorContains(t, err, "0x99")
	_, err = DecodePayload(TypeStakeDeposit, make([]byte, 9))
	require.ErrorContains(t, err, "not canonical")
	for _, bad := range []struct {
		t Type
		b []byte
	}{
		{TypeClockTick, append([]byte{0, 2}, make([]byte, 148)...)},                              // equal replicas
		{TypeDeviceRegister, append(make([]byte, 92), 0, 2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)}, // unsorted attributes
		{TypeDeviceRegister, append(make([]byte, 92), append([]byte{0, MaxAttrs + 1}, make([]byte, 6*(MaxAttrs+1))...)...)},
		{TypeAccountOpen, append(make([]byte, 32), 2, 0, 0, 0, 0, 0, 0)},    // scheme
		{TypeAccountOpen, append(make([]byte, 32), 1, 0x80, 0, 0, 0, 0, 0)}, // role bit
		{TypeVerdictReveal, make([]byte, 87)},                               // verdict None
		{TypeAuctionOpen, make([]byte, 62)},                                 // kind
		{TypeServicePost, make([]byte, 87)},                                 // mechanism
		{TypeTransfer, append(make([]byte, 16), 1, 1)},                      // length beyond the input
	} {
		_, err := DecodePayload(bad.t, bad.b)
		require.Error(t, err, "%s %x", bad.t, bad.b)
	}
	require.Equal(t, "Transfer", TypeTransfer.String())
	require.Equal(t, "Type(0x60)", Type(0x60).String())
	require.Len(t, Types(), 39)
}
