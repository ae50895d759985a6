# Two commands on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test check acceptance docs constraints clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make train       set up, prepare the embedded data set, train, evaluate, print the table"
	@echo "make test        set up, then lint, types, import contracts and all tests"
	@echo "make docs        the documentation, to build/site"
	@echo "make acceptance  the tests that need system packages or hours"
	@echo "make bench       peers and audiobag side by side, into docs/benchmarks.md"

# The environment is made anew when what it is made from changes.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@

train: .venv/.ready
	$(BIN)/audiobag-prepare source=synthetic
	$(BIN)/audiobag-train

check: .venv/.ready
	$(BIN)/ruff format --check src tests conf benchmarks
	$(BIN)/ruff check src tests conf benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# As many processes as cores, one thread each: the tests' tensors are small.
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

acceptance: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -m acceptance

docs: .venv/.ready
	$(BIN)/mkdocs build --strict

# Where nothing else is at work: the peers take turns, but the seconds are the machine's.
bench: .venv/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[bench]'
	$(BIN)/python -m benchmarks

# Write the versions in use to constraints.txt, after a deliberate upgrade.
constraints: .venv/.ready
	{ head -n 1 constraints.txt; $(BIN)/pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
