# Every command of the project; CI calls the same ones. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
BENCH := .venv-bench
MANIFEST := dbt_project/target/manifest.json
SOURCES := dealer_assets streaming dealer_assets_tests
# Tests are compiled anew wherever bytecode may not be written, which takes longer than many of them
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile
# Temporary files in memory where there is room: a disk makes every commit wait. The chaos suite waits
IN_MEMORY = $(shell [ "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 1048576 ] 2>/dev/null && echo PYTEST_DEBUG_TEMPROOT=/dev/shm)

export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(STAMP) $(MANIFEST) ## Make the virtual environment from the hash-pinned lock

# uv installs 230 packages in a fifth of pip's time; it comes from the lock itself, by hash.
# Bytecode is compiled here once: processes start three times as fast, and CI disables writing it.
$(STAMP): requirements.lock pyproject.toml
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@UV_COMPILE_BYTECODE=1 $(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable . \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q dealer_assets streaming
	@$(BIN)/python -m dealer_assets.domain.kernels.warm
	@touch $@

$(MANIFEST): $(STAMP) $(shell find dbt_project -path dbt_project/target -prune -o -path dbt_project/logs -prune -o \( -name '*.sql' -o -name '*.yml' -o -name '*.md' \) -print)
	@cd dbt_project && ../$(BIN)/dbt --quiet parse --profiles-dir . && touch target/manifest.json

.PHONY: demo
demo: setup ## Run ten simulated sessions through everything, offline, and report
	@$(BIN)/dealer demo

.PHONY: dev
dev: setup ## Open the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/python -m dealer_assets.dev_server

.PHONY: test
test: setup ## Run the tests, all but the chaos suite
	@$(IN_MEMORY) $(PYTEST) -m "not chaos"

.PHONY: chaos
chaos: setup ## Run the chaos suite: kills, faults and outages by the dozen
	@$(PYTEST) -m chaos

.PHONY: format
format: setup ## Format the code
	@$(BIN)/ruff format $(SOURCES) && $(BIN)/ruff check --fix $(SOURCES)

.PHONY: lint
lint: setup ## Check format and style
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)

.PHONY: types
types: setup ## Check types (mypy strict)
	@$(BIN)/mypy

.PHONY: arch
arch: setup ## Check the import contracts
	@$(BIN)/lint-imports --no-cache

.PHONY: defs
defs: setup ## Check that both code locations load
	@DAGSTER_HOME="$$($(BIN)/python -m dealer_assets.runner)" \
	  $(BIN)/dagster definitions validate --workspace workspace.yaml

.PHONY: dbt
dbt: setup ## Parse, build and test the marts over two simulated sessions in a scratch folder
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	DEALER_DATA_DIR="$$scratch" DAGSTER_HOME="$$scratch/dagster" DEALER_SIMULATOR_DENSITY=0.2 \
	  $(BIN)/dealer demo --sessions 2

.PHONY: docs
docs: setup ## Write the generated docs
	@$(BIN)/dealer tables --markdown > docs/tables.md

.PHONY: bench
bench: $(BENCH)/.ready ## Measure against the peers, write docs/benchmarks.md (BENCH_OPTIONS='--quick --only iv')
	@$(BENCH)/bin/python -m dealer_assets_tests.bench $(BENCH_OPTIONS)

# The peers stay out of the project's own environment: none of them is a dependency
$(BENCH)/.ready: $(STAMP) requirements-bench.lock
	@echo "setting up $(BENCH)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	@UV_COMPILE_BYTECODE=1 $(BIN)/uv pip sync --quiet --require-hashes --python $(BENCH)/bin/python requirements-bench.lock
	@touch $@

.PHONY: bench-ticks
bench-ticks: setup ## Measure thirty ticks of the minute schedule (half an hour)
	@$(BIN)/python dealer_assets_tests/bench/minute_ticks.py 30

.PHONY: bench-stream
bench-stream: setup ## Measure a whole session replayed (BENCH_OPTIONS='--soak 3': minutes of load instead)
	@$(BIN)/python -m dealer_assets_tests.bench.stream_day $(BENCH_OPTIONS)

.PHONY: pictures
pictures: setup ## Take the docs' pictures of the UI (needs Debian's chromium and `make dev`)
	@test -x /usr/bin/chromium || { apt-get update -qq && apt-get install -y -qq chromium; }
	@$(BIN)/python dealer_assets_tests/reference/make_screenshots.py

.PHONY: calendars
calendars: setup ## Write the New York session table anew from exchange_calendars
	@$(BIN)/python dealer_assets_tests/reference/make_us_sessions.py

.PHONY: lock
lock: $(STAMP) ## Resolve requirements.lock anew
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --output-file requirements.lock

.PHONY: bench-lock
bench-lock: $(STAMP) ## Resolve requirements-bench.lock anew, shared packages as in requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra bench --constraints requirements.lock --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --quiet --output-file requirements-bench.lock

.PHONY: ci
ci: lint types arch defs dbt test chaos ## Everything CI checks, tests last

.PHONY: clean
clean: ## Remove the environment and everything generated, not the data
	@rm -rf $(VENV) .venv-bench dbt_project/target .mypy_cache .ruff_cache .pytest_cache
