# Two commands matter: `make demo` shows the job at work, `make test` proves it. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup demo ui test test-kills test-faults check lint bench up down clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make .venv with the `ta` command.

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or 3.12 is needed, {sys.version.split()[0]} was found: make PYTHON=python3.12 setup" if sys.version_info[:2] not in {(3, 11), (3, 12)} else 0)'
	@java -version 2>&1 | grep -q . || { echo 'Java 17 is needed: put `java` on PATH'; exit 1; }
	@mvn -v >/dev/null 2>&1 || { echo 'Maven is needed: put `mvn` on PATH'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24" "setuptools>=69" wheel
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,platform]'
	@touch $@

demo: setup  ## The whole platform once, under a simulated market; or make demo RECORDING="trades.jsonl.gz quotes.jsonl.gz".
	$(BIN)/ta demo $(RECORDING)

ui: setup  ## Dagster on the local stack: assets, checks, sensors, schedules; Ctrl-C ends it.
	$(BIN)/ta up
	$(BIN)/ta ui

test: setup  ## Run every test, the local stack included.
	$(BIN)/pytest

test-kills: setup  ## End components with kill -9 while a market runs; about half an hour.
	$(BIN)/pytest -m kills

test-faults: setup  ## Faults that take long: a restart loop of fifty; about ten minutes.
	$(BIN)/pytest -n 0 -m faults

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## Format, lint, types, layers, tests.

bench: setup  ## Measure; the report goes to docs/benchmarks/.
	$(BIN)/ta bench $(addprefix --day ,$(wildcard $(addprefix $(or $(TA_SHARED_DATA),../shared/data)/xxx_20180102_,trades.jsonl.gz quotes.jsonl.gz)))

up down: setup  ## Start or stop the local stack.
	$(BIN)/ta $@

clean:  ## Remove what the stack and the build left, but not .venv.
	-$(BIN)/ta down
	rm -rf .local build out
