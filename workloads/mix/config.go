package mix

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/market"
)

// Family is a kind of session.
type Family uint8

// Families.
const (
	Register Family = iota
	Auction
	Service
	Channel
	Transfer
	numFamilies
)

var familyNames = [numFamilies]string{"register", "auction", "service", "channel", "transfer"}

func (f Family) String() string { return familyNames[f] }

// Families returns the names of the families in the order of their values.
func Families() []string { return familyNames[:] }

// Config describes a mix. The zero value of a field stands for the default given,
// unless 0 is allowed.
type Config struct {
	// Weights are the shares of ordered transactions per family, relative to each
	// other. At least one must be positive.
	Weights [numFamilies]int
	// Tick is the period of ledger time, 10 ms to 1 h, default 250 ms.
	Tick time.Duration
	// Origin is the wall clock at ledger time 0; clocks that report to the ledger
	// subtract it.
	Origin protocols.Time
	// Devices that are registered and checked in from the start, of all shards
	// together, 1..MaxDevices, default 1,000. Device d belongs to shard d%Shards, and
	// d is its rank in popularity. Registrations of the run add to them.
	Devices int
	// Users are the accounts without a role, per shard: owners, bidders, payers
	// and clients of services; 8..MaxUsers. 0 stands for 64 plus twice Clients.
	Users int
	// Clients that will play the world, all together; it scales the cast.
	Clients int
	// Rate at which the users of all shards together will ask for transactions, if that
	// is known (an open loop); 0 if not. It is where the generators begin; they learn.
	Rate arrival.Rate
	// Theta is the Zipf exponent of devices and payees; BidderTheta that of
	// bidders. Everybody who signs belongs to the shard that plays the session, so
	// that a shard draws from its own ranks, which keep their weights; the payee of a
	// transfer need not sign and is drawn from all users of all shards.
	Theta, BidderTheta arrival.Milli
	// Alpha is the exponent of the power law of late bids, default 0.2.
	Alpha arrival.Milli
	// Bidders per auction, 1..16, default 5.
	Bidders int
	// BondPermille of the auctions are in bond mode; half of the others are
	// second-price.
	BondPermille int
	// DefaultPermille of the bond auctions' candidates do not pay; UnrevealedPermille
	// of the bids are not revealed; FailPermille of the verdicts are FAIL.
	DefaultPermille, UnrevealedPermille, FailPermille int
	// Services under vote from genesis on, per shard, 0..MaxServices. Each runs
	// Epochs epochs (1..MaxEpochs, default 32) of EpochTicks ticks (10..10,000,
	// default 10; at most 2^32 ms) with a panel of Panel voters (1..64, default 5).
	// They began one after the other, evenly over an epoch, the first of them one
	// epoch before the load begins; see Lead.
	Services, Epochs, EpochTicks, Panel int
	// NoSampling leaves out the services that are posted during the run.
	NoSampling bool
	// Explicit closes auctions and settles channels by transactions instead of
	// the ledger's queue. It excludes services, which need the queue.
	Explicit bool
	// Params of the marketplace in genesis, among Tunable.
	Params []market.GenesisParam
	// Shard of Shards: processes that share a ledger play different parts of the
	// cast. Shards is 1..MaxShards, default 1.
	Shard, Shards int
}

// Bounds of a configuration.
const (
	MaxDevices  = 1 << 20
	MaxUsers    = 1 << 18
	MaxServices = 4096
	MaxEpochs   = 4096
	MaxShards   = 256
	maxPanels   = 1 << 20
)

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) fill() {
	setDefault(&c.Tick, 250*time.Millisecond)
	setDefault(&c.Devices, 1000)
	setDefault(&c.Shards, 1)
	setDefault(&c.Users, min(64+2*(c.Clients+c.Shards-1)/c.Shards, MaxUsers))
	setDefault(&c.Alpha, 200)
	setDefault(&c.Bidders, 5)
	setDefault(&c.Epochs, 32)
	setDefault(&c.EpochTicks, 10)
	setDefault(&c.Panel, 5)
}

// tunable are the parameters of the marketplace whose values are free. The others are
// set by other means (tick, panel), or the sessions rely on their values (windows,
// fees), or belong to transactions that no mix sends.
var tunable = []market.Param{
	market.BeaconEpoch, market.MarketFeeBps, market.NoRevealBps, market.BondOwnerBps, market.Cascade, market.GrantTerm,
	market.SlashBps, market.RepInit, market.RepGainDivisor, market.RepLossThirds, market.KittyBps, market.KittyMin,
	market.DefaultHystBps, market.CooldownEpochs, market.SampleC, market.StakeRef, market.TUnbond, market.TRetain, market.QMode,
}

// Tunable returns the parameters of the marketplace that Config.Params may set.
func Tunable() []market.Param { return slices.Clone(tunable) }

// param is the value of a parameter in genesis.
func (c *Config) param(p market.Param) uint64 {
	for _, x := range c.Params {
		if x.Key == p {
			return x.Value
		}
	}
	return p.Default()
}

// payees is how many users of all shards are drawn as payees.
func (c *Config) payees() int { return min(c.Users*c.Shards, arrival.MaxKeys) }

// Check reports what is wrong with the configuration.
func (c Config) Check() error {
	c.fill()
	sum := 0
	for f, w := range c.Weights {
		if w < 0 || w > 1_000_000 {
			return fmt.Errorf("mix: weight of %v is %d; allowed is 0 to 1000000", Family(f), w)
		}
		sum += w
	}
	if sum == 0 {
		return fmt.Errorf("mix: all weights are 0; give at least one of %v", Families())
	}
	if c.Tick < 10*time.Millisecond || c.Tick > time.Hour || c.Tick%time.Millisecond != 0 {
		return fmt.Errorf("mix: tick of %v; allowed is 10ms to 1h in whole milliseconds", c.Tick)
	}
	for _, b := range []struct {
		name     string
		v        int
		min, max int
	}{
		{"devices", c.Devices, 1, MaxDevices},
		{"users", c.Users, 8, MaxUsers},
		{"clients", c.Clients, 0, 1 << 24},
		{"alpha", int(c.Alpha), 50, 1000},
		{"theta", int(c.Theta), 0, int(arrival.MaxTheta)},
		{"bidder theta", int(c.BidderTheta), 0, int(arrival.MaxTheta)},
		{"bidders", c.Bidders, 1, 16},
		{"bonds", c.BondPermille, 0, 1000},
		{"defaults", c.DefaultPermille, 0, 1000},
		{"unrevealed", c.UnrevealedPermille, 0, 1000},
		{"fails", c.FailPermille, 0, 1000},
		{"services", c.Services, 0, MaxServices},
		{"epochs", c.Epochs, 1, MaxEpochs},
		{"epoch ticks", c.EpochTicks, 10, 10_000},
		{"panel", c.Panel, 1, 64},
		{"shards", c.Shards, 1, MaxShards},
		{"shard", c.Shard, 0, c.Shards - 1},
	} {
		if b.v < b.min || b.v > b.max {
			return fmt.Errorf("mix: %s is %d; allowed is %d to %d", b.name, b.v, b.min, b.max)
		}
	}
	if ms := c.Tick.Milliseconds() * int64(c.EpochTicks); ms > math.MaxUint32 {
		return fmt.Errorf("mix: an epoch of %d ticks of %v is %d ms; at most %d ms are allowed: shorten the tick or the epoch", c.EpochTicks, c.Tick, ms, uint32(math.MaxUint32))
	}
	if n := int64(c.Services) * int64(c.Epochs) * int64(c.Shards); c.Weights[Service] > 0 && n > maxPanels {
		return fmt.Errorf("mix: %d services of each of %d processes run %d epochs, which is %d panels; at most %d are allowed: fewer services or longer epochs", c.Services, c.Shards, c.Epochs, n, maxPanels)
	}
	for _, p := range c.Params {
		if !slices.Contains(tunable, p.Key) {
			return fmt.Errorf("mix: parameter %v cannot be set; the sessions rely on it, or do without what it is for", p.Key)
		}
		if err := p.Key.Check(p.Value); err != nil {
			return fmt.Errorf("mix: %w", err)
		}
	}
	if c.Explicit && c.Weights[Service] > 0 {
		return fmt.Errorf("mix: explicit closing excludes services; set the weight of service to 0")
	}
	if c.NoSampling && c.Services == 0 && c.Weights[Service] > 0 {
		return fmt.Errorf("mix: neither services under vote nor sampled ones; set services to 1 or more")
	}
	return nil
}

// Lead is the ledger time at which the load begins, if there are services under
// vote: the first epoch of the first of them is over by then, and there is something
// to judge from the start. Without them it is 0. The wall clock at the start of the
// load is Origin plus Lead.
func (c Config) Lead() time.Duration {
	c.fill()
	if c.Weights[Service] == 0 || c.Services == 0 {
		return 0
	}
	return c.Tick * time.Duration(c.EpochTicks)
}

// ResolveEpochs fills in Epochs, if it is 0, so that there are services to vote on as
// long as the load lasts; a load without an end (0) has the default. Epochs that end
// before the load does are an error: nothing would be left to do.
func (c *Config) ResolveEpochs(load time.Duration) error {
	lead := c.Lead()
	if lead == 0 || load <= 0 {
		return nil
	}
	need := int((load + lead - 1) / lead)
	if c.Epochs == 0 {
		c.Epochs = need
	}
	if c.Epochs < need || c.Epochs > MaxEpochs {
		return fmt.Errorf("%d epochs of %v for a load of %v; it takes %d and at most %d are allowed: leave epochs out, or give longer epochs (epoch_ticks, tick)", c.Epochs, lead, load, need, MaxEpochs)
	}
	return nil
}

// opsPerVote and opsPerSampling are the transactions of the two kinds of sessions of
// services: commits, reveals and the call for the verdict; post, offers, anchors and
// reports.
func (c *Config) opsPerVote() uint64 { return uint64(2000*c.Panel + 1000) }

const opsPerSampling = 3000 + 2000*sampledEpochs

// opsPerSession is how many transactions a session of the family makes on
// average, in thousandths.
func (c *Config) opsPerSession(f Family) uint64 {
	switch f {
	case Register:
		return 2000
	case Auction: // open, bids, key; bonds are paid for
		n := 2000 + 2000*c.Bidders + c.BondPermille
		if c.Explicit {
			n += 1000
		}
		return uint64(n)
	case Service: // as long as none has been opened
		switch {
		case c.NoSampling:
			return c.opsPerVote()
		case c.Services == 0:
			return opsPerSampling
		}
		return (c.opsPerVote() + opsPerSampling) / 2
	case Channel:
		return 2083 // of 48 channels four make a third transaction
	default:
		return 1000
	}
}
