package observe

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// purse is a register whose invariant breaks at a version, and which counts how
// often it was asked.
type purse struct {
	register
	applied uint64
	breaks  uint64
	asked   *[]uint64
}

func (p *purse) Apply([]byte, protocols.Verify) []byte {
	p.applied++
	return nil
}

func (p *purse) Version() uint64 { return p.applied }

func (p *purse) Root() protocols.Digest { return protocols.Digest{byte(p.applied)} }

func (p *purse) Audit() error {
	*p.asked = append(*p.asked, p.applied)
	if p.breaks > 0 && p.applied >= p.breaks {
		return errors.New("money from nothing")
	}
	return nil
}

func TestApplicationsAreAudited(t *testing.T) {
	for _, c := range []struct {
		name   string
		breaks uint64
		lies   bool // replica 0 is not correct
		play   func(apps []protocols.Application)
		asked  []uint64
		want   []string
		found  Verdict
	}{
		{
			name: "once per version, and the rest at the end", found: True, asked: []uint64{1, 2, 3},
			play: func(apps []protocols.Application) {
				for range 2 {
					for _, a := range apps {
						a.Apply(nil, nil)
						a.Root()
						a.Root()
					}
				}
				apps[1].Apply(nil, nil)
			},
		},
		{
			name: "one replica per state at the end", found: True, asked: []uint64{1},
			play: func(apps []protocols.Application) {
				for _, a := range apps {
					a.Apply(nil, nil)
				}
			},
		},
		{
			name: "a broken invariant at a checkpoint", breaks: 2, found: False, asked: []uint64{1, 2},
			want: []string{"application 0: after 2 operations: money from nothing"},
			play: func(apps []protocols.Application) {
				for range 2 {
					apps[0].Apply(nil, nil)
					apps[0].Root()
				}
			},
		},
		{
			name: "a broken invariant at the end", breaks: 1, found: False, asked: []uint64{1},
			want: []string{"application 1: after 1 operations: money from nothing"},
			play: func(apps []protocols.Application) { apps[1].Apply(nil, nil) },
		},
		{
			name: "a liar is not judged", breaks: 1, lies: true, found: Undecided,
			play: func(apps []protocols.Application) {
				apps[0].Apply(nil, nil)
				apps[0].Root()
			},
		},
		{
			name: "what executed nothing is not looked at", breaks: 1, found: Undecided,
			play: func(apps []protocols.Application) { apps[0].Root() },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(Config{N: 2, Correct: func(id protocols.NodeID) bool { return !c.lies || id != 0 }})
			var asked []uint64
			fresh := func() protocols.Application { return &purse{breaks: c.breaks, asked: &asked} }
			c.play([]protocols.Application{r.Audit(0, fresh)(), r.Audit(1, fresh)()})
			require.Equal(t, c.want, r.end())
			require.Equal(t, c.asked, asked)
			rep := r.Report()
			require.Equal(t, c.found, rep.Application)
			require.NotContains(t, rep.Unchecked, Application)
		})
	}
}

func TestApplicationsWithoutInvariantsStayAsTheyAre(t *testing.T) {
	app := new(register)
	got := newRun(Config{}).Audit(0, func() protocols.Application { return app })()
	require.Same(t, app, got)
}
