# Tagboat: `make demo` shows it, `make test` checks it. Everything else is a part of these.

.DEFAULT_GOAL := demo
VENV := $(CURDIR)/.build/venv
export PATH := $(VENV)/bin:$(PATH)

# How everything but the tests with the race detector is compiled: like the functions, so that a package is compiled once.
PLAIN = CGO_ENABLED=0 GOFLAGS="$(strip $(shell go env GOFLAGS) -trimpath)"

.PHONY: demo test check unit simulation soak e2e endure e2e-iam python
demo:
	@go run ./cmd/tagboat demo

# With CI=true no test is skipped because its tool is missing: npm's come by npm, Python's by e2e/tools.py.
test: export CI = true
test: check unit simulation e2e

# What every change has to pass before its tests run.
check:
	@test -z "$$(gofmt -l cmd functions internal statemachine e2e examples)" || { echo "not gofmt-ed:"; gofmt -l cmd functions internal statemachine e2e examples; exit 1; }
	go mod tidy -diff
	$(PLAIN) go vet ./...
	$(PLAIN) go tool staticcheck ./...

# In these, as in the others of their package, one goroutine runs at a time: with the race detector they take minutes and show
# no more than the others.
LONG := TestTwoHundredTagsAtOnce|TestFiftyAppsAtOnce|TestAFaultAndAnotherInTheRollback|TestOneFaultAtATime|TestEveryTaskDies
LONG := $(LONG)|TestPruningThatFailsChangesNothingElse|TestAReleaseMayBeginAtEachMomentOfPruning|TestTakingBackMayDieAnywhere

unit: python
	@mkdir -p .build
	go test -race -vet=off -skip '$(LONG)' -timeout 20m $$(go list ./... | grep -v /internal/soak$$)
	TAGBOAT_FIGURES=$(CURDIR)/.build/edges.txt $(PLAIN) go test ./internal/app -vet=off # all of it: without a part, edges would be missing
	@cat .build/edges.txt
	$(PLAIN) go test ./internal/cli -vet=off -run TestLoad # the memory is that of serve, not of the race detector

# Whole releases with faults at every call, one seed a run, in two minutes of two cores that do nothing else;
# `make soak SEEDS=50000` for as many as you like. Each prints what happened how often.
SEEDS ?= 20000
simulation:
	cd internal/soak && $(PLAIN) go test -count=1 -vet=off -seeds 10000 -within 2m
soak:
	cd internal/soak && go test -count=1 -timeout 24h -seeds $(SEEDS)

# The standard scenarios with every call failing in every way, one at a time, which takes half an hour; and after each way in
# which something comes to be rolled back, every call of that failing in every way, which takes hours.
.PHONY: exhaustive
exhaustive:
	@mkdir -p .build
	TAGBOAT_EXHAUSTIVE=1 go test ./internal/app -count=1 -run 'TestOneFaultAtATime|TestAFaultAndAnotherInTheRollback' -timeout 48h -v > .build/exhaustive.txt; \
		status=$$?; grep -E 'possible|tried|^(---|    ---) FAIL|^(ok|FAIL)' .build/exhaustive.txt; exit $$status

# Every fuzz target for FUZZTIME, one after the other. What one finds stays under testdata/fuzz beside it and
# runs with every `go test`.
FUZZTIME ?= 10m
.PHONY: fuzz
fuzz:
	@failed=0; for found in $$(grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' internal | sed 's/:.*func /:/' | sort); do \
		echo "$$found"; \
		go test -run '^$$' -fuzz "^$${found#*:}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s -parallel 2 "./$$(dirname "$${found%:*}")" || failed=1; \
	done; exit $$failed

# The Python tools of the tests: the emulator, the AWS CLI, cfn-lint. Where they are missing, pip installs what
# e2e/requirements.txt names into .build/venv.
python:
	@python3 e2e/tools.py

# The Lambda binaries, the template and its roles on an independent emulator, driven by boto3 and the AWS CLI.
e2e: python
	python3 e2e/run.py

# The process of `tagboat serve`: killed at random moments through 200 releases (SEED decides the moments), its disk
# full, and signed webhooks at the machine's full rate, for 30 s while releases end, for 30 s while none does, and
# for 30 s by wrk, where that is installed.
ENDURE ?= 200
endure: python
	go test ./internal/cli -run 'TestLoad|TestServeOutlivesAFullDisk' -count=1 -v -load 30s
	ENDURE=$(ENDURE) python3 e2e/run.py test_serve.Serve.test_releases_survive_that_the_process_is_killed

# What each action of each role is for: takes it away and releases, and writes docs/permissions.md. Half an hour or more.
e2e-iam: python
	python3 e2e/iam_matrix.py

# ---- Functions: what SAM builds, and the same for other uses. ----

# SAM calls build-<LogicalId> with ARTIFACTS_DIR (template.yaml, BuildMethod: makefile).
FUNCTIONS := $(notdir $(patsubst %/main.go,%,$(wildcard functions/*/main.go)))
ARCH      ?= arm64
BUILD_DIR ?= .build/functions/$(ARCH)
BOOTSTRAP  = CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -tags lambda.norpc -trimpath -ldflags="-s -w" -o

build-%Function: override ARCH = arm64
build-%Function:
	$(BOOTSTRAP) "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(shell echo $* | tr A-Z a-z)

# All functions, as $(BUILD_DIR)/<function>/bootstrap; for the machine at hand: make functions ARCH=$(go env GOARCH)
.PHONY: functions $(FUNCTIONS:%=function-%)
functions: $(FUNCTIONS:%=function-%)
$(FUNCTIONS:%=function-%): function-%:
	$(BOOTSTRAP) "$(BUILD_DIR)/$*/bootstrap" ./functions/$*

# What installs the stack without Go, in .build/dist: a zip of each function, a template that names them, the other
# templates; and all of it as tagboat-stack_VERSION.zip. The same bytes from the same commit.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
.PHONY: dist
dist: override ARCH = arm64
dist: functions
	go run ./internal/dist -functions "$(BUILD_DIR)" -out .build/dist -version "$(VERSION)"

# Templates, definition and sizes, with the tools that check them.
.PHONY: templates
templates:
	CI=true go test -count=1 ./internal/templatetest/
