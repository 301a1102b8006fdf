package observe

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// liveness checks that operations of correct clients are answered.
type liveness struct {
	cfg   *Config
	found *findings
	// open holds the unanswered requests by client.
	open    map[protocols.NodeID][]waiting
	waiting int
	// since is when clients last began to wait or were answered.
	since   protocols.Time
	stalled bool
}

type waiting struct {
	timestamp uint64
	at        protocols.Time
}

func newLiveness(cfg *Config, f *findings) *liveness {
	return &liveness{cfg: cfg, found: f, open: make(map[protocols.NodeID][]waiting)}
}

// incarnation is the life of a client that a timestamp belongs to.
func incarnation(timestamp uint64) uint64 { return timestamp >> 32 }

func (l *liveness) invoked(at protocols.Time, node protocols.NodeID, timestamp uint64) {
	l.tick(at)
	list := l.open[node]
	// A client that restarted has forgotten what it asked for before.
	keep := list[:0]
	for _, w := range list {
		if incarnation(w.timestamp) >= incarnation(timestamp) {
			keep = append(keep, w)
		}
	}
	l.waiting -= len(list) - len(keep)
	if l.waiting == 0 {
		l.since = at
	}
	l.open[node] = append(keep, waiting{timestamp, at})
	l.waiting++
}

func (l *liveness) accepted(at protocols.Time, node protocols.NodeID, timestamp uint64) {
	l.tick(at)
	list := l.open[node]
	for i, w := range list {
		if w.timestamp == timestamp {
			l.open[node] = append(list[:i], list[i+1:]...)
			l.waiting--
			l.since = at
			return
		}
	}
}

// tick looks for a stall that ended at, or lasts until, now.
func (l *liveness) tick(now protocols.Time) {
	if l.cfg.Stall <= 0 || l.waiting == 0 || l.stalled {
		return
	}
	from := max(l.since, l.cfg.Calm)
	if now.Sub(from) > l.cfg.Stall {
		l.stalled = true
		l.found.violate(Liveness, now, protocols.Nobody, "no client was answered for %s in calm while %d requests were open", now.Sub(from), l.waiting)
	}
}

func (l *liveness) finish(at protocols.Time) {
	l.tick(at)
	if l.cfg.Stall > 0 {
		l.found.saw(Liveness)
	}
	if l.cfg.Deadline == 0 {
		return
	}
	l.found.saw(Liveness)
	if at < l.cfg.Deadline {
		l.found.giveUp(Liveness, fmt.Sprintf("the run ended at %s, before the deadline %s", time.Duration(at), time.Duration(l.cfg.Deadline)))
		return
	}
	ids := make([]protocols.NodeID, 0, len(l.open))
	for id := range l.open {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	var late []string
	count := 0
	first := protocols.Nobody
	for _, id := range ids {
		for _, w := range l.open[id] {
			if w.at >= l.cfg.Deadline {
				continue
			}
			if count++; count <= 4 {
				late = append(late, fmt.Sprintf("%d/%d of %s", id, w.timestamp, time.Duration(w.at)))
			}
			if first == protocols.Nobody {
				first = id
			}
		}
	}
	if count == 0 {
		return
	}
	if count > len(late) {
		late = append(late, "...")
	}
	l.found.violate(Liveness, at, first, "%d requests invoked before %s were never answered: %s", count, time.Duration(l.cfg.Deadline), strings.Join(late, ", "))
}
