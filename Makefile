# Two commands are enough on a fresh machine: `make run` and `make test`.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install run test test-slow test-gpu lint types bench results-smoke clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

run: install            ## the main job: meta-train on the built-in glyphs, evaluate on scripts never seen
	$(BIN)/kshot run

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

test: lint types        ## everything that CI runs
	$(BIN)/pytest

test-slow: install      ## accuracy gates and other tests that take minutes
	$(BIN)/pytest -m slow

test-gpu: install
	$(BIN)/pytest -m gpu

bench: install
	$(BIN)/pytest benchmarks -m 'not gpu' --benchmark-columns=median,iqr,ops

results-smoke: install  ## repeat a committed result in shortened form (needs Omniglot)
	$(BIN)/python results/smoke.py results/protonet-omniglot-random-5w1s.json

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
