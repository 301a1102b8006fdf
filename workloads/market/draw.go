package market

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// stream is the deterministic stream of numbers behind samples and panels:
// SHA-256(seed ‖ counter), read as big-endian u64.
type stream struct {
	block [36]byte // seed and counter
	out   [32]byte
	ctr   uint32
	off   int
}

func newStream(seed Hash) *stream {
	s := &stream{off: 32}
	copy(s.block[:], seed[:])
	return s
}

func (s *stream) next() uint64 {
	if s.off == 32 {
		binary.BigEndian.PutUint32(s.block[32:], s.ctr)
		s.out = sha256.Sum256(s.block[:])
		s.ctr++
		s.off = 0
	}
	v := binary.BigEndian.Uint64(s.out[s.off:])
	s.off += 8
	return v
}

// below returns a number below m, uniform by rejection. m is not zero.
func (s *stream) below(m uint64) uint64 {
	excess := (math.MaxUint64%m + 1) % m // 2^64 mod m
	for {
		if x := s.next(); x <= math.MaxUint64-excess {
			return x % m
		}
	}
}

// Sample returns the indices of the k units out of 0..n-1 that an auditor checks,
// in draw order: a partial Fisher-Yates shuffle. k over n gives all n.
func Sample(service ID, epoch uint32, beacon Hash, n, k uint32) []uint32 {
	seed := under(domainSample).bytes(service[:]).u32(epoch).bytes(beacon[:]).hash()
	st := newStream(seed)
	k = min(k, n)
	out := make([]uint32, 0, k)
	// Only the positions that were swapped differ from their index.
	moved := make(map[uint32]uint32, 2*k)
	at := func(i uint32) uint32 {
		if v, ok := moved[i]; ok {
			return v
		}
		return i
	}
	for i := range k {
		j := i + uint32(st.below(uint64(n-i)))
		out = append(out, at(j))
		moved[j] = at(i)
	}
	return out
}

// SampleOf returns the sample that an auditor checks in an epoch of a sampling
// service: drawn by the first beacon that was fixed after the provider anchored the
// epoch's data (site ServiceSite, slot = epoch). It reports false as long as there
// is no anchor or no such beacon.
func (s *State) SampleOf(service ID, epoch uint32) ([]uint32, bool) {
	v := s.services.get(service)
	a := s.anchors.get(anchorKey{ServiceSite(service), uint64(epoch)})
	if v == nil || a == nil {
		return nil, false
	}
	// Beacons are fixed in the order of their epochs, some of which have none.
	fixed := s.index.fixed
	i := sort.Search(len(fixed), func(i int) bool { return s.beacons.get(fixed[i]).At > a.At })
	if i == len(fixed) {
		return nil, false
	}
	first := s.beacons.get(fixed[i])
	return Sample(service, epoch, first.Value, a.Count, uint32(v.SampleK)), true
}

// drawPanel seats up to m voters for an epoch by stake-weighted sortition: one
// seat per organisation, none for the client's and the provider's, and at most a
// third of the seats for fresh voters. The result ascends.
func (s *State) drawPanel(id ID, v *Service, epoch uint32, provider uint64) []uint64 {
	type voter struct {
		acc, stake uint64
		org        uint32
		fresh      bool
	}
	clientOrg, providerOrg := s.accounts.get(v.Client).Org, s.accounts.get(provider).Org
	stake := s.paramAt(VoterStake, v.Opened)
	var pool []voter
	for _, acc := range s.index.voters {
		a := s.accounts.get(acc)
		if a.FreeStake >= stake && a.FreeStake > 0 && a.Org != clientOrg && a.Org != providerOrg {
			pool = append(pool, voter{acc, a.FreeStake, a.Org, a.Score < freshScore})
		}
	}
	m := int(s.paramAt(PanelSize, v.Opened))
	freshSeats := m / 3
	beacon := s.clock.get(0).Beacon
	st := newStream(under(domainPanel).bytes(id[:]).u32(epoch).bytes(beacon[:]).hash())
	var panel []uint64
	for len(panel) < m {
		if freshSeats == 0 {
			pool = slices.DeleteFunc(pool, func(x voter) bool { return x.fresh })
		}
		var total uint64
		for i := range pool {
			total += pool[i].stake
		}
		if total == 0 {
			break
		}
		x := st.below(total)
		i := 0
		for x >= pool[i].stake {
			x -= pool[i].stake
			i++
		}
		picked := pool[i]
		panel = append(panel, picked.acc)
		if picked.fresh {
			freshSeats--
		}
		pool = slices.DeleteFunc(pool, func(x voter) bool { return x.org == picked.org })
	}
	slices.Sort(panel)
	return panel
}

// freshScore is the credibility score from which a voter counts as known.
const freshScore = 9
