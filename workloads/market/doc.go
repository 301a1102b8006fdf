// Package market is the replicated IoT marketplace: a deterministic state machine
// that implements protocols.Application. It opens accounts, keeps a ledger time
// and a random beacon, registers devices and their ownership, sells access to
// device data by auction and by posted price, posts services and verifies them
// automatically (SAVS), and settles payment channels.
//
// It is for being replicated: same transactions in the same order give the same
// root, under every protocol and every split into batches. It reads no clock,
// draws no randomness, uses integers only, and lets no map order reach a result.
// It is not a client: generators of load live in package workloads. The stories
// that show what it does are in the subpackage stories.
//
// # Where to find things
//
// apply.go holds the one table from which everything about a transaction type
// follows: its decoder, the signatures it needs, what it does. payload_*.go are
// the transactions' fields, record.go the state's rows, and one file per family
// holds the rules: account, clock (with expiry queue and beacon), registry,
// auction, service and verdict (SAVS), channel. table.go is a table with undo,
// tree.go the Merkle tree over all tables. Sign and Wallet build transactions.
//
// # Decisions
//
// Where the description of the marketplace is silent or says two things:
//
// Envelope. ValidUntil is the end of a half-open window: at that time the
// transaction is expired. It holds for a ClockTick too. Two signatures in one role
// by one signer are a duplicate co-signature (112); descending ones an encoding
// fault (101); signatures nobody asked for are refused like missing ones (112).
// Unknown kinds, modes, mechanisms, schemes, verdicts and role bits in a payload
// are encoding faults (101), save the topic's kind, which has a code of its own.
// The only signature scheme is number 1. A ClockTick that was refused did not use
// its number up: the next one carries it again.
//
// ParamSet carries its m or more signatures all in the administrator's role, the
// sender's among them; too few is 112, a signer who is no administrator 111, an
// unknown key or a value out of bounds 114. Values hold from the position
// EffectiveAt on, counting the operation being applied.
//
// Registrars cannot hand out the roles REPLICA and ADMIN (111): that would
// undermine the m of n.
//
// Beacon. A replica without a commitment for the present epoch (its first time, or
// after it missed one) reveals zero and only commits. A clock jump over several
// epochs ends them as one.
//
// The limit on open objects counts auctions, bids, channels, services and offers;
// it is checked last, with 114.
//
// Auctions. AuctionClose on an unpaid candidate whose time is over runs the
// default, in case the queue is behind. A grant that overlaps an older one of the
// same consumer on the same device never ends before that. A batch whose list is
// unsorted or over the limit gives 114.
//
// Registry. The site of AnchorReadings is bound to a gateway by equal org number,
// and to a service by ServiceSite; the provider of a service anchors the epoch that
// runs, as the slot, and another one is a replay (220). ReadingAppend by a stranger gives 111; readings
// and purchases on a revoked device give 207.
//
// Services. Epoch 0 begins at the first edge at which there is a provider; a
// service that finds none in as many edges as it has epochs ends and returns its
// budget. An offer cannot be replaced while its stake is locked (402); an offer
// for an unknown or ended service gives 405. The promised quality counts as the
// first measured bucket. Reports need a due epoch without verdict; what nobody
// judged by the final window's end is None. Panels are drawn from the last beacon
// value at the moment the epoch is due (from zero before the first). The bonus
// goes to the provider. An offer of equal value takes over from nobody, even
// without hysteresis. An UptimeReport covers exactly one epoch, the next one
// (414). A leaving active provider's stake stays locked at least until the last
// verdict on it.
//
// The number of applied operations is not part of the root, because an operation
// that was refused changes nothing; whoever certifies a root certifies both.
package market
