package market

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// kit is a small world for tests of rules: it builds, signs and applies
// transactions, and checks the invariants after each.
type kit struct {
	t       testing.TB
	scheme  protocols.AppScheme
	s       *State
	monitor Monitor
	last    []byte // result of the last transaction
	op      []byte // the last transaction
}

const kitChain = 7

func seedOf(name string) [32]byte { return sha256.Sum256([]byte("kit/" + name)) }

// Accounts of the kit, by name; replicas are 1 to 4.
var kitAccounts = []struct {
	name  string
	id    uint64
	roles uint16
	org   uint32
}{
	{"registrar", 100, Registrar, 1},
	{"admin1", 101, Admin, 1},
	{"admin2", 102, Admin, 1},
	{"admin3", 103, Admin, 1},
	{"oem", 110, OEM, 2},
	{"oem2", 111, OEM, 3},
	{"gateway", 112, Gateway, 44},
	{"auditor", 113, Auditor, 5},
	{"alice", 120, 0, 6},
	{"bob", 121, 0, 7},
	{"carol", 122, 0, 8},
	{"dave", 123, 0, 9},
	{"p1", 130, Provider, 20},
	{"p2", 131, Provider, 21},
	{"p3", 132, Provider, 22},
	{"v1", 140, Voter, 30},
	{"v2", 141, Voter, 31},
	{"v3", 142, Voter, 32},
	{"v4", 143, Voter, 33},
	{"v5", 144, Voter, 34},
	{"poor", 150, 0, 40},
	{"broker", 151, TEEBroker, 41},
}

const kitBalance = 100_000

// modelled is the scheme of every kit.
var modelled = auth.ModelledApp(1)

func kitGenesis(scheme protocols.AppScheme, edit ...func(*Genesis)) *Genesis {
	g := &Genesis{Chain: kitChain, F: 1, AdminQuorum: 2, FirstAccount: 1000}
	for r := range uint64(4) {
		g.Replicas = append(g.Replicas, r+1)
		g.Accounts = append(g.Accounts, GenesisAccount{ID: r + 1, Key: scheme.Public(seedOf(fmt.Sprint("replica", r)))})
	}
	for _, a := range kitAccounts {
		balance := uint64(kitBalance)
		if a.name == "poor" {
			balance = 10
		}
		acc := GenesisAccount{ID: a.id, Key: scheme.Public(seedOf(a.name)), Balance: balance, Roles: a.roles, Org: a.org}
		if a.roles == Voter {
			acc.FreeStake, acc.Score = 500, 30
		}
		if a.roles == Provider {
			acc.FreeStake = 5000
		}
		g.Accounts = append(g.Accounts, acc)
	}
	g.Params = []GenesisParam{{WMin, 50}, {SMin, 100}}
	for _, e := range edit {
		e(g)
	}
	return g
}

func newKit(t testing.TB, edit ...func(*Genesis)) *kit {
	t.Helper()
	scheme := modelled
	s, err := New(kitGenesis(scheme, edit...))
	require.NoError(t, err)
	return &kit{t: t, scheme: scheme, s: s}
}

func withParam(p Param, v uint64) func(*Genesis) {
	return func(g *Genesis) { g.Params = append(g.Params, GenesisParam{p, v}) }
}

func accountNamed(name string) uint64 {
	for _, a := range kitAccounts {
		if a.name == name {
			return a.id
		}
	}
	var r uint64
	if _, err := fmt.Sscanf(name, "replica%d", &r); err == nil {
		return r + 1
	}
	return 0
}

func (k *kit) verify(c protocols.SigCheck) bool {
	return k.scheme.Verify(c.Key, c.Message, c.Signature)
}

// apply applies an operation and checks everything there is to check.
func (k *kit) apply(op []byte) Code {
	k.t.Helper()
	k.op = op
	before := k.s.Root()
	k.last = k.s.Apply(op, k.verify)
	code := CodeOf(k.last)
	require.NoError(k.t, Check(k.s))
	require.NoError(k.t, k.monitor.After(k.s))
	if code.Refused() {
		require.Equal(k.t, before, k.s.Root(), "a refused transaction left a trace")
	}
	return code
}

func (k *kit) signer(name string, r Role) Signer { return Signer{r, accountNamed(name), seedOf(name)} }

func (k *kit) envelope(name string) Envelope {
	id := accountNamed(name)
	a, _ := k.s.Account(id)
	return Envelope{Chain: kitChain, Sender: id, Nonce: a.Nonce + 1, ValidUntil: Forever}
}

// do sends a transaction of the named account and returns its code.
func (k *kit) do(name string, p Payload, co ...Signer) Code {
	k.t.Helper()
	role := RoleSender
	if p.Type() == TypeParamSet {
		role = RoleAdmin
	}
	op, err := Sign(k.scheme, k.envelope(name), p, append([]Signer{k.signer(name, role)}, co...)...)
	require.NoError(k.t, err)
	return k.apply(op)
}

// ok sends a transaction that must succeed.
func (k *kit) ok(name string, p Payload, co ...Signer) {
	k.t.Helper()
	require.Equal(k.t, OK, k.do(name, p, co...), "%s by %s", p.Type(), name)
}

// refuse sends a transaction that must fail with a code.
func (k *kit) refuse(want Code, name string, p Payload, co ...Signer) {
	k.t.Helper()
	before, bal := k.s.Totals(), k.balance(name)
	require.Equal(k.t, want, k.do(name, p, co...), "%s by %s", p.Type(), name)
	require.Equal(k.t, before, k.s.Totals(), "a rejected transaction moved money")
	require.Equal(k.t, bal, k.balance(name))
}

// at ticks the clock to a time.
func (k *kit) at(now uint64) {
	k.t.Helper()
	require.Equal(k.t, OK, k.apply(k.tickTo(now, 0, 1, 2)))
	require.Equal(k.t, now, k.s.Now())
}

// tickTo builds the next tick from equal reports of the given replicas.
func (k *kit) tickTo(now uint64, replicas ...uint16) []byte {
	n := k.s.Clock().Tick + 1
	var reports []ClockReport
	for _, r := range replicas {
		reports = append(reports, SignClock(k.scheme, seedOf(fmt.Sprint("replica", r)), kitChain, r, n, now))
	}
	op, err := NewClockTick(kitChain, n, reports)
	require.NoError(k.t, err)
	return op
}

func (k *kit) account(name string) Account {
	a, ok := k.s.Account(accountNamed(name))
	require.True(k.t, ok)
	return a
}

func (k *kit) balance(name string) uint64 { return k.account(name).Balance }

func (k *kit) rep(name string) uint16 { return k.account(name).Rep }

// resultID is the id in the last result.
func (k *kit) resultID() ID {
	require.Len(k.t, k.last, 18)
	return ID(k.last[2:])
}

// withDevice places a model and a checked-in device of alice with floor price 1000.
func withDevice(name string) func(*Genesis) {
	return func(g *Genesis) {
		model := fill16(0x4D)
		if len(g.Models) == 0 {
			g.Models = append(g.Models, GenesisModel{model, Model{OEM: accountNamed("oem"), Class: 7}})
		}
		g.Devices = append(g.Devices, GenesisDevice{
			Key: Key(modelled.Public(seedOf(name))), Model: model, Owner: accountNamed("alice"), CheckedIn: true, MinPrice: 1000,
		})
	}
}

func (k *kit) deviceID(name string) ID { return DeviceID(k.scheme.Public(seedOf(name))) }
