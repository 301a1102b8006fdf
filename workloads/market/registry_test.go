package market

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func (k *kit) register(want Code, oem, owner, dev string, model ID, attrs ...Attr) {
	k.t.Helper()
	p := &DeviceRegister{DeviceKey: k.scheme.Public(seedOf(dev)), Model: model, Attrs: attrs}
	require.Equal(k.t, want, k.do(oem, p, k.signer(owner, RoleOwner), Signer{Role: RoleDevice, Seed: seedOf(dev)}))
}

func TestRegistryErrors(t *testing.T) {
	k := newKit(t)
	m := fill16(0x4D)
	k.refuse(ErrRole, "alice", &ModelPut{Model: m})
	k.register(ErrModel, "oem", "alice", "d1", m)
	k.ok("oem", &ModelPut{Model: m, Class: 7})
	k.ok("oem", &ModelPut{Model: m, Class: 7, Caps: 3})
	k.refuse(ErrModel, "oem2", &ModelPut{Model: m})
	k.register(ErrRole, "alice", "alice", "d1", m)
	k.register(ErrOEMMismatch, "oem2", "alice", "d1", m)
	k.register(OK, "oem", "alice", "d1", m)
	d1 := k.deviceID("d1")
	require.Equal(t, d1, k.resultID())
	k.register(ErrDeviceExists, "oem", "bob", "d1", m)
	unknown := fill16(0xEE)

	k.refuse(ErrDeviceUnknown, "alice", &DeviceCheckIn{Device: unknown})
	k.refuse(ErrNotOwner, "bob", &DeviceCheckIn{Device: d1})
	k.refuse(ErrNotOwner, "oem", &DeviceCheckIn{Device: d1}) // the owner decides, not the maker
	k.ok("alice", &DeviceCheckIn{Device: d1, MinPrice: 1000, Flags: 5})
	k.refuse(ErrDeviceUnknown, "alice", &DeviceCheckOut{Device: unknown})
	k.refuse(ErrNotOwner, "bob", &DeviceCheckOut{Device: d1})
	k.ok("alice", &DeviceCheckOut{Device: d1})
	k.ok("alice", &DeviceCheckIn{Device: d1, MinPrice: 1000})

	k.ok("alice", &AuctionOpen{Device: d1, Kind: FirstPrice, Mode: Full, Reserve: 1000, CommitUntil: 100, RevealUntil: 200})
	k.refuse(ErrBusy, "alice", &DeviceCheckOut{Device: d1})

	k.refuse(ErrDeviceUnknown, "alice", &DeviceRevoke{Device: unknown})
	k.refuse(ErrRole, "alice", &DeviceRevoke{Device: d1})
	k.refuse(ErrRole, "oem2", &DeviceRevoke{Device: d1})
	k.ok("registrar", &DeviceRevoke{Device: d1, Reason: 9})
	k.ok("oem", &DeviceRevoke{Device: d1, Reason: 8})
	d, _ := k.s.Device(d1)
	require.True(t, d.Revoked)
	require.Equal(t, uint8(9), d.Reason, "the first reason stands")
	require.Zero(t, d.LiveAuction)
	k.refuse(ErrRevoked, "alice", &DeviceCheckIn{Device: d1})
	k.refuse(ErrRevoked, "gateway", &ReadingAppend{Device: d1, Seq: 1, Time: 1})
}

func TestOwnership(t *testing.T) {
	k := newKit(t)
	m := fill16(0x4D)
	k.ok("oem", &ModelPut{Model: m})
	k.register(OK, "oem", "oem", "d1", m) // stays with its maker: no hop yet
	id := k.deviceID("d1")
	g := LinkGenesis(kitChain, id, accountNamed("oem"))
	d, _ := k.s.Device(id)
	require.Equal(t, g, d.Head)
	require.Zero(t, d.Hops)
	sell := func(prev Hash, to string, price uint64) *OwnershipTransfer {
		return &OwnershipTransfer{Device: id, PrevLink: prev, To: accountNamed(to), Price: price}
	}
	by := func(name string) Signer { return k.signer(name, RoleCounterparty) }
	k.refuse(ErrDeviceUnknown, "oem", &OwnershipTransfer{Device: fill16(9), To: accountNamed("alice")}, by("alice"))
	k.refuse(ErrCoSignature, "oem", sell(g, "alice", 500))
	k.refuse(ErrCoSignature, "oem", sell(g, "alice", 500), by("bob"))
	k.refuse(ErrStaleLink, "bob", sell(Hash{}, "alice", 500), by("alice"))
	k.refuse(ErrNotOwner, "bob", sell(g, "alice", 500), by("alice"))
	k.refuse(ErrFunds, "oem", sell(g, "alice", kitBalance+1), by("alice"))
	k.at(77)
	k.ok("oem", sell(g, "alice", 500), by("alice"))
	require.Equal(t, uint64(kitBalance-500), k.balance("alice"))
	require.Equal(t, uint64(kitBalance+500), k.balance("oem"))
	k.refuse(ErrStaleLink, "oem", sell(g, "bob", 500), by("bob")) // sold twice
	d, _ = k.s.Device(id)
	require.Equal(t, NextLink(g, accountNamed("oem"), accountNamed("alice"), 77), d.Head)

	k.ok("alice", &DeviceCheckIn{Device: id, MinPrice: 10})
	k.ok("bob", &AuctionOpen{Device: id, Kind: FirstPrice, Mode: Full, Reserve: 10, CommitUntil: 100, RevealUntil: 200}) // a requester
	k.refuse(ErrBusy, "alice", sell(d.Head, "bob", 1), by("bob"))
	k.at(200)
	k.ok("alice", sell(d.Head, "bob", 1), by("bob"))
	d, _ = k.s.Device(id)
	require.False(t, d.CheckedIn, "the new owner opts in anew")
	require.Equal(t, uint32(2), d.Hops)

	// Export and verify offline; any change breaks the chain.
	a, err := DecodeAnswer(k.s.Query(NewQuery(QueryOwnerChain, id)))
	require.NoError(t, err)
	var chain Ownership
	require.NoError(t, DecodeRecord(a.Body, &chain))
	head, owner, err := chain.Verify()
	require.NoError(t, err)
	require.Equal(t, d.Head, head)
	require.Equal(t, accountNamed("bob"), owner)
	for _, edit := range []func(*Ownership){
		func(o *Ownership) { o.Links[1].From = 5 },
		func(o *Ownership) { o.Links[0].Time++ },
		func(o *Ownership) { o.Links = o.Links[1:] },
		func(o *Ownership) { o.OEM = accountNamed("oem2") },
		func(o *Ownership) { o.Chain++ },
	} {
		bad := chain
		bad.Links = slices.Clone(chain.Links)
		edit(&bad)
		_, _, err := bad.Verify()
		require.Error(t, err)
	}
	k.ok("oem", &DeviceRevoke{Device: id})
	k.refuse(ErrRevoked, "bob", sell(d.Head, "alice", 1), by("alice"))
}

func TestReadings(t *testing.T) {
	k := newKit(t, withDevice("d1"), func(g *Genesis) {
		g.Accounts = append(g.Accounts, GenesisAccount{ID: 500, Key: modelled.Public(seedOf("d1")), Roles: DeviceRole})
	})
	d1 := k.deviceID("d1")
	k.at(10_000)
	device := func(p Payload) Code {
		e := Envelope{Chain: kitChain, Sender: 500, ValidUntil: Forever}
		a, _ := k.s.Account(500)
		e.Nonce = a.Nonce + 1
		op, err := Sign(k.scheme, e, p, Signer{RoleSender, 500, seedOf("d1")})
		require.NoError(t, err)
		return k.apply(op)
	}
	require.Equal(t, ErrDeviceUnknown, device(&ReadingAppend{Device: fill16(1)}))
	k.refuse(ErrRole, "alice", &ReadingAppend{Device: d1, Seq: 1, Time: 1})
	require.Equal(t, ErrSequence, device(&ReadingAppend{Device: d1, Seq: 2, Time: 1}))
	require.Equal(t, ErrTimestamp, device(&ReadingAppend{Device: d1, Seq: 1, Time: 15_001}))
	require.Equal(t, OK, device(&ReadingAppend{Device: d1, Seq: 1, Time: 15_000, Value: -4}))
	require.Equal(t, ErrTimestamp, device(&ReadingAppend{Device: d1, Seq: 2, Time: 15_000}))
	require.Equal(t, ErrSequence, device(&ReadingAppend{Device: d1, Seq: 1, Time: 15_000}))
	k.at(10_001)
	k.ok("gateway", &ReadingAppend{Device: d1, Seq: 2, Time: 15_001})

	k.refuse(ErrRole, "alice", &AnchorReadings{Site: 6, Slot: 1})
	k.refuse(ErrRole, "gateway", &AnchorReadings{Site: 45, Slot: 1})
	k.ok("gateway", &AnchorReadings{Site: 44, Slot: 3, Count: 100, Root: fill32(1), Sum: -9, Min: -5, Max: 5})
	k.refuse(ErrSlotReplay, "gateway", &AnchorReadings{Site: 44, Slot: 3})
	k.refuse(ErrSlotReplay, "gateway", &AnchorReadings{Site: 44, Slot: 2})
	k.ok("gateway", &AnchorReadings{Site: 44, Slot: 9})
	a, ok := k.s.Anchor(44, 3)
	require.True(t, ok)
	require.Equal(t, Anchor{Gateway: 112, Count: 100, Root: fill32(1), Sum: -9, Min: -5, Max: 5, Time: 10_001, At: k.s.Version() - 3}, a)
}

func TestAccess(t *testing.T) {
	k := newKit(t, withDevice("d1"))
	d1 := k.deviceID("d1")
	put := func(kind TopicKind) *TopicPut {
		return &TopicPut{Device: d1, Topic: fill32(byte(kind)), Kind: kind, UnitPrice: 500, UnitMS: 1000, MinUnits: 2}
	}
	k.refuse(ErrDeviceUnknown, "alice", &TopicPut{Device: fill16(1), Kind: Live})
	k.refuse(ErrNotOwner, "bob", put(Live))
	k.refuse(ErrTopicKind, "alice", put(3))
	k.ok("alice", put(Live))
	live := k.resultID()
	k.ok("alice", put(Public))
	public := k.resultID()
	buy := func(topic ID, units uint32, limit uint64) *AccessBuy {
		return &AccessBuy{Topic: topic, Units: units, MaxTotal: limit}
	}
	k.refuse(ErrTopicKind, "bob", buy(fill16(1), 2, 1000))
	k.refuse(ErrTopicKind, "bob", buy(public, 2, 1000))
	k.refuse(ErrUnits, "bob", buy(live, 1, 1000))
	k.refuse(ErrUnits, "bob", buy(live, 0, 1000))
	k.refuse(ErrMaximumTotal, "bob", buy(live, 2, 999))
	k.refuse(ErrFunds, "poor", buy(live, 2, 1000))
	k.ok("bob", buy(live, 2, 1000))
	k.ok("alice", buy(live, 2, 1000)) // the owner pays herself
	require.Equal(t, uint64(kitBalance+1000), k.balance("alice"))
	g, _ := k.s.Grant(live, accountNamed("bob"))
	require.Equal(t, Grant{Start: 0, End: 2000, Ref: live, Purchase: true}, g)
	k.at(2000)
	require.False(t, k.s.AccessCheck(live, accountNamed("bob"), k.s.Now()))
	k.ok("bob", buy(live, 3, 1500))
	g, _ = k.s.Grant(live, accountNamed("bob"))
	require.Equal(t, uint64(2000), g.Start)
	require.Equal(t, uint64(5000), g.End)

	over := put(Live)
	over.UnitMS, over.UnitPrice = 1<<63, 0
	k.ok("alice", over)
	k.refuse(ErrOverflow, "bob", buy(live, 2, 0))
	k.ok("oem", &DeviceRevoke{Device: d1})
	k.refuse(ErrRevoked, "bob", buy(live, 2, 1000))
}

func TestDevicesByFilter(t *testing.T) {
	edits := []func(*Genesis){}
	var ids []ID
	for i := range 40 {
		name := string(rune('a' + i))
		edits = append(edits, withDevice(name))
		ids = append(ids, DeviceID(modelled.Public(seedOf(name))))
	}
	place := func(g *Genesis) {
		for i := range g.Devices {
			d := &g.Devices[i]
			d.Lat, d.Lon = int32(i), int32(-i)
			d.Attrs = []Attr{{1, uint32(i)}, {4, 7}}
			d.MinPrice = uint64(100 * i)
			d.CheckedIn = i%2 == 0
		}
	}
	k := newKit(t, append(edits, place)...)
	ask := func(f *DeviceFilter) []ID {
		a, err := DecodeAnswer(k.s.Query(NewQuery(QueryDevices, f)))
		require.NoError(t, err)
		out, err := DecodeIDs(a.Body)
		require.NoError(t, err)
		require.True(t, slices.IsSortedFunc(out, compareID))
		return out
	}
	want := func(pick func(i int) bool) []ID {
		var out []ID
		for i, id := range ids {
			if pick(i) {
				out = append(out, id)
			}
		}
		slices.SortFunc(out, compareID)
		return out
	}
	require.Equal(t, want(func(int) bool { return true }), ask(&DeviceFilter{Class: 7}))
	require.Empty(t, ask(&DeviceFilter{Class: 8}))
	require.Equal(t, want(func(i int) bool { return i%2 == 0 }), ask(&DeviceFilter{Class: 7, CheckedIn: true}))
	require.Equal(t, want(func(i int) bool { return i <= 9 && i > 0 || i == 0 }), ask(&DeviceFilter{Class: 7, MaxPrice: 950}))
	require.Equal(t, want(func(i int) bool { return i >= 5 && i <= 8 }), ask(&DeviceFilter{Class: 7, Attrs: []AttrRange{{1, 5, 8}, {4, 7, 7}}}))
	require.Empty(t, ask(&DeviceFilter{Class: 7, Attrs: []AttrRange{{2, 0, 9}}}))
	require.Equal(t, want(func(i int) bool { return i >= 3 && i <= 6 }), ask(&DeviceFilter{Class: 7, Box: &BBox{3, 8, -6, 0}}))
	// Pages put together are the whole.
	var all []ID
	for {
		page := ask(&DeviceFilter{Class: 7, Limit: 7, After: lastOf(all)})
		if len(page) == 0 {
			break
		}
		require.LessOrEqual(t, len(page), 7)
		all = append(all, page...)
	}
	require.Equal(t, want(func(int) bool { return true }), all)
}

func lastOf(ids []ID) ID {
	if len(ids) == 0 {
		return ID{}
	}
	return ids[len(ids)-1]
}
