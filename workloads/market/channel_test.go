package market

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChannelErrors(t *testing.T) {
	k := newKit(t)
	bob := accountNamed("bob")
	open := &ChannelOpen{Payee: bob, Deposit: 600, SettleMS: 100}
	k.refuse(ErrChannelParams, "alice", &ChannelOpen{Payee: 999, Deposit: 1, SettleMS: 100})
	k.refuse(ErrChannelParams, "bob", open)
	k.refuse(ErrChannelParams, "alice", &ChannelOpen{Payee: bob, Deposit: 1, SettleMS: 99})
	k.refuse(ErrFunds, "poor", open)
	k.ok("alice", open)
	id := k.resultID()
	require.Equal(t, ChannelID(kitChain, accountNamed("alice"), bob, k.account("alice").Nonce), id)

	unknown := fill16(1)
	k.refuse(ErrChannelState, "alice", &ChannelDeposit{unknown, 1})
	k.refuse(ErrWrongParty, "bob", &ChannelDeposit{id, 1})
	k.refuse(ErrFunds, "alice", &ChannelDeposit{id, kitBalance})
	k.ok("alice", &ChannelDeposit{id, 400})

	promise := func(id ID, cum uint64) *ChannelClaim {
		p := SignPromise(k.scheme, seedOf("alice"), kitChain, id, cum)
		return p.Claim()
	}
	k.refuse(ErrChannelState, "bob", promise(unknown, 1))
	k.refuse(ErrWrongParty, "alice", promise(id, 1))
	bad := promise(id, 1)
	bad.Cum = 2
	k.refuse(ErrPromise, "bob", bad)
	other := promise(unknown, 5)
	other.Channel = id
	k.refuse(ErrPromise, "bob", other) // a promise for another channel

	k.refuse(ErrChannelState, "alice", &ChannelStartSettle{unknown})
	k.refuse(ErrWrongParty, "bob", &ChannelStartSettle{id})
	k.refuse(ErrChannelState, "alice", &ChannelSettle{id}) // not settling
	k.at(10)
	k.ok("alice", &ChannelStartSettle{id})
	k.refuse(ErrChannelState, "alice", &ChannelStartSettle{id})
	k.refuse(ErrChannelState, "alice", &ChannelDeposit{id, 1})
	k.refuse(ErrTooEarly, "carol", &ChannelSettle{id})
	k.ok("bob", promise(id, 5000)) // claims while settling, more than there is
	v, _ := k.s.Channel(id)
	require.Equal(t, uint64(1000), v.Paid)
	require.Equal(t, uint64(kitBalance+1000), k.balance("bob"))
	k.at(200)
	require.Equal(t, uint64(kitBalance-1000), k.balance("alice"), "nothing settles a closed channel")
	k.refuse(ErrChannelState, "bob", promise(id, 5000))
	k.refuse(ErrChannelState, "carol", &ChannelSettle{id})

	// A later channel of the same parties has another id: the old promise is void.
	k.ok("alice", open)
	next := k.resultID()
	require.NotEqual(t, id, next)
	old := promise(id, 600)
	old.Channel = next
	k.refuse(ErrPromise, "bob", old)
	// The queue settles an unclaimed channel in full.
	k.ok("alice", &ChannelStartSettle{next})
	k.at(300)
	v, _ = k.s.Channel(next)
	require.Equal(t, ChannelClosed, v.State)
	require.Equal(t, uint64(kitBalance-1000), k.balance("alice"))
	require.Zero(t, k.account("alice").Open)
	k.refuse(ErrChannelState, "bob", promise(next, 1))
}

// TestClaimAfterPeriod: as long as nobody settled, the payee may still claim.
func TestClaimAfterPeriod(t *testing.T) {
	k := newKit(t, withParam(ExpiryBatch, 1))
	k.ok("alice", &ChannelOpen{Payee: accountNamed("bob"), Deposit: 600, SettleMS: 100})
	id := k.resultID()
	k.ok("alice", &ChannelStartSettle{id})
	k.ok("carol", &ChannelOpen{Payee: accountNamed("bob"), Deposit: 600, SettleMS: 100})
	id2 := k.resultID()
	k.ok("carol", &ChannelStartSettle{id2})
	k.at(100) // one of the two is settled by the queue
	first, second, payer := id, id2, "carol"
	if v, _ := k.s.Channel(id); v.State != ChannelClosed {
		first, second, payer = id2, id, "alice"
	}
	v, _ := k.s.Channel(first)
	require.Equal(t, ChannelClosed, v.State)
	p := SignPromise(k.scheme, seedOf(payer), kitChain, second, 250)
	k.ok("bob", p.Claim())
	require.Equal(t, uint64(kitBalance+250), k.balance("bob"))
	k.refuse(ErrChannelState, payer, &ChannelSettle{second})
}

func TestReceiver(t *testing.T) {
	k := newKit(t)
	id, other := fill16(1), fill16(2)
	fresh := func() Receiver {
		return Receiver{Chain: kitChain, Channel: id, PayerKey: k.scheme.Public(seedOf("alice")), Deposit: 100, Settle: 50, MinSettle: 50, Price: 10}
	}
	sign := func(id ID, cum uint64) Promise { return SignPromise(k.scheme, seedOf("alice"), kitChain, id, cum) }
	r := fresh()
	require.ErrorIs(t, r.Accept(sign(other, 10), 0, k.scheme), ErrPromiseChannel)
	require.ErrorIs(t, r.Accept(sign(id, 101), 0, k.scheme), ErrPromiseRange)
	require.ErrorIs(t, r.Accept(sign(id, 9), 0, k.scheme), ErrPromiseShort)
	require.ErrorIs(t, r.Accept(sign(id, 20), 21, k.scheme), ErrPromiseShort)
	require.NoError(t, r.Accept(sign(id, 20), 20, k.scheme))
	require.ErrorIs(t, r.Accept(sign(id, 29), 0, k.scheme), ErrPromiseShort)
	require.ErrorIs(t, r.Accept(sign(id, 10), 0, k.scheme), ErrPromiseShort)
	forged := sign(id, 30)
	forged.Cum = 40
	require.ErrorIs(t, r.Accept(forged, 0, k.scheme), ErrPromiseSignature)
	require.NoError(t, r.Accept(sign(id, 100), 0, k.scheme))
	require.Equal(t, uint64(100), r.Best.Cum)
	r = fresh()
	r.MinSettle = 51
	require.ErrorIs(t, r.Accept(sign(id, 10), 0, k.scheme), ErrSettleShort)

	p := sign(id, 30)
	back, err := DecodePromise(p.Append(nil))
	require.NoError(t, err)
	require.Equal(t, p, back)
	_, err = DecodePromise(make([]byte, PromiseSize+1))
	require.Error(t, err)
}
