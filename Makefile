# wengu. `make demo` and `make test` do all the set-up they need: Rust, a C compiler and Python with pip are enough.
# All that is downloaded goes into .deps/, all that is built into target/, all that the demo writes into .demo/.

CARGO ?= cargo
PYTHON ?= python3
export WENGU_REQUIRE_MODEL := 1

.PHONY: help setup build test deb deb-test lint fmt demo oracle bench-commit bench-encryption bench-ingest bench-learning bench-learning-quick bench-plugin bench-reader bench-restart bench-terms bench-train clean fuzz interop soak

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## libtorch 2.11.0 and the default model, pinned and verified, into .deps/
	@scripts/setup-libtorch
	@scripts/setup-model

build: setup ## every program and the bundled plugins
	$(CARGO) build --workspace --bins --lib

test: setup ## every test
	$(CARGO) build --workspace --bins --lib
	$(CARGO) test --workspace
	$(PYTHON) tests/bench/learning_test.py

soak: setup ## the long tests: promises of gate and drift alarms, 11,000 kills (WENGU_SOAK_KILLS), 200 power cuts, every refused operation
	$(CARGO) test --release -p wengu-decide --test promises -- --ignored --nocapture --test-threads=1
	WENGU_MUTATIONS=100000 $(CARGO) test -p wengu-trainer --test mutated -- --nocapture
	$(CARGO) test -p wengu --test alert_kills -- --ignored --nocapture
	$(CARGO) test -p wengu-store --test power --test refuse --test redb_processes -- --ignored --nocapture
	$(CARGO) build --workspace --bins --lib
	$(CARGO) test --workspace --test sweep -- --ignored --nocapture --test-threads=1 --skip random
	$(CARGO) build --release --workspace --bins --lib
	$(CARGO) test --release --workspace --test sweep random -- --ignored --nocapture

# The package's programs are built apart from all others, with the paths of this machine taken out of them.
CARGO_HOME ?= $(HOME)/.cargo
DEB_PATHS := $(CURDIR)=/usr/src/wengu $(CARGO_HOME)=/usr/src/cargo

deb: setup ## the Debian packages wengu and wengu-libtorch, into target/deb/ (a release build of its own: an hour on two cores)
	CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_TARGET_DIR=target/deb \
		RUSTFLAGS="$(DEB_PATHS:%=--remap-path-prefix=%)" \
		CFLAGS="$(DEB_PATHS:%=-ffile-prefix-map=%)" CXXFLAGS="$(DEB_PATHS:%=-ffile-prefix-map=%)" \
		$(CARGO) build --locked --release --workspace --bins --lib
	scripts/make-deb --programs target/deb/release --out target/deb

deb-test: build ## installs, runs, upgrades, removes and purges the packages in a Debian of its own (root, mmdebstrap, systemd-nspawn)
	@tests/package/run --programs target/debug; code=$$?; [ $$code -eq 77 ] || exit $$code

lint: setup ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt --all

demo: build ## the whole loop on real contract clauses and medical leaflets, in under six minutes
	@examples/demo/run

oracle: setup ## make the expected values of the golden tests again (transformers, PEFT, autograd; needs 3 GB)
	@tests/oracle/run

bench-train: setup ## training and prediction beside PEFT + transformers, in one run (installs them into .deps)
	@scripts/bench-train

ALL_LEARNING = --streams clause-types,five-tasks,drift,long,entity-types,instructions --orders 2 --seeds 3 --memory 0.09,0.05,0.02
bench-learning: setup ## what is learned and forgotten on streams of WENGU_DATA, beside other libraries (weeks; ARGS="--small" for less)
	@scripts/bench-learning $(or $(ARGS),$(ALL_LEARNING))

bench-learning-quick: setup ## the same in minutes, for every change: what wengu keeps of 12 clause types, beside naive and joint training
	rm -rf target/bench-learning/quick-*
	@scripts/bench-learning --quick --jobs 2 --methods "naive,joint (all data),wengu,wengu (no old text)" --at-least 80

bench-commit: ## durable commits a second, against the disk's own fsync
	$(CARGO) run --release -p wengu-store --example bench_commit

bench-ingest: ## files a second and idle costs of the daemon, NUMBER small files (100,000), beside bare copies and fsyncs (ARGS="--large-mib 500")
	@scripts/bench-ingest $(ARGS)

bench-encryption: ## what a key costs where files are taken in, NUMBER small ones (100,000), with and without it in turns
	@scripts/bench-ingest --encryption $(ARGS)

bench-plugin: setup ## what a plugin's process costs for each document, beside tokenization
	$(CARGO) build --release -p wengu-plugin-host -p wengu-plugin-legal-en
	$(CARGO) run --release -p wengu-plugin-host --example bench_hop -- target/release/wengu-plugin-host \
		target/release/libwengu_plugin_legal_en.so plugins/legal-en/manifest.toml \
		examples/demo/contracts/2-new-clause-types/clauses.jsonl .deps/models/all-MiniLM-L6-v2

bench-restart: ## from a daemon's start to its readiness with 100,000 known files, beside the bare reading of the same bytes (ARGS="1000000 sled")
	$(CARGO) build --release -p wengu --bin wengu
	$(CARGO) run --release -p wengu-store --example bench_restart -- target/release/wengu $(ARGS)

bench-reader: ## what a process for each document costs, for every sample
	$(CARGO) build --release -p wengu-reader
	$(CARGO) run --release -p wengu-reader --example bench_documents -- target/release/wengu-reader daemon/reader/test-data

bench-terms: setup ## tokens per document with and without terms as tokens, on the sets in WENGU_DATA
	@scripts/bench-terms

fuzz: ## TARGET (all of them) for SECONDS (60) each, with nightly; the corpus is run by `make test` too
	@scripts/fuzz $(or $(TARGET),all) $(or $(SECONDS),60)

interop: ## alerts on a real Alertmanager, signatures by the public Python and JavaScript packages (into .deps)
	@tests/interop/run

clean: ## what was built and what the demo wrote; .deps/ stays
	$(CARGO) clean
	rm -rf .demo
