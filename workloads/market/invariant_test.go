package market

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// busyKit has an awarded auction, a running vote, an open and a settling channel
// and a grant.
func busyKit(t testing.TB) (k *kit, auction, service, channel, settling ID) {
	a := openSale(t, AuctionOpen{})
	k = a.kit
	a.commit(OK, "bob", 2000, 3000)
	a.commit(OK, "carol", 1900, 3000)
	k.ok("alice", &ServicePost{PriceMax: 100, PanelFee: 10, EpochMS: 100, Epochs: 3, Mechanism: Voting, Trust: 2, Budget: 330})
	service = k.resultID()
	k.ok("p1", &ProviderOffer{service, 100, 500, 9000, 9})
	k.ok("dave", &ChannelOpen{Payee: 120, Deposit: 600, SettleMS: 1000})
	channel = k.resultID()
	k.ok("dave", &ChannelOpen{Payee: 121, Deposit: 600, SettleMS: 1000})
	settling = k.resultID()
	k.ok("dave", &ChannelStartSettle{settling})
	k.ok("alice", &TopicPut{Device: k.deviceID("d1"), Kind: Live, UnitPrice: 1, UnitMS: 10})
	k.ok("bob", &AccessBuy{Topic: k.resultID(), Units: 5, MaxTotal: 5})
	k.ok("v1", &StakeWithdraw{5})
	k.at(100)
	a.reveal(OK, "bob", 2000)
	a.reveal(OK, "carol", 1900)
	k.at(200)
	k.ok("v1", &VerdictCommit{service, 0, fill32(1)})
	return k, a.id, service, channel, settling
}

// TestCheckFindsFaults damages a good state in one place each and wants Check to
// name the invariant.
func TestCheckFindsFaults(t *testing.T) {
	k, auction, service, channel, settling := busyKit(t)
	require.NoError(t, Check(k.s))
	d1 := k.deviceID("d1")
	for _, c := range []struct {
		name, want string
		damage     func(s *State)
	}{
		{"money from nothing", "I1", func(s *State) { s.accounts.mut(120).Balance++ }},
		{"lost free stake", "I1", func(s *State) { s.accounts.mut(130).FreeStake-- }},
		{"kitty", "I1", func(s *State) { s.pay(Kitty, 1) }},
		{"pot", "I2", func(s *State) { s.pay(PotChannels, 1) }},
		{"underflow", "I2", func(s *State) { s.accounts.mut(120).Balance -= 1 << 62 }},
		{"award escrow", "I2", func(s *State) { s.auctions.mut(auction).Escrow-- }},
		{"second winner", "I3", func(s *State) { s.bids.mut(partyKey{auction, 122}).State = BidWon }},
		{"no winner", "I3", func(s *State) { s.bids.mut(partyKey{auction, 121}).State = BidLost }},
		{"price", "I3", func(s *State) { a := s.auctions.mut(auction); a.Price, a.Escrow = 1999, 1999 }},
		{"second price", "I3", func(s *State) { s.auctions.mut(auction).Kind = SecondPrice }},
		{"below reserve", "I3", func(s *State) { s.auctions.mut(auction).Reserve = 2001 }},
		{"loser's lock", "I4", func(s *State) { s.bids.mut(partyKey{auction, 122}).Lock = 7 }},
		{"open bid after award", "I4", func(s *State) { s.bids.mut(partyKey{auction, 122}).State = BidRevealed }},
		{"channel overpaid", "I5", func(s *State) { s.channels.mut(channel).Paid = 601 }},
		{"open channel paid", "I5", func(s *State) { s.channels.mut(channel).Paid = 1 }},
		{"reputation", "I7", func(s *State) { s.accounts.mut(120).Rep = 10_001 }},
		{"grant reference", "I8", func(s *State) { g := s.grants.sorted()[0]; s.grants.mut(g).Ref = fill16(9) }},
		{"ownership head", "I9", func(s *State) { s.devices.mut(k.deviceID("d2")).Owner = 122 }},
		{"ownership link", "I9", func(s *State) { s.links.mut(linkKey{d1, 0}).Time = 4 }},
		{"ownership hop", "I9", func(s *State) { s.links.del(linkKey{d1, 0}) }},
		{"vote of a stranger", "not in the panel", func(s *State) { s.votes.put(voteKey{service, 0, 120}, Vote{}) }},
		{"key deadline", "I12", func(s *State) { s.unschedule(s.auctions.get(auction).Deadline, ExpireKey, auction) }},
		{"settle deadline", "I12", func(s *State) { s.unschedule(s.channels.get(settling).Until, ExpireChannelSettle, settling) }},
		{"service edge", "I12", func(s *State) { s.unschedule(s.services.get(service).NextEdge, ExpireServiceEpoch, service) }},
		{"verdict deadline", "I12", func(s *State) { s.unschedule(300, ExpireVerdict, service) }},
		{"unbonding", "I12", func(s *State) { s.unschedule(day, ExpireUnbonding, accountID(140)) }},
		{"beacon edge", "I12", func(s *State) { s.unschedule(60_000, ExpireBeaconEpoch, ID{}) }},
		{"open count", "open objects", func(s *State) { s.accounts.mut(123).Open++ }},
		{"bid count", "counts", func(s *State) { s.auctions.mut(auction).Bids++ }},
		{"live mark", "live", func(s *State) { s.devices.mut(d1).LiveAuction = ID{} }},
		{"pending", "pending", func(s *State) { s.services.mut(service).Pending = 0 }},
		{"active", "provider", func(s *State) { s.services.mut(service).Active = 131 }},
		{"handle", "next handle", func(s *State) { s.clock.mut(0).NextAccount = 140 }},
		{"parameter", "slash_bps", func(s *State) { s.params.put(paramKey{SlashBps, 1}, 10_001) }},
		{"pot missing", "no pot", func(s *State) { s.pots.del(Fees) }},
		{"clock missing", "no clock", func(s *State) { s.clock.del(0) }},
	} {
		root := k.s.Root()
		k.s.version++ // damage counts as an operation, so that it can be taken back
		k.s.step = 2 * k.s.version
		c.damage(k.s)
		require.ErrorContains(t, Check(k.s), c.want, c.name)
		require.NoError(t, k.s.Rollback(k.s.version-1))
		require.NoError(t, Check(k.s), c.name)
		require.Equal(t, root, k.s.Root(), c.name)
	}
}

// Each amount is possible, their sum wraps to what genesis had.
func TestCheckFindsOverflow(t *testing.T) {
	k, _, _, _, _ := busyKit(t)
	k.s.config.supply, k.s.clock.mut(0).NextAccount = 1<<62, 1<<20
	have := uint64(0)
	for _, a := range k.s.accounts.rows {
		have += a.val.Balance + a.val.FreeStake
		for _, u := range a.val.Unbonding {
			have += u.Amount
		}
	}
	for p := range numPots {
		have += k.s.Pot(p)
	}
	for i := range uint64(4) { // together 2^64
		k.s.accounts.put(1_000+i, Account{Key: Key(fill32(byte(200 + i))), Balance: 1 << 62})
	}
	k.s.accounts.put(2_000, Account{Key: Key(fill32(250)), Balance: 1<<62 - have})
	require.ErrorContains(t, conserved(k.s), "more than 2^64")
	require.ErrorContains(t, Check(k.s), "more than 2^64")
}

func TestMonitorFindsFaults(t *testing.T) {
	k, auction, service, channel, _ := busyKit(t)
	fail := func(s *State, slashed uint64) {
		j := s.verdicts.mut(epochKey{service, 0})
		j.State, j.Verdict, j.Slashed = JudgementSettled, Fail, slashed
	}
	payOut := func(s *State, paid, back uint64) {
		v := s.channels.mut(channel)
		v.State, v.Paid = ChannelClosed, paid
		s.credit(v.Payee, paid)
		s.credit(v.Payer, back)
	}
	for _, c := range []struct {
		want   string
		damage func(s *State)
	}{
		{"I12", func(s *State) { s.clock.mut(0).Now-- }},
		{"I12", func(s *State) { s.clock.mut(0).Now++ }},
		{"I13", func(s *State) { s.accounts.mut(120).Nonce += 2 }},
		{"I13", func(s *State) { s.accounts.mut(120).Nonce++; s.accounts.mut(121).Nonce++ }},
		{"I3", func(s *State) { s.auctions.mut(auction).Winner = 122 }},
		{"I13", func(s *State) { s.accounts.mut(120).Nonce--; s.accounts.mut(121).Nonce++ }},
		{"I8", func(s *State) { g := s.grants.sorted()[0]; s.grants.mut(g).End-- }},
		{"I12", func(s *State) { s.auctions.mut(auction).Phase = PhaseCancelled }},
		{"I12", func(s *State) { a := s.accounts.mut(140); a.Unbonds, a.Unbonding = 0, [4]Unbonding{} }},
		{"I7", func(s *State) { s.accounts.mut(130).Rep-- }},
		{"I7", func(s *State) { fail(s, 0); s.loseRep(130, 0); s.loseRep(130, 0) }},
		{"I10", func(s *State) { fail(s, 100); s.loseRep(130, 0); s.credit(120, 100) }},
		{"I5", func(s *State) { s.channels.mut(channel).State = ChannelClosed }},
		{"I5", func(s *State) { payOut(s, 601, 0) }},
		{"I5", func(s *State) { payOut(s, 200, 300) }},
		{"", func(s *State) { payOut(s, 200, 400) }},
	} {
		var m Monitor
		require.NoError(t, m.After(k.s))
		k.s.version++
		k.s.step = 2 * k.s.version
		c.damage(k.s)
		err := m.After(k.s)
		if c.want == "" {
			require.NoError(t, err)
			require.NoError(t, k.s.Rollback(k.s.version-1))
			require.ErrorContains(t, m.After(k.s), "I5", "a channel that opens again")
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.NoError(t, k.s.Rollback(k.s.version-1))
	}
}

func TestSnapshotErrors(t *testing.T) {
	k, _, _, _, _ := busyKit(t)
	var snap bytes.Buffer
	require.NoError(t, k.s.Snapshot(&snap))
	good := snap.Bytes()
	fresh := func() *State {
		s, err := New(kitGenesis(modelled, withDevice("d1"), withDevice("d2")))
		require.NoError(t, err)
		return s
	}
	s := fresh()
	require.NoError(t, s.Restore(bytes.NewReader(good)))
	require.Equal(t, k.s.Root(), s.Root())
	require.Error(t, s.Rollback(s.Version()-1), "nothing from before the snapshot can be taken back")

	// The restored state goes on like the original.
	for _, now := range []uint64{300, 5000, 3_600_200} {
		op := k.tickTo(now, 0, 1, 2)
		require.Equal(t, OK, k.apply(op))
		require.Equal(t, OK, CodeOf(s.Apply(op, k.verify)))
		require.Equal(t, k.s.Root(), s.Root())
	}

	// Every truncation and every flipped byte (save the version, which no root
	// covers) is found, and a failed state is usable again after a good restore.
	s = fresh()
	version := len(snapshotMagic) + 32
	for i := 0; i < len(good); i += 1 + len(good)/400 {
		require.Error(t, s.Restore(bytes.NewReader(good[:i])))
		if i >= version && i < version+8 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		require.Error(t, s.Restore(bytes.NewReader(bad)), "byte %d", i)
	}
	require.Error(t, s.Restore(bytes.NewReader(append(bytes.Clone(good), 0))))
	require.Equal(t, ErrEncoding, CodeOf(s.Apply(nil, nil)))
	require.Error(t, s.Snapshot(io.Discard))
	require.Error(t, s.Rollback(0))
	_, err := DecodeAnswer(s.Query(NewQuery(QueryTotals)))
	require.Error(t, err)
	require.NoError(t, s.Restore(bytes.NewReader(good)))
	require.NoError(t, Check(s))

	other, err := New(kitGenesis(modelled))
	require.NoError(t, err)
	require.ErrorContains(t, other.Restore(bytes.NewReader(good)), "genesis")

	boom := errors.New("disk full")
	require.ErrorIs(t, s.Snapshot(failing{boom}), boom)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

var _ protocols.Application = (*State)(nil)

func TestQueries(t *testing.T) {
	k, auction, service, channel, _ := busyKit(t)
	d1, bob := k.deviceID("d1"), accountNamed("bob")
	topic := k.s.topics.sorted()[0]
	root := Hash(k.s.Root())
	for _, c := range []struct {
		kind QueryKind
		args []any
		into Record
		want any
	}{
		{QueryAccount, []any{bob}, &Account{}, k.s.accounts.get(bob)},
		{QueryDevice, []any{d1}, &Device{}, k.s.devices.get(d1)},
		{QueryAuction, []any{auction}, &Auction{}, k.s.auctions.get(auction)},
		{QueryService, []any{service}, &Service{}, k.s.services.get(service)},
		{QueryVerdict, []any{service, uint32(0)}, &Judgement{}, k.s.verdicts.get(epochKey{service, 0})},
		{QueryChannel, []any{channel}, &Channel{}, k.s.channels.get(channel)},
		{QueryTopic, []any{topic}, &Topic{}, k.s.topics.get(topic)},
		{QueryGrant, []any{topic, bob}, &Grant{}, k.s.grants.get(partyKey{topic, bob})},
		{QueryBid, []any{auction, bob}, &Bid{}, k.s.bids.get(partyKey{auction, bob})},
		{QueryTotals, nil, &Totals{}, nil},
	} {
		a, err := DecodeAnswer(k.s.Query(NewQuery(c.kind, c.args...)))
		require.NoError(t, err)
		require.True(t, a.Found)
		require.Equal(t, k.s.Version(), a.Applied)
		require.NoError(t, DecodeRecord(a.Body, c.into), "%T", c.into)
		require.Error(t, DecodeRecord(append(a.Body, 0), c.into))
		if c.want == nil {
			continue
		}
		require.EqualExportedValues(t, c.want, c.into)

		q := NewQuery(c.kind|QueryProof, c.args...)
		p, err := DecodeProven(q, k.s.Query(q))
		require.NoError(t, err)
		require.True(t, p.Found)
		require.NoError(t, p.Verify(root))
		require.NoError(t, DecodeRecord(p.Body, c.into))
		require.Error(t, p.Verify(Hash{}))
		p.Body[0] ^= 1
		require.Error(t, p.Verify(root))
	}

	// Absence, with proof; many keys, so that all shapes of the tree occur.
	for i := range uint64(200) {
		q := NewQuery(QueryAccount|QueryProof, 5000+i)
		p, err := DecodeProven(q, k.s.Query(q))
		require.NoError(t, err)
		require.False(t, p.Found)
		require.NoError(t, p.Verify(root))
		lie := p
		lie.Found, lie.Body = true, []byte{1}
		require.Error(t, lie.Verify(root))
	}
	// A proof of presence does not show absence.
	q := NewQuery(QueryAccount|QueryProof, bob)
	p, err := DecodeProven(q, k.s.Query(q))
	require.NoError(t, err)
	p.Found = false
	require.Error(t, p.Verify(root))

	a, err := DecodeAnswer(k.s.Query(NewQuery(QueryAccount, uint64(5))))
	require.NoError(t, err)
	require.False(t, a.Found)
	require.Empty(t, a.Body)
	a, err = DecodeAnswer(k.s.Query(NewQuery(QueryBids, auction)))
	require.NoError(t, err)
	require.Equal(t, []byte{0, 2}, a.Body[:2])
	require.Equal(t, preimage(nil).u64(bob), preimage(a.Body[2:10]), "ascending bidder")
	a, err = DecodeAnswer(k.s.Query(NewQuery(QueryGrants, bob)))
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1}, a.Body[:2])
	for now, want := range map[uint64]byte{49: 1, 50: 0} {
		a, err = DecodeAnswer(k.s.Query(NewQuery(QueryAccess, topic, bob, now)))
		require.NoError(t, err)
		require.Equal(t, []byte{want}, a.Body)
	}
	a, err = DecodeAnswer(k.s.Query(NewQuery(QueryRoot)))
	require.NoError(t, err)
	require.Equal(t, root[:], a.Body)
	a, err = DecodeAnswer(k.s.Query(NewQuery(QueryParams)))
	require.NoError(t, err)
	require.Len(t, a.Body, 10*len(Params()))

	before := k.s.Root()
	for kind := range 256 {
		for _, n := range []int{0, 1, 8, 15, 16, 20, 24, 33} {
			k.s.Query(append([]byte{byte(kind)}, make([]byte, n)...))
		}
	}
	_, err = DecodeAnswer(k.s.Query(nil))
	require.ErrorContains(t, err, "malformed")
	_, err = DecodeAnswer(k.s.Query(append(NewQuery(QueryRoot), 0)))
	require.Error(t, err)
	require.Equal(t, before, k.s.Root(), "reads change nothing")
}
