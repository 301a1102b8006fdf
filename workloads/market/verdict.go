package market

import (
	"crypto/sha256"
	"math/big"
	"math/bits"
	"slices"

	"github.com/edgebft/edgebft/protocols"
)

func (s *State) verdictCommit(p *VerdictCommit) Code {
	voter := s.tx.Sender
	v, j := s.open(p.Service, p.Epoch, Voting)
	if v == nil || s.Now() >= addSat(j.Due, s.span(v, CommitTenths)) {
		return ErrWindow
	}
	if !slices.Contains(j.Panel, voter) {
		return ErrNotInPanel
	}
	k := voteKey{p.Service, p.Epoch, voter}
	if s.votes.get(k) != nil {
		return ErrWindow // the one seal is in
	}
	stake := s.paramAt(VoterStake, v.Opened)
	if s.accounts.get(voter).FreeStake < stake {
		return ErrVoterStake
	}
	s.accounts.mut(voter).FreeStake -= stake
	s.pay(PotVotes, stake)
	s.votes.put(k, Vote{Seal: p.Seal, Stake: stake})
	s.verdicts.mut(epochKey{p.Service, p.Epoch}).Commits++
	return OK
}

func (s *State) verdictReveal(p *VerdictReveal) Code {
	voter := s.tx.Sender
	v, j := s.open(p.Service, p.Epoch, Voting)
	if v == nil {
		return ErrWindow
	}
	begin := addSat(j.Due, s.span(v, CommitTenths))
	if now := s.Now(); now < begin || now >= addSat(begin, s.span(v, RevealTenths)) {
		return ErrWindow
	}
	if !slices.Contains(j.Panel, voter) {
		return ErrNotInPanel
	}
	k := voteKey{p.Service, p.Epoch, voter}
	vote := s.votes.get(k)
	if vote == nil || vote.Revealed ||
		VoteSeal(p.Service, p.Epoch, voter, p.Verdict, p.QBucket, p.Evidence, p.Salt) != vote.Seal {
		return ErrSeal
	}
	vote = s.votes.mut(k)
	vote.Revealed, vote.Verdict, vote.QBucket, vote.Evidence = true, p.Verdict, p.QBucket, p.Evidence
	j = s.verdicts.mut(epochKey{p.Service, p.Epoch})
	j.Reveals++
	if j.First == 0 {
		j.First = voter
	}
	return OK
}

// verdictFinalize settles a vote once the reveal window is over or all seals are
// open. A vote without a result waits for the final window's end.
func (s *State) verdictFinalize(p *VerdictFinalize) Code {
	v := s.services.get(p.Service)
	if v == nil {
		return ErrNotDue
	}
	v, j := s.open(p.Service, p.Epoch, v.Mechanism)
	if v == nil {
		return ErrNotDue
	}
	now := s.Now()
	final := now >= s.finalAt(v, j)
	if v.Mechanism == Voting && !final {
		begin := addSat(j.Due, s.span(v, CommitTenths))
		if now < begin || j.Reveals < j.Commits && now < addSat(begin, s.span(v, RevealTenths)) {
			return ErrWindow
		}
	}
	if !s.finalize(p.Service, s.services.mut(p.Service), p.Epoch, final) {
		return ErrWindow
	}
	return OK
}

// finalize tallies an epoch, or, at the final window's end, gives up on it: None,
// all stakes back. It reports false if there is no result yet.
func (s *State) finalize(id ID, v *Service, epoch uint32, final bool) bool {
	if v.Mechanism == Voting && s.finalizeVotes(id, v, epoch) {
		return true
	}
	if !final {
		return false
	}
	for _, voter := range s.verdicts.get(epochKey{id, epoch}).Panel {
		s.returnStake(voteKey{id, epoch, voter})
	}
	s.settle(id, v, epoch, None, 0, Hash{})
	return true
}

// returnStake frees a vote's stake, if there is one, and returns it.
func (s *State) returnStake(k voteKey) uint64 {
	vote := s.votes.mut(k)
	if vote == nil {
		return 0
	}
	stake := vote.Stake
	vote.Stake = 0
	s.draw(PotVotes, stake)
	if stake != 0 {
		s.accounts.mut(k.voter).FreeStake += stake
	}
	return stake
}

// group is the votes for one result.
type group struct {
	verdict Verdict
	bucket  uint16
	weight  big.Int // product of the weights
	logs    uint64  // sum of the floors of their binary logarithms
}

// weightOf is a voter's weight by its credibility score, at least 2.
func weightOf(score uint32) uint64 { return max(uint64(score)/3, 3) - 1 }

// accepted decides which group wins: credibility g/(1+Σg) strictly above
// 1 - 1/trust. Trust 0 or 1 takes the first vote revealed.
func accepted(groups []*group, first *group, trust uint32) *group {
	if trust <= 1 {
		return first
	}
	total := big.NewInt(1)
	for _, g := range groups {
		total.Add(total, &g.weight)
	}
	limit := total.Mul(total, big.NewInt(int64(trust)-1))
	var x big.Int
	for _, g := range groups {
		if x.Mul(&g.weight, big.NewInt(int64(trust))).Cmp(limit) > 0 {
			return g
		}
	}
	return nil
}

// finalizeVotes runs over the panel in ascending order: products commute, floors
// are taken in that order. It reports false if no group is accepted.
func (s *State) finalizeVotes(id ID, v *Service, epoch uint32) bool {
	j := s.verdicts.get(epochKey{id, epoch})
	bitMode := s.paramAt(QMode, v.Opened) == 1
	groupKey := func(vote *Vote) (Verdict, uint16) {
		if bitMode {
			return vote.Verdict, 0
		}
		return vote.Verdict, vote.QBucket
	}
	var groups []*group
	var first *group
	for _, voter := range j.Panel {
		vote := s.votes.get(voteKey{id, epoch, voter})
		if vote == nil || !vote.Revealed {
			continue
		}
		verdict, bucket := groupKey(vote)
		i := slices.IndexFunc(groups, func(g *group) bool { return g.verdict == verdict && g.bucket == bucket })
		if i < 0 {
			i = len(groups)
			g := &group{verdict: verdict, bucket: bucket}
			g.weight.SetInt64(1)
			groups = append(groups, g)
		}
		w := weightOf(s.accounts.get(voter).Score)
		groups[i].weight.Mul(&groups[i].weight, new(big.Int).SetUint64(w))
		groups[i].logs += uint64(bits.Len64(w) - 1)
		if voter == j.First {
			first = groups[i]
		}
	}
	won := accepted(groups, first, v.Trust)
	if won == nil {
		return false
	}

	pool := v.PanelFee
	evidence := sha256.New()
	type winner struct{ voter, log uint64 }
	var winners []winner
	for _, voter := range j.Panel {
		k := voteKey{id, epoch, voter}
		vote := s.votes.get(k)
		if vote == nil {
			continue
		}
		a := s.accounts.mut(voter)
		verdict, bucket := groupKey(vote)
		if vote.Revealed && verdict == won.verdict && bucket == won.bucket {
			evidence.Write(vote.Evidence[:])
			winners = append(winners, winner{voter, uint64(bits.Len64(weightOf(a.Score)) - 1)})
			s.returnStake(k)
			if j.Commits > 1 && a.Score < 1<<32-1 {
				a.Score++
			}
			continue
		}
		lost := s.votes.mut(k)
		pool += lost.Stake
		s.draw(PotVotes, lost.Stake)
		lost.Stake = 0
		a.Score = uint32(uint64(a.Score) * 2 / 3)
	}
	q := won.bucket
	if bitMode {
		q = 0
		if won.verdict == Pass {
			q = maxRep
		}
	}
	s.settle(id, v, epoch, won.verdict, q, Hash(evidence.Sum(nil)))
	rest := pool
	for _, w := range winners {
		reward := mulDiv(pool, w.log, won.logs)
		rest -= reward
		s.credit(w.voter, reward)
	}
	s.pay(Kitty, rest)
	return true
}

// sampleReport settles by an auditor's random sample.
func (s *State) sampleReport(p *SampleReport) Code {
	if !s.accounts.get(s.tx.Sender).Has(Auditor) {
		return ErrRole
	}
	v := s.services.get(p.Service)
	if v == nil {
		return ErrNotDue
	}
	if p.K != v.SampleK || p.Fails > p.K {
		return ErrSampleSize
	}
	if _, j := s.open(p.Service, p.Epoch, Sampling); j == nil {
		return ErrNotDue
	}
	verdict := Fail
	if uint64(p.Fails) <= s.paramAt(SampleC, v.Opened) {
		verdict = Pass
	}
	q := uint32(maxRep)
	if p.K > 0 {
		q = uint32(p.K-p.Fails) * maxRep / uint32(p.K)
	}
	s.report(p.Service, p.Epoch, verdict, uint16(q), p.EvidenceRoot)
	return OK
}

// report settles at once and pays the panel fee to the reporter.
func (s *State) report(id ID, epoch uint32, verdict Verdict, q uint16, evidence Hash) {
	v := s.services.mut(id)
	s.settle(id, v, epoch, verdict, q, evidence)
	s.credit(s.tx.Sender, v.PanelFee)
}

// uptimeReport settles by a third party's measurement of the whole epoch.
func (s *State) uptimeReport(p *UptimeReport) Code {
	a := s.accounts.get(s.tx.Sender)
	if !a.Has(Auditor) {
		return ErrRole
	}
	v := s.services.get(p.Service)
	if v == nil || v.Mechanism != Uptime {
		return ErrReportGap
	}
	j := s.verdicts.get(epochKey{p.Service, p.Epoch})
	provider := v.Active
	if j != nil && j.Provider != 0 {
		provider = j.Provider
	}
	if a.Org == s.accounts.get(v.Client).Org || provider != 0 && a.Org == s.accounts.get(provider).Org {
		return ErrRole
	}
	if j == nil || j.State != JudgementOpen || p.Epoch != v.Judged || p.UpMS > p.TotalMS || p.TotalMS != uint64(v.EpochMS) {
		return ErrReportGap
	}
	verdict := Fail
	if p.UpMS*maxRep >= p.TotalMS*uint64(v.UptimeBps) {
		verdict = Pass
	}
	evidence := sha256.Sum256(s.tx.signed)
	s.report(p.Service, p.Epoch, verdict, uint16(p.UpMS*maxRep/p.TotalMS), evidence)
	return OK
}

func (p *AttestedVerdict) innerChecks(s *State, dst []protocols.SigCheck) []protocols.SigCheck {
	for _, b := range s.config.brokers {
		if r := s.brokers.get(b); r != nil && r.From <= s.Now() && s.Now() < r.Until {
			sig := append([]byte(nil), p.BrokerSig[:]...)
			dst = append(dst, protocols.SigCheck{Key: r.Key, Message: BrokerMessage(s.tx.Sender, p.Service, p.Enclave), Signature: sig})
		}
	}
	sig := append([]byte(nil), p.EnclaveSig[:]...)
	return append(dst, protocols.SigCheck{Key: p.Enclave, Message: p.message(), Signature: sig})
}

func (p *AttestedVerdict) message() []byte {
	return EnclaveMessage(p.Service, p.Epoch, p.Counter, p.Verdict, p.QBucket, p.Measurement)
}

// attestedVerdict settles by an enclave's word. The hardware is simulated by keys:
// no security of attestation may be claimed from it.
func (s *State) attestedVerdict(p *AttestedVerdict) Code {
	now := s.Now()
	vouched := false
	for _, b := range s.config.brokers {
		r := s.brokers.get(b)
		if r != nil && r.From <= now && now < r.Until && s.check(r.Key, BrokerMessage(s.tx.Sender, p.Service, p.Enclave), p.BrokerSig) {
			vouched = true
			break
		}
	}
	if !vouched || !s.check(p.Enclave, p.message(), p.EnclaveSig) {
		return ErrAttestation
	}
	if s.measures.get(measureKey{p.Service, p.Measurement}) == nil {
		return ErrMeasurement
	}
	if last := s.enclaves.get(p.Enclave); last != nil && p.Counter <= *last {
		return ErrCounterReplay
	}
	if _, j := s.open(p.Service, p.Epoch, TEE); j == nil {
		return ErrNotDue
	}
	s.enclaves.put(p.Enclave, p.Counter)
	s.report(p.Service, p.Epoch, p.Verdict, p.QBucket, sha256.Sum256(p.message()))
	return OK
}
