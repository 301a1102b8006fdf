package market

import (
	"fmt"
	"slices"
)

// QueryKind says what a read asks for.
type QueryKind uint8

// Reads. QueryProof added to one of the kinds up to QueryBid asks for the record
// together with a proof against the root.
const (
	QueryAccount    QueryKind = iota + 1 // account u64
	QueryDevice                          // id
	QueryAuction                         // id
	QueryService                         // id
	QueryVerdict                         // service id, epoch u32
	QueryChannel                         // id
	QueryTopic                           // id
	QueryGrant                           // device or topic id, consumer u64
	QueryAnchor                          // site u32, slot u64
	QueryBid                             // auction id, bidder u64
	QueryOwnerChain                      // device id
	QueryDevices                         // DeviceFilter
	QueryBids                            // auction id
	QueryGrants                          // consumer u64
	QueryAccess                          // topic id, consumer u64, time u64
	QueryParams                          // nothing
	QueryTotals                          // nothing
	QueryRoot                            // nothing
	QuerySample                          // service id, epoch u32

	QueryProof QueryKind = 0x80
)

// Query errors, in the place of a result code.
const (
	queryFound   = 0
	queryAbsent  = 1
	queryUnknown = 2 // malformed
)

// reply is the head of every answer: found or not, and the version it was read at.
type reply struct {
	status  uint8
	applied uint64
}

func (r *reply) fields(c *codec) {
	enum8(c, &r.status, queryFound, queryUnknown)
	c.u64(&r.applied)
}

// BBox is a box of coordinates in 1/1000 degree, bounds included.
type BBox struct{ MinLat, MaxLat, MinLon, MaxLon int32 }

// AttrRange demands an attribute with a value in [Min, Max].
type AttrRange struct {
	Key      uint16
	Min, Max uint32
}

// DeviceFilter selects devices of a class. Nil or zero conditions do not filter,
// except that a device that lacks a demanded attribute never matches.
type DeviceFilter struct {
	Class     uint16
	Box       *BBox
	Attrs     []AttrRange // at most MaxAttrs
	MaxPrice  uint64      // against the floor price; 0 means any
	CheckedIn bool        // only those that are
	After     ID          // cursor: only greater ids
	Limit     uint16      // rows; 0 or more than the limit means the limit
}

func (f *DeviceFilter) fields(c *codec) {
	c.u16(&f.Class)
	boxed := f.Box != nil
	c.flag(&boxed)
	if boxed {
		if f.Box == nil {
			f.Box = new(BBox)
		}
		c.i32(&f.Box.MinLat)
		c.i32(&f.Box.MaxLat)
		c.i32(&f.Box.MinLon)
		c.i32(&f.Box.MaxLon)
	}
	list(c, &f.Attrs, MaxAttrs, 10, func(c *codec, a *AttrRange) {
		c.u16(&a.Key)
		c.u32(&a.Min)
		c.u32(&a.Max)
	})
	c.u64(&f.MaxPrice)
	c.flag(&f.CheckedIn)
	c.id(&f.After)
	c.u16(&f.Limit)
}

func (f *DeviceFilter) matches(d *Device) bool {
	if f.CheckedIn && (!d.CheckedIn || d.Revoked) || f.MaxPrice != 0 && d.MinPrice > f.MaxPrice {
		return false
	}
	if b := f.Box; b != nil && (d.Lat < b.MinLat || d.Lat > b.MaxLat || d.Lon < b.MinLon || d.Lon > b.MaxLon) {
		return false
	}
	for _, want := range f.Attrs {
		i := slices.IndexFunc(d.Attrs, func(a Attr) bool { return a.Key == want.Key })
		if i < 0 || d.Attrs[i].Value < want.Min || d.Attrs[i].Value > want.Max {
			return false
		}
	}
	return true
}

// DevicesByFilter returns the ids that match, ascending.
func (s *State) DevicesByFilter(f *DeviceFilter) []ID {
	limit := int(s.param(QueryLimit))
	if f.Limit != 0 {
		limit = min(limit, int(f.Limit))
	}
	set := s.index.classes[f.Class]
	if set == nil {
		return nil
	}
	ids := set.ascending()
	from := 0
	if f.After != (ID{}) {
		i, found := slices.BinarySearchFunc(ids, f.After, compareID)
		if from = i; found {
			from++
		}
	}
	var out []ID
	for _, id := range ids[from:] {
		if len(out) == limit {
			break
		}
		if f.matches(s.devices.get(id)) {
			out = append(out, id)
		}
	}
	return out
}

// Query implements protocols.Application. A query is a kind and its arguments; an
// answer is a status byte, the version, and what was asked for in the encodings of
// the records. Equal states at equal version give equal bytes.
func (s *State) Query(q []byte) []byte {
	c := codec{b: q}
	var kind QueryKind
	enum8(&c, &kind, 0, 255)
	out := codec{enc: true}
	head := reply{status: queryFound, applied: s.version}
	head.fields(&out)
	status := uint8(queryUnknown)
	if s.broken == nil {
		status = s.answerQuery(kind, &c, &out)
	}
	if status != queryFound && kind&QueryProof == 0 || status == queryUnknown {
		out.b = out.b[:9]
	}
	out.b[0] = status
	return out.b
}

func (s *State) answerQuery(kind QueryKind, in, out *codec) uint8 {
	if k := kind &^ QueryProof; k <= QueryBid {
		return s.answerRecord(k, kind&QueryProof != 0, in, out)
	}
	var id ID
	var a, b uint64
	switch kind {
	case QueryOwnerChain:
		in.id(&id)
		if d := s.devices.get(id); in.done() && d != nil {
			o := s.OwnerChain(id)
			o.fields(out)
			return queryFound
		}
	case QueryDevices:
		var f DeviceFilter
		f.fields(in)
		if in.done() {
			ids := s.DevicesByFilter(&f)
			list(out, &ids, 1<<16-1, 16, func(c *codec, v *ID) { c.id(v) })
			return queryFound
		}
	case QueryBids:
		in.id(&id)
		if in.done() && s.auctions.get(id) != nil {
			bidders := s.index.bidders[id]
			bidders = bidders[:min(len(bidders), int(s.param(QueryLimit)))]
			list(out, &bidders, 1<<16-1, 57, func(c *codec, v *uint64) {
				c.u64(v)
				s.bids.get(partyKey{id, *v}).fields(c)
			})
			return queryFound
		}
	case QueryGrants:
		in.u64(&a)
		if in.done() && s.accounts.get(a) != nil {
			ids := s.index.granted[a]
			ids = ids[:min(len(ids), int(s.param(QueryLimit)))]
			list(out, &ids, 1<<16-1, 81, func(c *codec, v *ID) {
				c.id(v)
				s.grants.get(partyKey{*v, a}).fields(c)
			})
			return queryFound
		}
	case QueryAccess:
		in.id(&id)
		in.u64(&a)
		in.u64(&b)
		if in.done() {
			ok := s.AccessCheck(id, a, b)
			out.flag(&ok)
			return queryFound
		}
	case QueryParams:
		if in.done() {
			for _, p := range paramTable {
				k, v := uint16(p.key), s.param(p.key)
				out.u16(&k)
				out.u64(&v)
			}
			return queryFound
		}
	case QueryTotals:
		if in.done() {
			t := s.Totals()
			t.fields(out)
			return queryFound
		}
	case QueryRoot:
		if in.done() {
			root := Hash(s.Root())
			out.hash(&root)
			return queryFound
		}
	case QuerySample:
		var e uint32
		in.id(&id)
		in.u32(&e)
		if units, ok := s.SampleOf(id, e); in.done() && ok {
			list(out, &units, 1<<16-1, 4, func(c *codec, v *uint32) { c.u32(v) })
			return queryFound
		}
	default:
		return queryUnknown
	}
	if in.done() {
		return queryAbsent
	}
	return queryUnknown
}

// answerRecord answers reads of one record, with a proof if asked for. A proof of
// absence follows the status queryAbsent.
func (s *State) answerRecord(kind QueryKind, prove bool, in, out *codec) uint8 {
	var id ID
	var a uint64
	var e uint32
	var table byte
	var val func(*codec)
	from := in.off
	switch kind {
	case QueryAccount:
		in.u64(&a)
		table, val = find(s.accounts, a, (*Account).fields)
	case QueryDevice:
		in.id(&id)
		table, val = find(s.devices, id, (*Device).fields)
	case QueryAuction:
		in.id(&id)
		table, val = find(s.auctions, id, (*Auction).fields)
	case QueryService:
		in.id(&id)
		table, val = find(s.services, id, (*Service).fields)
	case QueryVerdict:
		in.id(&id)
		in.u32(&e)
		table, val = find(s.verdicts, epochKey{id, e}, (*Judgement).fields)
	case QueryChannel:
		in.id(&id)
		table, val = find(s.channels, id, (*Channel).fields)
	case QueryTopic:
		in.id(&id)
		table, val = find(s.topics, id, (*Topic).fields)
	case QueryGrant:
		in.id(&id)
		in.u64(&a)
		table, val = find(s.grants, partyKey{id, a}, (*Grant).fields)
	case QueryAnchor:
		in.u32(&e)
		in.u64(&a)
		table, val = find(s.anchors, anchorKey{e, a}, (*Anchor).fields)
	case QueryBid:
		in.id(&id)
		in.u64(&a)
		table, val = find(s.bids, partyKey{id, a}, (*Bid).fields)
	default:
		return queryUnknown
	}
	if !in.done() {
		return queryUnknown
	}
	status := uint8(queryAbsent)
	if val != nil {
		status = queryFound
	}
	if prove {
		// Arguments are the key in its canonical encoding, so they are the way to
		// the leaf as they stand.
		s.flush()
		root := s.tree.Root()
		proof, _ := s.tree.prove(Path(table, in.b[from:]))
		out.hash(&root)
		proof.fields(out)
	}
	if val != nil {
		val(out)
	}
	return status
}

// find looks a record up; val writes its encoding and is nil if there is none.
func find[K comparable, V any](t *table[K, V], k K, fields func(*V, *codec)) (id byte, val func(*codec)) {
	v := t.get(k)
	if v == nil {
		return t.id, nil
	}
	return t.id, func(c *codec) { fields(v, c) }
}

// Totals says where the money is.
type Totals struct {
	Supply   uint64
	Balances uint64
	Stakes   uint64 // free and unbonding
	Pots     [numPots]uint64
	Accounts uint64
	Devices  uint64
	Now      uint64
}

func (t *Totals) fields(c *codec) {
	c.u64(&t.Supply)
	c.u64(&t.Balances)
	c.u64(&t.Stakes)
	for i := range t.Pots {
		c.u64(&t.Pots[i])
	}
	c.u64(&t.Accounts)
	c.u64(&t.Devices)
	c.u64(&t.Now)
}

// Totals adds everything up; it looks at every account.
func (s *State) Totals() Totals {
	t := Totals{Supply: s.config.supply, Accounts: uint64(len(s.accounts.rows)), Devices: uint64(len(s.devices.rows)), Now: s.Now()}
	for _, r := range s.accounts.rows {
		t.Balances += r.val.Balance
		t.Stakes += r.val.FreeStake
		for _, u := range r.val.Unbonding {
			t.Stakes += u.Amount
		}
	}
	for p := range numPots {
		t.Pots[p] = s.Pot(p)
	}
	return t
}

// OwnerChain exports a device's ownership chain; an unknown device has an empty one.
func (s *State) OwnerChain(device ID) Ownership {
	o := Ownership{Chain: s.config.chain, Device: device}
	d := s.devices.get(device)
	if d == nil {
		return o
	}
	o.OEM = d.OEM
	for hop := range min(d.Hops, 1<<16-1) {
		o.Links = append(o.Links, *s.links.get(linkKey{device, hop}))
	}
	return o
}

// NewQuery builds a query: a kind and its arguments, which are ids, hashes,
// numbers of the widths that the kind wants, or a *DeviceFilter.
func NewQuery(kind QueryKind, args ...any) []byte {
	c := codec{enc: true}
	c.b = append(c.b, byte(kind))
	for _, a := range args {
		switch v := a.(type) {
		case ID:
			c.id(&v)
		case Hash:
			c.hash(&v)
		case uint64:
			c.u64(&v)
		case uint32:
			c.u32(&v)
		case *DeviceFilter:
			v.fields(&c)
		default:
			panic(fmt.Sprintf("market: query argument of type %T", a))
		}
	}
	return c.b
}

// Answer is the answer to a query, its body still encoded.
type Answer struct {
	Found   bool
	Applied uint64
	Body    []byte
}

// DecodeAnswer reads the head of an answer. It fails if the query was malformed.
func DecodeAnswer(b []byte) (Answer, error) {
	c := codec{b: b}
	var h reply
	h.fields(&c)
	if c.bad {
		return Answer{}, fmt.Errorf("answer of %d bytes, at least 9 expected", len(b))
	}
	if h.status == queryUnknown {
		return Answer{}, fmt.Errorf("the query was malformed")
	}
	return Answer{Found: h.status == queryFound, Applied: h.applied, Body: b[c.off:]}, nil
}

// Record is a row of the state as reads give it.
type Record interface{ fields(c *codec) }

// DecodeRecord reads the body of an answer into a record of the kind asked for:
// *Account, *Device, *Auction, *Service, *Judgement, *Channel, *Topic, *Grant,
// *Anchor, *Bid, *Ownership or *Totals.
func DecodeRecord(body []byte, into Record) error {
	c := codec{b: body}
	into.fields(&c)
	if !c.done() {
		return fmt.Errorf("%T: %d bytes are not its encoding", into, len(body))
	}
	return nil
}

// DecodeIDs reads the body of an answer to QueryDevices.
func DecodeIDs(body []byte) ([]ID, error) {
	c := codec{b: body}
	var ids []ID
	list(&c, &ids, 1<<16-1, 16, func(c *codec, v *ID) { c.id(v) })
	if !c.done() {
		return nil, fmt.Errorf("%d bytes are no list of ids", len(body))
	}
	return ids, nil
}

// Proven is the answer to a query with QueryProof.
type Proven struct {
	Answer
	Root  Hash
	Proof Proof
	query []byte
}

// tableOf maps record kinds to their tables.
var tableOf = [...]byte{
	QueryAccount: 0x01, QueryDevice: 0x03, QueryAuction: 0x05, QueryService: 0x09, QueryVerdict: 0x0B, QueryChannel: 0x0D,
	QueryTopic: 0x08, QueryGrant: 0x07, QueryAnchor: 0x0E, QueryBid: 0x06,
}

// DecodeProven reads an answer with a proof; query is what was asked. The caller
// verifies it against a root that it trusts.
func DecodeProven(query, answer []byte) (Proven, error) {
	a, err := DecodeAnswer(answer)
	if err != nil {
		return Proven{}, err
	}
	if len(query) < 2 || query[0]&byte(QueryProof) == 0 || int(query[0]&^byte(QueryProof)) >= len(tableOf) {
		return Proven{}, fmt.Errorf("query of %d bytes asks for no proof", len(query))
	}
	p := Proven{Answer: a, query: query}
	c := codec{b: a.Body}
	c.hash(&p.Root)
	p.Proof.fields(&c)
	if c.bad {
		return Proven{}, fmt.Errorf("answer of %d bytes holds no proof", len(answer))
	}
	p.Body = a.Body[c.off:]
	return p, nil
}

// Verify checks the answer, a record or its absence, against a certified root.
func (p *Proven) Verify(root Hash) error {
	value := p.Body
	if !p.Found {
		value = nil
	} else if value == nil {
		value = []byte{}
	}
	return p.Proof.Verify(root, tableOf[p.query[0]&^byte(QueryProof)], p.query[1:], value)
}
