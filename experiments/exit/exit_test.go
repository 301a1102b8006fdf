package exit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCode(t *testing.T) {
	cause := errors.New("disk full")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{cause, 1},
		{Wrap(Usage, cause), 2},
		{fmt.Errorf("outer: %w", Errorf(Safety, "two values at slot 7")), 3},
		{fmt.Errorf("outer: %w", context.Canceled), 130},
		{errors.Join(cause, Errorf(Invalid, "x")), 5},
	} {
		require.Equal(t, c.want, Code(c.err), "%v", c.err)
	}
	require.NoError(t, Wrap(Usage, nil))
	require.ErrorIs(t, Wrap(Usage, cause), cause)
}

func TestWorstFollowsTheDocumentedOrder(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{
		{nil, 0},
		{[]int{0, 0}, 0},
		{[]int{6, 4}, 4},
		{[]int{6, 4, 7}, 7},
		{[]int{4, 7, 5, 6}, 5},
		{[]int{4, 7, 5, 3, 6}, 3},
		{[]int{0, 1}, 6},
	} {
		require.Equal(t, c.want, Worst(c.codes), "%v", c.codes)
	}
}

func TestMeaningsAreComplete(t *testing.T) {
	last := -1
	for _, m := range Meanings() {
		require.Greater(t, m.Code, last)
		require.NotEmpty(t, m.Text)
		require.NotEmpty(t, m.Retry)
		last = m.Code
	}
	require.Len(t, Meanings(), 9)
}
