package market

// AccountOpen creates an account. Signed by a registrar and by the new key.
type AccountOpen struct {
	Key    Key
	Scheme uint8
	Roles  uint16
	Org    uint32
}

// Type implements Payload.
func (*AccountOpen) Type() Type { return TypeAccountOpen }

func (p *AccountOpen) fields(c *codec) {
	c.key(&p.Key)
	enum8(c, &p.Scheme, SchemeEd25519, SchemeEd25519)
	c.u16(&p.Roles)
	c.u32(&p.Org)
	if p.Roles&^allRoles != 0 {
		c.fail()
	}
}

// Transfer moves money.
type Transfer struct {
	To     uint64
	Amount uint64
	Memo   []byte
}

// Type implements Payload.
func (*Transfer) Type() Type { return TypeTransfer }

func (p *Transfer) fields(c *codec) {
	c.u64(&p.To)
	c.u64(&p.Amount)
	c.bytes(&p.Memo, MaxMemo)
}

// ClockReport is one replica's signed reading of its clock, in ms.
type ClockReport struct {
	Replica uint16
	Time    uint64
	Sig     Sig
}

// ClockTick advances the ledger's time by the reports of a quorum. It carries no
// signature of its own.
type ClockTick struct {
	Reports []ClockReport // ascending replica
}

// Type implements Payload.
func (*ClockTick) Type() Type { return TypeClockTick }

func (p *ClockTick) fields(c *codec) {
	list(c, &p.Reports, MaxReports, 74, func(c *codec, r *ClockReport) {
		c.u16(&r.Replica)
		c.u64(&r.Time)
		c.sig(&r.Sig)
	})
	for i := 1; i < len(p.Reports); i++ {
		if p.Reports[i].Replica <= p.Reports[i-1].Replica {
			c.fail()
			return
		}
	}
}

// BeaconReveal opens a replica's commitment for the present epoch and commits to
// its value of the next. A replica without a commitment for the present epoch
// reveals zero and only commits.
type BeaconReveal struct {
	Epoch      uint32
	CommitNext Hash
	Reveal     Hash
}

// Type implements Payload.
func (*BeaconReveal) Type() Type { return TypeBeaconReveal }

func (p *BeaconReveal) fields(c *codec) {
	c.u32(&p.Epoch)
	c.hash(&p.CommitNext)
	c.hash(&p.Reveal)
}

// ParamSet schedules a parameter's value from a position in the order on. All
// its signatures are in the administrator's role, the sender's among them.
type ParamSet struct {
	Key         Param
	Value       uint64
	EffectiveAt uint64 // a value of applied
}

// Type implements Payload.
func (*ParamSet) Type() Type { return TypeParamSet }

func (p *ParamSet) fields(c *codec) {
	k := uint16(p.Key)
	c.u16(&k)
	p.Key = Param(k)
	c.u64(&p.Value)
	c.u64(&p.EffectiveAt)
}

// StakeDeposit moves money into the sender's free stake.
type StakeDeposit struct{ Amount uint64 }

// Type implements Payload.
func (*StakeDeposit) Type() Type { return TypeStakeDeposit }

func (p *StakeDeposit) fields(c *codec) { c.u64(&p.Amount) }

// StakeWithdraw starts to turn free stake back into money.
type StakeWithdraw struct{ Amount uint64 }

// Type implements Payload.
func (*StakeWithdraw) Type() Type { return TypeStakeWithdraw }

func (p *StakeWithdraw) fields(c *codec) { c.u64(&p.Amount) }
