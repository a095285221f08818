# `make demo` and `make test` work on a fresh machine: Python 3.11 or newer and pip are all they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check test-fast test-all test-thorough test-floors docs setup clean

demo: .venv/library ## train HRDA on two drawn domains and show a table
	$(BIN)/python -m hrda_lit.train experiment=hrda_demo

test: setup ## lint, types and all tests, side by side: the checks use one core for half a minute
	$(MAKE) --jobs=2 check test-all

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-fast: setup ## the tests that neither train nor draw: a minute
	$(BIN)/python -m pytest -m "not slow and not thorough" -n 2 --dist worksteal

test-all: setup
	$(BIN)/python -m pytest -m "not thorough" -n 2 --dist worksteal

test-thorough: setup ## what `make test` leaves out: every experiment trained small, graphs, estimates, ONNX of any size
	$(BIN)/python -m pytest -m thorough -n 2 --dist worksteal

test-floors: ## the fast tests with the oldest versions that pyproject.toml declares, in a .venv-floors of 8 GB
	$(PYTHON) -m venv --clear .venv-floors
	.venv-floors/bin/python -m pip install --quiet uv
	.venv-floors/bin/python -m uv pip install --quiet --python .venv-floors/bin/python --resolution lowest-direct --editable '.[dev]'
	.venv-floors/bin/python -m pytest -m "not slow and not thorough"

docs: .venv/documenting ## the pages of docs/ as a site in build/site; a broken link stops it
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "open build/site/index.html; with its search: $(BIN)/python -m http.server -d build/site"

setup: .venv/installed

# The library alone; pip shows what is downloaded with its size.
.venv/library: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python %d.%d is too old: 3.11 or newer is needed; try make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing hrda_lit and what it needs into .venv; the largest part is torch, see README.md for its CPU build"
	$(BIN)/python -m pip install --editable .
	touch $@

.venv/documenting: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

.venv/installed: .venv/library
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-floors build dist src/*.egg-info
