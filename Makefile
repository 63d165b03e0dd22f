# The two commands most people need: `make run` and `make test`.
# Everything is installed into .venv from hashed lock files; nothing else on the machine changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet \
	--custom-compile-command "make lock"

.PHONY: help run test check bench bench-service lock format clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.run-ready: requirements/run.lock pyproject.toml
	@echo "Preparing $(VENV) (first time: about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready requirements/dev.lock
	@echo "Adding the development tools to $(VENV) ..."
	@$(PIP) -r requirements/dev.lock
	@touch $@

run: $(VENV)/.run-ready  ## Start everything, solve the bundled example live, keep serving.
	@exec $(BIN)/optimized-tsp up --demo

test: $(VENV)/.dev-ready  ## Run the test suite against servers it starts itself.
	@exec $(BIN)/python -m pytest

lock: $(VENV)/.dev-ready  ## Resolve the dependencies anew into requirements/*.lock.
	$(UV_COMPILE) --upgrade --extra embedded --extra build --output-file requirements/run.lock
	$(UV_COMPILE) --upgrade --extra embedded --extra build --extra dev --constraint requirements/run.lock --output-file requirements/dev.lock

clean:  ## Remove the environment and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
