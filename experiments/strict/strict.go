// Package strict is the old name of internal/strict, for changes that are under way. It
// goes when they have arrived; use internal/strict.
package strict

import "github.com/edgebft/edgebft/internal/strict"

// Duration is strict.Duration.
type Duration = strict.Duration
