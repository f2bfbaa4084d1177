# Every target bootstraps itself: a bare Debian or Ubuntu with Python >= 3.11 is enough.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAME ?=
export MPLBACKEND := Agg
export PYTHONPATH := $(CURDIR):$(CURDIR)/recorder
.DEFAULT_GOAL := help
.PHONY: help demo test stack check accept bench format lock clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

$(BIN)/uv: requirements/bootstrap.txt
	@./.ci/venv "$(PYTHON)" "$(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.demo: requirements/demo.txt $(BIN)/uv
	@test -f $(VENV)/.dev || $(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/demo.txt
	@$(BIN)/python .ci/link "$(CURDIR)"
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(BIN)/uv
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/python .ci/link "$(CURDIR)"
	@touch $@

demo: $(VENV)/.demo  ## watch the loop close on a year of real flights (about 3 minutes)
	@$(BIN)/driftd demo $(ARGS)

test: $(VENV)/.dev  ## unit, contract, integration and scenario tests; they run against real servers
	@$(BIN)/python -m stack.install
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

stack: $(VENV)/.dev  ## the real services with demo traffic, to play with; prints where they are
	@$(BIN)/python -m stack.install
	@$(BIN)/python -m stack.play $(ARGS)

check: $(VENV)/.dev  ## lint, types, layers
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@echo "check: all good"

accept: $(VENV)/.dev  ## the long demonstrations: other seeds, shuffled labels, no fault, kill -9
	@$(BIN)/python -m benchmarks.accept $(ARGS)

bench: $(VENV)/.dev  ## one benchmark: make bench NAME=ingest
	@test -n "$(NAME)" || { echo "say which: make bench NAME=$$(ls benchmarks | sed -n 's/\.py$$//p' | grep -v __init__ | paste -sd'|')"; exit 2; }
	@$(BIN)/python -m stack.install
	@$(BIN)/python -m benchmarks.$(NAME) $(ARGS)

format: $(VENV)/.dev  ## put the code into its one form
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix . || true

lock: $(BIN)/uv  ## renew the lock files: names, versions and hashes only
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url requirements/dev.in -o requirements/dev.txt
	@for n in runtime demo serving mlflow text; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url -c requirements/dev.txt requirements/$$n.in -o requirements/$$n.txt; done
	@for n in evidently alibi; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url requirements/peers/$$n.in -o requirements/peers/$$n.txt; done
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url requirements/bootstrap.in -o requirements/bootstrap.txt

clean:  ## remove what was built here
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo-run demo-report.html
