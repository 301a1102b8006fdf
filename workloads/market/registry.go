package market

func (s *State) modelPut(p *ModelPut) Code {
	if !s.accounts.get(s.tx.Sender).Has(OEM) {
		return ErrRole
	}
	if m := s.models.get(p.Model); m != nil && m.OEM != s.tx.Sender {
		return ErrModel
	}
	s.models.put(p.Model, Model{OEM: s.tx.Sender, TDSchema: p.TDSchema, Class: p.Class, Caps: p.Caps})
	return OK
}

func (s *State) deviceRegister(p *DeviceRegister) Code {
	oem := s.tx.Sender
	if !s.accounts.get(oem).Has(OEM) {
		return ErrRole
	}
	m := s.models.get(p.Model)
	if m == nil {
		return ErrModel
	}
	if m.OEM != oem {
		return ErrOEMMismatch
	}
	id := DeviceID(p.DeviceKey)
	if s.devices.get(id) != nil {
		return ErrDeviceExists
	}
	d := Device{
		Key: p.DeviceKey, Model: p.Model, Class: m.Class, OEM: oem, Owner: oem, TDHash: p.TDHash,
		Lat: p.Lat, Lon: p.Lon, Caps: p.Caps, Attrs: append([]Attr(nil), p.Attrs...),
		Head: LinkGenesis(s.config.chain, id, oem),
	}
	stored := s.devices.put(id, d)
	if owner := s.signerIn(RoleOwner); owner != oem {
		s.addLink(id, stored, owner, 0)
	}
	s.answerID(id)
	return OK
}

// addLink hands a device to its next owner and writes the hop.
func (s *State) addLink(id ID, d *Device, to, price uint64) {
	now := s.Now()
	l := Link{From: d.Owner, To: to, Price: price, Time: now, Hash: NextLink(d.Head, d.Owner, to, now)}
	s.links.put(linkKey{id, d.Hops}, l)
	d.Head = l.Hash
	d.Hops++
	d.Owner = to
	d.CheckedIn = false
}

func (s *State) deviceCheckIn(p *DeviceCheckIn) Code {
	d := s.devices.get(p.Device)
	switch {
	case d == nil:
		return ErrDeviceUnknown
	case d.Owner != s.tx.Sender:
		return ErrNotOwner
	case d.Revoked:
		return ErrRevoked
	}
	d = s.devices.mut(p.Device)
	d.CheckedIn = true
	d.Flags, d.MinPrice, d.HourPrice, d.Term = p.Flags, p.MinPrice, p.HourPrice, p.Term
	return OK
}

func (s *State) deviceCheckOut(p *DeviceCheckOut) Code {
	d := s.devices.get(p.Device)
	switch {
	case d == nil:
		return ErrDeviceUnknown
	case d.Owner != s.tx.Sender:
		return ErrNotOwner
	case d.LiveAuction != ID{}:
		return ErrBusy
	}
	s.devices.mut(p.Device).CheckedIn = false
	return OK
}

// ownershipTransfer checks the link before the owner: a second sale built on an
// old head is stale, although the seller no longer owns the device either.
func (s *State) ownershipTransfer(p *OwnershipTransfer) Code {
	d := s.devices.get(p.Device)
	switch {
	case d == nil:
		return ErrDeviceUnknown
	case d.Head != p.PrevLink:
		return ErrStaleLink
	case d.Owner != s.tx.Sender:
		return ErrNotOwner
	case d.Revoked:
		return ErrRevoked
	case d.LiveAuction != ID{}:
		return ErrBusy
	case s.accounts.get(p.To).Balance < p.Price:
		return ErrFunds
	}
	s.debit(p.To, p.Price)
	s.credit(s.tx.Sender, p.Price)
	s.addLink(p.Device, s.devices.mut(p.Device), p.To, p.Price)
	return OK
}

func (s *State) deviceRevoke(p *DeviceRevoke) Code {
	d := s.devices.get(p.Device)
	if d == nil {
		return ErrDeviceUnknown
	}
	if d.OEM != s.tx.Sender && !s.accounts.get(s.tx.Sender).Has(Registrar) {
		return ErrRole
	}
	if d.Revoked {
		return OK // the first reason stands
	}
	d = s.devices.mut(p.Device)
	d.Revoked, d.Reason, d.CheckedIn = true, p.Reason, false
	if live := d.LiveAuction; live != (ID{}) {
		s.abandonAuction(live)
	}
	return OK
}

// anchorReadings takes the anchors of a site from its gateway: an account of the
// role whose org number is the site's. The site that belongs to a service (see
// ServiceSite) is open to the service's active provider as well, whose slot is the
// epoch that runs: another one would stand in the way of the providers after it.
func (s *State) anchorReadings(p *AnchorReadings) Code {
	a := s.accounts.get(s.tx.Sender)
	if !a.Has(Gateway) || a.Org != p.Site {
		switch provides, runs := s.providesSite(p.Site, p.Slot); {
		case !provides:
			return ErrRole
		case !runs:
			return ErrSlotReplay
		}
	}
	if last := s.sites.get(p.Site); last != nil && p.Slot <= *last {
		return ErrSlotReplay
	}
	s.anchors.put(anchorKey{p.Site, p.Slot}, Anchor{
		Gateway: s.tx.Sender, SlotMS: p.SlotMS, Count: p.Count, Root: p.Root, Sum: p.Sum, Min: p.Min, Max: p.Max, Time: s.Now(), At: s.position(),
	})
	s.sites.put(p.Site, p.Slot)
	return OK
}

// ServiceSite is the site number under which the provider of a service anchors
// the epochs' data, slot = epoch, before they are sampled.
func ServiceSite(service ID) uint32 {
	return uint32(service[0])<<24 | uint32(service[1])<<16 | uint32(service[2])<<8 | uint32(service[3])
}

// providesSite reports whether the sender is the active provider of a service of the
// site, and whether the slot is the present epoch of such a service.
func (s *State) providesSite(site uint32, slot uint64) (provides, runs bool) {
	for _, id := range s.index.sites[site] {
		if v := s.services.get(id); v.State == ServiceActive && v.Active == s.tx.Sender {
			provides = true
			runs = runs || slot == uint64(v.Epoch)
		}
	}
	return provides, runs
}

// readingAppend takes readings from the device's own account, or from a gateway
// on its behalf.
func (s *State) readingAppend(p *ReadingAppend) Code {
	d := s.devices.get(p.Device)
	if d == nil {
		return ErrDeviceUnknown
	}
	a := s.accounts.get(s.tx.Sender)
	if a.Key != d.Key && !a.Has(Gateway) {
		return ErrRole
	}
	if d.Revoked {
		return ErrRevoked
	}
	if p.Seq != d.ReadSeq+1 {
		return ErrSequence
	}
	if p.Time <= d.ReadTime && d.ReadSeq > 0 || p.Time > addSat(s.Now(), s.param(ReadingDrift)) {
		return ErrTimestamp
	}
	d = s.devices.mut(p.Device)
	d.ReadSeq, d.ReadTime = p.Seq, p.Time
	d.ReadHead = under(domainReading).bytes(p.Device[:]).bytes(d.ReadHead[:]).u64(p.Seq).u64(p.Time).u64(uint64(p.Value)).u16(p.Unit).hash()
	return OK
}

func (s *State) topicPut(p *TopicPut) Code {
	d := s.devices.get(p.Device)
	switch {
	case d == nil:
		return ErrDeviceUnknown
	case d.Owner != s.tx.Sender:
		return ErrNotOwner
	case p.Kind != Public && p.Kind != Live:
		return ErrTopicKind
	}
	id := TopicID(s.config.chain, p.Device, p.Topic)
	s.topics.put(id, Topic{Device: p.Device, Kind: p.Kind, UnitPrice: p.UnitPrice, UnitMS: p.UnitMS, MinUnits: p.MinUnits})
	s.answerID(id)
	return OK
}

// accessBuy pays the owner of the moment. Buying again extends from the end of
// what the consumer has.
func (s *State) accessBuy(p *AccessBuy) Code {
	t := s.topics.get(p.Topic)
	if t == nil || t.Kind != Live {
		return ErrTopicKind
	}
	d := s.devices.get(t.Device)
	if d.Revoked {
		return ErrRevoked
	}
	if p.Units == 0 || p.Units < uint32(t.MinUnits) {
		return ErrUnits
	}
	total, fits := mulFits(uint64(p.Units), t.UnitPrice)
	if !fits || total > p.MaxTotal {
		return ErrMaximumTotal
	}
	if s.accounts.get(s.tx.Sender).Balance < total {
		return ErrFunds
	}
	now := s.Now()
	g := Grant{Start: now, End: now, Ref: p.Topic, Purchase: true}
	k := partyKey{p.Topic, s.tx.Sender}
	if old := s.grants.get(k); old != nil && old.End > now {
		g.Start, g.End = old.Start, old.End
	}
	span, fits := mulFits(uint64(p.Units), t.UnitMS)
	if g.End+span < g.End || !fits {
		return ErrOverflow
	}
	g.End += span
	s.debit(s.tx.Sender, total)
	s.credit(d.Owner, total)
	s.grants.put(k, g)
	return OK
}

// AccessCheck reports whether a consumer may read a topic at a time; everybody,
// account 0 included, may read a public one.
func (s *State) AccessCheck(topic ID, consumer, now uint64) bool {
	t := s.topics.get(topic)
	if t == nil {
		return false
	}
	if t.Kind == Public {
		return true
	}
	g := s.grants.get(partyKey{topic, consumer})
	return g != nil && g.Start <= now && now < g.End
}
