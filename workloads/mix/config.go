package mix

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
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
	// Devices that are registered and checked in from the start, per shard,
	// 1..MaxDevices, default 1,000. Registrations of the run add to them.
	Devices int
	// Users are the accounts without a role, per shard: owners, bidders, payers
	// and clients of services; 8..MaxUsers. 0 stands for 64 plus twice Clients.
	Users int
	// Clients that will play the world, all together; it scales the cast.
	Clients int
	// Theta is the Zipf exponent of devices and payees; BidderTheta that of
	// bidders.
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
	// default 10) with a panel of Panel voters (1..64, default 5).
	Services, Epochs, EpochTicks, Panel int
	// NoSampling leaves out the services that are posted during the run.
	NoSampling bool
	// Explicit closes auctions and settles channels by transactions instead of
	// the ledger's queue. It excludes services, which need the queue.
	Explicit bool
	// Shard of Shards: processes that share a ledger play different parts of the
	// cast. Shards is 1..256, default 1.
	Shard, Shards int
}

// Bounds of a configuration.
const (
	MaxDevices  = 1 << 20
	MaxUsers    = 1 << 18
	MaxServices = 4096
	MaxEpochs   = 4096
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
		{"shards", c.Shards, 1, 256},
		{"shard", c.Shard, 0, c.Shards - 1},
	} {
		if b.v < b.min || b.v > b.max {
			return fmt.Errorf("mix: %s is %d; allowed is %d to %d", b.name, b.v, b.min, b.max)
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
	case Service:
		if c.NoSampling {
			return uint64(2000*c.Panel + 1000)
		}
		return 3000 + 2000*sampledEpochs
	case Channel:
		return 2083 // of 48 channels four make a third transaction
	default:
		return 1000
	}
}
