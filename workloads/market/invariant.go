//lint:allow determinism adds up and looks for faults; of several faults Check names the least, Monitor (tests only) any

package market

import (
	"fmt"
	"math/bits"
	"slices"
)

// Check verifies what can be seen in one state: conservation (I1), pots and counts
// (I2), awards (I3, I4), channels (I5), bounds (I7), grants (I8), ownership chains
// (I9), stakes (I10) and deadlines (I12). It also finds references to nothing, so
// that a state that passes can be worked with. It looks at every row.
func Check(s *State) error {
	if err := checkShape(s); err != nil {
		return err
	}
	c := checker{s: s}
	c.accounts()
	c.auctions()
	c.devices()
	c.services()
	c.channels()
	c.grants()
	if c.err != nil {
		return c.err
	}
	for p := PotBids; p < numPots; p++ {
		if got := s.Pot(p); got != c.pots[p] {
			return fmt.Errorf("I2: pot %s holds %d, its objects %d", p, got, c.pots[p])
		}
	}
	return conserved(s)
}

// conserved checks I1 alone: the money of the accounts and in the pots is that of
// genesis.
func conserved(s *State) error {
	c := checker{s: s}
	for _, r := range s.accounts.rows {
		a := &r.val
		c.sum(&c.money, a.Balance)
		c.sum(&c.money, a.FreeStake)
		for i := range a.Unbonding {
			c.sum(&c.money, a.Unbonding[i].Amount)
		}
	}
	for p := range numPots {
		c.sum(&c.money, s.Pot(p))
	}
	if c.err == nil && c.money != s.config.supply {
		c.fail("I1: %d units of money, genesis had %d", c.money, s.config.supply)
	}
	return c.err
}

// checkShape looks for the rows that everything else relies on.
func checkShape(s *State) error {
	if s.clock.get(0) == nil {
		return fmt.Errorf("I12: there is no clock")
	}
	for p := range numPots {
		if s.pots.get(p) == nil {
			return fmt.Errorf("I2: there is no pot %s", p)
		}
	}
	c := s.clock.get(0)
	if s.expiry.get(expiryKey{c.EpochAt, ExpireBeaconEpoch, ID{}}) == nil {
		return fmt.Errorf("I12: the beacon epoch ending at %d is not in the queue", c.EpochAt)
	}
	for k, r := range s.params.rows {
		if err := k.key.Check(r.val); err != nil {
			return err
		}
	}
	for _, r := range s.config.replicas {
		if s.accounts.get(r) == nil {
			return fmt.Errorf("replica account %d is missing", r)
		}
	}
	return nil
}

// Audit implements protocols.Auditor.
func (s *State) Audit() error { return Check(s) }

type checker struct {
	s     *State
	err   error
	money uint64
	pots  [numPots]uint64
	open  map[uint64]uint32
}

// fail notes a fault. Rows come in no order: of several faults the one whose text is
// least is kept, so that equal runs name the same.
func (c *checker) fail(format string, args ...any) {
	if err := fmt.Errorf(format, args...); c.err == nil || err.Error() < c.err.Error() {
		c.err = err
	}
}

// sum adds an amount of money.
func (c *checker) sum(to *uint64, amount uint64) {
	if amount > c.s.config.supply {
		c.fail("I2: an amount of %d, all money is %d", amount, c.s.config.supply)
		return
	}
	total, carry := bits.Add64(*to, amount, 0)
	if carry != 0 {
		c.fail("I2: amounts add up to more than 2^64, all money is %d", c.s.config.supply)
		return
	}
	*to = total
}

// queued demands that the expiry queue holds an action that an object waits for.
func (c *checker) queued(deadline uint64, kind ExpiryKind, id ID) {
	if c.s.expiry.get(expiryKey{deadline, kind, id}) == nil {
		c.fail("I12: %x waits for %d at %d, which is not in the queue", id, kind, deadline)
	}
}

func (c *checker) account(acc uint64, what string) *Account {
	a := c.s.accounts.get(acc)
	if a == nil {
		c.fail("%s names account %d, which does not exist", what, acc)
		return &Account{}
	}
	return a
}

func (c *checker) accounts() {
	next := c.s.clock.get(0).NextAccount
	for id, r := range c.s.accounts.rows {
		a := &r.val
		if id == 0 || id >= next {
			c.fail("account %d is not below the next handle %d", id, next)
		}
		if a.Rep > maxRep {
			c.fail("I7: account %d has reputation %d", id, a.Rep)
		}
		for i := range a.Unbonding {
			u := a.Unbonding[i]
			if i >= int(a.Unbonds) {
				if u != (Unbonding{}) {
					c.fail("I2: account %d has stake in unused unbonding place %d", id, i)
				}
				continue
			}
			c.queued(u.Until, ExpireUnbonding, accountID(id))
		}
	}
	if len(c.s.index.byKey) != len(c.s.accounts.rows) {
		c.fail("%d accounts have %d keys", len(c.s.accounts.rows), len(c.s.index.byKey))
	}
}

func (c *checker) count(acc uint64, what string) {
	c.account(acc, what)
	if c.open == nil {
		c.open = make(map[uint64]uint32)
	}
	c.open[acc]++
}

func (c *checker) auctions() {
	s := c.s
	for id, r := range s.auctions.rows {
		a := &r.val
		d := s.devices.get(a.Device)
		if d == nil {
			c.fail("auction %x is on device %x, which does not exist", id, a.Device)
			continue
		}
		c.account(a.Owner, "auction")
		c.sum(&c.pots[PotAwards], a.Escrow)
		if a.live() != (d.LiveAuction == id) {
			c.fail("auction %x in phase %s, its device has %x live", id, a.Phase, d.LiveAuction)
		}
		if a.Escrow != 0 && a.Phase != PhaseAwarded {
			c.fail("I2: auction %x in phase %s has %d in award escrow", id, a.Phase, a.Escrow)
		}
		bidders := s.index.bidders[id]
		if len(bidders) != int(a.Bids) {
			c.fail("auction %x counts %d bids and has %d", id, a.Bids, len(bidders))
		}
		if a.live() {
			c.count(a.Requester, "auction")
			if a.Owner != d.Owner {
				c.fail("auction %x of owner %d, its device is of %d", id, a.Owner, d.Owner)
			}
		}
		switch a.Phase {
		case PhaseCommit:
			c.queued(a.end(), ExpireAuctionClose, id)
		case PhasePay:
			c.queued(a.Deadline, ExpirePay, id)
		case PhaseAwarded:
			c.queued(a.Deadline, ExpireKey, id)
		}
		var best, second uint64 // over bids that were revealed and did not default
		won := 0
		for _, bidder := range bidders {
			b := s.bids.get(partyKey{id, bidder})
			if a.live() {
				c.count(bidder, "bid")
			}
			switch b.State {
			case BidWon, BidLost, BidDefaulted, BidUnrevealed:
				if b.Lock != 0 {
					c.fail("I4: bid of %d in auction %x is over and has %d locked", bidder, id, b.Lock)
				}
			default:
				if !a.live() || a.Phase == PhaseAwarded {
					c.fail("I4: bid of %d in auction %x is open in phase %s", bidder, id, a.Phase)
				}
			}
			if b.State == BidWon {
				won++
				if bidder != a.Winner {
					c.fail("I3: auction %x is won by %d and by %d", id, a.Winner, bidder)
				}
			}
			if b.State == BidRevealed || b.State == BidWon || b.State == BidLost {
				best, second = max(best, b.Amount), max(second, min(best, b.Amount))
			}
		}
		if a.Phase == PhaseAwarded || a.Phase == PhaseDelivered {
			switch {
			case won != 1 && a.Kind != English:
				c.fail("I3: auction %x has %d winners", id, won)
			case a.Price < a.Reserve:
				c.fail("I3: auction %x at price %d, reserve %d", id, a.Price, a.Reserve)
			case a.Kind == FirstPrice && a.Price != best:
				c.fail("I3: auction %x at price %d, the best bid is %d", id, a.Price, best)
			case a.Kind == SecondPrice && a.Price != max(a.Reserve, second):
				c.fail("I3: auction %x at price %d, the second-best bid is %d and the reserve %d", id, a.Price, second, a.Reserve)
			}
		}
	}
	for k, r := range s.bids.rows {
		c.sum(&c.pots[PotBids], r.val.Lock)
		if s.auctions.get(k.object) == nil {
			c.fail("bid of %d is in auction %x, which does not exist", k.party, k.object)
		}
	}
}

func (c *checker) devices() {
	s := c.s
	links := 0
	for id, r := range s.devices.rows {
		d := &r.val
		c.account(d.Owner, "device")
		c.account(d.OEM, "device")
		if s.models.get(d.Model) == nil {
			c.fail("device %x is of model %x, which does not exist", id, d.Model)
		}
		if d.LiveAuction != (ID{}) && s.auctions.get(d.LiveAuction) == nil {
			c.fail("device %x has auction %x live, which does not exist", id, d.LiveAuction)
		}
		chain := Ownership{Chain: s.config.chain, Device: id, OEM: d.OEM}
		for hop := range d.Hops {
			l := s.links.get(linkKey{id, hop})
			if l == nil {
				c.fail("I9: device %x misses hop %d of %d", id, hop, d.Hops)
				break
			}
			chain.Links = append(chain.Links, *l)
		}
		links += len(chain.Links)
		head, owner, err := chain.Verify()
		if err != nil {
			c.fail("I9: %v", err)
		} else if head != d.Head || owner != d.Owner {
			c.fail("I9: device %x: chain leads to owner %d, the record says %d", id, owner, d.Owner)
		}
	}
	if links != len(s.links.rows) {
		c.fail("I9: %d links, the devices account for %d", len(s.links.rows), links)
	}
}

func (c *checker) services() {
	s := c.s
	for id, r := range s.services.rows {
		v := &r.val
		c.account(v.Client, "service")
		c.sum(&c.pots[PotBudgets], v.Budget)
		if v.State == ServiceEnded {
			if v.Budget != 0 || v.Pending != 0 {
				c.fail("service %x has ended with budget %d and %d verdicts pending", id, v.Budget, v.Pending)
			}
		} else {
			c.count(v.Client, "service")
		}
		if v.State == ServiceOpen || v.State == ServiceActive && v.Epoch < v.Epochs {
			c.queued(v.NextEdge, ExpireServiceEpoch, id)
		}
		if v.EpochMS == 0 {
			c.fail("service %x has epochs of no length", id)
		}
		active := uint64(0)
		for _, p := range s.index.offerers[id] {
			o := s.offers.get(partyKey{id, p})
			if o.State == OfferActive {
				active = p
			}
			if o.State == OfferLeaving {
				c.queued(o.UnlockAt, ExpireUnbonding, id)
			}
		}
		if active != v.Active {
			c.fail("service %x has provider %d, the active offer is of %d", id, v.Active, active)
		}
	}
	for k, r := range s.offers.rows {
		c.count(k.party, "offer")
		c.sum(&c.pots[PotOffers], r.val.Stake)
		if s.services.get(k.object) == nil {
			c.fail("offer of %d is for service %x, which does not exist", k.party, k.object)
		}
	}
	pending := make(map[ID]uint32)
	for k, r := range s.verdicts.rows {
		j := &r.val
		v := s.services.get(k.service)
		if v == nil {
			if j.State != JudgementPlanned {
				c.fail("judgement on service %x, which does not exist", k.service)
			}
			continue
		}
		if !slices.IsSorted(j.Panel) {
			c.fail("panel of service %x epoch %d does not ascend", k.service, k.epoch)
		}
		for _, voter := range j.Panel {
			c.account(voter, "panel")
		}
		if j.Provider != 0 {
			c.account(j.Provider, "judgement")
		}
		if j.State == JudgementOpen {
			pending[k.service]++
			c.queued(s.finalAt(v, j), ExpireVerdict, k.service)
			if j.Due != v.Start+(uint64(k.epoch)+1)*uint64(v.EpochMS) {
				c.fail("epoch %d of service %x is due at %d", k.epoch, k.service, j.Due)
			}
		}
		if j.Slashed != 0 && j.Verdict != Fail {
			c.fail("I10: epoch %d of service %x slashed %d on verdict %s", k.epoch, k.service, j.Slashed, j.Verdict)
		}
	}
	for id, r := range s.services.rows {
		if r.val.Pending != pending[id] {
			c.fail("service %x counts %d verdicts pending and has %d", id, r.val.Pending, pending[id])
		}
	}
	for k, r := range s.votes.rows {
		c.sum(&c.pots[PotVotes], r.val.Stake)
		j := s.verdicts.get(epochKey{k.service, k.epoch})
		if j == nil || !slices.Contains(j.Panel, k.voter) {
			c.fail("vote of %d, who is not in the panel of epoch %d of service %x", k.voter, k.epoch, k.service)
		} else if j.State != JudgementOpen && r.val.Stake != 0 {
			c.fail("I10: vote of %d on epoch %d of service %x is settled with %d locked", k.voter, k.epoch, k.service, r.val.Stake)
		}
	}
}

func (c *checker) channels() {
	s := c.s
	for id, r := range s.channels.rows {
		v := &r.val
		c.account(v.Payer, "channel")
		c.account(v.Payee, "channel")
		if v.Paid > v.Deposit {
			c.fail("I5: channel %x paid %d of %d", id, v.Paid, v.Deposit)
		}
		if v.State == ChannelClosed {
			continue
		}
		c.count(v.Payer, "channel")
		c.sum(&c.pots[PotChannels], v.Deposit)
		if v.Paid != 0 {
			c.fail("I5: channel %x is open and paid %d", id, v.Paid)
		}
		if v.State == ChannelSettling {
			c.queued(v.Until, ExpireChannelSettle, id)
		}
	}
	for id, r := range s.accounts.rows {
		if r.val.Open != c.open[id] {
			c.fail("account %d counts %d open objects and has %d", id, r.val.Open, c.open[id])
		}
	}
}

func (c *checker) grants() {
	s := c.s
	for k, r := range s.grants.rows {
		g := &r.val
		c.account(k.party, "grant")
		if g.End < g.Start {
			c.fail("I8: grant of %d on %x ends before it starts", k.party, k.object)
		}
		if g.Purchase {
			if t := s.topics.get(g.Ref); t == nil || g.Ref != k.object {
				c.fail("I8: grant of %d on %x refers to topic %x", k.party, k.object, g.Ref)
			}
		} else if a := s.auctions.get(g.Ref); a != nil && (a.Phase != PhaseDelivered || a.Winner != k.party || a.Device != k.object) {
			c.fail("I8: grant of %d on %x refers to auction %x in phase %s, won by %d", k.party, k.object, g.Ref, a.Phase, a.Winner)
		}
	}
	for id, r := range s.topics.rows {
		if s.devices.get(r.val.Device) == nil {
			c.fail("topic %x is on device %x, which does not exist", id, r.val.Device)
		}
	}
}

// Monitor verifies what takes two states to see: it keeps the last one's essence.
// Call After following every transaction.
type Monitor struct {
	seen        bool
	now, tick   uint64
	kitty, fees uint64
	accounts    map[uint64]Account
	channels    map[ID]Channel
	auctions    map[ID]Auction
	grants      map[partyKey]uint64
	settled     map[epochKey]settled
}

// settled is what a Monitor keeps of a judgement.
type settled struct {
	verdict           Verdict
	provider, slashed uint64
}

// After checks one transaction's effect: time, deadlines and nonces (I12, I13),
// awards (I3), what a channel pays (I5), verdicts and reputation (I7), grant ends
// (I8), where slashed stake goes (I10).
func (m *Monitor) After(s *State) error {
	old := *m
	m.look(s)
	if !old.seen {
		return nil
	}
	for _, check := range []func(*State, *Monitor) error{m.time, m.nonces, m.auctionsAfter, m.channelsAfter, m.grantsAfter, m.verdictsAfter, m.reputation} {
		if err := check(s, &old); err != nil {
			return err
		}
	}
	return nil
}

// look takes the essence of a state.
func (m *Monitor) look(s *State) {
	c := s.clock.get(0)
	*m = Monitor{
		seen: true, now: c.Now, tick: c.Tick, kitty: s.Pot(Kitty), fees: s.Pot(Fees),
		accounts: make(map[uint64]Account, len(s.accounts.rows)), channels: make(map[ID]Channel), auctions: make(map[ID]Auction),
		grants: make(map[partyKey]uint64), settled: make(map[epochKey]settled),
	}
	for id, r := range s.accounts.rows {
		m.accounts[id] = r.val
	}
	for id, r := range s.channels.rows {
		m.channels[id] = r.val
	}
	for id, r := range s.auctions.rows {
		m.auctions[id] = r.val
	}
	for k, r := range s.grants.rows {
		m.grants[k] = r.val.End
	}
	for k, r := range s.verdicts.rows {
		if j := &r.val; j.State == JudgementSettled {
			m.settled[k] = settled{j.Verdict, j.Provider, j.Slashed}
		}
	}
}

// time goes forward, and stake stays until its time.
func (m *Monitor) time(_ *State, old *Monitor) error {
	if m.now < old.now || (m.now == old.now) != (m.tick == old.tick) || m.tick > old.tick+1 {
		return fmt.Errorf("I12: time went from %d (tick %d) to %d (tick %d)", old.now, old.tick, m.now, m.tick)
	}
	for id, before := range old.accounts {
		now := m.accounts[id]
		for _, u := range before.Unbonding[:before.Unbonds] {
			if u.Until > m.now && !slices.Contains(now.Unbonding[:now.Unbonds], u) {
				return fmt.Errorf("I12: stake of account %d was unbound at %d, due at %d", id, m.now, u.Until)
			}
		}
	}
	return nil
}

// nonces move by one, and one of them at most.
func (m *Monitor) nonces(_ *State, old *Monitor) error {
	moved := 0
	for id, before := range old.accounts {
		switch now, ok := m.accounts[id]; {
		case !ok:
			return fmt.Errorf("I13: account %d is gone", id)
		case now.Nonce == before.Nonce+1:
			moved++
		case now.Nonce != before.Nonce:
			return fmt.Errorf("I13: nonce of account %d went from %d to %d", id, before.Nonce, now.Nonce)
		}
	}
	if moved > 1 {
		return fmt.Errorf("I13: %d nonces advanced in one transaction", moved)
	}
	return nil
}

func (m *Monitor) auctionsAfter(s *State, old *Monitor) error {
	for id, before := range old.auctions {
		a, ok := m.auctions[id]
		if !ok {
			if before.live() {
				return fmt.Errorf("I3: auction %x is gone in phase %s", id, before.Phase)
			}
			continue
		}
		if was := before.Phase; was >= PhaseAwarded && was <= PhaseCancelled && before.Winner != 0 && before.Kind != English && a.Winner != before.Winner {
			return fmt.Errorf("I3: auction %x was awarded to %d, now to %d", id, before.Winner, a.Winner)
		}
		if before.Phase == PhaseAwarded && a.Phase < PhaseAwarded || !before.live() && a.Phase != before.Phase {
			return fmt.Errorf("I3: auction %x went from phase %s to %s", id, before.Phase, a.Phase)
		}
		if d := s.devices.get(a.Device); d != nil && d.Revoked {
			continue // which ends an auction at any time
		}
		due := uint64(0)
		switch {
		case before.Phase == PhaseCommit && a.Phase != PhaseCommit:
			due = before.end()
		case before.Phase == PhasePay && a.Phase != PhaseAwarded && a.Position != before.Position,
			before.Phase == PhasePay && a.Phase == PhaseFailed,
			before.Phase == PhaseAwarded && a.Phase == PhaseCancelled:
			due = before.Deadline
		}
		if m.now < due {
			return fmt.Errorf("I12: auction %x went from phase %s to %s at %d, due at %d", id, before.Phase, a.Phase, m.now, due)
		}
	}
	return nil
}

// channelsAfter looks at who got what. Where several channels were closed at once,
// by a tick, or somebody's balance moved for other reasons too, only states are
// compared.
func (m *Monitor) channelsAfter(_ *State, old *Monitor) error {
	var closed []ID
	for id, before := range old.channels {
		now, ok := m.channels[id]
		if !ok {
			continue
		}
		if now.State < before.State {
			return fmt.Errorf("I5: channel %x went from state %d to %d", id, before.State, now.State)
		}
		if before.State == ChannelClosed && now.Paid != before.Paid {
			return fmt.Errorf("I5: channel %x paid %d, now %d", id, before.Paid, now.Paid)
		}
		if now.State == ChannelClosed && before.State != ChannelClosed {
			closed = append(closed, id)
		}
	}
	if len(closed) != 1 || m.now != old.now {
		return nil
	}
	v, fee := m.channels[closed[0]], m.fees-old.fees
	payee := m.accounts[v.Payee].Balance - old.accounts[v.Payee].Balance
	payer := m.accounts[v.Payer].Balance - old.accounts[v.Payer].Balance
	rest := v.Deposit - v.Paid
	switch {
	case payee == v.Paid && payer == rest: // somebody else's transaction, or no fee
	case payee == v.Paid-fee && payer == rest:
	case payee == v.Paid && payer == rest-fee:
	default:
		return fmt.Errorf("I5: channel %x with %d of %d paid gave its payee %d and its payer %d, fee %d", closed[0], v.Paid, v.Deposit, int64(payee), int64(payer), fee)
	}
	return nil
}

func (m *Monitor) grantsAfter(_ *State, old *Monitor) error {
	for k, end := range old.grants {
		if m.grants[k] < end {
			return fmt.Errorf("I8: grant of %d on %x shrank from %d to %d", k.party, k.object, end, m.grants[k])
		}
	}
	return nil
}

// verdictsAfter wants settled verdicts to stay, and what a FAIL takes to go to
// KITTY. A PASS takes a bonus from there, so that both at once show nothing.
func (m *Monitor) verdictsAfter(_ *State, old *Monitor) error {
	for k, v := range old.settled {
		if now, ok := m.settled[k]; !ok || now != v {
			return fmt.Errorf("I7: verdict on epoch %d of service %x changed", k.epoch, k.service)
		}
	}
	slashed, passed := uint64(0), false
	for k, v := range m.settled {
		if _, before := old.settled[k]; !before {
			slashed += v.slashed
			passed = passed || v.verdict == Pass
		}
	}
	if !passed && m.kitty < old.kitty+slashed {
		return fmt.Errorf("I10: %d were slashed, KITTY went from %d to %d", slashed, old.kitty, m.kitty)
	}
	return nil
}

// reputation changes by verdicts and undelivered keys only, once by each. Where one
// account had several at once, their order is not known.
func (m *Monitor) reputation(s *State, old *Monitor) error {
	type event struct {
		count  int
		result uint64
	}
	events := make(map[uint64]event)
	note := func(acc, opened uint64, lost bool) {
		rep := uint64(old.accounts[acc].Rep)
		if lost {
			rep = rep * s.paramAt(RepLossThirds, opened) / 3
		} else {
			rep += (maxRep - rep) / s.paramAt(RepGainDivisor, opened)
		}
		events[acc] = event{events[acc].count + 1, rep}
	}
	for k, v := range m.settled {
		if _, before := old.settled[k]; before || v.verdict == None {
			continue
		}
		note(v.provider, s.services.get(k.service).Opened, v.verdict == Fail)
	}
	for id, a := range m.auctions {
		if before, ok := old.auctions[id]; ok && before.Phase == PhaseAwarded && a.Phase == PhaseCancelled && !s.devices.get(a.Device).Revoked {
			note(a.Owner, a.Opened, true)
		}
	}
	for id, before := range old.accounts {
		want, now := event{result: uint64(before.Rep)}, m.accounts[id].Rep
		if e, ok := events[id]; ok {
			want = e
		}
		if want.count <= 1 && uint64(now) != want.result {
			return fmt.Errorf("I7: reputation of account %d went from %d to %d with %d reasons, want %d", id, before.Rep, now, want.count, want.result)
		}
	}
	return nil
}
