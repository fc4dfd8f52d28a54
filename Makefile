PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The tests' tensors are tiny: a process a core with one thread each. A file's tests share what is costly to make.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all lint types ci bench format clean

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: $(INSTALLED) ## .venv with the package, its pinned dependencies and all that the tests need

$(INSTALLED): pyproject.toml constraints.txt $(wildcard src/rankdistill/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$($(PYTHON) --version) is too old; name Python 3.11 or later: make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV); torch is the big one"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## distil a small model on MovieLens-100k and print where its report is: two or three minutes
	$(BIN)/rankdistill demo

test: $(INSTALLED) ## the quick tests
	$(PYTEST)

test-all: $(INSTALLED) ## the slow tests too, and those that need the public data sets
	$(PYTEST) -m ''

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED) ## mypy --strict
	$(BIN)/mypy

ci: lint types test ## what a change has to pass: lint, types, tests

# Those with a --quick; the rest need data or other tools that benchmarks/README.md names.
BENCHMARKS := $(patsubst benchmarks/%.py,%,$(shell grep -l -e '"--quick"' benchmarks/*.py))

bench: $(INSTALLED) ## the quick benchmarks, ours beside what else there is; about a minute each
	@for each in $(BENCHMARKS); do echo "== $$each"; $(BIN)/python benchmarks/$$each.py --quick || exit 1; done

format: $(INSTALLED) ## let ruff put imports and layout right
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

clean: ## remove .venv, caches and builds; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
