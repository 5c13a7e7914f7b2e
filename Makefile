# minidl: `make` lists the targets. All of them work on a fresh machine with Python (>= 3.11, with venv) and make.
#
#   PYTHON=python3.12   which Python makes the environment
#   VENV=.venv          where the environment lies (a path without spaces)
#   ARGS=...            further arguments for pytest, e.g. make test ARGS="-k conv2d"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
CUDA ?= cuda12x

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := pyproject.toml setup.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-device lint parity proof mutants mutants-cuda bench results soak break constraints audit gpu fixtures clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */\1\t/' | while IFS='	' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------------------------------------
# The environment. A stamp file for each set of extras: nothing is installed twice.
# The installation is editable, so that the sources in this folder are the ones that run.
# ---------------------------------------------------------------------------------------------

$(VENV)/made:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "minidl: error: there is no command $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "minidl: error: $$("$(PYTHON)" --version 2>&1) is too old, minidl needs 3.11 or newer: name one, e.g. make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "minidl: error: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear "$(VENV)"
	@touch "$@"

$(VENV)/with-nothing: $(VENV)/made $(SOURCES)
	@echo "installing minidl into $(VENV), once (about a minute)"
	$(PIP) install --quiet -e .
	@touch "$@"

$(VENV)/with-%: $(VENV)/made $(SOURCES)
	@echo "installing minidl and what '$*' needs into $(VENV), once (about a minute)"
	$(PIP) install --quiet -e ".[$*]"
	@touch "$@"

# ---------------------------------------------------------------------------------------------
# What to do
# ---------------------------------------------------------------------------------------------

demo: $(VENV)/with-nothing  ## train a U-Net on generated pictures, evaluate it, write metrics and pictures (about 4 minutes)
	"$(BIN)/minidl" demo --out demo-run

# As many processes as cores. Each computes with one thread of BLAS; tests of threads set their own numbers.
JOBS ?= auto
ALL ?=
test: $(VENV)/with-test  ## the tests, on all cores (no torch, no compiler, no GPU needed; ALL=1: the slow ones, too)
	"$(BIN)/python" -m pytest -q -n $(JOBS) --dist worksteal $(if $(ALL),,-m "not slow") $(ARGS)

DEVICE := cuda_sim
test-device: $(VENV)/with-test  ## the tests of operations with all tensors on DEVICE=cuda_sim (needs g++) or cuda (minutes)
	MINIDL_HYPOTHESIS=device MINIDL_DEVICE=$(DEVICE) "$(BIN)/python" -m pytest -q tests/ops $(ARGS)

parity: $(VENV)/with-test $(VENV)/with-parity  ## agreement with torch and scikit-learn (installs both)
	"$(BIN)/python" -m pytest -q tests/parity $(ARGS)

COUNTS := build/proof
proof: $(VENV)/with-test $(VENV)/with-parity  ## the table of operations and what each was held to: docs/proof/ops.md (about 20 minutes)
	rm -rf $(COUNTS)
	MINIDL_HYPOTHESIS=ci MINIDL_PROOF=$(COUNTS)/tests.json "$(BIN)/python" -m pytest -q -n $(JOBS) $(ARGS)
	MINIDL_HYPOTHESIS=ci MINIDL_PROOF=$(COUNTS)/parity.json "$(BIN)/python" -m pytest -q -n $(JOBS) tests/parity $(ARGS)
	MINIDL_HYPOTHESIS=ci PYTHONPATH=tests "$(BIN)/python" -m oracles.proof_table $(COUNTS)/*.json

mutants: $(VENV)/with-test $(VENV)/with-parity  ## change the code line by line: do the tests notice? (hours; ARGS="--sample 20")
	PYTHONPATH=tests "$(BIN)/python" -m mutation --write $(ARGS)

mutants-cuda: $(VENV)/with-test  ## small mistakes in the CUDA kernels: does the simulator notice? (needs g++; hours; ARGS="--sample 20")
	PYTHONPATH=tests "$(BIN)/python" -m mutation_cuda --write $(ARGS)

lint: $(VENV)/with-lint  ## style, format, types and import directions
	.ci/lint "$(BIN)"

bench: $(VENV)/with-bench  ## speed and memory beside other libraries, and the page of the results (half an hour; ARGS="--quick")
	"$(BIN)/python" benchmarks/import_time.py
	"$(BIN)/minidl" bench --out benchmarks/results/speed $(ARGS)
	"$(BIN)/python" benchmarks/page.py

results: $(VENV)/with-bench  ## the trainings of docs/results.md (long; real data in ../shared/data)
	"$(BIN)/python" benchmarks/isbi2012.py

soak: $(VENV)/with-test  ## kill a training 20 times and compare it bit for bit (minutes)
	PYTHONPATH=.:tests "$(BIN)/python" -m soak.kills --report docs/proof/soak.json

break: $(VENV)/with-test  ## attack the command line and count what it survives: docs/proof/attacks.md (15 minutes; ARGS="--share 0.1")
	PYTHONPATH=.:tests "$(BIN)/python" -m attacks --report docs/proof/attacks.md $(ARGS)

constraints: $(VENV)/with-test $(VENV)/with-parity $(VENV)/with-lint  ## note the versions that the tests run with: constraints.txt
	"$(BIN)/python" .ci/constraints test parity lint >build-constraints.tmp && mv build-constraints.tmp constraints.txt

audit: $(VENV)/with-audit  ## known holes in the versions of constraints.txt, and versions that were not tested (asks the package index)
	"$(BIN)/python" .ci/audit

gpu: $(VENV)/with-test $(VENV)/with-$(CUDA)  ## on a machine with an NVIDIA GPU: confirm there what is only simulated elsewhere (minutes; CUDA=cuda13x)
	PYTHONPATH=tests "$(BIN)/python" -m oracles.gpu_report $(ARGS)

fixtures: $(VENV)/with-test $(VENV)/with-parity  ## make torch's stored trajectories anew, and their report
	PYTHONPATH=.:tests "$(BIN)/python" -m parity.trajectory

clean:  ## remove the environment and everything that builds and tests leave behind
	rm -rf "$(VENV)" build dist minidl.egg-info demo-run .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find minidl kernels tests benchmarks \( -name __pycache__ -o -name '*.nb[ic]' \) -prune -exec rm -rf {} +
