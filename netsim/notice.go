package netsim

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// noticePeriod is the least time between two notices about one peer and kind.
const noticePeriod = int64(time.Second)

// maxNotices bounds what a process remembers about peers it has notices on.
// Beyond it, further peers are passed over in silence; drops are still counted.
const maxNotices = 1 << 12

type noticeKey struct {
	ep   int32
	peer protocols.NodeID
	kind protocols.NoticeKind
}

type noticeState struct {
	noticeKey
	next    int64 // not before this time
	count   uint64
	pending bool
	index   uint32 // in noticeList
}

// notice tells the node at an endpoint about a peer, at most once per second.
func (s *Sim) notice(ep int32, peer protocols.NodeID, kind protocols.NoticeKind) {
	s.noticeN(ep, peer, kind, 1)
}

func (s *Sim) noticeN(ep int32, peer protocols.NodeID, kind protocols.NoticeKind, n uint64) {
	p := s.eps[ep].proc
	if p.down {
		return
	}
	k := noticeKey{ep, peer, kind}
	st := p.notices[k]
	if st == nil {
		if len(p.noticeList) >= maxNotices {
			return
		}
		if p.notices == nil {
			p.notices = make(map[noticeKey]*noticeState)
		}
		st = &noticeState{noticeKey: k, index: uint32(len(p.noticeList))}
		p.notices[k] = st
		p.noticeList = append(p.noticeList, st)
	}
	st.count += n
	now := s.now
	if s.cur.active {
		now = max(now, s.cur.start)
	}
	if now >= st.next {
		s.tell(p, st, now)
		return
	}
	if !st.pending {
		st.pending = true
		s.q.push(event{at: st.next, key: s.tie(p.id, 0, saltNotice, st.next, st.index), src: p.id, dst: int32(p.inc), kind: evNotice, ref: st.index})
	}
}

// onNotice delivers a notice that was held back.
func (s *Sim) onNotice(e *event) {
	p := s.procs[e.src]
	if uint32(e.dst) != p.inc || p.down {
		return
	}
	st := p.noticeList[e.ref]
	st.pending = false
	s.tell(p, st, s.now)
}

func (s *Sim) tell(p *proc, st *noticeState, now int64) {
	ref, lo := s.locals.take()
	*lo = local{msg: &protocols.Notice{Kind: st.kind, Peer: st.peer, Count: st.count}, from: -1, ep: st.ep, inc: p.inc}
	st.count, st.next = 0, now+noticePeriod
	l := p.lanes[0]
	l.insert(item{ready: now, key: s.tie(st.ep, int32(st.peer), saltNotice+uint64(st.kind), now, 0), kind: itemLocal, ep: st.ep, src: -1, ref: ref})
	s.wake(l, max(now, l.busy, s.now))
}
