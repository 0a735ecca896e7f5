# Every target does all of its own set-up; nothing else needs to be typed.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.anfl-ready

.PHONY: demo test unit lint bench boot drill setup clean help

help:
	@sed -n 's/^## //p' Makefile

## make demo   sets everything up, breaks a sample service on purpose and prints the diagnosis (under 3 minutes)
demo: $(STAMP)
	$(BIN)/python examples/demo.py

## make test   lint, types, import contracts, unit and acceptance tests, and a rotating sample of real drills
test: lint unit
	$(BIN)/python -m agent drill --sample 6 --retries 1

unit: $(STAMP)
	$(BIN)/python -m pytest -q -n 2

## make lint   ruff, mypy strict, import contracts, the rules' own checks
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m agent rules check
	$(BIN)/python -m agent rules test --coverage --mutate

## make boot   playbooks under a systemd and a kernel of their own (10 minutes, as root; what is missing is said)
boot: $(STAMP)
	$(BIN)/python -m pytest -q -rs -m boot

## make drill  every public fault case and control, three runs each
drill: $(STAMP)
	$(BIN)/python -m agent drill --runs 3

## make bench  the figures of docs/benchmarks.md
bench: $(STAMP)
	$(BIN)/python bench/run.py

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) bash tools/setup.sh
	touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .demo build dist
