# Every target is one line of shell; what needs more is a Go program or test.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
LINT_VERSION := v2.12.2
BENCHSTAT_VERSION := v0.0.0-20251112180420-cfbd823f7301
FUZZTIME ?= 10s
BENCHCOUNT ?= 10
SOAK := KILONOVA_SOAK=1 $(GO) test -count=1 -timeout 120m -v

.PHONY: check fmt lint test race fuzz bench perf perf-http perf-etcd perf-bus perf-sim perf-cells perf-scheduler packing build run generate differential
.PHONY: soak-crash soak-flip soak-disk soak-http soak-etcd soak-bus soak-cells soak-nova corpus-nova
.PHONY: sim soak-sim scale scale-costs

## check: format, lint, test (the default)
check: fmt lint test

## fmt: format all Go files
fmt: bin/golangci-lint
	bin/golangci-lint fmt ./...

## lint: the linters of .golangci.yml
lint: bin/golangci-lint
	bin/golangci-lint run ./...

## test: every test; needs nothing but Go
test:
	$(GO) test ./...

## race: the short tests under the race detector (needs a C compiler); internal/tidy only reads source
race:
	CGO_ENABLED=1 $(GO) test -race -short $$($(GO) list ./... | grep -v /internal/tidy)

## fuzz: every FuzzXxx for FUZZTIME each
fuzz:
	bash .ci/fuzz.sh $(FUZZTIME)

## bench: all benchmarks BENCHCOUNT times, kept in bench/results/bench.txt, and their medians
bench: bin/benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count $(BENCHCOUNT) -timeout 120m ./... | tee bench/results/bench.txt && bin/benchstat bench/results/bench.txt

PERF := $(GO) test -run '^$$' -timeout 60m ./placement -bench
PERFOUT := bench/results/placement.txt

## perf: the figures of docs/performance.md, kept in bench/results/placement.txt
perf:
	$(PERF) 'Hot|Roofline' -benchtime 500000x -count 3 | tee $(PERFOUT)
	$(PERF) 'Wide|Unlimited' -count 5 | tee -a $(PERFOUT)
	$(PERF) 'Memory' -benchtime 1x -count 3 | tee -a $(PERFOUT)
	$(PERF) 'DurableOne' -benchtime 3000x -count 5 | tee -a $(PERFOUT)
	$(PERF) 'DurableClaims' -benchtime 10x -count 5 | tee -a $(PERFOUT)
	$(PERF) 'Open/1' -benchtime 1x -count 3 | tee -a $(PERFOUT)
	$(GO) run ./internal/perftable placement docs <$(PERFOUT)

HTTPOUT := bench/results/http.txt
REFERENCE ?=

## perf-http: the figures over HTTP, kept in bench/results/http.txt; REFERENCE='COMMAND {port}' starts an OpenStack Placement to compare with
perf-http: build
	for world in small flat nested memory; do $(GO) run ./internal/httpperf -world $$world -reference "$(REFERENCE)"; done | tee $(HTTPOUT)
	$(GO) run ./internal/perftable http docs <$(HTTPOUT)

ETCDOUT := bench/results/etcd.txt
ETCDBENCH := bin/etcd.test -test.run '^$$' -test.timeout 30m -test.bench

## perf-etcd: the figures of engines on an etcd cluster of three, kept in bench/results/etcd.txt
perf-etcd: bin/etcd
	$(GO) test -tags integration -c -o bin/etcd.test ./store/etcd
	export ETCD_SERVER=$(CURDIR)/bin/etcd && bash .ci/etcd.sh bash -c "$(ETCDBENCH) 'Claims|Engines' -test.benchtime 5x && $(ETCDBENCH) Staleness -test.benchtime 5000x && $(ETCDBENCH) Open -test.benchtime 1x" | tee $(ETCDOUT)
	$(GO) run ./internal/perftable etcd docs <$(ETCDOUT)

BUSOUT := bench/results/bus.txt
BUSBENCH := bash .ci/rabbitmq.sh -run '^$$' -bench

## perf-bus: the figures of the bus on RabbitMQ beside a bare client, kept in bench/results/bus.txt
perf-bus:
	$(BUSBENCH) 'Call' -benchtime 5000x -count 5 | tee $(BUSOUT)
	$(BUSBENCH) 'Rate' -benchtime 10x -count 5 | tee -a $(BUSOUT)
	$(GO) run ./internal/perftable bus docs <$(BUSOUT)

SIMOUT := bench/results/sim.txt

## perf-sim: simulated events per second of processor time, kept in bench/results/sim.txt
perf-sim:
	GOGC=400 $(GO) test -run '^$$' -bench '^BenchmarkEvents$$' -benchtime 300x -count 5 ./internal/sim | tee $(SIMOUT)
	$(GO) run ./internal/perftable sim docs <$(SIMOUT)

CELLSOUT := bench/results/cells.txt

## perf-cells: pages of instances over cells, and an API database of up to a million instances, kept in bench/results/cells.txt
perf-cells:
	$(GO) test -run '^$$' -bench '^BenchmarkPage$$' -benchtime 100x -count 3 ./cells/router | tee $(CELLSOUT)
	$(GO) test -run '^$$' -bench '^BenchmarkMappings$$' -benchtime 1x -count 3 -timeout 60m ./cells/apidb | tee -a $(CELLSOUT)
	$(GO) run ./internal/perftable cells docs <$(CELLSOUT)

## scale: simulate 1 to 64 engines on one etcd; the report in bench/results/scale.json, the plots of docs/scale.md
scale: build
	bin/kilonova bench scale --out out/scale
	cp out/scale/report.json bench/results/scale.json && cp out/scale/scale-*.svg docs/

SCALEOUT := bench/scale/etcd.txt

## scale-costs: what that simulation is made of and held to, measured on an etcd cluster of three, kept in bench/scale/etcd.txt
scale-costs: bin/etcd
	$(GO) test -tags integration -c -o bin/etcd.test ./store/etcd
	export ETCD_SERVER=$(CURDIR)/bin/etcd && bash .ci/etcd.sh bash -c "$(ETCDBENCH) Size -test.benchtime 1x && $(ETCDBENCH) StoreCommits/1/ -test.benchtime 200x && $(ETCDBENCH) StoreCommits/8/ -test.benchtime 400x && $(ETCDBENCH) StoreCommits/32/ -test.benchtime 1000x && $(ETCDBENCH) 'StoreFollowers|StoreFeed' -test.benchtime 300x && $(ETCDBENCH) SharedClaims -test.benchtime 3x" | tee bin/scale-costs.txt && cp bin/scale-costs.txt $(SCALEOUT)

PACKOUT := bench/results/packing.txt

## packing: how full policies pack the traces, kept in bench/results/packing.txt; KILONOVA_VM_FILE and KILONOVA_VM_SHAPE=VCPU:GIB add a trace of virtual machines
packing:
	$(GO) test -run '^$$' -bench '^BenchmarkPacking$$' -benchtime 1x -timeout 120m ./bench | tee $(PACKOUT)
	$(GO) run ./internal/perftable packing docs <$(PACKOUT)
## build: bin/kilonova
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/kilonova ./cmd/kilonova

## run: replay the OpenB trace; report on the terminal, plot and data in out/ (ONCE=1: the same)
run: build
	bin/kilonova bench trace --trace openb --out out

## generate: files that are made from other files
generate:
	$(GO) generate ./...

## differential: the Placement API against OpenStack Placement (Debian's packages, or KILONOVA_REFERENCE_URL)
differential:
	@if [ -z "$${KILONOVA_REFERENCE_URL:-}" ] && [ "$$(id -u)" = 0 ] && ! dpkg -s python3-placement uwsgi-core uwsgi-plugin-python3 >/dev/null 2>&1; then apt-get update && apt-get install -y --no-install-recommends python3-placement uwsgi-core uwsgi-plugin-python3; fi
	$(GO) test -tags integration -count=1 -timeout 120m -run '^TestDifferential$$' -v ./api/placementapi 2>&1 | tee bench/results/differential.txt

## soak-crash: kill a committing process a hundred times
soak-crash:
	$(SOAK) -run 'Crash' ./store/... ./placement/... 2>&1 | tee bench/results/$@.txt

## soak-flip: flip one byte at each of a thousand offsets of every store file
soak-flip:
	$(SOAK) -run 'Flip' ./store/... ./placement/... 2>&1 | tee bench/results/$@.txt

## soak-disk: fill the disk between two commits (root, for a small tmpfs)
soak-disk:
	$(SOAK) -run 'Disk' ./store/... ./placement/... 2>&1 | tee bench/results/$@.txt

SEED ?= 0
STEPS ?= 2000
TRACE ?=
CLOUD ?= conductor
SEEDS ?= 2000

## sim: play the simulated cloud CLOUD (conductor, market, owner) from SEED, with faults in the first STEPS steps; TRACE=1 prints all that happens
sim:
	KILONOVA_SIM_SEED=$(SEED) KILONOVA_SIM_STEPS=$(STEPS) KILONOVA_SIM_TRACE=$(TRACE) KILONOVA_SIM_CLOUD=$(CLOUD) $(GO) test -count=1 -run '^TestOne$$' -v ./internal/sim

## soak-sim: play the simulated clouds from SEEDS seeds, each twice
soak-sim:
	KILONOVA_SIM_SEEDS=$(SEEDS) $(SOAK) -run '^TestSoak$$' ./internal/sim 2>&1 | tee bench/results/$@.txt

## soak-http: kill the server under load, attack it, ask it for everything
soak-http:
	$(SOAK) -run 'TestServer|TestLastUnit|TestHostile|TestStream' ./cmd/kilonova ./api/placementapi 2>&1 | tee bench/results/$@.txt

## soak-etcd: engines on an etcd cluster while members, engines and networks fail
soak-etcd: bin/etcd
	ETCD_SERVER=$(CURDIR)/bin/etcd $(SOAK) -tags integration ./internal/etcdtest 2>&1 | tee bench/results/$@.txt

## soak-bus: the bus on RabbitMQ while its broker is killed, paused, out of memory and cut off, ten rounds
soak-bus:
	KILONOVA_SOAK=1 bash .ci/rabbitmq.sh -run '^TestFaults$$' -timeout 60m -v 2>&1 | tee bench/results/$@.txt

## soak-cells: four cells over RabbitMQ and etcd, of which one broker is dead, one stopped and one database dead for minutes
soak-cells:
	KILONOVA_SOAK=1 bash .ci/rabbitmq.sh -run '^TestCells$$' -timeout 60m -v 2>&1 | tee bench/results/$@.txt

# the source of Nova that decisions are compared with; its libraries are those of Debian's python3-nova
NOVA ?= bin/nova
NOVA_COMMIT := 00a030403f672b975364c855b7d25b40ef83e757
NOVACASES ?= 9600

SCHEDULEROUT := bench/results/scheduler.json
NOVAPEER ?= env PYTHONPATH=$(NOVA) /usr/bin/python3 internal/novajudge/timing.py

## perf-scheduler: the figures of the scheduler beside Nova (needs python3-nova) and Nomad, kept in bench/results/scheduler.json
perf-scheduler: build $(NOVA) bin/nomad
	bin/kilonova bench scheduler --hosts 1000,10000,100000,1000000 --policy spread,best-fit --decisions 100000 --at-most 2s --repeat 3 --contention --peer '$(NOVAPEER)' --peer bin/nomad --format json >$(SCHEDULEROUT)
	$(GO) run ./internal/perftable scheduler docs <$(SCHEDULEROUT)

## soak-nova: NOVACASES random documents, decided by Nova and by kilonova (needs python3-nova)
soak-nova: build $(NOVA)
	$(GO) run ./internal/novajudge/soak -cases $(NOVACASES) -kilonova bin/kilonova -nova $(NOVA) | tee bench/results/$@.txt

## corpus-nova: the documents and answers of Nova that go test plays (needs python3-nova)
corpus-nova: $(NOVA)
	$(GO) run ./internal/novajudge/soak -seed 9 -cases 2600 -nova $(NOVA) -corpus internal/novajudge/testdata/corpus.jsonl.gz

bin/nova:
	git init -q $@ && git -C $@ fetch -q --depth 1 https://github.com/openstack/nova $(NOVA_COMMIT) && git -C $@ checkout -q FETCH_HEAD

bin/etcd: store/etcd/testdata/server/main.go
	cd store/etcd/testdata/server && CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o ../../../../$@ .

bin/nomad: bench/nomad/main.go
	cd bench/nomad && CGO_ENABLED=0 $(GO) build -trimpath -o ../../$@ .

bin/golangci-lint:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

bin/benchstat:
	GOBIN=$(CURDIR)/bin $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
