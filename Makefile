# Warder. `make help` lists the targets.
SHELL := bash
GO ?= go
BIN := bin/warder
FUZZTIME ?= 10s
BENCHTIME ?= 1s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED := 0

.PHONY: help build deps demo up test race lint fuzz bench mutation integration clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/warder
	$(GO) build -trimpath -o $(BIN) ./cmd/warder

deps: ## fetch the embedded ClickHouse engine, once, into the user's cache
	@internal/engine/deps.sh

demo: deps build ## attack a sample API and watch Warder stop it
	@$(BIN) demo $(ARGS)

up: deps build ## protect a service: make up ARGS="--upstream http://127.0.0.1:3000"
	@$(BIN) up $(ARGS)

test: deps ## run every test that needs nothing but this machine
	$(GO) test ./...

race: deps ## the same tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## formatting, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags integration,data ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## each fuzz target for FUZZTIME
	@.ci/fuzz.sh $(FUZZTIME)

bench: deps ## every benchmark, with allocations; against a real Kafka too where java and mvn are there
	@.ci/bench.sh $(BENCHTIME)

mutation: build ## break each shipped rule in small ways; its tests must notice 90 %
	$(BIN) rules mutate --min 90

integration: deps build ## start real Kafka, mail and syslog servers on loopback and test against them
	@.ci/integration.sh

clean: ## remove what was built
	rm -rf bin
