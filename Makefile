# What people and CI type. `make` alone explains itself.
# Every environment is made here and marked by a stamp, so that a second call does nothing again.

PYTHON ?= python3
ARGS ?=
# Test files run side by side; most of them wait for something, so a few more than there are cores.
WORKERS ?= 3

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet
# uv takes a tenth of pip's time; pip knows of indexes that a machine was set up with for it alone.
INSTALL = $(VENV)/bin/uv pip install --quiet --python $(1) -r $(2) || $(1) $(PIP_INSTALL) -r $(2)

# Agents and clients that cannot share an environment with ours get one of their own in .envs/.
EXAMPLE := .envs/langgraph/requirements.sha256
ZOO := $(patsubst tests/agents/zoo/requirements/%.txt,.envs/zoo-%/requirements.sha256,$(wildcard tests/agents/zoo/requirements/*.txt))
ZOO_NODE := $(patsubst %/package-lock.json,%/node_modules/.ready,$(wildcard tests/agents/zoo/*/package-lock.json))
CLIENTS := $(patsubst tests/clients/requirements-%.txt,.envs/%/.ready,$(wildcard tests/clients/requirements-*.txt))
COPILOTKIT := tests/clients/copilotkit/node_modules/.ready
NODE := $(patsubst %/package-lock.json,%/node_modules/.ready,$(wildcard tests/clients/node/package-lock.json examples/*/package-lock.json))

.PHONY: help run install test test-zoo environments questions files engine pulumi check format bench lock image token clean

help: ## show this
	@echo "usage: make TARGET [PYTHON=python3.12] [ARGS=...]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done
	@echo
	@echo "Settings are environment variables or lines of .env: see docs/configuration.md."

run: $(VENV)/.run ## start on http://127.0.0.1:8000, with what that needs and nothing else (ARGS: see python -m bff --help)
	@exec $(PY) -m bff $(ARGS)

install: $(VENV)/.all ## make .venv with everything: tests, tools, AWS, Redis, Pulumi

test: $(VENV)/.all pulumi $(EXAMPLE) $(CLIENTS) $(NODE) ## make what the tests need and run them all (ARGS="-k name -x")
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile -m "not zoo" $(ARGS)

test-zoo: $(VENV)/.all $(ZOO) $(ZOO_NODE) ## agents of sixteen real frameworks, each in its environment, asked through the service
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup -m zoo tests/agents $(ARGS)

environments: $(VENV)/.all pulumi $(EXAMPLE) $(CLIENTS) $(NODE) $(ZOO) $(ZOO_NODE) $(COPILOTKIT) # all that any test needs, as CI has it

questions: $(VENV)/.all $(EXAMPLE) .envs/zoo-strands/requirements.sha256 .envs/zoo-langgraph/requirements.sha256 ## agents that ask, in every protocol: how often each answer reaches the agent
	@$(PY) -m pytest -n 0 -q tests/agents/test_questions.py $(ARGS)

files: $(VENV)/.all $(EXAMPLE) $(CLIENTS) $(NODE) ## pictures, sound, documents by every client, and what a real agent sees of each
	@$(PY) -m pytest -n 0 -q tests/clients/test_files.py $(ARGS)

engine: $(VENV)/.all pulumi ## preview, apply, change and destroy the stack with Pulumi's real engine and a made-up AWS
	@$(PY) -m pytest tests/stack/engine $(ARGS)

check: $(VENV)/.all ## lint, format and types, as CI checks them
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.all ## format, and fix what can be fixed without thinking
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: $(VENV)/.all $(if $(findstring full,$(ARGS)),.envs/litellm/.ready) ## measure what the README claims (ARGS: see python -m benchmarks --help)
	@$(PY) -m benchmarks $(ARGS)

lock: $(VENV)/.all ## write requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(LOCK) $(ARGS) --all-extras --group dev --output-file requirements/all.txt
	$(LOCK) --constraints requirements/all.txt --output-file requirements/run.txt
	$(LOCK) --constraints requirements/all.txt --extra aws --extra shared --extra traces --output-file requirements/image.txt

# One list for every platform and Python we take, with hashes, without any index's address.
LOCK = $(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

image: ## build the container image agentcore-bff (docker, else podman)
	@if docker info >/dev/null 2>&1; then builder=docker; \
	elif command -v podman >/dev/null; then builder=podman; \
	else echo "neither a docker engine nor podman is here: one of them builds the image" >&2; exit 1; fi; \
	set -x; "$$builder" build -t agentcore-bff $(ARGS) .

token: $(VENV)/.run ## print a JWT signed with JWT_SECRET (ARGS="--sub alice")
	@$(PY) -m bff token $(ARGS)

clean: ## remove the environments and caches (data/ stays)
	rm -rf $(VENV) .envs .mypy_cache .ruff_cache .pytest_cache .hypothesis $(dir $(NODE))

# .venv: what `make run` made is completed in place by `make install` and `make test`.

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: Python 3.11 or newer is needed (make PYTHON=/path/to/python3)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(PYTHON) is Python %d.%d: 3.11 or newer is needed (make PYTHON=python3.12, say)" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without venv: install it (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt $(PY)
	@echo "Installing requirements/run.txt into $(VENV), once ..."
	@$(PY) $(PIP_INSTALL) --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/.all: requirements/all.txt pyproject.toml $(PY)
	@echo "Installing requirements/all.txt into $(VENV), once; this takes a minute ..."
	@sed -n '/^uv==/,/[^\\]$$/p' $< > $(VENV)/uv.txt && $(PY) $(PIP_INSTALL) --require-hashes -r $(VENV)/uv.txt
	@$(call INSTALL,$(PY),$<)
	@$(PY) $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

# Pulumi's command line: from PATH, else built once with Go and kept in the user's cache.
pulumi: $(VENV)/.all
	@$(PY) -m tests.stack.engine.binary

# Environments of the tests. One that cannot be made is no failure: its tests say that they skip.

.envs/langgraph/requirements.sha256: examples/langgraph_agent/requirements.txt $(VENV)/.all
.envs/zoo-%/requirements.sha256: tests/agents/zoo/requirements/%.txt $(VENV)/.all
	@$(AGENT_ENVIRONMENT)
$(EXAMPLE):
	@$(AGENT_ENVIRONMENT)

AGENT_ENVIRONMENT = echo "Installing $< into $(@D), once ..."; \
	$(PY) -m tests.agents.environments $(notdir $(@D)) >/dev/null && touch $@ || \
		echo "skipped: $< could not be installed, so tests with its agents skip; 'make $@' tries again"

.envs/%/.ready: tests/clients/requirements-%.txt $(VENV)/.all
	@$(ENVIRONMENT)

.envs/litellm/.ready: benchmarks/peers/requirements-litellm.txt $(VENV)/.all
	@$(ENVIRONMENT)

ENVIRONMENT = echo "Installing $< into $(@D), once ..."; \
	$(PY) -m venv --clear $(@D) && { $(call INSTALL,$(@D)/bin/python,$<); } && touch $@ || \
	{ rm -rf $(@D); echo "skipped: $< could not be installed, so what needs it skips; 'make $@' tries again"; }

%/node_modules/.ready: %/package-lock.json
	@if ! command -v npm >/dev/null; then \
		echo "skipped: npm is not installed, so tests with JavaScript clients skip; install Node.js 20 or newer (Debian: apt-get install nodejs npm)"; \
	else \
		echo "Installing $*, once ..."; \
		(cd $* && npm ci --no-audit --no-fund --loglevel=error) && touch $@ || \
		echo "skipped: npm ci failed, so tests with JavaScript clients skip; 'make $@' tries again"; \
	fi
