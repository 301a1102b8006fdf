package market

// ModelPut stores a device model of the sending OEM.
type ModelPut struct {
	Model    ID
	TDSchema Hash
	Class    uint16
	Caps     uint32
}

// Type implements Payload.
func (*ModelPut) Type() Type { return TypeModelPut }

func (p *ModelPut) fields(c *codec) {
	c.id(&p.Model)
	c.hash(&p.TDSchema)
	c.u16(&p.Class)
	c.u32(&p.Caps)
}

// Attr is one filterable attribute of a device.
type Attr struct {
	Key   uint16
	Value uint32
}

func attrFields(c *codec, v *[]Attr) {
	list(c, v, MaxAttrs, 6, func(c *codec, a *Attr) {
		c.u16(&a.Key)
		c.u32(&a.Value)
	})
	for i := 1; i < len(*v); i++ {
		if (*v)[i].Key <= (*v)[i-1].Key {
			c.fail()
			return
		}
	}
}

// DeviceRegister registers a device: signed by the OEM of its model, its first
// owner and the device's own key.
type DeviceRegister struct {
	DeviceKey Key
	Model     ID
	TDHash    Hash
	Lat, Lon  int32 // 1/1000 degree
	Caps      uint32
	Attrs     []Attr // ascending key
}

// Type implements Payload.
func (*DeviceRegister) Type() Type { return TypeDeviceRegister }

func (p *DeviceRegister) fields(c *codec) {
	c.key(&p.DeviceKey)
	c.id(&p.Model)
	c.hash(&p.TDHash)
	c.i32(&p.Lat)
	c.i32(&p.Lon)
	c.u32(&p.Caps)
	attrFields(c, &p.Attrs)
}

// DeviceCheckIn opens a device to auctions, from a floor price on.
type DeviceCheckIn struct {
	Device    ID
	Flags     uint8
	MinPrice  uint64
	HourPrice uint64
	Term      uint64 // ms
}

// Type implements Payload.
func (*DeviceCheckIn) Type() Type { return TypeDeviceCheckIn }

func (p *DeviceCheckIn) fields(c *codec) {
	c.id(&p.Device)
	c.u8(&p.Flags)
	c.u64(&p.MinPrice)
	c.u64(&p.HourPrice)
	c.u64(&p.Term)
}

// DeviceCheckOut closes a device to new auctions.
type DeviceCheckOut struct{ Device ID }

// Type implements Payload.
func (*DeviceCheckOut) Type() Type { return TypeDeviceCheckOut }

func (p *DeviceCheckOut) fields(c *codec) { c.id(&p.Device) }

// OwnershipTransfer sells a device: sent by its owner, signed by the buyer too.
type OwnershipTransfer struct {
	Device   ID
	PrevLink Hash
	To       uint64
	Price    uint64
}

// Type implements Payload.
func (*OwnershipTransfer) Type() Type { return TypeOwnershipTransfer }

func (p *OwnershipTransfer) fields(c *codec) {
	c.id(&p.Device)
	c.hash(&p.PrevLink)
	c.u64(&p.To)
	c.u64(&p.Price)
}

// DeviceRevoke withdraws a device for good, with a reason code.
type DeviceRevoke struct {
	Device ID
	Reason uint8
}

// Type implements Payload.
func (*DeviceRevoke) Type() Type { return TypeDeviceRevoke }

func (p *DeviceRevoke) fields(c *codec) {
	c.id(&p.Device)
	c.u8(&p.Reason)
}

// AnchorReadings anchors the Merkle root of a site's readings of one slot.
type AnchorReadings struct {
	Site     uint32
	Slot     uint64
	SlotMS   uint32
	Count    uint32
	Root     Hash
	Sum      int64
	Min, Max int32
}

// Type implements Payload.
func (*AnchorReadings) Type() Type { return TypeAnchorReadings }

func (p *AnchorReadings) fields(c *codec) {
	c.u32(&p.Site)
	c.u64(&p.Slot)
	c.u32(&p.SlotMS)
	c.u32(&p.Count)
	c.hash(&p.Root)
	c.i64(&p.Sum)
	c.i32(&p.Min)
	c.i32(&p.Max)
}

// ReadingAppend appends one reading to a device's series.
type ReadingAppend struct {
	Device ID
	Seq    uint64
	Time   uint64 // ms
	Value  int64
	Unit   uint16
}

// Type implements Payload.
func (*ReadingAppend) Type() Type { return TypeReadingAppend }

func (p *ReadingAppend) fields(c *codec) {
	c.id(&p.Device)
	c.u64(&p.Seq)
	c.u64(&p.Time)
	c.i64(&p.Value)
	c.u16(&p.Unit)
}

// TopicPut stores a data topic of a device.
type TopicPut struct {
	Device    ID
	Topic     Hash
	Kind      TopicKind
	UnitPrice uint64
	UnitMS    uint64
	MinUnits  uint16
}

// Type implements Payload.
func (*TopicPut) Type() Type { return TypeTopicPut }

func (p *TopicPut) fields(c *codec) {
	c.id(&p.Device)
	c.hash(&p.Topic)
	// An unknown kind is a matter of the row (801), not of the encoding.
	enum8(c, &p.Kind, 0, 255)
	c.u64(&p.UnitPrice)
	c.u64(&p.UnitMS)
	c.u16(&p.MinUnits)
}

// AccessBuy buys time on a live topic.
type AccessBuy struct {
	Topic    ID
	Units    uint32
	MaxTotal uint64
	Cred     []byte
}

// Type implements Payload.
func (*AccessBuy) Type() Type { return TypeAccessBuy }

func (p *AccessBuy) fields(c *codec) {
	c.id(&p.Topic)
	c.u32(&p.Units)
	c.u64(&p.MaxTotal)
	c.bytes(&p.Cred, MaxSealed)
}
