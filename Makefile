# Vitrine. `make` lists what there is.

# The first Python that is new enough; bootstrap.py says so if there is none.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p $(NEW_ENOUGH) && echo $$p && exit; done; echo python3)
YES ?= 0

PY   := .venv/bin/python
STEP := $(PY) bootstrap.py step
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help demo up install install-dev test lint format bench faults lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: install  ## run Vitrine with the demo shop, until Ctrl-C
	@$(PY) manage.py up --demo $(ARGS)

up: install  ## run Vitrine with your own shop, until Ctrl-C
	@$(PY) manage.py up $(ARGS)

test: install-dev  ## every check and every test
	@$(STEP) "Lint"               -m ruff check --quiet .
	@$(STEP) "Format"             -m ruff format --check --quiet .
	@$(STEP) "Types"              -m mypy
	@$(STEP) "Import contracts"   -c "from importlinter.cli import lint_imports_command as c; c()"
	@$(STEP) "Missing migrations" manage.py makemigrations --check --dry-run
	@$(PY) -m pytest --numprocesses auto --dist loadgroup $(ARGS)

lint: install-dev  ## the checks of `make test` that take seconds
	@$(STEP) "Lint"               -m ruff check --quiet .
	@$(STEP) "Format"             -m ruff format --check --quiet .
	@$(STEP) "Import contracts"   -c "from importlinter.cli import lint_imports_command as c; c()"

format: install-dev  ## bring the code into shape
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

bench: install-dev  ## measure the promises and write them into docs/performance.md
	@$(PY) -m benchmarks --write $(ARGS)

faults: install-dev  ## kill, stop and fill everything that can be, and count what was lost
	@$(PY) -m tests.faults $(ARGS)

install:  ## make .venv with what Vitrine needs to run
	@$(PYTHON) bootstrap.py install

install-dev:  ## make .venv with what its developers need
	@$(PYTHON) bootstrap.py install --dev

clean:  ## delete .venv and the data folder, after asking
	@YES=$(YES) $(PYTHON) bootstrap.py clean

lock:  ## lock the dependencies of pyproject.toml anew (needs uv)
	@uv pip compile $(LOCK) --output-file requirements.txt pyproject.toml
	@uv pip compile $(LOCK) --group dev --output-file requirements-dev.txt pyproject.toml
