# The two commands are `make demo` and `make test`; `make help` lists the rest.

.DEFAULT_GOAL := help
CARGO := cargo
GROUNDCREW = $${CARGO_TARGET_DIR:-target}/release/groundcrew
# What builds the image and runs it; Debian's names.
CONTAINERS := buildah podman runc
# Tests run by nextest where it is installed, otherwise by cargo itself.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1: /'

# Plugins are compiled to WebAssembly: with rustup this adds the target if it is missing.
.PHONY: setup
setup:
	@command -v $(CARGO) >/dev/null || { \
		echo "groundcrew needs Rust: install rustup from https://rustup.rs, then run this again" >&2; \
		exit 1; \
	}
	@! command -v rustup >/dev/null \
		|| rustup target list --installed | grep -qx wasm32-wasip2 \
		|| rustup target add wasm32-wasip2

# Tests also run against software in Python, in environments of their own. Debian has venv in a
# package of its own.
.PHONY: interop
interop: .venv/installed .venv-ministack/installed .venv-lint/installed

.venv/installed: tests/requirements.txt
.venv-ministack/installed: tests/requirements-ministack.txt
.venv-lint/installed: tests/requirements-lint.txt
.venv/installed .venv-ministack/installed .venv-lint/installed:
	@echo "installing $< into $(@D)"
	@python3 -m venv $(@D) 2>/dev/null || { \
		apt-get install --yes --quiet python3-venv >/dev/null && python3 -m venv $(@D); \
	} || { echo "the tests need Python 3 with venv: install python3-venv" >&2; exit 1; }
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: demo
demo: setup ## a fleet update and an onboarding on the simulated AWS, decided by plugins
	@$(CARGO) build --release --package groundcrew
	@printf '\n$$ groundcrew check --config policies/priority.toml\n'
	@$(GROUNDCREW) check --config policies/priority.toml
	@printf '\n$$ groundcrew simulate --config policies/priority.toml --accounts 40\n'
	@$(GROUNDCREW) simulate --config policies/priority.toml --accounts 40
	@printf '\n$$ groundcrew simulate --config policies/ams-onboarding.toml --accounts 3 \\\n'
	@printf '      --event tests/events/create-managed-account-succeeded.json\n'
	@$(GROUNDCREW) simulate --config policies/ams-onboarding.toml --accounts 3 \
		--event tests/events/create-managed-account-succeeded.json

# Where containers can't be run, everything but the image is tested.
.PHONY: containers
containers:
	@(for tool in $(CONTAINERS); do command -v $$tool >/dev/null || exit 1; done) \
		|| { apt-get update && apt-get install --yes --no-install-recommends $(CONTAINERS); } \
			>/dev/null 2>&1 \
		|| echo "without $(CONTAINERS) the image is not tested"

.PHONY: test
test: setup interop containers ## pass the tests
ifeq ($(NEXTEST),yes)
	@$(CARGO) test --workspace --doc --quiet
	@$(CARGO) nextest run --workspace
else
	@$(CARGO) test --workspace
endif

SEEDS ?= 1000
.PHONY: soak
soak: setup ## run SEEDS seeds of fleet updates in which everything goes wrong
	@GROUNDCREW_SEEDS=$(SEEDS) $(CARGO) test --package groundcrew-engine --test soak

.PHONY: chaos
chaos: setup interop ## ten minutes of two hosts that are killed behind proxies that break: SECONDS, ACCOUNTS, SEED
	@GROUNDCREW_CHAOS_SECONDS=$(or $(SECONDS),600) GROUNDCREW_CHAOS_ACCOUNTS=$(or $(ACCOUNTS),200) \
		GROUNDCREW_CHAOS_SEED=$(or $(SEED),1) $(CARGO) test --package groundcrew --test chaos -- --nocapture

.PHONY: mutants
mutants: setup ## change the code in one place at a time, which a test must catch
	@python3 tests/mutants/run.py $(if $(ONLY),--only '$(ONLY)')

.PHONY: cycles
cycles: ## count the source files that depend on each other, by crate
	@python3 tests/cycles.py $(wildcard host/*)

.PHONY: bench
bench: setup ## measure what docs/benchmarks.md states
	@./tests/bench.sh
