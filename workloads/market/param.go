package market

import (
	"fmt"
	"math"
	"strings"

	"github.com/edgebft/edgebft/protocols"
)

// Param is the key of a replicated parameter. The numbers follow the reading
// order of the parameter table; those from 0x100 on are the project's own.
type Param uint16

// Parameters. Times are in ms, rates in basis points.
//
// Not all are rules of the ledger. TickPeriod, GrantTerm, DefaultHystBps,
// ChannelSettleMS and ChannelDepositFactor are what clients start from, replicated so
// that all start from the same. SecondAuditBps and EVDispute belong to parts that are
// not built yet. Setting one of these changes no transaction's outcome.
const (
	TickPeriod Param = iota + 1
	ExpiryBatch
	BeaconEpoch
	MarketFeeBps
	MinimumFee
	NoRevealBps
	BondOwnerBps
	Cascade
	KeyMS
	WMin
	EnglishWindow
	EnglishExtension
	EnglishCap
	EnglishIncrementBps
	BatchMax
	OpenObjects
	GrantTerm
	SlashBps
	RepInit
	RepGainDivisor
	RepLossThirds
	KittyBps
	KittyMin
	DefaultHystBps
	CooldownEpochs
	SecondAuditBps
	PanelSize
	SampleC
	VoterStake
	StakeRef
	CommitTenths
	RevealTenths
	FinalTenths
	ChannelSettleMS
	ChannelDepositFactor
	SMin
	TUnbond
	TRetain
	ReadingDrift
	EVDispute
	QueryLimit

	lastTableParam = QueryLimit

	// QMode selects the vote's group key: 0 verdict and bucket, 1 verdict only.
	QMode Param = 0x100
)

type paramRow struct {
	key           Param
	name          string
	def, min, max uint64
}

const day = 86_400_000

// maxPanel bounds the panel of a vote.
const maxPanel = 64

var paramTable = []paramRow{
	{TickPeriod, "tick_period_ms", 1000, 1, math.MaxUint32},
	{ExpiryBatch, "k_exp", 256, 1, 1 << 20},
	{BeaconEpoch, "beacon_epoch_ms", 60_000, 1, math.MaxUint64},
	{MarketFeeBps, "market_fee_bps", 0, 0, 10_000},
	{MinimumFee, "minimum_fee", 0, 0, math.MaxUint32},
	{NoRevealBps, "noreveal_bps", 1000, 0, 10_000},
	{BondOwnerBps, "bond_owner_bps", 5000, 0, 10_000},
	{Cascade, "cascade", 3, 1, math.MaxUint8},
	{KeyMS, "key_ms", 3_600_000, 0, math.MaxUint64},
	{WMin, "w_min_ms", 60_000, 0, math.MaxUint64},
	{EnglishWindow, "english_window_ms", 10_000, 0, math.MaxUint64},
	{EnglishExtension, "english_extension_ms", 10_000, 0, math.MaxUint64},
	{EnglishCap, "english_cap", 60, 0, math.MaxUint16},
	{EnglishIncrementBps, "english_increment_bps", 100, 0, 10_000},
	{BatchMax, "batch_max", 256, 1, MaxBatch},
	{OpenObjects, "open_objects", 1024, 1, math.MaxUint32},
	{GrantTerm, "grant_term_ms", 30 * day, 0, math.MaxUint64},
	{SlashBps, "slash_bps", 2000, 0, 10_000},
	{RepInit, "rep_init", 5000, 0, maxRep},
	{RepGainDivisor, "rep_gain_divisor", 32, 1, math.MaxUint16},
	{RepLossThirds, "rep_loss_thirds", 2, 0, 3},
	{KittyBps, "kitty_bps", 1000, 0, 10_000},
	{KittyMin, "kitty_min", 1, 0, math.MaxUint64},
	{DefaultHystBps, "hyst_bps", 1000, 0, math.MaxUint16},
	{CooldownEpochs, "cooldown_epochs", 1, 0, math.MaxUint32},
	{SecondAuditBps, "second_audit_bps", 500, 0, 10_000},
	{PanelSize, "panel_size", 5, 1, maxPanel},
	{SampleC, "sample_c", 0, 0, math.MaxUint16},
	{VoterStake, "voter_stake", 50, 0, math.MaxUint64},
	{StakeRef, "stake_ref", 5000, 1, math.MaxUint64},
	{CommitTenths, "commit_tenths", 7, 1, 1000},
	{RevealTenths, "reveal_tenths", 2, 1, 1000},
	{FinalTenths, "final_tenths", 10, 1, 1000},
	{ChannelSettleMS, "channel_settle_ms", 2 * day, 0, math.MaxUint64},
	{ChannelDepositFactor, "channel_deposit_factor", 10, 1, math.MaxUint32},
	{SMin, "s_min_ms", 3_600_000, 0, math.MaxUint64},
	{TUnbond, "t_unbond_ms", day, 0, math.MaxUint64},
	{TRetain, "t_retain_ms", 30 * day, 0, math.MaxUint64},
	{ReadingDrift, "reading_drift_ms", 5000, 0, math.MaxUint64},
	{EVDispute, "ev_dispute_ms", day, 0, math.MaxUint64},
	{QueryLimit, "query_limit", 500, 1, 500},
	{QMode, "q_mode", 0, 0, 1},
}

// Params returns the keys of all parameters in ascending order.
func Params() []Param {
	out := make([]Param, len(paramTable))
	for i := range paramTable {
		out[i] = paramTable[i].key
	}
	return out
}

func (p Param) row() *paramRow {
	if p >= 1 && p <= lastTableParam {
		return &paramTable[p-1]
	}
	if p == QMode {
		return &paramTable[len(paramTable)-1]
	}
	return nil
}

// slot is the parameter's index in paramTable; the key must be known.
func (p Param) slot() int {
	if p == QMode {
		return len(paramTable) - 1
	}
	return int(p) - 1
}

// String returns the parameter's name in scenario files.
func (p Param) String() string {
	if r := p.row(); r != nil {
		return r.name
	}
	return fmt.Sprintf("Param(%d)", uint16(p))
}

// Default returns the value that holds unless genesis or a ParamSet says
// otherwise; 0 for an unknown key.
func (p Param) Default() uint64 {
	if r := p.row(); r != nil {
		return r.def
	}
	return 0
}

// Bounds returns the least and the greatest value that are allowed; 0 and 0 for an
// unknown key.
func (p Param) Bounds() (low, high uint64) {
	if r := p.row(); r != nil {
		return r.min, r.max
	}
	return 0, 0
}

// Check reports whether v is allowed for the parameter.
func (p Param) Check(v uint64) error {
	r := p.row()
	if r == nil {
		return fmt.Errorf("parameter key %d is unknown; 1 to %d and %d are known", uint16(p), lastTableParam, QMode)
	}
	if v < r.min || v > r.max {
		return fmt.Errorf("parameter %s = %d, allowed %d to %d", r.name, v, r.min, r.max)
	}
	return nil
}

// ParamNamed finds a parameter by its name in scenario files.
func ParamNamed(name string) (Param, error) {
	names := make([]string, 0, len(paramTable))
	for i := range paramTable {
		if paramTable[i].name == name {
			return paramTable[i].key, nil
		}
		names = append(names, paramTable[i].name)
	}
	return 0, fmt.Errorf("no parameter %q%s; known are %s", name, protocols.Suggest(name, names), strings.Join(names, ", "))
}
