package mix

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/market"
)

// Cluster is what the world has to know of the replicas.
type Cluster struct {
	// Chain is the ledger's chain id.
	Chain uint32
	// N replicas of which F may fail. Minimum is the ledger's 2f+1 mode.
	N, F    int
	Minimum bool
	// Seed returns the seed of a replica's application key.
	Seed func(replica int) [32]byte
}

// DerivedSeed is the seed of a replica's application key in clusters that were
// given none: it is no secret.
func DerivedSeed(chain uint32) func(replica int) [32]byte {
	return func(replica int) [32]byte { return seedOf(chain, "replica", 0, replica) }
}

// seedOf derives the key of one of the cast.
func seedOf(chain uint32, kind string, shard, i int) [32]byte {
	b := binary.BigEndian.AppendUint32([]byte("edgebft/mix/"+kind+"/"), chain)
	b = binary.BigEndian.AppendUint32(b, uint32(shard))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(i)))
}

// device is a device that can be auctioned.
type device struct {
	id    market.ID
	owner int // index of the user
	// free is when its last auction is over for certain, in ms of wall clock.
	free int64
	busy bool
}

// cast is what one shard plays. Accounts are numbered consecutively, group by
// group.
type cast struct {
	first                                    uint64
	users, oems, providers, voters, auditors group
	devices                                  []device
	popular                                  *arrival.Zipf // of devices; nil if there are none
	payees                                   *arrival.Zipf // of the users
	services                                 []market.ID
}

// group is a range of accounts of the cast.
type group struct {
	kind  string
	first int // offset from cast.first
	n     int
}

// World is the cast of all shards.
type World struct {
	cfg     Config
	cluster Cluster
	scheme  protocols.AppScheme
	shards  []cast
	genesis *market.Genesis
	bidder  *arrival.Zipf // of the shard's users
	payee   *arrival.Zipf // of all users
	sniper  arrival.Sniper
}

// Amounts, in base units. Everybody is rich: no session fails for lack of money.
const (
	floorPrice   = 1_000
	bond         = 500
	servicePrice = 100
	panelFee     = 20
	minStake     = 1_000
	voterStake   = 50
	sampleK      = 10
	voterScore   = 30
)

// NewWorld builds the cast and checks that the marketplace accepts it as genesis.
func NewWorld(cfg Config, cluster Cluster, scheme protocols.AppScheme) (*World, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.fill()
	if cluster.Seed == nil {
		cluster.Seed = DerivedSeed(cluster.Chain)
	}
	w := &World{cfg: cfg, cluster: cluster, scheme: scheme}
	var err error
	if w.bidder, err = arrival.NewZipf(cfg.Users, cfg.BidderTheta); err != nil {
		return nil, err
	}
	if w.payee, err = arrival.NewZipf(cfg.payees(), cfg.Theta); err != nil {
		return nil, err
	}
	if w.sniper, err = arrival.NewSniper(cfg.Alpha); err != nil {
		return nil, err
	}
	w.build()
	for s := range w.shards {
		k := &w.shards[s]
		if k.payees, err = arrival.NewZipfPart(cfg.payees(), cfg.Theta, s, cfg.Shards); err != nil {
			return nil, err
		}
		if len(k.devices) == 0 {
			continue
		}
		if k.popular, err = arrival.NewZipfPart(cfg.Devices, cfg.Theta, s, cfg.Shards); err != nil {
			return nil, err
		}
	}
	if _, err := market.New(w.genesis); err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	return w, nil
}

// Application returns a marketplace at the world's genesis.
func (w *World) Application() protocols.Application {
	s, err := market.New(w.genesis)
	if err != nil {
		panic("mix: checked genesis: " + err.Error())
	}
	return s
}

// Shard returns the same world for another process.
func (w *World) Shard(i int) *World {
	other := *w
	other.cfg.Shard = i
	return &other
}

// Genesis returns the description that all replicas start from. It must not be
// changed.
func (w *World) Genesis() *market.Genesis { return w.genesis }

// ReplicaKeys returns the public application keys of the replicas.
func (w *World) ReplicaKeys() [][32]byte {
	keys := make([][32]byte, w.cluster.N)
	for i := range keys {
		keys[i] = w.scheme.Public(w.cluster.Seed(i))
	}
	return keys
}

func (w *World) build() {
	c := &w.cfg
	g := &market.Genesis{Chain: w.cluster.Chain, F: w.cluster.F, Minimum: w.cluster.Minimum, Kitty: 1_000_000}
	w.genesis = g
	for i, key := range w.ReplicaKeys() {
		g.Replicas = append(g.Replicas, uint64(i+1))
		g.Accounts = append(g.Accounts, market.GenesisAccount{ID: uint64(i + 1), Key: key})
	}
	tick := uint64(c.Tick.Milliseconds())
	queue := uint64(max(256, 4*c.Services*c.Shards))
	if c.Explicit {
		queue = 1
	}
	g.Params = []market.GenesisParam{
		{Key: market.TickPeriod, Value: tick},
		{Key: market.ExpiryBatch, Value: queue},
		{Key: market.WMin, Value: 0},
		{Key: market.SMin, Value: 0},
		{Key: market.KeyMS, Value: 1000 * tick},
		{Key: market.OpenObjects, Value: 1 << 20},
		{Key: market.VoterStake, Value: voterStake},
		{Key: market.PanelSize, Value: uint64(c.Panel)},
	}
	g.Params = append(g.Params, c.Params...)
	next := uint64(w.cluster.N + 1)
	for s := range c.Shards {
		next = w.buildShard(s, next)
	}
}

// Organisations: the roles that check on each other belong to different ones.
const (
	orgUsers = 1 + iota
	orgOEMs
	orgFirst
)

func (w *World) buildShard(shard int, next uint64) uint64 {
	c, g := &w.cfg, w.genesis
	k := cast{first: next}
	size := 0
	some := max(8, c.Users/16)
	add := func(kind string, n int, change func(i int, a *market.GenesisAccount)) group {
		gr := group{kind: kind, first: size, n: n}
		for i := range n {
			a := market.GenesisAccount{
				ID: k.first + uint64(size), Key: w.scheme.Public(seedOf(g.Chain, kind, shard, i)),
				Balance: 1_000_000_000, Org: orgUsers,
			}
			change(i, &a)
			g.Accounts = append(g.Accounts, a)
			size++
		}
		return gr
	}
	org := func() uint32 { return uint32(orgFirst + len(g.Accounts)) }
	k.users = add("user", c.Users, func(int, *market.GenesisAccount) {})
	k.oems = add("oem", some, func(_ int, a *market.GenesisAccount) { a.Roles, a.Org = market.OEM, orgOEMs })
	if c.Weights[Service] > 0 {
		k.providers = add("provider", max(4*some, c.Services), func(_ int, a *market.GenesisAccount) {
			a.Roles, a.Org, a.FreeStake = market.Provider, org(), 1_000_000_000
		})
		k.auditors = add("auditor", 2*some, func(_ int, a *market.GenesisAccount) { a.Roles, a.Org = market.Auditor, org() })
		k.voters = add("voter", max(2*some, c.Panel), func(_ int, a *market.GenesisAccount) {
			a.Roles, a.Org, a.FreeStake, a.Score = market.Voter, org(), 1_000_000, voterScore
		})
	}
	for i := range k.oems.n {
		g.Models = append(g.Models, market.GenesisModel{ID: modelID(shard, i), Model: market.Model{OEM: k.account(k.oems, i), Class: uint16(i % 16)}})
	}
	for i := range (c.Devices - shard + c.Shards - 1) / c.Shards {
		key := w.scheme.Public(seedOf(g.Chain, "device", shard, i))
		owner := c.Users - 1 - i%c.Users // the hottest bidders own the coldest devices
		k.devices = append(k.devices, device{id: market.DeviceID(key), owner: owner})
		g.Devices = append(g.Devices, market.GenesisDevice{
			Key: key, Model: modelID(shard, i%k.oems.n), Owner: k.account(k.users, owner), CheckedIn: true, MinPrice: floorPrice,
		})
	}
	if c.Weights[Service] > 0 {
		for i := range c.Services {
			w.buildService(&k, shard, i)
		}
	}
	w.shards = append(w.shards, k)
	return next + uint64(size)
}

func (w *World) buildService(k *cast, shard, i int) {
	c, g := &w.cfg, w.genesis
	seed := seedOf(g.Chain, "service", shard, i)
	id := market.ID(seed[:16])
	k.services = append(k.services, id)
	g.Services = append(g.Services, market.GenesisService{
		ID: id, Client: k.account(k.users, i%k.users.n), Provider: k.account(k.providers, i), Price: servicePrice, Stake: 100 * minStake, Q: 9000,
		Post: market.ServicePost{
			PriceMax: servicePrice, EpochMS: w.epochMS(), Epochs: uint32(c.Epochs), Mechanism: market.Voting, Trust: 100, PanelFee: panelFee,
		},
		Start: uint64(w.began(shard, i)),
	})
	for e := range c.Epochs {
		p := market.GenesisPanel{Service: id, Epoch: uint32(e)}
		for j := range c.Panel {
			p.Voters = append(p.Voters, k.account(k.voters, w.seat(k, i, e, j)))
		}
		g.Panels = append(g.Panels, p)
	}
}

// seat returns the voter who has seat j of a service's panel in an epoch: the
// seats go round.
func (w *World) seat(k *cast, service, epoch, j int) int {
	return ((service+epoch*7)*w.cfg.Panel + j) % k.voters.n
}

// began returns when a service began, in ms of ledger time. The services follow each
// other evenly, so that their epochs do not all end at once.
func (w *World) began(shard, service int) int64 {
	c := &w.cfg
	return int64(w.epochMS()) * int64(service*c.Shards+shard) / int64(c.Services*c.Shards)
}

// epochMS is the length of an epoch; Config.Check bounds it.
func (w *World) epochMS() uint32 {
	return uint32(w.cfg.Tick.Milliseconds()) * uint32(w.cfg.EpochTicks)
}

func modelID(shard, i int) (id market.ID) {
	binary.BigEndian.PutUint32(id[:], uint32(shard)+1)
	binary.BigEndian.PutUint32(id[4:], uint32(i)+1)
	return id
}

func (k *cast) account(g group, i int) uint64 { return k.first + uint64(g.first+i) }
