package market

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
)

// MaxSupply bounds the money there is, so that no sum of amounts overflows.
const MaxSupply = 1 << 62

// Genesis describes the state before the first transaction. Accounts, devices and
// the rest may be placed directly: that is how stories fix ids and panels.
type Genesis struct {
	Chain uint32
	// Replicas are the accounts of the validators, by replica; their keys sign
	// clock reports. They get a share of the fees.
	Replicas []uint64
	F        int
	// Minimum selects the 2f+1 mode: f+1 clock reports and their minimum.
	Minimum bool
	// AdminQuorum is how many administrators must sign a ParamSet, at least 1.
	AdminQuorum int
	// FirstAccount is the first handle that AccountOpen assigns; 0 means one above
	// the greatest handle placed here.
	FirstAccount uint64
	Accounts     []GenesisAccount
	Params       []GenesisParam
	Kitty        uint64

	Brokers      []GenesisBroker
	Measurements []GenesisMeasurement
	Models       []GenesisModel
	Devices      []GenesisDevice
	Services     []GenesisService
	Panels       []GenesisPanel
}

// GenesisAccount is an account that exists from the start.
type GenesisAccount struct {
	ID        uint64
	Key       Key
	Balance   uint64
	FreeStake uint64
	Roles     uint16
	Org       uint32
	Score     uint32
	Rep       uint16 // 0 means the parameter's initial value
}

// GenesisParam sets a parameter before the first transaction.
type GenesisParam struct {
	Key   Param
	Value uint64
}

// GenesisBroker is a TEE broker of the trust list, valid in [From, Until).
type GenesisBroker struct {
	Account     uint64
	From, Until uint64
}

// GenesisMeasurement allows a service to be attested by builds of a measurement.
type GenesisMeasurement struct {
	Service     ID
	Measurement Hash
}

// GenesisModel places a model.
type GenesisModel struct {
	ID    ID
	Model Model
}

// GenesisDevice places a device of an OEM; if the owner is another account, hop 0
// of its ownership chain is written too.
type GenesisDevice struct {
	Key       Key
	Model     ID
	Owner     uint64
	TDHash    Hash
	Lat, Lon  int32
	Caps      uint32
	Attrs     []Attr
	CheckedIn bool
	MinPrice  uint64
}

// GenesisService places a service that runs from time 0, its first epoch active
// with Provider, who has Stake locked for it. The budget is Epochs times the sum
// of PriceMax and PanelFee.
type GenesisService struct {
	ID       ID
	Client   uint64
	Post     ServicePost // its Budget is ignored
	Provider uint64
	Price    uint64
	Stake    uint64
	Q        uint16
	// Start of the first epoch, in ms of ledger time, at most 2^62.
	Start uint64
}

// GenesisPanel fixes the panel of an epoch, seat caps aside.
type GenesisPanel struct {
	Service ID
	Epoch   uint32
	Voters  []uint64
}

// New builds the state that the description stands for, or says what is wrong
// with it.
func New(g *Genesis) (*State, error) {
	cfg, err := g.config()
	if err != nil {
		return nil, err
	}
	s := newState(cfg)
	if err := g.place(s); err != nil {
		return nil, err
	}
	s.forget()
	s.seal()
	if err := Check(s); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return s, nil
}

// forget makes the present state one that cannot be taken back.
func (s *State) forget() {
	for _, t := range s.tables {
		t.release(math.MaxUint64)
	}
	s.floor = s.version
	s.step = 2*s.version + 1
}

func (g *Genesis) config() (config, error) {
	cfg := config{
		chain: g.Chain, replicas: slices.Clone(g.Replicas), f: g.F, minimum: g.Minimum, adminsMin: max(g.AdminQuorum, 1),
		supply: g.Kitty,
	}
	n := len(g.Replicas)
	switch need := 3*g.F + 1; {
	case g.F < 0:
		return cfg, fmt.Errorf("genesis: f = %d, at least 0 needed", g.F)
	case g.Minimum && n < 2*g.F+1:
		return cfg, fmt.Errorf("genesis: %d replicas with f = %d, the 2f+1 mode needs %d", n, g.F, 2*g.F+1)
	case !g.Minimum && n < need:
		return cfg, fmt.Errorf("genesis: %d replicas with f = %d, at least %d needed; or choose the 2f+1 mode", n, g.F, need)
	case n > MaxReports:
		return cfg, fmt.Errorf("genesis: %d replicas, a ClockTick holds at most %d reports", n, MaxReports)
	}
	seen := make(map[uint64]bool, len(g.Accounts))
	keys := make(map[Key]uint64, len(g.Accounts))
	add := func(v uint64, what string, id uint64) error {
		if v > MaxSupply || cfg.supply > MaxSupply-v {
			return fmt.Errorf("genesis: %s of account %d brings the supply over %d", what, id, uint64(MaxSupply))
		}
		cfg.supply += v
		return nil
	}
	if g.Kitty > MaxSupply {
		return cfg, fmt.Errorf("genesis: kitty %d, at most %d", g.Kitty, uint64(MaxSupply))
	}
	for i := range g.Accounts {
		a := &g.Accounts[i]
		switch {
		case a.ID == 0 || a.ID == math.MaxUint64:
			return cfg, fmt.Errorf("genesis: account %d in place %d; handles are 1 to 2^64-2", a.ID, i)
		case seen[a.ID]:
			return cfg, fmt.Errorf("genesis: account %d is there twice", a.ID)
		case keys[a.Key] != 0:
			return cfg, fmt.Errorf("genesis: accounts %d and %d have one key", keys[a.Key], a.ID)
		case a.Roles&^allRoles != 0:
			return cfg, fmt.Errorf("genesis: account %d has unknown roles %#x", a.ID, a.Roles&^allRoles)
		case a.Rep > maxRep:
			return cfg, fmt.Errorf("genesis: account %d has reputation %d, at most %d", a.ID, a.Rep, maxRep)
		}
		seen[a.ID], keys[a.Key] = true, a.ID
		if err := add(a.Balance, "balance", a.ID); err != nil {
			return cfg, err
		}
		if err := add(a.FreeStake, "stake", a.ID); err != nil {
			return cfg, err
		}
		if g.FirstAccount != 0 && a.ID >= g.FirstAccount {
			return cfg, fmt.Errorf("genesis: account %d is not below the first handle %d", a.ID, g.FirstAccount)
		}
	}
	for i, r := range g.Replicas {
		if !seen[r] || slices.Contains(g.Replicas[:i], r) {
			return cfg, fmt.Errorf("genesis: replica %d has account %d, which does not exist or is another's", i, r)
		}
	}
	for i := range g.Services {
		v := &g.Services[i]
		per := v.Post.PriceMax + v.Post.PanelFee
		budget, ok := mulFits(per, uint64(v.Post.Epochs))
		if !ok || per < v.Post.PriceMax {
			return cfg, fmt.Errorf("genesis: service %x has a budget over 2^64", v.ID)
		}
		for _, amount := range []uint64{budget, v.Stake} {
			if err := add(amount, "service escrow", v.Client); err != nil {
				return cfg, err
			}
		}
	}
	for _, b := range g.Brokers {
		cfg.brokers = append(cfg.brokers, b.Account)
	}
	slices.Sort(cfg.brokers)
	return cfg, nil
}

func (g *Genesis) place(s *State) error {
	for p := range numPots {
		s.pots.put(p, 0)
	}
	s.pay(Kitty, g.Kitty)
	for _, p := range g.Params {
		if err := p.Key.Check(p.Value); err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
		s.params.put(paramKey{p.Key, 0}, p.Value)
	}
	next := g.FirstAccount
	for i := range g.Accounts {
		a := &g.Accounts[i]
		rep := a.Rep
		if rep == 0 {
			rep = uint16(s.param(RepInit))
		}
		s.accounts.put(a.ID, Account{Key: a.Key, Balance: a.Balance, FreeStake: a.FreeStake, Roles: a.Roles, Org: a.Org, Score: a.Score, Rep: rep})
		if g.FirstAccount == 0 {
			next = max(next, a.ID+1)
		}
	}
	next = max(next, 1)
	length := s.param(BeaconEpoch)
	s.clock.put(0, Clock{NextAccount: next, EpochAt: length})
	s.schedule(length, ExpireBeaconEpoch, ID{})
	for _, r := range g.Replicas {
		s.accounts.mut(r).Roles |= Replica
	}
	known := func(acc uint64, what string) error {
		if s.accounts.get(acc) == nil {
			return fmt.Errorf("genesis: %s names account %d, which does not exist", what, acc)
		}
		return nil
	}
	for _, b := range g.Brokers {
		if err := known(b.Account, "broker"); err != nil {
			return err
		}
		if s.brokers.get(b.Account) != nil {
			return fmt.Errorf("genesis: broker %d is there twice", b.Account)
		}
		if !s.accounts.get(b.Account).Has(TEEBroker) {
			return fmt.Errorf("genesis: broker %d has not the role TEE_BROKER; give it", b.Account)
		}
		s.brokers.put(b.Account, Broker{Key: s.accounts.get(b.Account).Key, From: b.From, Until: b.Until})
	}
	for _, m := range g.Measurements {
		s.measures.put(measureKey{m.Service, m.Measurement}, struct{}{})
	}
	for _, m := range g.Models {
		if err := known(m.Model.OEM, "model"); err != nil {
			return err
		}
		if s.models.get(m.ID) != nil {
			return fmt.Errorf("genesis: model %x is there twice", m.ID)
		}
		s.models.put(m.ID, m.Model)
	}
	for i := range g.Devices {
		if err := g.Devices[i].place(s, known); err != nil {
			return err
		}
	}
	for i := range g.Services {
		if err := g.Services[i].place(s, known); err != nil {
			return err
		}
	}
	for _, p := range g.Panels {
		voters := slices.Clone(p.Voters)
		slices.Sort(voters)
		voters = slices.Compact(voters)
		if len(voters) > maxPanel {
			return fmt.Errorf("genesis: panel of %d voters, at most %d", len(voters), maxPanel)
		}
		for _, v := range voters {
			if err := known(v, "panel"); err != nil {
				return err
			}
		}
		s.verdicts.put(epochKey{p.Service, p.Epoch}, Judgement{State: JudgementPlanned, Panel: voters})
	}
	return nil
}

func (d *GenesisDevice) place(s *State, known func(uint64, string) error) error {
	m := s.models.get(d.Model)
	id := DeviceID(d.Key)
	if m == nil {
		return fmt.Errorf("genesis: device %x is of model %x, which does not exist", id, d.Model)
	}
	if err := known(d.Owner, "device"); err != nil {
		return err
	}
	if s.devices.get(id) != nil {
		return fmt.Errorf("genesis: device %x is there twice", id)
	}
	if len(d.Attrs) > MaxAttrs {
		return fmt.Errorf("genesis: device %x has %d attributes, at most %d", id, len(d.Attrs), MaxAttrs)
	}
	for i := 1; i < len(d.Attrs); i++ {
		if d.Attrs[i].Key <= d.Attrs[i-1].Key {
			return fmt.Errorf("genesis: device %x: attribute %d follows %d; keys must ascend, each once", id, d.Attrs[i].Key, d.Attrs[i-1].Key)
		}
	}
	v := s.devices.put(id, Device{
		Key: d.Key, Model: d.Model, Class: m.Class, OEM: m.OEM, Owner: m.OEM, TDHash: d.TDHash, Lat: d.Lat, Lon: d.Lon,
		Caps: d.Caps, Attrs: slices.Clone(d.Attrs), MinPrice: d.MinPrice, Head: LinkGenesis(s.config.chain, id, m.OEM),
	})
	if d.Owner != m.OEM {
		s.addLink(id, v, d.Owner, 0)
	}
	v.CheckedIn = d.CheckedIn
	return nil
}

func (v *GenesisService) place(s *State, known func(uint64, string) error) error {
	for _, acc := range []uint64{v.Client, v.Provider} {
		if err := known(acc, "service"); err != nil {
			return err
		}
	}
	if s.services.get(v.ID) != nil {
		return fmt.Errorf("genesis: service %x is there twice", v.ID)
	}
	if acc, ok := accountOfID(v.ID); ok {
		return fmt.Errorf("genesis: service %x has the id that the queue gives account %d; one of the first 8 bytes must not be 0", v.ID, acc)
	}
	p := &v.Post
	if p.EpochMS < 10 || p.Epochs == 0 || v.Price > p.PriceMax || v.Q > maxRep || p.Mechanism < Sampling || p.Mechanism > Uptime {
		return fmt.Errorf("genesis: service %x: epochs of at least 10 ms, at least one, price up to price_max, quality up to %d and a known mechanism needed", v.ID, maxRep)
	}
	if v.Start > MaxSupply {
		return fmt.Errorf("genesis: service %x starts at %d ms; at most 2^62 are allowed", v.ID, v.Start)
	}
	edge := v.Start + uint64(p.EpochMS)
	budget := (p.PriceMax + p.PanelFee) * uint64(p.Epochs)
	s.pay(PotBudgets, budget)
	s.pay(PotOffers, v.Stake)
	s.opened(v.Client)
	s.opened(v.Provider)
	s.services.put(v.ID, Service{
		Client: v.Client, SpecHash: p.SpecHash, QMin: p.QMin, DelayMS: p.DelayMS, UptimeBps: p.UptimeBps, PriceMax: p.PriceMax,
		EpochMS: p.EpochMS, Epochs: p.Epochs, Mechanism: p.Mechanism, Trust: p.Trust, SampleK: p.SampleK, MinStake: p.MinStake,
		HystBps: p.HystBps, PanelFee: p.PanelFee, State: ServiceActive, Budget: budget, Active: v.Provider, Start: v.Start, NextEdge: edge,
	})
	s.offers.put(partyKey{v.ID, v.Provider}, Offer{
		Price: v.Price, Stake: v.Stake, State: OfferActive, LastTill: p.Epochs, Qs: 1, Q: [qualityWindow]uint16{v.Q},
	})
	s.schedule(edge, ExpireServiceEpoch, v.ID)
	return nil
}

// seal fixes what the genesis state is, for snapshots.
func (s *State) seal() {
	s.flush()
	root := s.tree.Root()
	h := sha256.New()
	h.Write([]byte(snapshotMagic))
	c := codec{enc: true}
	c.u32(&s.config.chain)
	f := uint32(s.config.f)
	c.u32(&f)
	c.flag(&s.config.minimum)
	m := uint32(s.config.adminsMin)
	c.u32(&m)
	c.u64(&s.config.supply)
	for i := range s.config.replicas {
		c.u64(&s.config.replicas[i])
	}
	h.Write(c.b)
	h.Write(root[:])
	s.config.digest = Hash(h.Sum(nil))
}
