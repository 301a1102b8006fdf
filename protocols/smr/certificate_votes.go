package smr

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// Bounds of what a replica keeps for certificates. Votes are kept for blocks that
// end up to certifySpan blocks below or above the one that this replica is in, so
// for at most 2*certifySpan of them, whatever others send; others are dropped.
// Only its own execution moves that window, so no vote of a faulty replica can push
// out those of correct ones. The last certificatesKept certificates are kept.
const (
	certifySpan      = 4
	certificatesKept = 8
)

// certifier collects CERTIFY votes into certificates. The zero value, with every 0,
// collects none. Memory: at most one vote per replica for each of 2*certifySpan
// blocks, and certificatesKept certificates.
type certifier struct {
	every   uint64 // block size B in requests; 0 is off
	need    int    // f+1
	self    protocols.NodeID
	pending []certifyVotes // ascending, above the last certificate
	kept    []Certificate  // ascending
}

// certifyVotes are the votes for the block that ends at applied. Each replica is in
// one of the choices, once.
type certifyVotes struct {
	applied uint64
	choices []certifyChoice
}

// certifyChoice is what some replicas agree on.
type certifyChoice struct {
	block, root protocols.Digest
	votes       []certifyVote
}

type certifyVote struct {
	signer    protocols.NodeID
	signature []byte
}

// last is the number of requests that the latest certificate covers, 0 for none.
func (c *certifier) last() uint64 {
	if len(c.kept) == 0 {
		return 0
	}
	return c.kept[len(c.kept)-1].Applied
}

// at returns the certificate for a number of applied requests, if it is still kept.
func (c *certifier) at(applied uint64) *Certificate {
	for i := range c.kept {
		if c.kept[i].Applied == applied {
			return &c.kept[i]
		}
	}
	return nil
}

// add counts a vote whose signature is good; executed is the number of requests this
// replica has executed. It returns the certificate if the vote completes one. The
// first vote of another replica for a block counts, and of this replica its last
// one: having taken over a state because its own was wrong, it votes again.
func (c *certifier) add(signer protocols.NodeID, m *Certify, executed uint64) *Certificate {
	if c.every == 0 || m.Applied == 0 || m.Applied%c.every != 0 || m.Applied <= c.last() {
		return nil
	}
	number, now := m.Applied/c.every, executed/c.every
	if number > now+certifySpan || number+certifySpan <= now {
		return nil
	}
	stale := 0
	for stale < len(c.pending) && c.pending[stale].applied/c.every+certifySpan <= now {
		stale++
	}
	c.drop(stale)
	v := c.votes(m.Applied)
	if signer == c.self {
		v.remove(signer)
	} else if v.voted(signer) {
		return nil
	}
	votes := v.add(m, certifyVote{signer, m.Signature})
	if len(votes) < c.need {
		return nil
	}
	return c.certify(m, votes)
}

// votes returns the entry of the block that ends at applied, made if necessary.
func (c *certifier) votes(applied uint64) *certifyVotes {
	i := sort.Search(len(c.pending), func(i int) bool { return c.pending[i].applied >= applied })
	if i == len(c.pending) || c.pending[i].applied != applied {
		c.pending = append(c.pending, certifyVotes{})
		copy(c.pending[i+1:], c.pending[i:])
		c.pending[i] = certifyVotes{applied: applied}
	}
	return &c.pending[i]
}

// certify makes a certificate of the votes, and forgets all others up to there.
func (c *certifier) certify(m *Certify, votes []certifyVote) *Certificate {
	sort.Slice(votes, func(i, j int) bool { return votes[i].signer < votes[j].signer })
	cert := Certificate{Applied: m.Applied, Block: m.Block, Root: m.Root}
	for _, v := range votes {
		cert.Signers = append(cert.Signers, v.signer)
		cert.Signatures = append(cert.Signatures, v.signature)
	}
	done := 0
	for done < len(c.pending) && c.pending[done].applied <= m.Applied {
		done++
	}
	c.drop(done)
	if len(c.kept) == certificatesKept {
		copy(c.kept, c.kept[1:])
		c.kept = c.kept[:certificatesKept-1]
	}
	c.kept = append(c.kept, cert)
	return &c.kept[len(c.kept)-1]
}

// drop forgets the first n pending blocks.
func (c *certifier) drop(n int) {
	left := copy(c.pending, c.pending[n:])
	clear(c.pending[left:])
	c.pending = c.pending[:left]
}

func (v *certifyVotes) voted(signer protocols.NodeID) bool {
	for i := range v.choices {
		for _, x := range v.choices[i].votes {
			if x.signer == signer {
				return true
			}
		}
	}
	return false
}

func (v *certifyVotes) remove(signer protocols.NodeID) {
	for i := range v.choices {
		ch := &v.choices[i]
		for j := range ch.votes {
			if ch.votes[j].signer == signer {
				ch.votes = append(ch.votes[:j], ch.votes[j+1:]...)
				return
			}
		}
	}
}

// add returns all votes for the same content.
func (v *certifyVotes) add(m *Certify, vote certifyVote) []certifyVote {
	for i := range v.choices {
		if ch := &v.choices[i]; ch.block == m.Block && ch.root == m.Root {
			ch.votes = append(ch.votes, vote)
			return ch.votes
		}
	}
	v.choices = append(v.choices, certifyChoice{m.Block, m.Root, []certifyVote{vote}})
	return v.choices[len(v.choices)-1].votes
}

// certifyBlock signs the block that ends with the request just executed, if one
// does, and tells the others; not if the request is replayed from the log, since the
// earlier life has told them.
func (x *Replica) certifyBlock(replayed bool) {
	block, end := x.exec.Block()
	if !end {
		return
	}
	auth := x.env.Auth()
	m := &Certify{Applied: x.exec.Executed(), Block: block, Root: x.exec.Application().Root()}
	m.Signature = auth.Sign(TagCertify, m.Digest(auth))
	if !replayed {
		x.env.Multicast(x.cfg.Replicas, m)
	}
	if c := x.certs.at(m.Applied); c != nil && (c.Block != m.Block || c.Root != m.Root) {
		x.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Index: m.Applied, Digest: m.Root, Note: "own state differs from its certificate"})
	}
	x.countCertify(x.env.Self(), m)
}

// onCertify handles CERTIFY.
func (x *Replica) onCertify(from protocols.NodeID, m *Certify, authentic bool) {
	if authentic && from.IsReplica() && int(from) < x.cfg.N && from != x.env.Self() {
		x.countCertify(from, m)
	}
}

func (x *Replica) countCertify(signer protocols.NodeID, m *Certify) {
	if c := x.certs.add(signer, m, x.exec.Executed()); c != nil {
		x.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Index: c.Applied, Digest: c.Root, Note: "certified"})
	}
}

// Certificate returns the certificate of the longest certified prefix that this
// replica knows, if it knows any. The prefix may be longer than what it has
// executed itself.
func (x *Replica) Certificate() (Certificate, bool) {
	if x.certs.last() == 0 {
		return Certificate{}, false
	}
	return x.certs.kept[len(x.certs.kept)-1], true
}

// Certificates returns the last certificates, at most 8, in ascending order.
func (x *Replica) Certificates() []Certificate { return append([]Certificate(nil), x.certs.kept...) }
