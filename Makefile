# trio_runner: `make demo` shows it working, `make test` proves it. Both need only Python >= 3.11 and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first interpreter that is 3.11 or newer; override with `make PYTHON=/path/to/python test`.
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$candidate; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BOOTSTRAP := .venvs/bootstrap
UV := $(BOOTSTRAP)/bin/uv
VERSIONS := 3.11 3.12 3.13

.PHONY: help demo test soak test-all check lint types bench docs redteam-table lock clean install

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: $(STAMP) ## set up .venv from the lock file

demo: $(STAMP) ## run real work through a broker and a runner on this machine
	@$(BIN)/python -I -m trio_runner demo

test: $(STAMP) ## the whole test suite on one Python
	$(BIN)/python -m pytest

soak: $(STAMP) ## ten thousand tasks, and half a gigabyte of payload: about two minutes
	$(BIN)/python -m pytest -m soak

test-all: $(UV) ## the test suite on every Python from 3.11 to 3.13 found on this machine
	@set -e; ran=0; for version in $(VERSIONS); do \
		python=; for candidate in python$$version \
			$${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python \
			$$HOME/.local/share/uv/python/cpython-$$version.*/bin/python3; do \
			if $$candidate -c 'import sys' >/dev/null 2>&1; then python=$$(command -v $$candidate); break; fi; \
		done; \
		if test -z "$$python"; then echo "== Python $$version: not found, left out"; continue; fi; \
		echo "== Python $$version: $$python"; \
		$(MAKE) --no-print-directory PYTHON="$$python" VENV=.venvs/$$version test; ran=$$((ran + 1)); \
	done; echo "== $$ran Python version(s) tested"; test $$ran -gt 0

check: lint types test ## lint, strict types and every test

lint: $(STAMP) ## ruff, and flake8-async over what is async
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	grep -rlZE --include='*.py' '\basync (def|with|for)\b' trio_runner tests examples bench | xargs -0 -P 2 -n 60 $(BIN)/flake8-async --enable=ASYNC --disable=ASYNC9,ASYNC114,ASYNC124,ASYNC128

types: $(STAMP) ## strict mypy over package, tests and examples
	$(BIN)/mypy

bench: $(STAMP) ## measure speed against the ceilings of this machine, about eight minutes
	$(BIN)/python -m bench

docs: $(STAMP) ## write docs/settings.md and docs/metrics.md from the code
	$(BIN)/python -m trio_runner.service.settings.documentation >docs/settings.md
	$(BIN)/python -m trio_runner.service.metrics.documentation >docs/metrics.md

redteam-table: $(STAMP) ## which attacks come through with one wall down at a time, about ten minutes
	$(BIN)/python -B -m tests.redteam.table

lock: $(UV) ## renew requirements.lock from pyproject.toml
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--extra dev --upgrade --quiet pyproject.toml -o requirements.lock
	echo uv | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --upgrade --quiet - -o requirements-bootstrap.lock

clean: ## remove what the targets made
	rm -rf .venv .venvs .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

$(UV): requirements-bootstrap.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(BOOTSTRAP)
	@$(BOOTSTRAP)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@touch $@

$(STAMP): requirements.lock pyproject.toml | $(UV)
	@echo "Setting up $(VENV) from requirements.lock"
	@$(UV) venv --quiet --allow-existing --no-python-downloads --python "$(PYTHON)" $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
