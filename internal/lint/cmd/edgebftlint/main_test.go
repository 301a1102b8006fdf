package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command runs the passes: it is silent about the contract, which keeps the
// rules. What the passes find is tested beside them.
func TestCommand(t *testing.T) {
	out, err := exec.Command("go", "run", ".", "github.com/edgebft/edgebft/protocols").CombinedOutput()
	require.NoError(t, err, string(out))
}
