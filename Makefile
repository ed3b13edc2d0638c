# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := UV_NO_PROGRESS=1 $(BIN)/uv

# uv compiles nothing: where this is set, every process and every worker of Ray would compile its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all bench lint format pins clean help

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/runtime  ## K phase diagram on handwritten digits: set up, run, draw
	$(BIN)/python -m raysweep.k_phase_diagram

test: $(VENV)/development  ## the tests that take under 15 minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder -m "not slow"

# Side by side, a file a core, for tests of one file share what they train; then those that need all cores for
# themselves. Both run, whatever the first says.
test-all: $(VENV)/development  ## all tests
	@failed=0; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder -m "not alone" || failed=1; \
	$(BIN)/python -m pytest -m alone || failed=1; \
	exit $$failed

bench: $(VENV)/development  ## ratios, side by side in one run
	@for benchmark in tests/benchmarks/bench_*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

lint: $(VENV)/development  ## style, types and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/development  ## bring the style in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: $(VENV)/uv  ## choose versions anew: requirements.txt to run, requirements-dev.txt to develop as well
	$(UV) pip compile -q -U --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate \
		pyproject.toml --all-extras -o requirements-dev.txt
	$(UV) pip compile -q --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate \
		pyproject.toml -c requirements-dev.txt -o requirements.txt

clean:  ## remove the environment and the caches, never results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "raysweep needs Python 3.11 or later; set PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@touch $@

$(VENV)/runtime: $(VENV)/uv requirements.txt pyproject.toml
	$(UV) pip install -q --python $(BIN)/python -r requirements.txt
	$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements-dev.txt
	$(UV) pip install -q --python $(BIN)/python -r requirements-dev.txt
	@touch $@
