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

# Templates, definition and sizes, with the tools that check them.
.PHONY: templates
templates:
	CI=true go test ./internal/templatetest/
