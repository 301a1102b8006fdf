package mix

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/edgebft/edgebft/workloads/market"
)

// transfer is one payment to a popular payee.
type transfer struct{ to, amount uint64 }

func (g *Generator) startTransfer() bool {
	from := g.free(g.c.users, g.uniform(g.c.users.n))
	if from < 0 {
		return false
	}
	g.after(0, &transfer{g.anyPayee(from), uint64(1 + g.uniform(100))}, g.account(g.c.users, from), 0, 0)
	return true
}

func (t *transfer) payload(*Generator, uint8, int) (market.Payload, []market.Signer) {
	return &market.Transfer{To: t.to, Amount: t.amount}, nil
}

func (t *transfer) result(*Generator, *job, market.Code, []byte) {}

// payee draws a popular user of the shard other than from.
func (g *Generator) payee(from int) int {
	n := g.c.users.n
	to := (g.c.payees.Key(g.r.Uint64()) + n/3) % n // the hottest payees are not the hottest bidders
	if to == from {
		to = (to + 1) % n
	}
	return to
}

// anyPayee draws the account of a popular user of any shard other than from. Users
// have the same ranks as for payee.
func (g *Generator) anyPayee(from int) uint64 {
	n, shards := g.c.users.n, g.cfg.Shards
	rank := g.w.payee.Key(g.r.Uint64())
	to := (rank/shards + n/3) % n
	c := &g.w.shards[rank%shards]
	if c == g.c && to == from {
		to = (to + 1) % n
	}
	return c.account(c.users, to)
}

// registration brings one new device: its OEM registers it for its owner, who then
// switches it on for the market.
type registration struct {
	n     int // number of the device
	owner int
	seed  [32]byte
	key   market.Key
	model market.ID
}

const (
	stepRegister uint8 = iota
	stepCheckIn
)

func (g *Generator) startRegistration() bool {
	oem := g.free(g.c.oems, g.devs%g.c.oems.n)
	if oem < 0 {
		return false
	}
	s := &registration{n: g.devs, owner: g.uniform(g.c.users.n), seed: seedOf(g.w.cluster.Chain, "new", g.cfg.Shard, g.devs), model: modelID(g.cfg.Shard, oem)}
	g.devs++
	s.key = g.env.Scheme().Public(s.seed)
	g.after(0, s, g.account(g.c.oems, oem), stepRegister, 0)
	return true
}

func (s *registration) payload(g *Generator, step uint8, _ int) (market.Payload, []market.Signer) {
	if step == stepCheckIn {
		return &market.DeviceCheckIn{Device: market.DeviceID(s.key), MinPrice: floorPrice, HourPrice: 100, Term: 3_600_000}, nil
	}
	p := &market.DeviceRegister{
		DeviceKey: s.key, Model: s.model, TDHash: sha256.Sum256(s.key[:]),
		Lat: int32(45_000 + g.uniform(1000)), Lon: int32(5_000 + g.uniform(1000)), Caps: 1,
	}
	for k := range uint16(4) {
		p.Attrs = append(p.Attrs, market.Attr{Key: k + 1, Value: uint32(g.uniform(100))})
	}
	owner := g.account(g.c.users, s.owner)
	return p, []market.Signer{owner.w.Signer(market.RoleOwner), {Role: market.RoleDevice, Seed: s.seed}}
}

func (s *registration) result(g *Generator, j *job, code market.Code, _ []byte) {
	switch {
	case code != market.OK:
		g.stats.GivenUp++
	case j.step == stepRegister:
		g.after(0, s, g.account(g.c.users, s.owner), stepCheckIn, 0)
	case len(g.devices) < MaxDevices:
		g.devices = append(g.devices, device{id: market.DeviceID(s.key), owner: s.owner})
	}
}

// salt derives a blinding value that nobody else can guess from a seed.
func salt(seed [32]byte, object market.ID, n uint64) market.Hash {
	b := append([]byte("edgebft/mix/salt/"), seed[:]...)
	b = append(b, object[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, n))
}
