# Every target is one command that can also be typed by hand. There is no target that upgrades dependencies:
# they move one at a time, on purpose.
GO      ?= go
TOOL     = $(GO) tool -modfile=tools/go.mod
SOURCES  = $(shell git ls-files '*.go' | grep -v /testdata/)

.DEFAULT_GOAL := help
.PHONY: help build test race lint vet staticcheck fmt generate fuzz bench quickstart check verify ci

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build the lab tool into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

test: ## run all tests
	$(GO) test ./...

race: ## run all tests under the race detector
	$(GO) test -race ./...

lint: ## determinism and layering
	$(GO) run ./internal/lint/cmd/edgebftlint ./...

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, as pinned in tools/go.mod
	$(TOOL) staticcheck ./...

fmt: ## format the sources with gofumpt
	$(TOOL) gofumpt -w $(SOURCES)

generate: ## regenerate codecs and tables
	$(GO) generate ./...

fuzz: ## fuzz every fuzz test for ten seconds
	.ci/fuzz 10s

bench: ## run all benchmarks once
	$(GO) test -run '^$$' -bench . -benchmem ./...

quickstart: ## the embedded suite: table, figures, report.html
	$(GO) run ./cmd/edgebft sweep quickstart

check: ## 10,000 random schedules of PBFT
	$(GO) run ./cmd/edgebft check --protocol pbft --seeds 10000

verify: ## what must hold before a change is sent
	.ci/run tidy format vet staticcheck lint generate test race

ci: ## everything that continuous integration runs
	.ci/run
