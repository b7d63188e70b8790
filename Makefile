# The two commands are `make demo` and `make test`; `make help` lists the rest.

.DEFAULT_GOAL := help
CARGO := cargo
GROUNDCREW = $${CARGO_TARGET_DIR:-target}/release/groundcrew
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

.PHONY: demo
demo: setup ## a fleet update on the simulated AWS, decided by a plugin
	@$(CARGO) build --release --package groundcrew
	@printf '\n$$ groundcrew check --config policies/priority.toml\n'
	@$(GROUNDCREW) check --config policies/priority.toml
	@printf '\n$$ groundcrew simulate --config policies/priority.toml --accounts 40\n'
	@$(GROUNDCREW) simulate --config policies/priority.toml --accounts 40

.PHONY: test
test: setup ## pass the tests
ifeq ($(NEXTEST),yes)
	@$(CARGO) test --workspace --doc --quiet
	@$(CARGO) nextest run --workspace
else
	@$(CARGO) test --workspace
endif

.PHONY: bench
bench: setup ## measure what docs/benchmarks.md states
	@./tests/bench.sh
