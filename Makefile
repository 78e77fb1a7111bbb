# What a developer types. `make help` lists the targets.
VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= python3
STAMP := $(VENV)/.installed

# make demo: traffic; further options of `headrace demo` by hand
RATE ?= 50
SECONDS ?= 20
# make chaos-seeds: so many seeds, or a range of them
SEEDS ?= 20
# make chaos: how long the soak takes
SOAK_SECONDS ?= 1800
# make test: what to hand to pytest
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install run demo test unit integration acceptance chaos chaos-seeds check format bench lock clean

help:  ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run PORT=4333               the embedded server on another port"
	@echo "  NATS_URL=nats://host make run    a server that is there already"
	@echo "  make demo RATE=200 SECONDS=60    more traffic"

install: $(STAMP)  ## make .venv with all that running and testing need

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "headrace needs Python 3.11 or newer; name one with: make install PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install  ## start a NATS server and all services; Ctrl-C stops them
	@exec $(VENV)/bin/headrace up

demo: install  ## publish realistic traffic to the running services
	@exec $(VENV)/bin/headrace demo --rate $(RATE) --seconds $(SECONDS)

test: install  ## all tests; ARGS='-k redrive' chooses; skipped ones are named with the reason
	$(PY) -m pytest tests/unit tests/integration tests/acceptance tests/chaos $(ARGS)

unit: install  ## the pure tests, in seconds
	$(PY) -m pytest tests/unit $(ARGS)

integration: install  ## the tests on one real server
	$(PY) -m pytest tests/integration $(ARGS)

acceptance: install  ## the tests with real processes and signals
	$(PY) -m pytest tests/acceptance $(ARGS)

chaos: install  ## harm of every kind under traffic, into docs/chaos.md; SOAK_SECONDS=120 ARGS='-k soak'
	CHAOS_PAGE=docs/chaos.md SOAK_SECONDS=$(SOAK_SECONDS) $(PY) -m pytest tests/chaos -m chaos $(ARGS)

chaos-seeds: install  ## members and servers killed by chance; SEEDS=100, or SEEDS=31-40 for those
	CHAOS_SEEDS=$(SEEDS) $(PY) -m pytest tests/acceptance/test_log_chaos.py "tests/acceptance/test_metrics.py::test_whatever_dies_the_results_are_those_of_an_undisturbed_fold" --exitfirst $(ARGS)

check: install  ## ruff, mypy --strict, import-linter
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: install  ## let ruff format and mend
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

bench: install  ## measure; tests/bench, each script prints its ratios
	$(PY) -m tests.bench

lock: install  ## resolve the dependencies again into requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile pyproject.toml --group dev --extra invoice-worker --extra metrics-aggregator --extra embedded-server \
	  --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet -o requirements.lock

clean:  ## remove .venv, caches and the embedded server's data
	rm -rf $(VENV) .headrace .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
