package smr

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/micro"
)

// counters counts operations and the bytes they covered.
type counters struct{ Count, Bytes [protocols.NumOps]uint64 }

func (c *counters) Add(op protocols.Op, size int) {
	c.Count[op]++
	c.Bytes[op] += uint64(size)
}

// asking is an application whose operations carry signatures; what Checks announces
// and what Apply asks for are up to the test.
type asking struct {
	protocols.Application
	announced, hidden []protocols.SigCheck
	result            []byte
	stuck             bool // Rollback refuses
}

func (a *asking) Checks(dst []protocols.SigCheck, _ []byte) []protocols.SigCheck {
	return append(dst, a.announced...)
}

func (a *asking) Apply(op []byte, verify protocols.Verify) []byte {
	r := a.Application.Apply(op, verify)
	if a.result != nil {
		return a.result
	}
	scratch := make([]byte, 4)
	for _, list := range [][]protocols.SigCheck{a.announced, a.hidden} {
		for _, c := range list {
			copy(scratch, c.Message)
			ok := verify(protocols.SigCheck{Key: c.Key, Message: scratch[:len(c.Message)], Signature: c.Signature})
			r = append(r, map[bool]byte{true: 1}[ok])
		}
	}
	return r
}

func (a *asking) Rollback(v uint64) error {
	if a.stuck {
		return errors.New("stuck")
	}
	return a.Application.Rollback(v)
}

func newAsking(a *asking, undo bool) (*Executor, *counters) {
	ops := new(counters)
	env := &executorEnv{auth: auth.New(auth.NewReal(7, []byte("secret")).Keys(0), "", ops.Add)}
	a.Application = micro.New(micro.Config{ReplyBytes: 8})
	return NewExecutor(env, func() protocols.Application { return a }, 1, undo, 0), ops
}

// Executing again what came after a checkpoint costs no signature check, announced
// or not, and has the same results.
func TestSnapshotAtChecksNoSignatureAgain(t *testing.T) {
	app := &asking{
		announced: []protocols.SigCheck{{Message: []byte("one")}, {Message: []byte("two")}},
		hidden:    []protocols.SigCheck{{Message: []byte("tri")}},
	}
	x, ops := newAsking(app, true)
	batch := []protocols.Request{*request(0, 1), *request(1, 1)}
	known := NewPrechecked(app, batch)
	known.Answer([]int{1, 3})
	for i := range batch {
		x.Apply(&batch[i], known)
	}
	x.Apply(request(2, 1), nil)
	before, _ := x.Digest()
	checks := ops.Count[protocols.OpAppVerify]
	require.Positive(t, checks)
	_, err := x.SnapshotAt(0)
	require.NoError(t, err)
	require.Equal(t, checks, ops.Count[protocols.OpAppVerify])
	after, _ := x.Digest()
	require.Equal(t, before, after)
}

// The digest of a request was computed, and charged for, at admission.
func TestExecutionChargesNoHashThatNobodyComputes(t *testing.T) {
	x, ops := newAsking(&asking{}, true)
	r := request(0, 1)
	r.Op = make([]byte, 4096)
	r.Digest(x.env.Auth())
	admission := ops.Bytes[protocols.OpDigest]
	x.Apply(r, nil)
	require.Equal(t, admission, ops.Bytes[protocols.OpDigest])
}

// A result that no REPLY and no snapshot could carry is replaced.
func TestResultIsBounded(t *testing.T) {
	for _, size := range []int{protocols.MaxOperation, protocols.MaxOperation + 1} {
		app := &asking{result: make([]byte, size)}
		x, _ := newAsking(app, false)
		got := x.Apply(request(0, 1), nil).Reply
		if size <= protocols.MaxOperation {
			require.Len(t, got, size)
		} else {
			require.Equal(t, tooLong, string(got))
		}
		snapshot, err := x.Snapshot()
		require.NoError(t, err)
		d, _ := x.Digest()
		require.NoError(t, x.Restore(snapshot, d))
	}
}

// A rollback that the application refuses changes nothing.
func TestRollbackIsAllOrNothing(t *testing.T) {
	app := &asking{}
	x, _ := newAsking(app, true)
	for ts := range 3 {
		x.Apply(request(0, ts+1), nil)
	}
	before, _ := x.Digest()
	app.stuck = true
	require.ErrorContains(t, x.Rollback(1), "stuck")
	_, err := x.SnapshotAt(1)
	require.ErrorContains(t, err, "stuck")
	after, _ := x.Digest()
	require.Equal(t, before, after)
	app.stuck = false
	require.NoError(t, x.Rollback(1))
	require.Equal(t, uint64(1), x.Executed())
}
