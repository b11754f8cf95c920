# Everything a newcomer needs; `make help` lists it.
SHELL := bash
BIN := bin/bellhop
VERSION ?= dev
export CGO_ENABLED ?= 0
LDFLAGS := -s -w -X main.version=$(VERSION)
# gin's MessagePack would be 3 MB of the binary, and nobody speaks it here
TAGS := nomsgpack

.PHONY: help build run vendors test test-faults simulate test-ui ui screenshots fuzz bench lint check clean test-vendors

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build the binary into bin/
	go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/bellhop

run: build ## start Bellhop with the example workflows and say what to try
	./$(BIN) init --quiet --examples bin/demo
	./$(BIN) serve --dir bin/demo

vendors: ## install the vendors' own libraries, with which the signature tests sign (Node, network)
	.ci/npm connectors/signature/testdata/vendors

test: build ## all tests with the race detector, the example workflows and their tests
	.ci/npm
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 20m ./...
	./$(BIN) check workflows
	./$(BIN) test workflows

test-faults: build ## kills, power cuts, failing disks and failpoints, 50 times each; needs root and /dev/fuse
	BELLHOP_KILLS=50 go test -count=1 -timeout 60m -run 'Fault|Kill' -v ./cmd/bellhop ./engine/...

SEEDS ?= 10000
simulate: ## random workflows on a failing store in virtual time, 10,000 seeds; SEEDS=n for another number
	TMPDIR=$$(test -w /dev/shm && echo /dev/shm || echo $${TMPDIR:-/tmp}) GOGC=400 BELLHOP_SEEDS=$(SEEDS) go test -count=1 -timeout 120m -run TestSimulation ./engine/bolt

test-vendors: ## imported manifests against stripe-mock and Prism (installs both, 500 MB)
	VERBOSE=1 .ci/vendors

fuzz: ## every fuzz target with 100,000 inputs
	.ci/fuzz 100000

ui: build ## build ui/dist anew; needs Node 20, which nothing else does
	cd ui && npm ci --no-fund --no-audit && npm run api
	cd ui && npm run check && npm test && npm run build

test-ui: build ## the UI in a real browser: every screen, the newcomer tasks, the budgets
	cd ui && npm ci --no-fund --no-audit && npm run browser

screenshots: build ## a picture of every screen and state into ui/screenshots
	cd ui && npm ci --no-fund --no-audit && npm run screenshots

bench: build ## the numbers of the README, as ratios against probes of the same minute
	go run ./cmd/bench -bellhop $(BIN)
	go test -run '^$$' -bench 'Filter|Mapping|JSON|Post|Verify' ./engine/expression ./connectors/value ./engine/outbound ./connectors/signature
	go test -run '^$$' -bench 'AcceptSlowDisk' -benchtime 30000x ./engine/bolt

lint: ## go vet, gofmt and golangci-lint
	go vet ./...
	test -z "$$(gofmt -l cmd engine connectors ui workflows)"
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

check: lint test ## what the gate runs

clean: ## forget what was built
	rm -rf bin
