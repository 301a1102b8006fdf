package pbft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// TestTranscripts runs the scripts under testdata and compares what they say, message
// by message, with what was said before; -rewrite accepts it. A line "0>1,2 TYPE ..."
// is a message about to be handled, "v" is a view, "n" a slot, "h" the stable
// checkpoint, "d" a digest by order of appearance. An indented line is what happened
// at the replicas named. A line "--" ends a message delay.
//
//	cluster n=4 f=1 [byzantine=(0)] [option=value ...]
//	request client=1 ts=1 to=(0) [bad=(3)] [signed]   a client's request; bad: where its MAC is
//	propose from=0 v=0 n=1 client=1 ts=1 to=(1,2)     a Byzantine primary's proposal
//	vote from=0 type=commit v=0 n=1 like=1 to=(1)     a Byzantine vote for what replica 1 has there
//	cut [from=(0)] [to=(3)] [type=(COMMIT)], heal     what the network loses from now on
//	run [waves=1]                                     deliver
//	suspect at=(1,2), tick at=(1)                     leave the view; let the resend timer run out
//	pass for=1s                                       deliver and let time go by, quietly
//	crash at=(1), restart at=(1) [wiped]
//	state
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		p := &play{}
		datadriven.RunTest(t, path, p.step)
	})
}

type play struct {
	s    *script
	cuts []string
}

func list(d *datadriven.TestData, name string) []string {
	for _, a := range d.CmdArgs {
		if a.Key == name {
			return a.Vals
		}
	}
	return nil
}

func replicas(t *testing.T, d *datadriven.TestData, name string) []protocols.NodeID {
	var out []protocols.NodeID
	for _, v := range list(d, name) {
		i, err := strconv.Atoi(v)
		require.NoError(t, err, d.Pos)
		out = append(out, protocols.NodeID(i))
	}
	return out
}

func number(t *testing.T, d *datadriven.TestData, name string) uint64 {
	var v int
	if d.HasArg(name) {
		d.ScanArgs(t, name, &v)
	}
	return uint64(v)
}

func (p *play) step(t *testing.T, d *datadriven.TestData) string {
	s := p.s
	if d.Cmd != "cluster" {
		s.out.Reset()
	}
	switch d.Cmd {
	case "cluster":
		options := map[string]int64{}
		for _, a := range d.CmdArgs {
			if a.Key != "n" && a.Key != "f" && a.Key != "byzantine" {
				options[a.Key] = int64(number(t, d, a.Key))
			}
		}
		p.s = newScript(t, int(number(t, d, "n")), int(number(t, d, "f")), options, replicas(t, d, "byzantine")...)
		p.s.lost = p.lost
		return ""
	case "request":
		r := request(int(number(t, d, "client")), number(t, d, "ts"), s.n, replicas(t, d, "bad")...)
		if d.HasArg("signed") {
			r = signed(r)
		}
		s.ask(r, replicas(t, d, "to")...)
	case "propose":
		m := propose(number(t, d, "v"), number(t, d, "n"), request(int(number(t, d, "client")), number(t, d, "ts"), s.n, replicas(t, d, "bad")...))
		s.send(protocols.NodeID(number(t, d, "from")), m, replicas(t, d, "to")...)
	case "vote":
		v, n, from := number(t, d, "v"), number(t, d, "n"), protocols.NodeID(number(t, d, "from"))
		digest := s.o(protocols.NodeID(number(t, d, "like"))).log.peek(n).digest
		if list(d, "type")[0] == "commit" {
			s.send(from, &Commit{v, n, digest}, replicas(t, d, "to")...)
		} else {
			s.send(from, &Prepare{v, n, digest}, replicas(t, d, "to")...)
		}
	case "cut":
		p.cuts = append(p.cuts, strings.Join([]string{
			"," + strings.Join(list(d, "from"), ",") + ",", "," + strings.Join(list(d, "to"), ",") + ",", "," + strings.Join(list(d, "type"), ",") + ",",
		}, "|"))
	case "heal":
		p.cuts = nil
	case "run":
		waves := number(t, d, "waves")
		for n := uint64(0); n < 100 && (waves == 0 || n < waves); n++ {
			before := s.out.Len()
			if !s.wave() {
				break
			}
			if s.out.Len() > before {
				s.out.WriteString("--\n")
			}
		}
	case "suspect":
		s.suspect(replicas(t, d, "at")...)
	case "tick":
		s.fire(timerResend, replicas(t, d, "at")...)
	case "pass":
		span, err := time.ParseDuration(list(d, "for")[0])
		require.NoError(t, err)
		s.pass(span)
		s.out.Reset()
	case "crash":
		s.crash(replicas(t, d, "at")...)
	case "restart":
		kind := protocols.Recovered
		if d.HasArg("wiped") {
			kind = protocols.Wiped
		}
		s.restart(kind, replicas(t, d, "at")...)
	case "state":
		for _, a := range s.actors {
			if a.o != nil {
				fmt.Fprintf(&s.out, "%d: v%d active=%v h%d delivered %d, executed %d, learner=%v\n", a.id, a.o.view, a.o.active, a.o.h, a.o.delivered, a.replica.Executor().Executed(), a.o.learner != nil)
			}
		}
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	s.agree()
	return strings.TrimSuffix(s.out.String(), "--\n")
}

func (p *play) lost(m packet) bool {
	return slices.ContainsFunc(p.cuts, func(c string) bool {
		f := strings.Split(c, "|")
		has := func(set, x string) bool { return set == ",," || strings.Contains(set, ","+x+",") }
		return has(f[0], fmt.Sprint(m.from)) && has(f[1], fmt.Sprint(m.to)) && has(f[2], p.s.table.Lookup(m.m.Tag()).Name)
	})
}
