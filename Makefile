# Two commands on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help train listen check test lowest acceptance docs bench constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make train       set up, prepare the synthetic data set, train, evaluate, print the scores"
	@echo "make listen      set up, synthesise sounds, embed them, train, show what is heard when in a recording"
	@echo "make test        set up, then run linter, type checker, import contract and all tests"
	@echo "make lowest      run all tests with the lowest versions that pyproject.toml promises"
	@echo "make docs        build the documentation in build/site"
	@echo "make acceptance  run the tests that need system packages or hours"
	@echo "make bench       compare audiobag with other packages, into docs/benchmarks.md"

# Create the environment again when its inputs change.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@

train: .venv/.ready
	$(BIN)/audiobag-prepare source=synthetic
	$(BIN)/audiobag-train

listen: .venv/.ready
	$(BIN)/audiobag-embed source=synthetic-sounds out=data/sounds
	$(BIN)/audiobag-train experiment=attention_softmax data=own data.root=data/sounds schedule=synthetic hydra.run.dir=outputs/listen/run
	$(BIN)/audiobag-listen data/sounds/recordings/eval-0003.flac checkpoint=outputs/listen/run out=outputs/listen/heard

check: .venv/.ready
	$(BIN)/ruff format --check src tests conf benchmarks
	$(BIN)/ruff check src tests conf benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# One process per core with one thread each, because the tensors of the tests are small.
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

lowest:
	.ci/lowest

acceptance: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -m acceptance

docs: .venv/.ready
	$(BIN)/mkdocs build --strict

# Run it on an idle machine: the packages are timed in turns, but other work changes the times.
bench: .venv/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[bench]'
	$(BIN)/python -m benchmarks

# Write the installed versions to constraints.txt, after an intended upgrade.
constraints: .venv/.ready
	{ head -n 1 constraints.txt; $(BIN)/pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
