package market

// ChannelOpen opens a payment channel from the sender to the payee. Its id is
// ChannelID of the two and the transaction's nonce.
type ChannelOpen struct {
	Payee    uint64
	Deposit  uint64
	SettleMS uint64
}

// Type implements Payload.
func (*ChannelOpen) Type() Type { return TypeChannelOpen }

func (p *ChannelOpen) fields(c *codec) {
	c.u64(&p.Payee)
	c.u64(&p.Deposit)
	c.u64(&p.SettleMS)
}

// ChannelDeposit adds to the deposit of an open channel.
type ChannelDeposit struct {
	Channel ID
	Amount  uint64
}

// Type implements Payload.
func (*ChannelDeposit) Type() Type { return TypeChannelDeposit }

func (p *ChannelDeposit) fields(c *codec) {
	c.id(&p.Channel)
	c.u64(&p.Amount)
}

// ChannelClaim is the payee's claim of the largest promise it holds.
type ChannelClaim struct {
	Channel  ID
	Cum      uint64
	PayerSig Sig
}

// Type implements Payload.
func (*ChannelClaim) Type() Type { return TypeChannelClaim }

func (p *ChannelClaim) fields(c *codec) {
	c.id(&p.Channel)
	c.u64(&p.Cum)
	c.sig(&p.PayerSig)
}

// ChannelStartSettle starts the payer's way out of a channel whose payee is silent.
type ChannelStartSettle struct{ Channel ID }

// Type implements Payload.
func (*ChannelStartSettle) Type() Type { return TypeChannelStartSettle }

func (p *ChannelStartSettle) fields(c *codec) { c.id(&p.Channel) }

// ChannelSettle returns the deposit once the settle period is over.
type ChannelSettle struct{ Channel ID }

// Type implements Payload.
func (*ChannelSettle) Type() Type { return TypeChannelSettle }

func (p *ChannelSettle) fields(c *codec) { c.id(&p.Channel) }
