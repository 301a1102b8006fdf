package market

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccountOpen(t *testing.T) {
	k := newKit(t)
	open := func(name string, roles uint16) (*AccountOpen, Signer) {
		return &AccountOpen{Key: k.scheme.Public(seedOf(name)), Scheme: SchemeEd25519, Roles: roles, Org: 9}, Signer{Role: RoleNewKey, Seed: seedOf(name)}
	}
	p, s := open("new", Gateway|Voter)
	k.refuse(ErrRole, "alice", p, s)
	k.ok("registrar", p, s)
	require.Equal(t, append([]byte{0, 0}, preimage(nil).u64(1000)...), k.last)
	a, _ := k.s.Account(1000)
	require.Equal(t, Account{Key: p.Key, Roles: Gateway | Voter, Org: 9, Rep: 5000}, a)
	require.Equal(t, uint64(1000), k.s.AccountOf(p.Key))
	k.refuse(ErrKeyInUse, "registrar", p, s)
	p, s = open("admin?", Admin)
	k.refuse(ErrRole, "registrar", p, s)
	p, _ = open("no proof of possession", 0)
	_, s = open("another key", 0)
	k.refuse(ErrSignature, "registrar", p, s)
	p, s = open("second", 0)
	k.ok("registrar", p, s)
	require.Equal(t, append([]byte{0, 0}, preimage(nil).u64(1001)...), k.last)
}

func TestTransferErrors(t *testing.T) {
	k := newKit(t)
	k.refuse(ErrUnknownRecipient, "alice", &Transfer{To: 999, Amount: math.MaxUint64})
	k.refuse(ErrFunds, "alice", &Transfer{To: accountNamed("bob"), Amount: kitBalance + 1})
	k.ok("alice", &Transfer{To: accountNamed("alice"), Amount: kitBalance})
	require.Equal(t, uint64(kitBalance), k.balance("alice"))
	k.ok("alice", &Transfer{To: accountNamed("bob"), Amount: 1, Memo: []byte("x")})
	require.Equal(t, uint64(kitBalance+1), k.balance("bob"))
}

func TestStake(t *testing.T) {
	k := newKit(t, withParam(TUnbond, 100))
	k.refuse(ErrFunds, "alice", &StakeDeposit{kitBalance + 1})
	k.ok("alice", &StakeDeposit{1000})
	k.refuse(ErrStakeLocked, "alice", &StakeWithdraw{1001})
	for i := range 4 {
		k.at(uint64(10 * (i + 1)))
		k.ok("alice", &StakeWithdraw{100})
	}
	k.refuse(ErrLimit, "alice", &StakeWithdraw{100})
	k.at(109)
	require.Equal(t, uint64(kitBalance-1000), k.balance("alice"))
	k.at(120) // 10+100 and 20+100
	require.Equal(t, uint64(kitBalance-800), k.balance("alice"))
	k.ok("alice", &StakeWithdraw{600})
	k.at(1000)
	require.Equal(t, uint64(kitBalance), k.balance("alice"))
	require.Zero(t, k.account("alice").FreeStake)
	require.Zero(t, k.account("alice").Unbonds)
}

func TestClockTick(t *testing.T) {
	k := newKit(t)
	report := func(r uint16, tick, now uint64) ClockReport {
		return SignClock(k.scheme, seedOf(fmt.Sprint("replica", r)), kitChain, r, tick, now)
	}
	send := func(tick uint64, reports ...ClockReport) Code {
		op, err := NewClockTick(kitChain, tick, reports)
		require.NoError(t, err)
		return k.apply(op)
	}
	require.Equal(t, ErrClockQuorum, send(1, report(0, 1, 50), report(1, 1, 60)), "2f reports")
	forged := report(2, 1, 70)
	forged.Time = 71
	require.Equal(t, ErrClockQuorum, send(1, report(0, 1, 50), report(1, 1, 60), forged))
	require.Equal(t, ErrClockQuorum, send(1, report(0, 1, 50), report(1, 1, 60), report(2, 2, 70)), "another tick's report")
	stranger := SignClock(k.scheme, seedOf("alice"), kitChain, 9, 1, 70)
	require.Equal(t, ErrClockQuorum, send(1, report(0, 1, 50), report(1, 1, 60), stranger))
	require.Equal(t, ErrNonceGap, send(2, report(0, 2, 50), report(1, 2, 60), report(2, 2, 70)))

	// One liar cannot leave the range of the honest: the median of three, and the
	// lower median of four.
	require.Equal(t, OK, send(1, report(0, 1, 50), report(1, 1, 60), report(2, 1, math.MaxUint64)))
	require.Equal(t, uint64(60), k.s.Now())
	require.Equal(t, OK, send(2, report(0, 2, 61), report(1, 2, 62), report(2, 2, 65), report(3, 2, 99)))
	require.Equal(t, uint64(62), k.s.Now())
	require.Equal(t, ErrNonceReplay, send(2, report(0, 2, 161), report(1, 2, 162), report(2, 2, 165)))
	require.Equal(t, ErrClockNotAhead, send(3, report(0, 3, 61), report(1, 3, 62), report(2, 3, 99)))
	require.Equal(t, OK, send(3, report(0, 3, 61), report(1, 3, 63), report(2, 3, 99)), "a tick that did not move time can be repeated")

	op, err := Sign(k.scheme, Envelope{Chain: kitChain, Sender: 120, Nonce: 4, ValidUntil: Forever}, &ClockTick{})
	require.NoError(t, err)
	require.Equal(t, ErrUnknownSigner, k.apply(op))
	op, err = Sign(k.scheme, Envelope{Chain: kitChain, Nonce: 4, ValidUntil: Forever, Fee: 1}, &ClockTick{})
	require.NoError(t, err)
	require.Equal(t, ErrFee, k.apply(op))
	op, err = Sign(k.scheme, Envelope{Chain: kitChain, Nonce: 4, ValidUntil: Forever}, &ClockTick{}, k.signer("alice", RoleSender))
	require.NoError(t, err)
	require.Equal(t, ErrCoSignature, k.apply(op))
}

func TestClockMinimumMode(t *testing.T) {
	k := newKit(t, func(g *Genesis) {
		g.Replicas, g.Minimum = g.Replicas[:3], true
	})
	require.Equal(t, ErrClockQuorum, k.apply(k.tickTo(50, 0)))
	reports := []ClockReport{
		SignClock(k.scheme, seedOf("replica0"), kitChain, 0, 1, 50),
		SignClock(k.scheme, seedOf("replica2"), kitChain, 2, 1, math.MaxUint64),
	}
	op, err := NewClockTick(kitChain, 1, reports)
	require.NoError(t, err)
	require.Equal(t, OK, k.apply(op))
	require.Equal(t, uint64(50), k.s.Now())
}

func TestBeacon(t *testing.T) {
	k := newKit(t, withParam(BeaconEpoch, 100))
	value := func(r int, epoch uint32) Hash { return fill32(byte(16*r + int(epoch) + 1)) }
	reveal := func(r int, epoch uint32, opened Hash) Code {
		next := BeaconCommitment(kitChain, epoch+1, uint16(r), value(r, epoch+1))
		return k.do(fmt.Sprint("replica", r), &BeaconReveal{Epoch: epoch, CommitNext: next, Reveal: opened})
	}
	k.refuse(ErrRole, "alice", &BeaconReveal{})
	require.Equal(t, ErrBeaconEpoch, reveal(0, 1, Hash{}))
	require.Equal(t, ErrBeaconReveal, reveal(0, 0, value(0, 0)), "nothing was committed for the first epoch")
	for r := range 3 {
		require.Equal(t, OK, reveal(r, 0, Hash{}))
	}
	require.Equal(t, ErrBeaconReveal, reveal(0, 0, Hash{}), "once per epoch")
	k.at(100)
	require.Equal(t, ErrBeaconReveal, reveal(0, 1, value(1, 1)), "not what was committed")
	require.Equal(t, OK, reveal(2, 1, value(2, 1)))
	require.Equal(t, ErrBeaconReveal, reveal(2, 1, value(2, 1)))
	_, fixed := k.s.BeaconOf(1)
	require.False(t, fixed)
	require.Equal(t, OK, reveal(0, 1, value(0, 1)))
	b, fixed := k.s.BeaconOf(1)
	require.True(t, fixed)
	a, c := value(0, 1), value(2, 1)
	require.Equal(t, Beacon{Value: preimage(nil).bytes(a[:]).bytes(c[:]).hash(), Time: 100, At: k.s.Version()}, b, "f+1 reveals by ascending replica")
	require.Equal(t, ErrBeaconReveal, reveal(3, 1, value(3, 1)), "never committed")
	require.Equal(t, OK, reveal(3, 1, Hash{}), "only commits")
	// Replica 1 withholds; a jump over three epochs ends them as one.
	k.at(450)
	require.Equal(t, uint32(4), k.s.Clock().Epoch)
	require.Equal(t, uint64(500), k.s.Clock().EpochAt)
	sh := k.s.shares.get(1)
	require.Equal(t, uint32(1), sh.Withheld)
	require.Equal(t, OK, reveal(1, 4, Hash{}))
}

func TestParamSet(t *testing.T) {
	k := newKit(t)
	set := &ParamSet{Key: MarketFeeBps, Value: 200, EffectiveAt: k.s.Version() + 10}
	k.refuse(ErrCoSignature, "admin1", set)
	k.refuse(ErrCoSignature, "admin1", set, k.signer("admin1", RoleAdmin))
	k.refuse(ErrCoSignature, "admin1", set, k.signer("admin2", RoleSender))
	k.refuse(ErrRole, "admin1", set, k.signer("alice", RoleAdmin))
	// Without the sender's own signature.
	op, err := Sign(k.scheme, k.envelope("admin1"), set, k.signer("admin2", RoleAdmin), k.signer("admin3", RoleAdmin))
	require.NoError(t, err)
	require.Equal(t, ErrCoSignature, k.apply(op))
	k.refuse(ErrPastHeight, "admin1", &ParamSet{Key: MarketFeeBps, EffectiveAt: k.s.Version() + 1}, k.signer("admin2", RoleAdmin))
	k.refuse(ErrLimit, "admin1", &ParamSet{Key: MarketFeeBps, Value: 10_001, EffectiveAt: 100}, k.signer("admin2", RoleAdmin))
	k.refuse(ErrLimit, "admin1", &ParamSet{Key: 99, EffectiveAt: 100}, k.signer("admin2", RoleAdmin))
	set.EffectiveAt = k.s.Version() + 3
	k.ok("admin1", set, k.signer("admin3", RoleAdmin), k.signer("admin2", RoleAdmin))
	require.Equal(t, uint64(0), k.s.Param(MarketFeeBps), "for the operation just before")
	k.ok("alice", &Transfer{To: 120})
	require.Equal(t, uint64(200), k.s.Param(MarketFeeBps))
	require.Equal(t, uint64(0), k.s.paramAt(MarketFeeBps, set.EffectiveAt-1), "open objects keep theirs")
}

func TestParams(t *testing.T) {
	seen := make(map[string]bool)
	for i, p := range Params() {
		if i < int(lastTableParam) {
			require.Equal(t, Param(i+1), p)
		}
		require.NoError(t, p.Check(p.Default()), "%s", p)
		require.False(t, seen[p.String()])
		seen[p.String()] = true
		q, err := ParamNamed(p.String())
		require.NoError(t, err)
		require.Equal(t, p, q)
	}
	require.Equal(t, Param(41), QueryLimit)
	_, err := ParamNamed("w_min")
	require.ErrorContains(t, err, "w_min_ms")
	require.Error(t, Param(0).Check(0))
	require.Error(t, Param(0x101).Check(0))
}

func genesisService() GenesisService {
	return GenesisService{
		ID: fill16(1), Client: 120, Provider: 130, Price: 1, Post: ServicePost{PriceMax: 1, EpochMS: 10, Epochs: 1, Mechanism: Sampling},
	}
}

func TestGenesisErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Genesis)
		want string
	}{
		{"too few replicas", func(g *Genesis) { g.F = 2 }, "at least 7"},
		{"2f+1", func(g *Genesis) { g.F, g.Minimum = 2, true }, "needs 5"},
		{"negative f", func(g *Genesis) { g.F = -1 }, "f = -1"},
		{"unknown replica", func(g *Genesis) { g.Replicas[1] = 77 }, "account 77"},
		{"twice", func(g *Genesis) { g.Accounts = append(g.Accounts, g.Accounts[5]) }, "twice"},
		{"one key", func(g *Genesis) { g.Accounts[5].Key = g.Accounts[6].Key }, "one key"},
		{"handle 0", func(g *Genesis) { g.Accounts[5].ID = 0 }, "handles are"},
		{"role", func(g *Genesis) { g.Accounts[5].Roles = 1 << 15 }, "unknown roles"},
		{"supply", func(g *Genesis) { g.Accounts[5].Balance = MaxSupply }, "supply"},
		{"first handle", func(g *Genesis) { g.FirstAccount = 120 }, "first handle 120"},
		{"parameter", func(g *Genesis) { g.Params = append(g.Params, GenesisParam{SlashBps, 20_000}) }, "slash_bps"},
		{"parameter key", func(g *Genesis) { g.Params = append(g.Params, GenesisParam{999, 0}) }, "key 999"},
		{"device model", func(g *Genesis) { g.Devices = []GenesisDevice{{Owner: 120}} }, "does not exist"},
		{"service", func(g *Genesis) { g.Services = []GenesisService{{ID: fill16(1), Client: 120, Provider: 130}} }, "10 ms"},
		{"service client", func(g *Genesis) { g.Services = []GenesisService{{Client: 1200, Provider: 130}} }, "account 1200"},
		{"service id", func(g *Genesis) {
			g.Services = []GenesisService{genesisService()}
			g.Services[0].ID = accountID(120)
		}, "has the id that the queue gives account 120"},
		{"service twice", func(g *Genesis) { g.Services = []GenesisService{genesisService(), genesisService()} }, "is there twice"},
		{"service start", func(g *Genesis) {
			g.Services = []GenesisService{genesisService()}
			g.Services[0].Start = 1<<62 + 1
		}, "at most 2^62"},
		{"model twice", func(g *Genesis) {
			m := GenesisModel{fill16(1), Model{OEM: accountNamed("oem")}}
			g.Models = []GenesisModel{m, m}
		}, "is there twice"},
		{"broker twice", func(g *Genesis) {
			b := GenesisBroker{Account: accountNamed("broker")}
			g.Brokers = []GenesisBroker{b, b}
		}, "is there twice"},
		{"broker's role", func(g *Genesis) { g.Brokers = []GenesisBroker{{Account: 120}} }, "not the role TEE_BROKER"},
		{"attributes", func(g *Genesis) {
			withDevice("d1")(g)
			g.Devices[0].Attrs = []Attr{{Key: 1}, {Key: 2}, {Key: 2}}
		}, "attribute 2 follows 2"},
		{"panel", func(g *Genesis) { g.Panels = []GenesisPanel{{Voters: []uint64{5}}} }, "account 5"},
		{"broker", func(g *Genesis) { g.Brokers = []GenesisBroker{{Account: 5}} }, "account 5"},
		{"reputation", func(g *Genesis) { g.Accounts[5].Rep = 10_001 }, "reputation"},
	} {
		g := kitGenesis(realScheme{}, c.edit)
		_, err := New(g)
		require.ErrorContains(t, err, c.want, c.name)
	}
}
