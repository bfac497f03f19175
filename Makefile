# One command each; `make` alone lists them.
#
# Needs Python 3.11 or newer and nothing else. The environment is made in .venv, by uv where it is
# on PATH, else by venv and pip, and is installed again only when pyproject.toml changes.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Interpreters to try, in this order: `make PYTHON=/opt/python/bin/python3 run`. uv chooses itself.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11

# A process for each core runs whole files of tests.
BESIDE := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
    --benchmark-disable

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup check test bench run clean

help: ## List these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: $(STAMPS)/dev ## Make the environment for development: all that the commands below need
	@touch $(STAMPS)/{replay,test,check,bench}

check: $(STAMPS)/check ## Formatting, lint, types, import rules: seconds
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMPS)/test ## The whole suite: compiled, with bounds checks, interpreted
	@echo "== compiling twice, with and without bounds checks: minutes if nothing is in the cache"
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m engine.warmup stages & checked=$$!; \
	    $(BIN)/python -m engine.warmup && wait $$checked
	@echo "== tests 1/3: everything but the second part, compiled"
	$(BIN)/python -m pytest $(BESIDE) -m "not thorough"
	@echo "== tests 2/3: what leads the stages through all that they do, with bounds checks"
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest $(BESIDE) -m thorough
	@echo "== tests 3/3: tests of kernels, interpreted"
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest $(BESIDE) -m interpreted

# DATA=folder: also the workloads of the public matching engine challenge.
bench: $(STAMPS)/bench ## Measure here, beside peers, and write benchmarks/RESULTS.md: 12 minutes
	$(BIN)/python -m benchmarks.report $(if $(DATA),--data $(DATA))

run: $(STAMPS)/replay ## Start the venue, replay real market data through it, serve until Ctrl-C
	$(BIN)/okimi demo

clean: ## Remove the environment and everything else that these commands made here
	rm -rf $(VENV) build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is named after the extra of pyproject.toml that it stands for.
$(STAMPS)/%: pyproject.toml | $(BIN)/python
	@mkdir -p $(STAMPS)
	@echo "installing okimi[$*] into $(VENV)"
	@if command -v uv >/dev/null; then \
	    uv pip install --python $(BIN)/python --editable '.[$*]'; \
	else \
	    $(BIN)/python -u -m pip install --editable '.[$*]' 2>&1 | tee $(STAMPS)/install.log \
	        | sed -unE 's/^(Collecting|Processing) (.*\/)?([^ ]+).*/  \3/p; s/^(Installing) .*/\1/p' \
	        || { tail -n 25 $(STAMPS)/install.log; false; }; \
	fi || { echo "$$INSTALL_FAILED" >&2; exit 1; }
	@touch $@

$(BIN)/python:
	@if command -v uv >/dev/null; then uv venv --allow-existing $(VENV); exit; fi; \
	for python in $(PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	        version=$$("$$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	        echo "okimi: $$python cannot make environments: its venv or ensurepip is missing." >&2; \
	        echo "On Debian and Ubuntu: sudo apt install $$version-venv" >&2; \
	        exit 1; \
	    fi; \
	    echo "making $(VENV) with $$("$$python" -V)"; \
	    "$$python" -m venv --clear $(VENV); \
	    exit; \
	done; \
	echo "okimi needs Python 3.11 or newer. Found:" >&2; \
	for python in $(PYTHON); do \
	    path=$$(command -v "$$python") && echo "  $$path: $$("$$python" -V 2>&1)" >&2; \
	done; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1

define INSTALL_FAILED

okimi: the installation failed; the lines above say at which package.
- If one could not be built, or has no matching distribution, it has no binary wheel for this Python
  on this machine. Use a Python that it supports (`make clean`, then make PYTHON=python3.12 ...), or
  install a C compiler and Python's headers: sudo apt install build-essential python3-dev
- Otherwise check the network and the package index, and run the command again.
endef
export INSTALL_FAILED
