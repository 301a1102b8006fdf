package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
)

// The README says what package exit says.
func TestTheReadmeHasTheExitCodes(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var rows []string
	for _, m := range exit.Meanings() {
		rows = append(rows, fmt.Sprintf("| %d | %s | %s |\n", m.Code, m.Text, m.Retry))
	}
	require.Contains(t, string(text), "|---|---|---|\n"+strings.Join(rows, "")+"\n")
}

var inDocs = regexp.MustCompile("(?m)(?:^|`)(?:go run ./cmd/)?(edgebft [^`#\n]+)")

// examples returns every call of the command in the documents and in its own help.
func examples(t *testing.T) []string {
	t.Helper()
	var calls []string
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile("../../" + name)
		require.NoError(t, err)
		for _, m := range inDocs.FindAllStringSubmatch(string(text), -1) {
			calls = append(calls, m[1])
		}
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, line := range strings.Split(c.Example, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				calls = append(calls, line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(command())
	return calls
}

// Every example in the documentation works, with what makes it long made short: durations,
// numbers of seeds, and suites, of which only the cells are listed.
func TestExamplesInTheDocumentationWork(t *testing.T) {
	edgebft, dir := binary(t), t.TempDir()
	run := func(call string, args []string) string {
		cmd := exec.Command(edgebft, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s (%v): %s", call, args, out)
		return string(out)
	}
	suite := `suite: %s
base: {protocol: pbft, clients: 4, workload: {app: micro, kind: closed}, window: {warmup: 10ms, measure: 30ms, cooldown: 10ms}}
profiles: {laptop: {base.seed: 2}}
figures: [{kind: tput-latency}]
`
	require.NoError(t, os.Mkdir(filepath.Join(dir, "experiments"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "experiments", "peak.yaml"), fmt.Appendf(nil, suite, "peak"), 0o644))
	cells := map[string]string{}
	for _, name := range []string{"quickstart", "scalability"} {
		file := filepath.Join(dir, name+".yaml")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, suite, name), 0o644))
		run("", []string{"sweep", file, "-q"})
		found, err := os.ReadDir(filepath.Join(dir, "results", name, "cells"))
		require.NoError(t, err)
		cells[name] = found[0].Name()
	}
	cell := regexp.MustCompile(`^results/([a-z]+)/cells/[^/]+$`)
	calls := examples(t)
	require.Greater(t, len(calls), 12, "%v", calls)
	verbs := map[string]bool{}
	for _, call := range calls {
		args := strings.Fields(call)[1:]
		for i, a := range args {
			if m := cell.FindStringSubmatch(a); m != nil {
				args[i] = "results/" + m[1] + "/cells/" + cells[m[1]]
			}
			if i == 0 {
				continue
			}
			switch args[i-1] {
			case "--duration":
				args[i] = "20ms"
			case "--seeds":
				args[i] = "20"
			case "--from", "--to":
				args[i] = "5ms"
			case "--protocol":
				if a == "yours" {
					args[i] = "pbft"
				}
			}
		}
		switch verb := args[0]; verb {
		case "sim", "plot", "report", "replay", "trace", "check", "list", "schema":
		case "sweep":
			if !slices.Contains([]string{"status", "expand", "index", "merge"}, args[1]) {
				args = append(args, "--dry-run")
			}
		case "calibrate":
			args = append(args, "--help") // flags are read first; measuring takes long
		default:
			t.Errorf("no way to try %q in short", call)
		}
		verbs[args[0]] = true
		run(call, args)
	}
	for _, c := range command().Commands() {
		if name := c.Name(); name != "schema" && name != "report" {
			require.True(t, verbs[name], "no example shows edgebft %s", name)
		}
	}
}
