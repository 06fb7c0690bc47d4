# `make run` and `make test` are all a fresh clone needs; both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := aws sendgrid twilio smtp console
EDITABLE := -e . $(foreach p,$(PLUGINS),-e ./plugins/$(p))

.PHONY: help setup run test soak bench check mutate format schema constraints clean

help:  ## say what can be done
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(VENV)/.ready  ## make .venv with the sidecar, its plugins and the test tools

$(VENV)/.ready: constraints.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "OTP Sidecar needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) -V). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV): about a minute, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

run: setup  ## serve on 127.0.0.1:8780 with providers.yaml
	@exec $(BIN)/otp-sidecar run

test: setup  ## the checks, then the tests
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto

SECONDS := 1800
soak: setup  ## every fault at once for half an hour: make soak SECONDS=120 SEED=7
	@PYTHONPATH=tests $(BIN)/python -m soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep $(KEEP))

bench: setup  ## the goals, measured against peers: benchmarks/results.md; QUICK=1 is a smoke test
	@PYTHONPATH=benchmarks $(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(TREE),--tree $(TREE)) $(if $(ONLY),--only $(ONLY))

check: setup  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutate: setup  ## change the core bit by bit: do its tests notice? (ten minutes)
	$(BIN)/python tests/mutation/run.py

format: setup  ## let ruff put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: setup  ## derive config/providers.schema.json anew
	$(BIN)/otp-sidecar config schema > config/providers.schema.json

constraints: setup  ## pin and hash anew what pyproject.toml and the plugins ask for
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group dev \
	  --output-file constraints.txt pyproject.toml $(PLUGINS:%=plugins/%/pyproject.toml) \
	  --no-emit-package otp-sidecar

clean:  ## remove what setup and the tests made
	rm -rf $(VENV) benchmarks/.peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
