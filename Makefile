# Every target sets up what it needs in .venv; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Not compiled: Python does that itself with the few modules that are used, which takes half the time.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile --editable
SHOW_NAMES := awk '/^Collecting/ {printf " %s", $$2; fflush()} END {print ""}'

.PHONY: help run stop test lint venv soak bench clean

help:
	@echo "make run    a local cluster with the product in it, and a first function called"
	@echo "make stop   stop it; functions are kept for the next start"
	@echo "make test   all tests (PYTEST_ARGS='tests/kubeless -k handler' for some)"
	@echo "make lint   format, lint, types, and who may import what"
	@echo "make soak   the long forms of the tests that kill and change things at random"
	@echo "make bench  what docs/performance.md says, measured anew"
	@echo "make clean  stop, and delete the cluster's data and .venv"

run: $(VENV)/.installed-run
	@$(BIN)/python -m kubeless.cli.local run

stop:
	@test ! -x $(BIN)/python || $(BIN)/python -m kubeless.cli.local stop

venv: $(VENV)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "error: the venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing into .venv what running needs (once; about half a minute):"
	@$(PIP_INSTALL) ".[runtime,controller,local]" | $(SHOW_NAMES)
	@touch $@

$(VENV)/.installed-dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing into .venv what tests and linters need (once; about a minute):"
	@$(PIP_INSTALL) ".[dev]" | $(SHOW_NAMES)
	@touch $@ $(VENV)/.installed-run

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy localcluster runtimes kubeless controller
	$(BIN)/lint-imports

test: venv
	$(BIN)/pytest $(PYTEST_ARGS)

soak: venv
	SOAK_KILLS=50 SOAK_CHANGES=3600 $(BIN)/pytest -s tests/localcluster/test_crashes.py tests/localcluster/test_kopf_operator.py \
		tests/localcluster/node/test_node.py

bench: venv
	$(BIN)/python -m benchmarks.localcluster
	$(BIN)/python -m benchmarks.controller

clean: stop
	rm -rf .localcluster $(VENV)
