package market

// Version is the only envelope version there is.
const Version = 1

// SchemeEd25519 is the only signature scheme of AccountOpen. Runs with modelled
// signatures use the same number: what stands in for Ed25519 is the host's choice.
const SchemeEd25519 = 1

// Role names why somebody signed a transaction.
type Role uint8

// Signature roles. Signer is the account handle; it is 0 for RoleNewKey and
// RoleDevice, whose key stands in the payload.
const (
	RoleSender Role = iota
	RoleNewKey
	RoleOwner
	RoleDevice
	RoleCounterparty
	RoleAdmin
)

// Account role bits.
const (
	Registrar uint16 = 1 << iota
	OEM
	Gateway
	Provider
	Auditor
	TEEBroker
	Replica
	Admin
	CPO
	MarketOp
	Meter
	DeviceRole
	Voter

	allRoles = Voter<<1 - 1
)

// AuctionKind says how the price is found.
type AuctionKind uint8

// Auction kinds.
const (
	FirstPrice  AuctionKind = 1
	SecondPrice AuctionKind = 2
	English     AuctionKind = 3
)

// AuctionMode says what a sealed bidder locks.
type AuctionMode uint8

// Auction modes: Full locks at least the bid; Bond locks a fixed bond and the
// winner pays afterwards.
const (
	Full AuctionMode = 1
	Bond AuctionMode = 2
)

// Phase of an auction. Reveal is derived from the clock and never stored.
type Phase uint8

// Auction phases.
const (
	PhaseCommit Phase = iota + 1
	PhaseReveal
	PhasePay
	PhaseAwarded
	PhaseDelivered
	PhaseCancelled
	PhaseFailed
)

func (p Phase) String() string {
	return [...]string{"?", "commit", "reveal", "pay", "awarded", "delivered", "cancelled", "failed"}[min(p, 7)]
}

// BidState is what became of a bid.
type BidState uint8

// Bid states.
const (
	BidCommitted BidState = iota + 1
	BidRevealed
	BidWon
	BidLost
	BidDefaulted
	BidUnrevealed
)

// TopicKind says who may read a topic.
type TopicKind uint8

// Topic kinds.
const (
	Public TopicKind = 1
	Live   TopicKind = 2
)

// Verdict on one epoch of a service.
type Verdict uint8

// Verdicts.
const (
	None Verdict = 0
	Pass Verdict = 1
	Fail Verdict = 2
)

func (v Verdict) String() string { return [...]string{"none", "pass", "fail", "?"}[min(v, 3)] }

// Mechanism by which a service is verified.
type Mechanism uint8

// Verification mechanisms.
const (
	Sampling Mechanism = 1
	Voting   Mechanism = 2
	TEE      Mechanism = 3
	Uptime   Mechanism = 4
)

// ServiceState of a service.
type ServiceState uint8

// Service states: open and looking for its first provider, running, ended.
const (
	ServiceOpen ServiceState = iota + 1
	ServiceActive
	ServiceEnded
)

// OfferState of a provider's offer.
type OfferState uint8

// Offer states. A leaving offer keeps its stake locked until Offer.UnlockAt.
const (
	OfferCandidate OfferState = iota + 1
	OfferActive
	OfferLeaving
)

// JudgementState of an epoch of a service.
type JudgementState uint8

// Judgement states: a panel was fixed for an epoch to come; the epoch is due and
// open; it is settled.
const (
	JudgementPlanned JudgementState = iota + 1
	JudgementOpen
	JudgementSettled
)

// ChannelState of a payment channel.
type ChannelState uint8

// Channel states.
const (
	ChannelOpened ChannelState = iota + 1
	ChannelSettling
	ChannelClosed
)

// ExpiryKind orders the entries of the expiry queue that share a deadline.
type ExpiryKind uint8

// Expiry kinds.
const (
	ExpireAuctionClose ExpiryKind = iota + 1
	ExpirePay
	ExpireKey
	ExpireVerdict
	ExpireServiceEpoch
	ExpireChannelSettle
	ExpireUnbonding
	ExpireSession
	ExpireSlot
	ExpirePurchaseOrder
	ExpireBeaconEpoch
	ExpirePrune
)

// Type is the code of a transaction.
type Type uint8

// Transaction codes of tier 1.
const (
	TypeAccountOpen        Type = 0x01
	TypeTransfer           Type = 0x02
	TypeClockTick          Type = 0x03
	TypeBeaconReveal       Type = 0x04
	TypeParamSet           Type = 0x05
	TypeModelPut           Type = 0x10
	TypeDeviceRegister     Type = 0x11
	TypeDeviceCheckIn      Type = 0x12
	TypeDeviceCheckOut     Type = 0x13
	TypeOwnershipTransfer  Type = 0x14
	TypeDeviceRevoke       Type = 0x15
	TypeAnchorReadings     Type = 0x20
	TypeReadingAppend      Type = 0x21
	TypeAuctionOpen        Type = 0x30
	TypeAuctionBatchOpen   Type = 0x31
	TypeBidCommit          Type = 0x32
	TypeBidReveal          Type = 0x33
	TypeBidOpen            Type = 0x34
	TypeAuctionClose       Type = 0x35
	TypeAwardPay           Type = 0x36
	TypeKeyDeliver         Type = 0x37
	TypeAwardCancel        Type = 0x38
	TypeTopicPut           Type = 0x3A
	TypeAccessBuy          Type = 0x3B
	TypeServicePost        Type = 0x40
	TypeProviderOffer      Type = 0x41
	TypeVerdictCommit      Type = 0x42
	TypeVerdictReveal      Type = 0x43
	TypeSampleReport       Type = 0x44
	TypeAttestedVerdict    Type = 0x45
	TypeVerdictFinalize    Type = 0x46
	TypeUptimeReport       Type = 0x47
	TypeStakeDeposit       Type = 0x48
	TypeStakeWithdraw      Type = 0x49
	TypeChannelOpen        Type = 0x50
	TypeChannelDeposit     Type = 0x51
	TypeChannelClaim       Type = 0x52
	TypeChannelStartSettle Type = 0x53
	TypeChannelSettle      Type = 0x54
)
