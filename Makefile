# The two commands most people need: `make run` and `make test`.
# Everything is installed into .venv from hashed lock files; nothing else on the machine changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
UV_COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet \
	--custom-compile-command "make lock"

.PHONY: help run test test-browser test-privileged fuzz openapi check check-compose bench bench-engine bench-service bench-throughput bench-feed bench-stalled bench-interrupts bench-webhooks soak lock format clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.run-ready: requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Preparing $(VENV) (the first time takes about a minute) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --require-hashes -r requirements/run.lock
	@$(PIP) --no-build-isolation --editable .
	@touch $@

# Compiled once for this computer; loaded from then on. Only what has changed is compiled again.
$(VENV)/.kernels-ready: $(VENV)/.run-ready $(wildcard optimized_tsp/solvers/tsp/*.py optimized_tsp/solvers/tsp/*/*.py)
	@$(BIN)/python -m optimized_tsp.solvers.tsp.compile_kernels
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready requirements/dev.lock
	@echo "Adding the development tools to $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

# --parent: should make be killed, everything it started stops too.
run: $(VENV)/.kernels-ready  ## Start everything, solve the bundled example live, keep serving.
	@exec $(BIN)/optimized-tsp up --demo --parent $$PPID

test: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Run the test suite against servers it starts itself.
	@exec $(BIN)/python -m tests.halves $(ARGS)

test-browser: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Run the tests that need Chromium.
	@exec $(BIN)/python -m pytest -m browser

test-privileged: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Run the tests that need root.
	@exec $(BIN)/python -m pytest -m privileged

fuzz: $(VENV)/.dev-ready  ## Call a service 20,000 times with generated requests (ARGS="--cases N --seed N").
	@exec $(BIN)/python -m tests.api.contract $(ARGS)

# Parts: the engines against the truth, a mix of faults, long outages, a full machine. The first that fails ends it.
soak: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Test for hours what `make test` tests in minutes: solvers, then faults.
	@$(BIN)/python -m tests.solvers.tsp.soak
	@$(BIN)/python -m tests.faults.mix --seeds 1 2 3 --jobs 2000 --faults 300
	@$(BIN)/python -m tests.faults.outages
	@$(BIN)/python -m tests.faults.saturation --minutes 30
	@$(BIN)/python -m tests.faults.versions

openapi: $(VENV)/.dev-ready  ## Write the agreed OpenAPI document anew (tests/api/openapi.json).
	@exec $(BIN)/python -m tests.api.openapi_snapshot

check-compose:  ## Build and start the containers and check them; needs Docker.
	@exec $(PYTHON) -m deploy.compose_check

check: $(VENV)/.dev-ready  ## Check format, lint, types, layers and migrations.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy optimized_tsp tests benchmarks deploy docs/examples
	$(BIN)/lint-imports
	$(BIN)/python -m tests.with_servers $(BIN)/alembic check

bench: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure the solvers (DIR=folder of TSPLIB files).
	@exec $(BIN)/python -m benchmarks.solvers $(DIR)

bench-engine: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure the engine beside others on TSPLIB files (DIR=folder ARGS="--limit 45 ...").
	@test -n "$(DIR)" || { echo "Say where the .tsp files and optima.csv are: make bench-engine DIR=folder"; exit 2; }
	@exec $(BIN)/python -m benchmarks.engine $(DIR) $(ARGS)

bench-service: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure the service: submission to notification.
	@exec $(BIN)/python -m benchmarks.service

bench-throughput: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure how much the service takes: submissions, drain, lists, idle.
	@exec $(BIN)/python -m benchmarks.throughput $(ARGS)

bench-feed: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure the feed with 10,000 clients (ARGS="--restart" kills the API).
	@exec $(BIN)/python -m benchmarks.feed $(ARGS)

bench-stalled: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure what clients of the feed that stopped reading cost others.
	@exec $(BIN)/python -m benchmarks.stalled $(ARGS)

bench-interrupts: $(VENV)/.dev-ready $(VENV)/.kernels-ready  ## Measure how fast a solve is cancelled, and rescued after kill -9.
	@exec $(BIN)/python -m benchmarks.interrupts $(ARGS)

bench-webhooks: $(VENV)/.dev-ready  ## Measure webhooks: what a dead receiver costs the others.
	@exec $(BIN)/python -m benchmarks.webhooks $(ARGS)

lock: $(VENV)/.dev-ready  ## Resolve the dependencies anew into requirements/*.lock.
	$(UV_COMPILE) --upgrade pyproject.toml --extra embedded --extra tracing --extra build --output-file requirements/run.lock
	$(UV_COMPILE) --upgrade pyproject.toml --extra embedded --extra tracing --extra build --extra dev --constraint requirements/run.lock --output-file requirements/dev.lock
	$(UV_COMPILE) --upgrade pyproject.toml --extra tracing --constraint requirements/run.lock --output-file requirements/service.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' | \
		$(UV_COMPILE) --upgrade - --constraint requirements/run.lock --output-file requirements/build.lock

format: $(VENV)/.dev-ready  ## Bring the code into form.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## Remove the environment and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
