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
# make containers: Compose v2, or the older command where that is not installed
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# the services' extras, named as the services with hyphens
EXTRAS := invoice-worker metrics-aggregator fraud-detector
IMAGES := headrace $(subst -,_,$(EXTRAS))
SBOM = $(PY) -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible --of JSON
RESOLVE = $(VENV)/bin/uv pip compile --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help install run demo test unit integration acceptance containers chaos chaos-seeds check format bench sbom lock lock-images clean

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

containers: install  ## build the images and test them; needs a Docker engine and compose
	@docker version >/dev/null 2>&1 || { echo "make containers: no Docker engine answers (docker version says why); docs/containers.md tells what is needed" >&2; exit 1; }
	@$(COMPOSE) version >/dev/null 2>&1 || { echo "make containers: there is no docker compose and no docker-compose" >&2; exit 1; }
	$(COMPOSE) build
	COMPOSE="$(COMPOSE)" $(PY) -m pytest tests/containers $(ARGS)

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

sbom: install  ## write sbom/*.json (CycloneDX): what each image adds to its base, and what development uses
	@mkdir -p sbom
	$(SBOM) -o sbom/development.json requirements.lock
	$(foreach image,$(IMAGES),$(SBOM) -o sbom/$(image).json services/requirements.$(image).lock &&) true

lock: install  ## resolve the dependencies again, into requirements.lock and those of the images
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(RESOLVE) pyproject.toml --group dev $(addprefix --extra ,$(EXTRAS)) --extra tracing --extra embedded-server -o requirements.lock
	$(MAKE) --no-print-directory lock-images

lock-images: install  # the versions of requirements.lock, but only what an image needs
	$(foreach extra,$(EXTRAS),$(RESOLVE) -c requirements.lock pyproject.toml --extra $(extra) --extra tracing -o services/requirements.$(subst -,_,$(extra)).lock &&) true
	$(RESOLVE) -c requirements.lock pyproject.toml $(addprefix --extra ,$(EXTRAS)) --extra tracing -o services/requirements.headrace.lock
	printf 'hatchling\nsetuptools\nwheel\n' | $(RESOLVE) -c requirements.lock - -o services/requirements.build.lock

clean:  ## remove .venv, caches and the embedded server's data
	rm -rf $(VENV) .headrace .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
