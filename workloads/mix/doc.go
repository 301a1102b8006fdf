// Package mix plays the people and devices of the marketplace: it makes the
// transactions of workload mixes over workloads/market.
//
// A [World] is the cast: accounts with their keys, models, devices that are checked
// in, services that are under way. Its genesis is where every replica starts. A
// [Generator] (a load.Generator) plays it: it opens sessions (an auction, a
// channel, a registration, a verdict, a transfer), each of which is a sequence of
// transactions of several accounts, some of which wait for ledger time.
//
// # Who may send what, and when
//
// An account has at most one transaction under way, so that its nonces are always
// right; which client carries it does not matter. Transactions whose account is
// busy queue behind it. What is due is sent first; when nothing is due, a new
// session is opened. The family of a session is drawn such that the weights of the
// mix are shares of the ordered transactions. If a family cannot open a session now
// (every device has a live auction), another one does.
//
// What a session draws (parties, amounts, how it ends) depends on the seed and on its
// number in its family only. Results drive the rest. A transaction that came too early is sent again a
// tick later, a few times; a session that fails for good is given up, and the
// ledger's own queue ends what it left behind. A transaction that was refused
// before it was charged (envelope codes) gives its nonce back.
//
// # Time
//
// Deadlines are ledger time, which follows the wall clock at a distance of up to a
// tick and the way of the tick through the protocol. The generator reads its own
// wall clock and keeps margins of a tick plus multiples of the latency that it
// sees, so windows grow under overload. (The clocks of clients have to agree with
// those of replicas to within a tick.) Auctions are not opened faster than the users
// can serve them, or their deadlines would come all at once. Edge benchmarks compress time; here
// everything scales with [Config.Tick].
//
// Services under vote began before the load and one after the other, so that there
// are epochs to judge at any time of it; see [Config.Lead].
//
// # Choices
//
// Auction bids are placed by the power law of late bidding, reveals uniformly in
// the first half of their window. Where the mix contains the closing transactions
// of the workload table (AuctionClose, ChannelSettle), genesis sets k_exp to 1: the
// ledger's queue otherwise acts first, at the tick itself, and every one of them
// would be refused.
//
// Voting panels are fixed in genesis for the first [Config.Epochs] epochs, because
// a generator cannot read the ledger to learn whom sortition has seated. Services
// that are posted during the run are verified by sampling.
//
// A payee of Zipf popularity has to claim its channels one by one. When a payee has
// a backlog, the next one takes its place, so the skew flattens under saturation.
//
// Off-ledger promises are counted; the last one of each channel is signed and
// checked by the receiver's rules.
package mix
