package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command runs both passes: it is silent about the contract, which keeps the
// rules, and says no to a module that breaks one of each. What the passes find is
// tested beside them.
func TestCommand(t *testing.T) {
	command := filepath.Join(t.TempDir(), "edgebftlint")
	out, err := exec.Command("go", "build", "-o", command, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(command, "github.com/edgebft/edgebft/protocols").CombinedOutput()
	require.NoError(t, err, string(out))

	bad := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module github.com/edgebft/edgebft\n\ngo 1.26\n",
		"netsim/netsim.go":     "package netsim\n",
		"protocols/bad/bad.go": "package bad\n\nimport (\n\t\"time\"\n\n\t_ \"github.com/edgebft/edgebft/netsim\"\n)\n\nvar Now = time.Now()\n",
	} {
		file := filepath.Join(bad, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	run := exec.Command(command, "./...")
	run.Dir = bad
	out, err = run.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Contains(t, string(out), "use of time.Now")
	require.Contains(t, string(out), "may not import netsim")
}
