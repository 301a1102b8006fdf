package lint

import (
	"fmt"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Layering is the pass that keeps the arrows between the rooms.
var Layering = &analysis.Analyzer{
	Name: "layering",
	Doc:  "rejects imports against the arrows of the architecture",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, f := range sources(pass) {
			for _, spec := range f.Imports {
				if why := CheckImport(pass.Pkg.Path(), importPath(spec)); why != "" {
					pass.Reportf(spec.Pos(), "%s", why)
				}
			}
		}
		return nil, nil
	},
}

// layer says what the packages of a room may import besides the standard library
// and their own room.
type layer struct {
	room string
	// rooms of the module; "x" names the package x alone, "x/..." it and all below
	// it.
	rooms []string
	// others are the permitted third-party modules or packages; nil leaves the
	// choice free, none permits none.
	others []string
}

var none = []string{}

const msgp = "github.com/tinylib/msgp"

// layers is the table of rooms. The longest room that holds a package applies;
// "x/..." holds what lies below x, without x.
// The protocols, the simulator's kernel and the workload models are what this
// project exists for: they use the standard library and generated codecs.
var layers = []layer{
	{"protocols", none, []string{msgp}},
	{"protocols/...", ground, []string{msgp}}, // a protocol without an entry of its own
	{"protocols/auth", []string{"protocols"}, []string{msgp}},
	{"protocols/smr", []string{"protocols", "protocols/auth"}, []string{msgp}},
	{"protocols/adversary", []string{"protocols", "protocols/auth"}, []string{msgp}},
	{"protocols/pbft", ground, []string{msgp}},
	{"protocols/raft", ground, []string{msgp, "go.etcd.io/raft/v3", "github.com/hashicorp/raft", "github.com/hashicorp/raft-wal"}},
	{"abstract", protocolRooms, []string{msgp}},
	{"rbft", protocolRooms, []string{msgp}},
	{"xpaxos", protocolRooms, []string{msgp}},
	{"pag", protocolRooms, []string{msgp}},
	{"netsim", []string{"protocols", "protocols/auth", "internal/strict"}, []string{msgp, "github.com/anishathalye/porcupine", "github.com/klauspost/compress", "go.yaml.in/yaml/v3"}},
	{"nettcp", []string{"protocols", "protocols/auth"}, nil},
	{"workloads", []string{"protocols"}, []string{msgp, "go.yaml.in/yaml/v3"}},
	{"experiments", []string{"protocols/...", "abstract/...", "rbft/...", "xpaxos/...", "pag/...", "netsim/...", "nettcp/...", "workloads/...", "internal/strict"}, nil},
	{"cmd", []string{"experiments/..."}, []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/anacrolix/chansync", "golang.org/x/sync", "golang.org/x/term"}},
	{"test", []string{"..."}, nil},
	{"internal/strict", []string{"protocols"}, []string{"go.yaml.in/yaml/v3"}},
	{"internal/lint", none, []string{"golang.org/x/tools"}},
}

var (
	ground        = []string{"protocols", "protocols/auth", "protocols/smr", "protocols/adversary"}
	protocolRooms = []string{"protocols/...", "abstract/..."}
)

// layerOf returns the layer of a package, or nil.
func layerOf(rel string) *layer {
	var best *layer
	for i := range layers {
		l := &layers[i]
		below, onlyBelow := strings.CutSuffix(l.room, "/...")
		if !within(rel, below) || onlyBelow && rel == below {
			continue
		}
		if best == nil || len(below) > len(strings.TrimSuffix(best.room, "/...")) || below == best.room && onlyBelow {
			best = l
		}
	}
	return best
}

// CheckImport says why the package from may not import the package to, or "".
// Packages outside the module are never blamed.
func CheckImport(from, to string) string {
	from = strings.TrimSuffix(from, "_test")
	rel, ok := relative(from)
	if !ok || rel == "" || strings.HasSuffix(rel, ".test") { // the last is a generated test main
		return ""
	}
	l := layerOf(rel)
	if l == nil {
		return fmt.Sprintf("%s stands in no room of the architecture: put it into one, or add the room to layers.go", rel)
	}
	target, inside := relative(to)
	if !inside {
		return l.checkOther(rel, to)
	}
	if own := layerOf(target); own == l {
		return ""
	}
	for _, room := range l.rooms {
		if base, below := strings.CutSuffix(room, "..."); below {
			if base == "" || within(target, strings.TrimSuffix(base, "/")) {
				return ""
			}
		} else if target == room {
			return ""
		}
	}
	return fmt.Sprintf("%s may not import %s: room %s may import %s", rel, target, l.room, list(l.rooms))
}

func (l *layer) checkOther(rel, to string) string {
	first, _, _ := strings.Cut(to, "/")
	if l.others == nil || !strings.Contains(first, ".") { // the standard library
		return ""
	}
	for _, m := range l.others {
		if within(to, m) {
			return ""
		}
	}
	return fmt.Sprintf("%s may not import %s: of third-party modules room %s may use %s", rel, to, l.room, list(l.others))
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
