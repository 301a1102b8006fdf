package market

// AuctionOpen opens an auction on a checked-in device. Times are in ms; an
// English auction ends at CommitUntil and never later than RevealUntil.
type AuctionOpen struct {
	Device      ID
	Kind        AuctionKind
	Mode        AuctionMode
	Reserve     uint64
	Bond        uint64
	Term        uint64
	CommitUntil uint64
	RevealUntil uint64
	PayMS       uint32
}

// Type implements Payload.
func (*AuctionOpen) Type() Type { return TypeAuctionOpen }

func (p *AuctionOpen) fields(c *codec) {
	c.id(&p.Device)
	enum8(c, &p.Kind, FirstPrice, English)
	enum8(c, &p.Mode, Full, Bond)
	c.u64(&p.Reserve)
	c.u64(&p.Bond)
	c.u64(&p.Term)
	c.u64(&p.CommitUntil)
	c.u64(&p.RevealUntil)
	c.u32(&p.PayMS)
}

// AuctionBatchOpen opens one auction per device whose floor price is at most
// MaxPrice, with the floor as reserve.
type AuctionBatchOpen struct {
	Kind        AuctionKind
	Mode        AuctionMode
	MaxPrice    uint64
	Bond        uint64
	Term        uint64
	CommitUntil uint64
	RevealUntil uint64
	PayMS       uint32
	Devices     []ID // ascending
}

// Type implements Payload.
func (*AuctionBatchOpen) Type() Type { return TypeAuctionBatchOpen }

func (p *AuctionBatchOpen) fields(c *codec) {
	enum8(c, &p.Kind, FirstPrice, English)
	enum8(c, &p.Mode, Full, Bond)
	c.u64(&p.MaxPrice)
	c.u64(&p.Bond)
	c.u64(&p.Term)
	c.u64(&p.CommitUntil)
	c.u64(&p.RevealUntil)
	c.u32(&p.PayMS)
	// Order and length are matters of the row (114), not of the encoding; the
	// payload length bounds the list.
	list(c, &p.Devices, MaxPayload/16, 16, func(c *codec, d *ID) { c.id(d) })
}

// BidCommit makes a sealed bid.
type BidCommit struct {
	Auction    ID
	Commitment Hash
	Lock       uint64
}

// Type implements Payload.
func (*BidCommit) Type() Type { return TypeBidCommit }

func (p *BidCommit) fields(c *codec) {
	c.id(&p.Auction)
	c.hash(&p.Commitment)
	c.u64(&p.Lock)
}

// BidReveal opens a sealed bid.
type BidReveal struct {
	Auction ID
	Amount  uint64
	Salt    Hash
}

// Type implements Payload.
func (*BidReveal) Type() Type { return TypeBidReveal }

func (p *BidReveal) fields(c *codec) {
	c.id(&p.Auction)
	c.u64(&p.Amount)
	c.hash(&p.Salt)
}

// BidOpen bids openly in an English auction.
type BidOpen struct {
	Auction ID
	Amount  uint64
}

// Type implements Payload.
func (*BidOpen) Type() Type { return TypeBidOpen }

func (p *BidOpen) fields(c *codec) {
	c.id(&p.Auction)
	c.u64(&p.Amount)
}

// AuctionClose ends the bidding of an auction whose time is over.
type AuctionClose struct{ Auction ID }

// Type implements Payload.
func (*AuctionClose) Type() Type { return TypeAuctionClose }

func (p *AuctionClose) fields(c *codec) { c.id(&p.Auction) }

// AwardPay pays the own bid of the present candidate of a bond-mode auction.
type AwardPay struct {
	Auction ID
	Amount  uint64
}

// Type implements Payload.
func (*AwardPay) Type() Type { return TypeAwardPay }

func (p *AwardPay) fields(c *codec) {
	c.id(&p.Auction)
	c.u64(&p.Amount)
}

// KeyDeliver hands the sealed access key to the winner and releases the payment.
type KeyDeliver struct {
	Auction   ID
	SealedKey []byte
	KeyHash   Hash
}

// Type implements Payload.
func (*KeyDeliver) Type() Type { return TypeKeyDeliver }

func (p *KeyDeliver) fields(c *codec) {
	c.id(&p.Auction)
	c.bytes(&p.SealedKey, MaxSealed)
	c.hash(&p.KeyHash)
}

// AwardCancel refunds a winner who got no key in time.
type AwardCancel struct{ Auction ID }

// Type implements Payload.
func (*AwardCancel) Type() Type { return TypeAwardCancel }

func (p *AwardCancel) fields(c *codec) { c.id(&p.Auction) }
