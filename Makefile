# What people type. Everything below installs what it needs, into this folder (and Debian's Chromium, for tests).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PRECIOUS: .venv/bin/python

PORT ?= 8000
DATA ?= var
ARGS ?=
PY := .venv/bin/python
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
NODE := node_modules/.installed
STATIC_SCRIPTS := $(wildcard package.json package-lock.json)

.PHONY: help setup run start stop status lint check test controls sim soak exhaustive fuzz bench bench-rest bench-live bench-sizes bench-memory bench-peers bench-ui bench-partition bench-redistribution docs screenshots requirements clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-20s %s\n", $$1, $$2}' Makefile

# --- set up -----------------------------------------------------------------

# Missing although it was installed once (moved, or removed by hand): everything is made anew.
$(PY):
	@scripts/setup.sh venv

$(RUN): requirements.txt scripts/setup.sh $(PY)
	@scripts/setup.sh venv requirements.txt
	@touch $@

$(DEV): requirements-dev.txt scripts/setup.sh $(PY)
	@scripts/setup.sh venv requirements-dev.txt
	@touch $@ $(RUN)

$(NODE): $(STATIC_SCRIPTS) scripts/setup.sh
	@scripts/setup.sh node
	@mkdir -p node_modules && touch $@

setup: $(DEV) ## Make .venv with everything for running and developing

# --- run --------------------------------------------------------------------

run: $(RUN) ## Start the bank and the site: PORT=8000 DATA=var ARGS="--clusters 4"
	@exec $(PY) manage.py runbank --port $(PORT) --data-dir "$(DATA)" $(ARGS)

start: $(RUN) ## The same in the background
	@exec $(PY) scripts/background.py start "$(DATA)" --port $(PORT) $(ARGS)

stop: $(RUN) ## Stop the background bank
	@exec $(PY) scripts/background.py stop "$(DATA)"

status: $(RUN) ## Say what runs in the background
	@exec $(PY) scripts/background.py status "$(DATA)"

# --- check ------------------------------------------------------------------

lint: $(DEV) $(NODE) ## Formatting, lint, types, import rules, templates, scripts, requirements
	@scripts/lint.sh

check: $(DEV) $(NODE) ## Lint and the fast tests, under a minute
	@scripts/lint.sh
	@scripts/test.sh fast

test: $(DEV) $(NODE) ## Every test: fast, JavaScript, real processes, a real browser
	@scripts/setup.sh chromium
	@scripts/test.sh all

controls: $(DEV) $(NODE) ## Every control of every page in a real browser, and that none was left out
	@scripts/setup.sh chromium
	@scripts/test.sh controls

sim: $(DEV) ## The simulation under 100 seeds, of one cluster and of several
	@exec $(PY) manage.py simulate --seeds 1..100 $(ARGS)

soak: $(DEV) ## The simulation under many seeds and long runs: ARGS="--seeds 1..5000 --steps 50000"
	@exec $(PY) manage.py simulate $(or $(ARGS),--seeds 1..2000 --steps 20000)

exhaustive: $(DEV) ## Every interleaving of small worlds on the real replica, millions of states: ARGS="quick"
	@exec $(PY) manage.py simulate --exhaustive $(or $(ARGS),all)

fuzz: $(DEV) ## REST against its OpenAPI document, on a bank of its own: ARGS="--examples 500 --seed 2"
	@exec $(PY) scripts/fuzz.py $(ARGS)

bench: $(RUN) ## Every load beside the floor, in turn, with its target: ARGS="--quick"
	@exec $(PY) manage.py bench --against-floor $(ARGS)

bench-rest: $(RUN) ## REST beside its targets: single transfers at a rate, batches: ARGS="--duration 4"
	@exec $(PY) -m consensus.cli.rest_bench $(ARGS)

bench-live: $(RUN) ## What somebody who watches costs: throughput with and without /ws/live/ read: ARGS="--rounds 9"
	@exec $(PY) -m consensus.cli.live_bench $(ARGS)

bench-sizes: $(RUN) ## Clusters, clients, accounts up to a million, batches, a fixed rate: ARGS="--only accounts --rounds 3"
	@exec $(PY) -m consensus.cli.sizes_bench $(ARGS)

bench-memory: $(RUN) ## Memory of nodes and site over ten minutes of load: ARGS="--duration 100"
	@exec $(PY) -m consensus.cli.memory_bench $(ARGS)

bench-peers: $(RUN) ## The bank beside PostgreSQL and etcd under the same load: ARGS="--rounds 3"
	@exec $(PY) -m consensus.cli.peers_bench $(ARGS)

bench-partition: $(RUN) ## The partitioner's and planner's figures: MTKAHYPAR_PYTHON=python ARGS="--only plans"
	@exec $(PY) -m consensus.cli.partition_bench $(ARGS)

bench-redistribution: $(RUN) ## A redistribution under load: throughput before, during, after; unavailability; outcomes
	@exec $(PY) -m consensus.cli.redistribution_bench $(ARGS)

bench-ui: $(DEV) ## What the live pages cost a browser at 20,000 events a second: ARGS="--heap 300"
	@scripts/setup.sh chromium
	@exec $(PY) scripts/bench_ui.py $(ARGS)

docs: $(DEV) ## Check links, anchors and diagrams of the documentation
	@exec $(PY) scripts/check_docs.py

screenshots: $(DEV) ## Make docs/images anew from a running bank
	@scripts/setup.sh chromium
	@exec $(PY) scripts/screenshots.py

requirements: $(DEV) ## Compile requirements*.txt from pyproject.toml (needs uv)
	@exec $(PY) scripts/requirements.py compile

clean: ## Remove what was built and installed here; banks (var/) stay
	rm -rf .venv node_modules staticfiles .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find bankweb consensus scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
