package market

// maxRep bounds a reputation.
const maxRep = 10_000

// Records of the state. Each method fields gives the canonical value encoding
// that the state tree covers. Every deadline is in ms of ledger time.

// Account is a row of table 01.
type Account struct {
	Key       Key
	Balance   uint64
	Nonce     uint64
	Roles     uint16
	Org       uint32
	FreeStake uint64
	// Score is the credibility score of a voter, Rep the reputation of an owner or
	// provider, 0 to 10,000.
	Score uint32
	Rep   uint16
	// Open counts auctions, bids, channels, services and offers that the account
	// opened and that have not ended.
	Open uint32
	// Unbonding stake, in the order it was withdrawn; Unbonds entries are in use.
	Unbonds   uint8
	Unbonding [maxUnbonding]Unbonding
}

const maxUnbonding = 4

// Unbonding is stake on its way back to the balance.
type Unbonding struct {
	Amount uint64
	Until  uint64
}

// Has reports whether the account has all the role bits.
func (a *Account) Has(roles uint16) bool { return a.Roles&roles == roles }

func (a *Account) fields(c *codec) {
	c.key(&a.Key)
	c.u64(&a.Balance)
	c.u64(&a.Nonce)
	c.u16(&a.Roles)
	c.u32(&a.Org)
	c.u64(&a.FreeStake)
	c.u32(&a.Score)
	c.u16(&a.Rep)
	c.u32(&a.Open)
	enum8(c, &a.Unbonds, 0, maxUnbonding)
	for i := range min(a.Unbonds, maxUnbonding) {
		c.u64(&a.Unbonding[i].Amount)
		c.u64(&a.Unbonding[i].Until)
	}
}

// Model is a row of table 02.
type Model struct {
	OEM      uint64
	TDSchema Hash
	Class    uint16
	Caps     uint32
}

func (m *Model) fields(c *codec) {
	c.u64(&m.OEM)
	c.hash(&m.TDSchema)
	c.u16(&m.Class)
	c.u32(&m.Caps)
}

// Device is a row of table 03. Class repeats the model's for the index of
// DevicesByFilter.
type Device struct {
	Key         Key
	Model       ID
	Class       uint16
	OEM         uint64
	Owner       uint64
	TDHash      Hash
	Lat, Lon    int32
	Caps        uint32
	Attrs       []Attr // never changed once stored
	CheckedIn   bool
	Flags       uint8
	MinPrice    uint64
	HourPrice   uint64
	Term        uint64
	Head        Hash   // of the ownership chain
	Hops        uint32 // links of the ownership chain
	Revoked     bool
	Reason      uint8
	ReadSeq     uint64
	ReadTime    uint64
	ReadHead    Hash // of the chain of readings
	LiveAuction ID   // zero if none is live
}

func (d *Device) fields(c *codec) {
	c.key(&d.Key)
	c.id(&d.Model)
	c.u16(&d.Class)
	c.u64(&d.OEM)
	c.u64(&d.Owner)
	c.hash(&d.TDHash)
	c.i32(&d.Lat)
	c.i32(&d.Lon)
	c.u32(&d.Caps)
	attrFields(c, &d.Attrs)
	c.flag(&d.CheckedIn)
	c.u8(&d.Flags)
	c.u64(&d.MinPrice)
	c.u64(&d.HourPrice)
	c.u64(&d.Term)
	c.hash(&d.Head)
	c.u32(&d.Hops)
	c.flag(&d.Revoked)
	c.u8(&d.Reason)
	c.u64(&d.ReadSeq)
	c.u64(&d.ReadTime)
	c.hash(&d.ReadHead)
	c.id(&d.LiveAuction)
}

// Link is a row of table 04, one hop of a device's ownership chain.
type Link struct {
	From, To, Price, Time uint64
	Hash                  Hash
}

func (l *Link) fields(c *codec) {
	c.u64(&l.From)
	c.u64(&l.To)
	c.u64(&l.Price)
	c.u64(&l.Time)
	c.hash(&l.Hash)
}

// Auction is a row of table 05. Opened is the position in the order at which it
// was opened; it selects the parameters that hold for it.
type Auction struct {
	Device      ID
	Owner       uint64 // of the device; it cannot change while the auction is live
	Requester   uint64
	Kind        AuctionKind
	Mode        AuctionMode
	Phase       Phase
	Reserve     uint64
	Bond        uint64
	Term        uint64
	CommitUntil uint64 // for an English auction the present end
	RevealUntil uint64
	PayMS       uint32
	Opened      uint64
	Bids        uint32
	// Position counts the candidates of a bond-mode auction so far, Candidate is
	// the present one, Deadline its pay or the owner's key deadline.
	Position  uint8
	Candidate uint64
	Deadline  uint64
	// Winner and Price are set by the award; for an English auction they are the
	// high bidder and its bid before that.
	Winner     uint64
	Price      uint64
	Escrow     uint64 // award escrow
	Extensions uint16
	KeyHash    Hash
}

func (a *Auction) fields(c *codec) {
	c.id(&a.Device)
	c.u64(&a.Owner)
	c.u64(&a.Requester)
	enum8(c, &a.Kind, FirstPrice, English)
	enum8(c, &a.Mode, Full, Bond)
	enum8(c, &a.Phase, PhaseCommit, PhaseFailed)
	c.u64(&a.Reserve)
	c.u64(&a.Bond)
	c.u64(&a.Term)
	c.u64(&a.CommitUntil)
	c.u64(&a.RevealUntil)
	c.u32(&a.PayMS)
	c.u64(&a.Opened)
	c.u32(&a.Bids)
	c.u8(&a.Position)
	c.u64(&a.Candidate)
	c.u64(&a.Deadline)
	c.u64(&a.Winner)
	c.u64(&a.Price)
	c.u64(&a.Escrow)
	c.u16(&a.Extensions)
	c.hash(&a.KeyHash)
}

// live reports whether the auction still binds its device.
func (a *Auction) live() bool { return a.Phase < PhaseDelivered }

// Bid is a row of table 06.
type Bid struct {
	Commitment Hash
	Lock       uint64 // what is in escrow now
	Amount     uint64 // once revealed
	State      BidState
}

func (b *Bid) fields(c *codec) {
	c.hash(&b.Commitment)
	c.u64(&b.Lock)
	c.u64(&b.Amount)
	enum8(c, &b.State, BidCommitted, BidUnrevealed)
}

// Grant is a row of table 07: access in [Start, End). Ref is the auction or, for
// a purchase, the topic.
type Grant struct {
	Start, End uint64
	Ref        ID
	Purchase   bool
	KeyHash    Hash
}

func (g *Grant) fields(c *codec) {
	c.u64(&g.Start)
	c.u64(&g.End)
	c.id(&g.Ref)
	c.flag(&g.Purchase)
	c.hash(&g.KeyHash)
}

// Topic is a row of table 08.
type Topic struct {
	Device    ID
	Kind      TopicKind
	UnitPrice uint64
	UnitMS    uint64
	MinUnits  uint16
}

func (t *Topic) fields(c *codec) {
	c.id(&t.Device)
	enum8(c, &t.Kind, Public, Live)
	c.u64(&t.UnitPrice)
	c.u64(&t.UnitMS)
	c.u16(&t.MinUnits)
}

// Service is a row of table 09.
type Service struct {
	Client    uint64
	SpecHash  Hash
	QMin      uint16
	DelayMS   uint16
	UptimeBps uint16
	PriceMax  uint64
	EpochMS   uint32
	Epochs    uint32
	Mechanism Mechanism
	Trust     uint32
	SampleK   uint16
	MinStake  uint64
	HystBps   uint16
	PanelFee  uint64
	Opened    uint64
	State     ServiceState
	Budget    uint64 // what is still locked
	// Active provider, 0 if none; Epoch is the one that runs, Start its first's
	// beginning, NextEdge when it is due. Idle counts the edges before the first.
	Active     uint64
	Start      uint64
	Epoch      uint32
	NextEdge   uint64
	Idle       uint32
	LastSwitch uint32 // epoch of the last change of provider
	Pending    uint32 // verdicts due and not settled
	Judged     uint32 // epochs below this one are settled
}

func (v *Service) fields(c *codec) {
	c.u64(&v.Client)
	c.hash(&v.SpecHash)
	c.u16(&v.QMin)
	c.u16(&v.DelayMS)
	c.u16(&v.UptimeBps)
	c.u64(&v.PriceMax)
	c.u32(&v.EpochMS)
	c.u32(&v.Epochs)
	enum8(c, &v.Mechanism, Sampling, Uptime)
	c.u32(&v.Trust)
	c.u16(&v.SampleK)
	c.u64(&v.MinStake)
	c.u16(&v.HystBps)
	c.u64(&v.PanelFee)
	c.u64(&v.Opened)
	enum8(c, &v.State, ServiceOpen, ServiceEnded)
	c.u64(&v.Budget)
	c.u64(&v.Active)
	c.u64(&v.Start)
	c.u32(&v.Epoch)
	c.u64(&v.NextEdge)
	c.u32(&v.Idle)
	c.u32(&v.LastSwitch)
	c.u32(&v.Pending)
	c.u32(&v.Judged)
}

// qualityWindow is how many measured buckets make a provider's quality.
const qualityWindow = 8

// Offer is a row of table 0A.
type Offer struct {
	Price    uint64
	Stake    uint64 // locked
	State    OfferState
	LastTill uint32 // the offer may be chosen for epochs below this one
	UnlockAt uint64 // of a leaving offer
	Verdicts uint32 // the last 16 verdicts, two bits each, newest lowest
	Qs       uint8
	Q        [qualityWindow]uint16 // newest last
}

// Quality is the integer mean of the last buckets; before the first one, of the
// promised quality.
func (o *Offer) Quality() uint16 {
	if o.Qs == 0 {
		return 0
	}
	var sum uint32
	for _, q := range o.Q[:o.Qs] {
		sum += uint32(q)
	}
	return uint16(sum / uint32(o.Qs))
}

func (o *Offer) fields(c *codec) {
	c.u64(&o.Price)
	c.u64(&o.Stake)
	enum8(c, &o.State, OfferCandidate, OfferLeaving)
	c.u32(&o.LastTill)
	c.u64(&o.UnlockAt)
	c.u32(&o.Verdicts)
	enum8(c, &o.Qs, 0, qualityWindow)
	for i := range min(o.Qs, qualityWindow) {
		c.u16(&o.Q[i])
	}
}

// Judgement is a row of table 0B: what is known about one epoch of a service.
type Judgement struct {
	Provider uint64
	Price    uint64
	Due      uint64
	State    JudgementState
	Verdict  Verdict
	QBucket  uint16
	Evidence Hash
	Panel    []uint64 // ascending; never changed once drawn
	Commits  uint8
	Reveals  uint8
	First    uint64 // voter of the first reveal
	Slashed  uint64
}

func (j *Judgement) fields(c *codec) {
	c.u64(&j.Provider)
	c.u64(&j.Price)
	c.u64(&j.Due)
	enum8(c, &j.State, JudgementPlanned, JudgementSettled)
	enum8(c, &j.Verdict, None, Fail)
	c.u16(&j.QBucket)
	c.hash(&j.Evidence)
	list(c, &j.Panel, maxPanel, 8, func(c *codec, v *uint64) { c.u64(v) })
	c.u8(&j.Commits)
	c.u8(&j.Reveals)
	c.u64(&j.First)
	c.u64(&j.Slashed)
}

// Vote is a row of table 0C.
type Vote struct {
	Seal     Hash
	Stake    uint64 // locked
	Revealed bool
	Verdict  Verdict
	QBucket  uint16
	Evidence Hash
}

func (v *Vote) fields(c *codec) {
	c.hash(&v.Seal)
	c.u64(&v.Stake)
	c.flag(&v.Revealed)
	enum8(c, &v.Verdict, None, Fail)
	c.u16(&v.QBucket)
	c.hash(&v.Evidence)
}

// Channel is a row of table 0D.
type Channel struct {
	Payer, Payee uint64
	Deposit      uint64
	SettleMS     uint64
	State        ChannelState
	Until        uint64 // of the settle period
	Paid         uint64 // to the payee, once closed
}

func (v *Channel) fields(c *codec) {
	c.u64(&v.Payer)
	c.u64(&v.Payee)
	c.u64(&v.Deposit)
	c.u64(&v.SettleMS)
	enum8(c, &v.State, ChannelOpened, ChannelClosed)
	c.u64(&v.Until)
	c.u64(&v.Paid)
}

// Anchor is a row of table 0E under (site, slot). At is its position in the order.
type Anchor struct {
	Gateway  uint64
	SlotMS   uint32
	Count    uint32
	Root     Hash
	Sum      int64
	Min, Max int32
	Time, At uint64
}

func (a *Anchor) fields(c *codec) {
	c.u64(&a.Gateway)
	c.u32(&a.SlotMS)
	c.u32(&a.Count)
	c.hash(&a.Root)
	c.i64(&a.Sum)
	c.i32(&a.Min)
	c.i32(&a.Max)
	c.u64(&a.Time)
	c.u64(&a.At)
}

// Clock is the one row of table 19: the ledger's time and what goes with it.
type Clock struct {
	Now         uint64
	Tick        uint64
	NextAccount uint64
	// Epoch of the beacon, when it ends, and how many valid reveals it has.
	Epoch   uint32
	EpochAt uint64
	Reveals uint16
	// Beacon is the last value that was fixed, in epoch BeaconOf; zero before the
	// first.
	Beacon   Hash
	BeaconOf uint32
}

func (v *Clock) fields(c *codec) {
	c.u64(&v.Now)
	c.u64(&v.Tick)
	c.u64(&v.NextAccount)
	c.u32(&v.Epoch)
	c.u64(&v.EpochAt)
	c.u16(&v.Reveals)
	c.hash(&v.Beacon)
	c.u32(&v.BeaconOf)
}

// Share is a replica's part in the beacon, in table 17 under the replica.
type Share struct {
	Commit      Hash
	CommitEpoch uint32 // that Commit is for; meaningful if Committed
	Committed   bool
	Reveal      Hash
	RevealEpoch uint32 // meaningful if Revealed
	Revealed    bool
	Withheld    uint32 // commitments that were never opened: evidence
}

func (v *Share) fields(c *codec) {
	c.hash(&v.Commit)
	c.u32(&v.CommitEpoch)
	c.flag(&v.Committed)
	c.hash(&v.Reveal)
	c.u32(&v.RevealEpoch)
	c.flag(&v.Revealed)
	c.u32(&v.Withheld)
}

// Beacon is the value of an epoch, in table 17 under the epoch. At is the position
// in the order at which it was fixed.
type Beacon struct {
	Value    Hash
	Time, At uint64
}

func (v *Beacon) fields(c *codec) {
	c.hash(&v.Value)
	c.u64(&v.Time)
	c.u64(&v.At)
}

// Broker is a row of the trust list in table 18: valid in [From, Until).
type Broker struct {
	Key         Key
	From, Until uint64
}

func (v *Broker) fields(c *codec) {
	c.key(&v.Key)
	c.u64(&v.From)
	c.u64(&v.Until)
}
