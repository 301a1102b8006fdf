package market

// ServicePost asks for a service under automatic verification (SAVS).
type ServicePost struct {
	SpecHash  Hash
	QMin      uint16 // quality 0..10,000
	DelayMS   uint16
	UptimeBps uint16
	PriceMax  uint64 // per epoch
	EpochMS   uint32
	Epochs    uint32
	Mechanism Mechanism
	Trust     uint32 // accept at credibility above 1 - 1/Trust
	SampleK   uint16
	MinStake  uint64
	HystBps   uint16
	PanelFee  uint64 // per epoch
	Budget    uint64
}

// Type implements Payload.
func (*ServicePost) Type() Type { return TypeServicePost }

func (p *ServicePost) fields(c *codec) {
	c.hash(&p.SpecHash)
	c.u16(&p.QMin)
	c.u16(&p.DelayMS)
	c.u16(&p.UptimeBps)
	c.u64(&p.PriceMax)
	c.u32(&p.EpochMS)
	c.u32(&p.Epochs)
	enum8(c, &p.Mechanism, Sampling, Uptime)
	c.u32(&p.Trust)
	c.u16(&p.SampleK)
	c.u64(&p.MinStake)
	c.u16(&p.HystBps)
	c.u64(&p.PanelFee)
	c.u64(&p.Budget)
}

// ProviderOffer offers to provide a service, under a locked stake.
type ProviderOffer struct {
	Service   ID
	Price     uint64 // per epoch
	Stake     uint64
	Q         uint16 // promised quality 0..10,000
	TTLEpochs uint32
}

// Type implements Payload.
func (*ProviderOffer) Type() Type { return TypeProviderOffer }

func (p *ProviderOffer) fields(c *codec) {
	c.id(&p.Service)
	c.u64(&p.Price)
	c.u64(&p.Stake)
	c.u16(&p.Q)
	c.u32(&p.TTLEpochs)
}

// VerdictCommit is a panel voter's sealed vote.
type VerdictCommit struct {
	Service ID
	Epoch   uint32
	Seal    Hash
}

// Type implements Payload.
func (*VerdictCommit) Type() Type { return TypeVerdictCommit }

func (p *VerdictCommit) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
	c.hash(&p.Seal)
}

// VerdictReveal opens a panel voter's vote.
type VerdictReveal struct {
	Service  ID
	Epoch    uint32
	Verdict  Verdict
	QBucket  uint16
	Evidence Hash
	Salt     Hash
}

// Type implements Payload.
func (*VerdictReveal) Type() Type { return TypeVerdictReveal }

func (p *VerdictReveal) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
	enum8(c, &p.Verdict, Pass, Fail)
	c.u16(&p.QBucket)
	c.hash(&p.Evidence)
	c.hash(&p.Salt)
}

// SampleReport is an auditor's result on a random sample.
type SampleReport struct {
	Service      ID
	Epoch        uint32
	K            uint16
	Fails        uint16
	EvidenceRoot Hash
}

// Type implements Payload.
func (*SampleReport) Type() Type { return TypeSampleReport }

func (p *SampleReport) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
	c.u16(&p.K)
	c.u16(&p.Fails)
	c.hash(&p.EvidenceRoot)
}

// AttestedVerdict is an enclave's verdict, vouched for by a broker.
type AttestedVerdict struct {
	Service     ID
	Epoch       uint32
	Verdict     Verdict
	QBucket     uint16
	Measurement Hash
	Enclave     Key
	Counter     uint64
	BrokerSig   Sig
	EnclaveSig  Sig
}

// Type implements Payload.
func (*AttestedVerdict) Type() Type { return TypeAttestedVerdict }

func (p *AttestedVerdict) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
	enum8(c, &p.Verdict, Pass, Fail)
	c.u16(&p.QBucket)
	c.hash(&p.Measurement)
	c.key(&p.Enclave)
	c.u64(&p.Counter)
	c.sig(&p.BrokerSig)
	c.sig(&p.EnclaveSig)
}

// VerdictFinalize tallies the votes on an epoch.
type VerdictFinalize struct {
	Service ID
	Epoch   uint32
}

// Type implements Payload.
func (*VerdictFinalize) Type() Type { return TypeVerdictFinalize }

func (p *VerdictFinalize) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
}

// UptimeReport is an SLA auditor's measurement of one epoch.
type UptimeReport struct {
	Service ID
	Epoch   uint32
	UpMS    uint64
	TotalMS uint64
}

// Type implements Payload.
func (*UptimeReport) Type() Type { return TypeUptimeReport }

func (p *UptimeReport) fields(c *codec) {
	c.id(&p.Service)
	c.u32(&p.Epoch)
	c.u64(&p.UpMS)
	c.u64(&p.TotalMS)
}
