package market

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// Composite keys of tables.
type (
	linkKey struct {
		device ID
		hop    uint32
	}
	// partyKey is a part of an object that belongs to an account: a bid, a grant,
	// an offer.
	partyKey struct {
		object ID
		party  uint64
	}
	epochKey struct {
		service ID
		epoch   uint32
	}
	voteKey struct {
		service ID
		epoch   uint32
		voter   uint64
	}
	anchorKey struct {
		site uint32
		slot uint64
	}
	expiryKey struct {
		deadline uint64
		kind     ExpiryKind
		id       ID
	}
	paramKey struct {
		key Param
		at  uint64
	}
	measureKey struct {
		service     ID
		measurement Hash
	}
)

// Pot is money that belongs to no account: the two funds and the escrows.
type Pot uint8

// Pots. KITTY and FEES are funds; each of the others equals the sum over its
// objects.
const (
	Kitty Pot = iota
	Fees
	PotBids     // locks of bids
	PotAwards   // award escrows
	PotChannels // deposits of channels
	PotBudgets  // budgets of services
	PotOffers   // locked stakes of offers
	PotVotes    // locked stakes of votes
	numPots
)

var potNames = [numPots]string{"KITTY", "FEES", "BIDS", "AWARDS", "CHANNELS", "BUDGETS", "OFFERS", "VOTES"}

func (p Pot) String() string { return potNames[min(p, numPots-1)] }

// State is the marketplace: it implements protocols.Application. It is not safe
// for concurrent use. Make one with New.
type State struct {
	config  config
	version uint64 // operations applied
	floor   uint64 // last released version
	step    uint64
	broken  error // set by a failed Restore

	tables   []anyTable
	accounts *table[uint64, Account]
	models   *table[ID, Model]
	devices  *table[ID, Device]
	links    *table[linkKey, Link]
	auctions *table[ID, Auction]
	bids     *table[partyKey, Bid]
	grants   *table[partyKey, Grant]
	topics   *table[ID, Topic]
	services *table[ID, Service]
	offers   *table[partyKey, Offer]
	verdicts *table[epochKey, Judgement]
	votes    *table[voteKey, Vote]
	channels *table[ID, Channel]
	anchors  *table[anchorKey, Anchor]
	sites    *table[uint32, uint64]
	pots     *table[Pot, uint64]
	expiry   *table[expiryKey, struct{}]
	shares   *table[uint16, Share]
	beacons  *table[uint32, Beacon]
	params   *table[paramKey, uint64]
	brokers  *table[uint64, Broker]
	measures *table[measureKey, struct{}]
	enclaves *table[Key, uint64]
	clock    *table[uint8, Clock]

	index index
	tree  *Tree

	// Scratch space, meaningless between calls.
	tx      Tx
	scratch [256]Payload
	buf     []byte
	body    []byte // of the result under construction
	verify  protocols.Verify
}

// config is what genesis fixes for good.
type config struct {
	chain     uint32
	replicas  []uint64 // accounts, by replica
	f         int
	minimum   bool // 2f+1 mode: f+1 reports and their minimum
	adminsMin int
	supply    uint64
	brokers   []uint64 // ascending
	digest    Hash
}

func newState(cfg config) *State {
	s := &State{config: cfg, tree: NewTree()}
	u64Key := func(c *codec, k *uint64) { c.u64(k) }
	idKey := func(c *codec, k *ID) { c.id(k) }
	party := func(c *codec, k *partyKey) {
		c.id(&k.object)
		c.u64(&k.party)
	}
	nothing := func(*codec, *struct{}) {}
	s.accounts = newTable(s, 0x01, u64Key, func(c *codec, v *Account) { v.fields(c) })
	s.models = newTable(s, 0x02, idKey, func(c *codec, v *Model) { v.fields(c) })
	s.devices = newTable(s, 0x03, idKey, func(c *codec, v *Device) { v.fields(c) })
	s.links = newTable(s, 0x04, func(c *codec, k *linkKey) {
		c.id(&k.device)
		c.u32(&k.hop)
	}, func(c *codec, v *Link) { v.fields(c) })
	s.auctions = newTable(s, 0x05, idKey, func(c *codec, v *Auction) { v.fields(c) })
	s.bids = newTable(s, 0x06, party, func(c *codec, v *Bid) { v.fields(c) })
	s.grants = newTable(s, 0x07, party, func(c *codec, v *Grant) { v.fields(c) })
	s.topics = newTable(s, 0x08, idKey, func(c *codec, v *Topic) { v.fields(c) })
	s.services = newTable(s, 0x09, idKey, func(c *codec, v *Service) { v.fields(c) })
	s.offers = newTable(s, 0x0A, party, func(c *codec, v *Offer) { v.fields(c) })
	s.verdicts = newTable(s, 0x0B, func(c *codec, k *epochKey) {
		c.id(&k.service)
		c.u32(&k.epoch)
	}, func(c *codec, v *Judgement) { v.fields(c) })
	s.votes = newTable(s, 0x0C, func(c *codec, k *voteKey) {
		c.id(&k.service)
		c.u32(&k.epoch)
		c.u64(&k.voter)
	}, func(c *codec, v *Vote) { v.fields(c) })
	s.channels = newTable(s, 0x0D, idKey, func(c *codec, v *Channel) { v.fields(c) })
	s.anchors = newTable(s, 0x0E, func(c *codec, k *anchorKey) {
		c.u32(&k.site)
		c.u64(&k.slot)
	}, func(c *codec, v *Anchor) { v.fields(c) })
	// Tables that share a number have keys of different lengths.
	s.sites = newTable(s, 0x0E, func(c *codec, k *uint32) { c.u32(k) }, func(c *codec, v *uint64) { c.u64(v) })
	s.pots = newTable(s, 0x15, func(c *codec, k *Pot) { potKey(c, k) }, func(c *codec, v *uint64) { c.u64(v) })
	s.expiry = newTable(s, 0x16, func(c *codec, k *expiryKey) {
		c.u64(&k.deadline)
		enum8(c, &k.kind, ExpireAuctionClose, ExpirePrune)
		c.id(&k.id)
	}, nothing)
	s.shares = newTable(s, 0x17, func(c *codec, k *uint16) { c.u16(k) }, func(c *codec, v *Share) { v.fields(c) })
	s.beacons = newTable(s, 0x17, func(c *codec, k *uint32) { c.u32(k) }, func(c *codec, v *Beacon) { v.fields(c) })
	s.params = newTable(s, 0x18, func(c *codec, k *paramKey) {
		u := uint16(k.key)
		c.u16(&u)
		k.key = Param(u)
		c.u64(&k.at)
		if !c.enc && k.key.row() == nil {
			c.fail()
		}
	}, func(c *codec, v *uint64) { c.u64(v) })
	s.brokers = newTable(s, 0x18, u64Key, func(c *codec, v *Broker) { v.fields(c) })
	s.measures = newTable(s, 0x18, func(c *codec, k *measureKey) {
		c.id(&k.service)
		c.hash(&k.measurement)
	}, nothing)
	s.enclaves = newTable(s, 0x18, func(c *codec, k *Key) { c.key(k) }, func(c *codec, v *uint64) { c.u64(v) })
	s.clock = newTable(s, 0x19, func(c *codec, k *uint8) { enum8(c, k, 0, 0) }, func(c *codec, v *Clock) { v.fields(c) })
	s.index.attach(s)
	return s
}

// potKey is the pot's name; no name is the beginning of another.
func potKey(c *codec, k *Pot) {
	if c.enc {
		c.b = append(c.b, k.String()...)
		return
	}
	for p := range numPots {
		name := potNames[p]
		if len(c.b)-c.off >= len(name) && string(c.b[c.off:c.off+len(name)]) == name {
			c.off += len(name)
			*k = p
			return
		}
	}
	c.fail()
}

// Version implements protocols.Application.
func (s *State) Version() uint64 { return s.version }

// Rollback implements protocols.Application.
func (s *State) Rollback(v uint64) error {
	if s.broken != nil {
		return s.broken
	}
	if v < s.floor || v > s.version {
		return fmt.Errorf("rollback to version %d: %d (released) to %d (present) can be reached", v, s.floor, s.version)
	}
	s.step = 2*v + 1
	for _, t := range s.tables {
		t.revert(s.step)
	}
	s.version = v
	return nil
}

// Release implements protocols.Application. A version above the present one
// releases the present one.
func (s *State) Release(v uint64) {
	v = min(v, s.version)
	if v <= s.floor {
		return
	}
	s.floor = v
	for _, t := range s.tables {
		t.release(2*v + 1)
	}
}

// Root implements protocols.Application: the root of the state tree. The number
// of applied operations is not part of it.
func (s *State) Root() protocols.Digest {
	s.flush()
	return protocols.Digest(s.tree.Root())
}

func (s *State) flush() {
	for _, t := range s.tables {
		s.buf = t.flush(s.tree, s.buf)
	}
}

// Journal is the number of undo entries kept for unreleased versions.
func (s *State) Journal() int {
	n := 0
	for _, t := range s.tables {
		n += t.unreleased()
	}
	return n
}

// Now is the ledger's time in ms.
func (s *State) Now() uint64 { return s.clock.get(0).Now }

// Chain is the chain id.
func (s *State) Chain() uint32 { return s.config.chain }

// position of the operation that is being applied, counted from 1: the value that
// applied takes by it.
func (s *State) position() uint64 { return s.version }

// param is a parameter's value for an operation at this position now.
func (s *State) param(p Param) uint64 { return s.paramAt(p, s.position()) }

// paramAt is a parameter's value as it was at a position: open objects keep the
// values they were opened with.
func (s *State) paramAt(p Param, position uint64) uint64 {
	h := s.index.params[p.slot()]
	for i := len(h) - 1; i >= 0; i-- {
		if h[i] <= position {
			return *s.params.get(paramKey{p, h[i]})
		}
	}
	return p.row().def
}

// Pot returns what is in a pot.
func (s *State) Pot(p Pot) uint64 { return *s.pots.get(p) }

// pay puts money into a pot. Money is conserved and the supply below 2^62, so no
// sum overflows.
func (s *State) pay(p Pot, amount uint64) {
	if amount != 0 {
		*s.pots.mut(p) += amount
	}
}

// draw takes money out of a pot.
func (s *State) draw(p Pot, amount uint64) {
	if amount != 0 {
		*s.pots.mut(p) -= amount
	}
}

// credit adds to a balance.
func (s *State) credit(acc, amount uint64) {
	if amount != 0 {
		s.accounts.mut(acc).Balance += amount
	}
}

// debit takes from a balance that was checked before.
func (s *State) debit(acc, amount uint64) {
	if amount != 0 {
		s.accounts.mut(acc).Balance -= amount
	}
}

// opened and closed count an account's open objects.
func (s *State) opened(acc uint64) { s.accounts.mut(acc).Open++ }
func (s *State) closed(acc uint64) { s.accounts.mut(acc).Open-- }

// atLimit reports whether the account may not open another object.
func (s *State) atLimit(acc uint64) bool {
	return uint64(s.accounts.get(acc).Open) >= s.param(OpenObjects)
}

// loseRep is the loss of reputation by a third.
func (s *State) loseRep(acc, opened uint64) {
	a := s.accounts.mut(acc)
	a.Rep = uint16(uint64(a.Rep) * s.paramAt(RepLossThirds, opened) / 3)
}
