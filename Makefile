# Names for commands; no logic. `make demo` and `make test` are all a newcomer needs.

CARGO ?= cargo
TOOLS := target/tools
DENY := $(TOOLS)/bin/cargo-deny
SCHEMATHESIS := $(TOOLS)/schemathesis/bin/schemathesis
BINARIES := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test fmt lint deny unit doc browser bench bench-parts instructions pages bench-e2e bench-tools bench-report \
	proof proof-faults power sync-eio clock sim hostile endure fuzz mutants advisories proof-report acme deploy package alerts proxies api clean

demo: ## build, run the main job against emulators, show where to look
	$(CARGO) run --release --locked -- demo $(DEMO)

test: fmt lint unit instructions pages doc deny ## everything CI runs

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --all-features -- -D warnings

unit:
	$(CARGO) test --locked
	$(CARGO) test --locked --all-features --lib cli::traces

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --quiet

deny: $(DENY)
	$(DENY) --all-features check bans licenses sources

$(DENY):
	$(CARGO) install --locked --root $(TOOLS) --version 0.20.2 cargo-deny

browser: ## the console in a real browser; pictures below target/browser/screenshots
	$(CARGO) build --locked
	node tests/browser/run.mjs $(BROWSER)

bench: bench-parts bench-e2e ## what it costs: an hour and a half on a machine that does nothing else

bench-parts: ## criterion, and instructions of the optimised build; figures for a commit message
	$(CARGO) bench --locked --bench hot_path --bench log
	$(CARGO) bench --locked --bench instructions $(COUNTED) -- --build=release $(COUNT)

# Dev profile: what `unit` has built. The script says so where there is no valgrind.
COUNTED := --config "target.'cfg(all())'.runner = 'benches/instructions.py'"

instructions: ## what each part of the hot path costs, held against benches/instructions.json
	@command -v python3 >/dev/null || { echo "no python3: instructions are not counted"; exit 0; }; \
	$(CARGO) bench --locked --profile dev --bench instructions $(COUNTED) -- $(COUNT)

pages: ## docs/proof.md is what its figures say
	@command -v python3 >/dev/null || { echo "no python3: docs/proof.md is not made again"; exit 0; }; tests/proof/report.py --check

bench-e2e: bench-tools ## the gateway beside other systems; BENCH=--quick is a look of three minutes
	$(CARGO) build --release --locked
	HOOKFAN_BIN=$(abspath $(BINARIES))/release/hookfan benches/e2e/run.py \
	--bin $(BINARIES)/bench/loadkit/release --out $(BINARIES)/bench $(BENCH)

bench-tools: ## what measures, and the proof that it counts exactly
	$(CARGO) build --release --locked --manifest-path benches/e2e/loadkit/Cargo.toml --target-dir $(BINARIES)/bench/loadkit
	LOADKIT_BIN=$(BINARIES)/bench/loadkit/release benches/e2e/selftest.sh

bench-report: ## docs/performance.md from what `make bench` measured last
	benches/e2e/run.py --report $(BINARIES)/bench/results.json

api: $(SCHEMATHESIS) ## every endpoint of the admin API with whatever a generator thinks of
	$(CARGO) build --locked
	$(dir $(SCHEMATHESIS))python tests/api.py $(BINARIES)/debug/hookfan $(abspath $(SCHEMATHESIS)) $(EXAMPLES)

$(SCHEMATHESIS):
	@python3 -m venv --help >/dev/null 2>&1 || { echo "make api needs python3 with venv (and PyPI, for schemathesis)"; exit 1; }
	python3 -m venv $(TOOLS)/schemathesis
	$(TOOLS)/schemathesis/bin/pip install --quiet schemathesis==4.32.5

# Where the long proofs leave their figures; `proof-report` makes docs/proof.md of them.
PROOF := $(abspath $(BINARIES))/proof
PROVING := HOOKFAN_PROOF_DIR=$(PROOF) HOOKFAN_COMMIT=$$(git describe --always --dirty 2>/dev/null || echo unknown)

proof: ## the long forms, one after the other: a night (as root, for the power cuts)
	$(MAKE) proof-faults hostile endure fuzz advisories
	$(MAKE) power FS=ext4 CUTS=2000
	$(MAKE) power FS=xfs CUTS=500
	$(MAKE) power FS=ext4 CUTS=60 TWIN=skip
	$(MAKE) sync-eio
	$(MAKE) sync-eio ROUNDS=1 TWIN=retry
	$(MAKE) clock
	$(MAKE) sim SEEDS=100000
	$(MAKE) mutants

proof-faults: ## the fault tests in their long forms: two hours or so; PROVE=faults::kill is one of them
	$(PROVING) HOOKFAN_KILL_CYCLES=1000 HOOKFAN_STOP_CYCLES=100 HOOKFAN_ORDER_ROOMS=10000 HOOKFAN_ORDER_EVENTS=100 \
	HOOKFAN_DISK_CYCLES=100 HOOKFAN_ISOLATION_RATE_EVENTS=20000 HOOKFAN_LANES_EVENTS=3000 HOOKFAN_BACKLOG_EVENTS=1000000 \
	HOOKFAN_FANOUT_EVENTS=10000 HOOKFAN_DEAD_LETTERS=100000 HOOKFAN_RELOADS=1000 HOOKFAN_ROTATIONS=500 \
	HOOKFAN_STRANGERS=2000 HOOKFAN_SERIES=100000 HOOKFAN_DIXA_USERS=200 HOOKFAN_DIXA_MESSAGES=20 HOOKFAN_DIXA_RATE=2000 \
	HOOKFAN_QUIQ_CONVERSATIONS=500 HOOKFAN_QUIQ_MESSAGES=50 HOOKFAN_BRIDGE_MESSAGES=1000 \
	$(CARGO) test --release --locked --test suite -- $(or $(PROVE),faults e2e::bridge) --test-threads=1 --nocapture
	$(if $(PROVE),,$(PROVING) HOOKFAN_OUTAGE_EVENTS=1000000 $(CARGO) test --release --locked --lib -- deliver::day --nocapture)

power: ## power cuts under the real gateway, on ext4, XFS or btrfs (as root; needs Debian packages, and says which)
	$(CARGO) build --release --locked
	$(PROVING) $(RELEASED) tests/power/power cuts --fs $(or $(FS),ext4) --cuts $(or $(CUTS),200) $(if $(TWIN),--twin $(TWIN)) $(if $(SEED),--seed $(SEED))

sync-eio: ## a disk that fails once, on ext4, XFS and btrfs (the same needs)
	$(CARGO) build --release --locked
	$(PROVING) $(RELEASED) tests/power/power eio --rounds $(or $(ROUNDS),5) $(if $(TWIN),--twin $(TWIN)) $(if $(SEED),--seed $(SEED))

clock: ## the wall clock leaps by years and hours under load (needs the Debian package faketime)
	$(CARGO) build --release --locked
	$(PROVING) $(RELEASED) tests/power/power clock

RELEASED := HOOKFAN_BINARY=$(BINARIES)/release/hookfan

hostile: ## strangers with the tools of others: six minutes (Debian's slowhttptest, nginx, haproxy)
	$(CARGO) build --release --locked
	$(PROVING) tests/proof/hostile.py $(BINARIES)/release/hookfan smuggling
	$(PROVING) tests/proof/hostile.py $(BINARIES)/release/hookfan slow

endure: bench-tools ## an hour of everything at once, and ten minutes in 256 MiB (the latter as root)
	$(CARGO) build --release --locked
	$(PROVING) tests/proof/endure.py $(BINARIES)/release/hookfan $(BINARIES)/bench/loadkit/release soak $(SOAK)
	$(PROVING) tests/proof/endure.py $(BINARIES)/release/hookfan $(BINARIES)/bench/loadkit/release crowded

fuzz: ## bytes of anybody for every reader, a minute each (cargo-fuzz; FUZZ="--seconds 3600")
	$(PROVING) tests/fuzz/run.py $(FUZZ)

mutants: ## one change at a time where nothing may be wrong, and a test must notice: an hour (cargo-mutants)
	$(PROVING) tests/proof/mutants.py $(MUTANTS)

advisories: $(DENY) ## every dependency against RustSec's advisories; ADVISORIES=folder of a stored clone, else it is fetched
	$(PROVING) tests/proof/advisories.py $(DENY) $(ADVISORIES)

proof-report: ## docs/proof.md from what the proofs found last
	tests/proof/report.py --collect $(PROOF)

SEEDS ?= 100000
sim: ## the simulation over SEEDS seeds; its figures below target/proof
	$(PROVING) HOOKFAN_SIM_SEEDS=$(SEEDS) HOOKFAN_SIM_THREADS=$(or $(THREADS),1) \
	$(CARGO) test --release --locked --lib -- sim::run::over_any --nocapture

acme: ## certificates from Let's Encrypt's test server on loopback; needs pebble (apt-get install pebble)
	$(CARGO) build --locked
	tests/acme/pebble.sh "$${CARGO_TARGET_DIR:-target}/debug/hookfan"

# What is deployed. Each says which Debian packages it needs; none is part of `test`.
BUILT := HOOKFAN_BINARY=$${CARGO_TARGET_DIR:-target}/debug/hookfan

deploy: ## what tools can say about deploy/ without running it
	$(CARGO) build --locked
	$(BUILT) tests/deploy/check

package: ## builds the Debian package twice; installs, upgrades, removes, purges it in a root of its own (as root)
	HOOKFAN_REVISION=2 deploy/debian/build
	deploy/debian/build
	tests/deploy/package

alerts: ## every alert fires once, in a real Prometheus; two minutes
	$(CARGO) build --locked
	$(BUILT) tests/deploy/alerts

proxies: ## nginx and Caddy in front of a real gateway
	$(CARGO) build --locked
	$(BUILT) tests/deploy/proxies

clean:
	$(CARGO) clean
