package topology

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

//go:embed data/*.yaml
var embedded embed.FS

// Names returns the embedded topologies in ascending order.
func Names() []string {
	entries, err := embedded.ReadDir("data")
	if err != nil {
		panic("topology: embedded data: " + err.Error())
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}

// Load returns the embedded topology of this name, or reads a file if the
// argument has an extension or a directory in it.
func Load(nameOrFile string) (*Topology, error) {
	if filepath.Ext(nameOrFile) == "" && !strings.ContainsAny(nameOrFile, `/\`) {
		data, err := embedded.ReadFile(path.Join("data", nameOrFile+".yaml"))
		if err != nil {
			return nil, fmt.Errorf("unknown topology %q%s (a file needs an extension or a directory in its name)", nameOrFile, protocols.Suggest(nameOrFile, Names()))
		}
		return Parse(nameOrFile+".yaml", data)
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return Parse(nameOrFile, data)
}

// Bounds of what a file may say.
const (
	maxPlaces = 64
	maxDelay  = 10 * time.Minute
	minDelay  = time.Microsecond
	maxQueue  = 1 << 40
	maxRate   = 1e15 // bit/s
	maxListed = 1024
	minMTU    = 256
	maxMTU    = 65536
	maxLoss   = 900_000
	maxBurst  = 1000
)

// Parse reads a topology. file appears in errors. The format, with every key
// that is known:
//
//	schema: 1
//	name: example
//	doc: one line
//	links:                     # kinds of access link
//	  fibre: {up: 1Gbit/s, down: 1Gbit/s, mtu: 1500, queue: 67108864}
//	  free:  {up: unlimited, down: unlimited}
//	places:                    # where hosts can stand
//	  - {name: north, link: fibre, profile: server}
//	  - {name: south, link: fibre}
//	within: {delay: {median: 150us, p99: 500us}}       # between hosts of one place
//	default: {rtt: {median: 2ms, p99: 5ms}}            # optional, for pairs not listed
//	paths:                     # between places: both ways, or one way
//	  - {between: [north, south], rtt: {median: 20ms, p99: 24ms}, loss_ppm: 500, burst: 1}
//	  - {from: north, to: south, delay: {median: 8ms}}
//	  - {between: [south, south], delay: {median: 1ms}}  # one place's own "within"
//	replicas: [north, south]   # where replicas go, in turn
//	clients: [north]           # where client hosts go, in turn
//
// A path says its one-way delay, or its rtt of which half is used each way.
// Without p99 the delay is constant. spike: 1s adds rare excursions of that
// length (see the package comment). A later entry for the same direction is an
// error. mtu defaults to 1500 and queue to 67108864 bytes.
func Parse(file string, data []byte) (*Topology, error) {
	p := parser{d: strict.NewReader(file, data), tables: make(map[[3]int64]*Quantiles)}
	t := p.topology()
	if err := p.d.Err(); err != nil {
		return nil, err
	}
	t.Hash = t.hash()
	return t, nil
}

type parser struct {
	d      *strict.Reader
	places []string
	tables map[[3]int64]*Quantiles // equal paths share one table
}

func (p *parser) topology() *Topology {
	t := new(Topology)
	top := p.d.Root().Map("schema", "name", "doc", "links", "places", "within", "default", "paths", "replicas", "clients")
	top.Need("schema").Int(1, 1)
	t.Name, t.Doc = top.Need("name").Name(), top.Need("doc").Text()

	links := make(map[string]Link)
	lm := top.Need("links").AnyMap()
	for _, name := range lm.Keys() {
		links[name] = p.link(lm.Get(name))
	}
	for _, v := range top.Need("places").List(1, maxPlaces) {
		m := v.Map("name", "link", "profile")
		place := Place{Name: m.Need("name").Name()}
		if slices.Contains(p.places, place.Name) {
			v.Failf("place %q is given twice", place.Name)
		}
		link := m.Need("link")
		place.Link = links[link.OneOf(lm.Keys()...)]
		if e := m.Get("profile"); e.Present() {
			place.Profile = e.Name()
		}
		t.Places = append(t.Places, place)
		p.places = append(p.places, place.Name)
	}
	p.paths(t, top)
	t.Replicas, t.Clients = p.list(top.Need("replicas")), p.list(top.Need("clients"))
	return t
}

func (p *parser) link(v strict.Cursor) Link {
	m := v.Map("up", "down", "mtu", "queue")
	l := Link{Up: rate(m.Need("up")), Down: rate(m.Need("down")), MTU: 1500, Queue: 64 << 20}
	if e := m.Get("mtu"); e.Present() {
		l.MTU = e.Int(minMTU, maxMTU)
	}
	if e := m.Get("queue"); e.Present() {
		l.Queue = e.Int(maxMTU, maxQueue)
	}
	return l
}

func rate(v strict.Cursor) int64 {
	s := v.Text()
	if s == "unlimited" {
		return 0
	}
	var r strict.BitRate
	if err := r.ParseScalar(s); err != nil {
		v.Failf("%v, or unlimited", err)
	} else if r < 1 || r > maxRate {
		v.Failf("is %s; allowed is %s to %s, or unlimited", r, strict.BitRate(1), strict.BitRate(maxRate))
	}
	return int64(r)
}

func (p *parser) paths(t *Topology, top strict.Fields) {
	k := len(t.Places)
	given := make([][]bool, k)
	t.Paths = make([][]Path, k)
	for i := range k {
		given[i], t.Paths[i] = make([]bool, k), make([]Path, k)
	}
	if v := top.Get("paths"); v.Present() {
		for _, e := range v.List(0, maxPlaces*maxPlaces) {
			m := e.Map("between", "from", "to", "delay", "rtt", "spike", "loss_ppm", "burst")
			path := p.path(e, m)
			for _, d := range p.directions(e, m) {
				if given[d[0]][d[1]] {
					e.Failf("the path from %s to %s is given twice", p.places[d[0]], p.places[d[1]])
				}
				given[d[0]][d[1]] = true
				t.Paths[d[0]][d[1]] = path
			}
		}
	}
	fill := func(key string, needed func(i, j int) bool) {
		var path *Path
		for i := range k {
			for j := range k {
				if given[i][j] || !needed(i, j) {
					continue
				}
				if path == nil {
					v := top.Get(key)
					if !v.Present() && i != j {
						top.Get("paths").Failf("no path from %s to %s, and no default", p.places[i], p.places[j])
						return
					}
					if !v.Present() {
						top.Need("within")
						return
					}
					one := p.path(v, v.Map("delay", "rtt", "spike", "loss_ppm", "burst"))
					path = &one
				}
				t.Paths[i][j] = *path
			}
		}
	}
	fill("within", func(i, j int) bool { return i == j })
	fill("default", func(i, j int) bool { return i != j })
}

// directions returns the (from, to) pairs that an entry is about.
func (p *parser) directions(v strict.Cursor, m strict.Fields) [][2]int {
	between, from, to := m.Get("between"), m.Get("from"), m.Get("to")
	if between.Present() == from.Present() || from.Present() != to.Present() {
		v.Failf("wants either between: [a, b] or from: a and to: b")
		return nil
	}
	if from.Present() {
		i, j := p.place(from), p.place(to)
		if i < 0 || j < 0 {
			return nil
		}
		return [][2]int{{i, j}}
	}
	ends := between.List(2, 2)
	if ends == nil {
		return nil
	}
	i, j := p.place(ends[0]), p.place(ends[1])
	switch {
	case i < 0 || j < 0:
		return nil
	case i == j:
		return [][2]int{{i, j}}
	default:
		return [][2]int{{i, j}, {j, i}}
	}
}

// place reads the name of a place; after an error it is -1.
func (p *parser) place(v strict.Cursor) int { return slices.Index(p.places, v.OneOf(p.places...)) }

func (p *parser) list(v strict.Cursor) []int {
	var out []int
	for _, e := range v.List(1, maxListed) {
		out = append(out, p.place(e))
	}
	return out
}

func (p *parser) path(v strict.Cursor, m strict.Fields) (path Path) {
	delay, rtt := m.Get("delay"), m.Get("rtt")
	if delay.Present() == rtt.Present() {
		v.Failf("wants either delay (one way) or rtt (both ways)")
		return path
	}
	div, src := time.Duration(1), delay
	if rtt.Present() {
		div, src = 2, rtt
	}
	q := src.Map("median", "p99")
	median := q.Need("median").Duration(div*minDelay, div*maxDelay) / div
	p99 := median
	if e := q.Get("p99"); e.Present() {
		p99 = e.Duration(div*minDelay, div*maxDelay) / div
		if p.d.Err() == nil && (p99 < median || p99 > MaxRatio*median) {
			e.Failf("is %s; it must lie between the median %s and %d times that", div*p99, div*median, MaxRatio)
		}
	}
	var spike time.Duration
	if e := m.Get("spike"); e.Present() {
		spike = e.Duration(0, maxDelay)
	}
	path.Burst = 1
	if e := m.Get("loss_ppm"); e.Present() {
		path.LossPPM = e.Int(0, maxLoss)
	}
	if e := m.Get("burst"); e.Present() {
		path.Burst = e.Int(1, maxBurst)
	}
	if p.d.Err() != nil {
		return Path{}
	}
	if p99 == median && spike == 0 {
		path.Floor = int64(median)
		return path
	}
	path.Floor = int64(median) - int64(median)/2
	path.Jitter = p.table(int64(median), int64(p99), int64(spike))
	return path
}

func (p *parser) table(median, p99, spike int64) *Quantiles {
	key := [3]int64{median, p99, spike}
	q := p.tables[key]
	if q == nil {
		q = tail(median, p99)
		q.addSpike(spike)
		p.tables[key] = q
	}
	return q
}

// hash identifies what the topology means, whatever its file looks like. Tables
// that paths share are written once.
func (t *Topology) hash() string {
	h := sha256.New()
	seen := make(map[*Quantiles]int)
	fmt.Fprintf(h, "%s %v %v\n", t.Name, t.Replicas, t.Clients)
	for i := range t.Places {
		fmt.Fprintf(h, "%+v\n", t.Places[i])
		for j := range t.Paths[i] {
			p := &t.Paths[i][j]
			fmt.Fprintf(h, "%d %d %d\n", p.Floor, p.LossPPM, p.Burst)
			if p.Jitter == nil {
				continue
			}
			table, old := seen[p.Jitter]
			if !old {
				table = len(seen)
				seen[p.Jitter] = table
				var buf []byte
				for _, v := range p.Jitter.Values {
					buf = binary.BigEndian.AppendUint64(buf, uint64(v))
				}
				h.Write(buf)
			}
			fmt.Fprintf(h, "table %d\n", table)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
