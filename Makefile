# One command from a fresh clone: every target first sets up .venv, and only when something changed.
#
#   make setup     make run      make run LAB=week1 ARGS="seed=1"
#   make test      make lint     make ui
#   make test PYTEST_ARGS="tests/project -x"
#   make bench     make bench BENCHES=seeds ARGS="week5 --metric test/acc"
#
# On Windows, see README.md for the same commands without make.

PYTHON ?= python3
LAB ?= week5
ARGS ?=
BENCHES ?= loader
PYTEST_ARGS ?=
# Processes among which the tests' files are divided: one for each core, each takes about 1 GB.
WORKERS ?= logical

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := train,tabular,text,vision,ray,dev

.DEFAULT_GOAL := help
.PHONY: help setup run test bench ui lint

help:
	@sed -n 's/^#  *make/make/p' Makefile

setup: $(READY)

# The stamp: newer than what it was installed from, so the next `make` starts at once.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "labs needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is `$(PYTHON) --version 2>&1`." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): some minutes the first time."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

run: $(READY)
	$(BIN)/python -m labs run $(LAB) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	  $(PYTEST_ARGS)

bench: $(READY)
	@for name in $(BENCHES); do $(BIN)/python -m bench.$$name $(ARGS) || exit 1; done

ui: $(READY)
	$(BIN)/python -m labs ui $(ARGS)

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
