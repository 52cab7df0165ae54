# Two commands do everything on a fresh machine with rustup: `make demo` and `make test`.

CARGO ?= cargo
RUSTUP ?= rustup
GUEST_TARGETS := wasm32-wasip1 wasm32-wasip2
# A build directory shared by several checkouts is honoured: set CARGO_TARGET_DIR.
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
DEMO_FLAGS ?=

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: targets
targets: ## Add the WebAssembly targets that guests are built for
	@for target in $(GUEST_TARGETS); do \
	  test -d "$$(rustc --print sysroot)/lib/rustlib/$$target/lib" \
	    || $(RUSTUP) target add "$$target"; \
	done

.PHONY: examples
examples: targets ## Build the examples (real guests)
	$(CARGO) build --manifest-path examples/Cargo.toml --release --locked --target wasm32-wasip2 --workspace --exclude countdown
	$(CARGO) build --manifest-path examples/Cargo.toml --release --locked --target wasm32-wasip1 --package countdown

.PHONY: release
release: examples ## Build the release binary, with the examples inside for `coracle demo`
	$(CARGO) build --release --locked

.PHONY: demo
demo: release ## Run the main job in one go
	$(CARGO_TARGET_DIR)/release/coracle demo $(DEMO_FLAGS)

.PHONY: test
test: examples ## Set up everything that the tests need, then run all tests
	$(CARGO) test --locked --workspace --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	  then $(CARGO) nextest run --locked --workspace --no-fail-fast; \
	  else $(CARGO) test --locked --workspace --no-fail-fast --lib --bins --tests; fi

# The recorded answers are kept beside the repository and not in it.
REFERENCE ?= ../shared/reference

.PHONY: test-reference
test-reference: release ## Compare the API with the recorded answers of a real server
	tests/reference.sh $(CARGO_TARGET_DIR)/release/coracle $(REFERENCE)

# Which kubectl programs: KUBECTLS="kubectl.1.27 kubectl.1.33"; which clients: CLIENTS="kubectl python".
CLIENTS ?= kubectl python node
.PHONY: test-clients
test-clients: release ## Run batteries of kubectl, the Python and the Node client, fetched from their registries
	tests/clients/run.sh $(CARGO_TARGET_DIR)/release/coracle $(CARGO_TARGET_DIR)/wasm32-wasip2/release/hello_http.wasm $(CLIENTS)

.PHONY: lint
lint: ## Formatting and lints, as CI checks them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

SECONDS ?= 60
.PHONY: fuzz
fuzz: ## Throw damaged input at everything that reads what strangers send, for SECONDS
	$(CARGO) run --locked --package coracle-control-apiserver --example fuzz -- $(SECONDS)

.PHONY: bench
bench: release ## Print the figures of the benches
	$(CARGO) bench --locked --workspace
