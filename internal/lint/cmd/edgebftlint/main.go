// Command edgebftlint runs the static checks of edgebft: determinism and
// layering. Give it package patterns:
//
//	go run ./internal/lint/cmd/edgebftlint ./...
//
// It exits 0 when nothing was found, and not 0 otherwise.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/edgebft/edgebft/internal/lint"
)

func main() { multichecker.Main(lint.Determinism, lint.Layering) }
