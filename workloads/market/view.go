package market

// Reads for tests, stories and observers that hold the state itself. Each returns
// a copy and whether there is such a record; lists in it must not be changed.

func read[K comparable, V any](t *table[K, V], k K) (v V, ok bool) {
	if p := t.get(k); p != nil {
		return *p, true
	}
	return v, false
}

// Account returns an account.
func (s *State) Account(acc uint64) (Account, bool) { return read(s.accounts, acc) }

// AccountOf returns the account that a key belongs to, 0 if there is none.
func (s *State) AccountOf(key Key) uint64 { return s.index.byKey[key] }

// Device returns a device.
func (s *State) Device(id ID) (Device, bool) { return read(s.devices, id) }

// Auction returns an auction. In its reveal window its phase still reads
// PhaseCommit; see PhaseOf.
func (s *State) Auction(id ID) (Auction, bool) { return read(s.auctions, id) }

// PhaseOf returns an auction's phase at the present time, 0 if it is unknown.
func (s *State) PhaseOf(id ID) Phase {
	a := s.auctions.get(id)
	if a == nil {
		return 0
	}
	if a.Phase == PhaseCommit && a.Kind != English && s.Now() >= a.CommitUntil {
		return PhaseReveal
	}
	return a.Phase
}

// Bid returns a bid.
func (s *State) Bid(auction ID, bidder uint64) (Bid, bool) {
	return read(s.bids, partyKey{auction, bidder})
}

// Grant returns a consumer's access to a device or topic.
func (s *State) Grant(object ID, consumer uint64) (Grant, bool) {
	return read(s.grants, partyKey{object, consumer})
}

// Topic returns a topic.
func (s *State) Topic(id ID) (Topic, bool) { return read(s.topics, id) }

// Service returns a service.
func (s *State) Service(id ID) (Service, bool) { return read(s.services, id) }

// Offer returns a provider's offer for a service.
func (s *State) Offer(service ID, provider uint64) (Offer, bool) {
	return read(s.offers, partyKey{service, provider})
}

// Judgement returns what is known about an epoch of a service. Panel must not be
// changed.
func (s *State) Judgement(service ID, epoch uint32) (Judgement, bool) {
	return read(s.verdicts, epochKey{service, epoch})
}

// Channel returns a payment channel.
func (s *State) Channel(id ID) (Channel, bool) { return read(s.channels, id) }

// Anchor returns the anchor of a site's slot.
func (s *State) Anchor(site uint32, slot uint64) (Anchor, bool) {
	return read(s.anchors, anchorKey{site, slot})
}

// BeaconOf returns the beacon value of an epoch.
func (s *State) BeaconOf(epoch uint32) (Beacon, bool) { return read(s.beacons, epoch) }

// Clock returns the ledger's time and what goes with it.
func (s *State) Clock() Clock { return *s.clock.get(0) }

// Param returns a parameter's value for the next operation. The key must be known.
func (s *State) Param(p Param) uint64 { return s.paramAt(p, s.version+1) }
