# Two commands are enough on a fresh machine: `make run` and `make test`.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install run test test-slow test-gpu test-peers lint types bench bench-peers docs results-smoke clean

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

test: lint types        ## everything that CI runs; the tests on all cores
	$(BIN)/pytest --numprocesses auto

test-slow: install      ## tests that take minutes
	$(BIN)/pytest -m slow

test-gpu: install
	$(BIN)/pytest -m gpu

bench: install          ## speed: the parts alone, then kshot beside the peers (after `make bench-peers`), and the table; about 20 minutes
	$(BIN)/pytest benchmarks -m 'not gpu' --benchmark-columns=median,iqr,ops
	$(BIN)/python benchmarks/beside_peers.py $(BENCH)
	$(BIN)/python benchmarks/table.py

bench-peers: install    ## an environment for each peer under .bench/; the table says which of them work
	$(BIN)/python benchmarks/peers/install.py
	$(BIN)/python benchmarks/table.py

test-peers: install     ## the same losses as the peers (after `make bench-peers`)
	$(BIN)/pytest -m peers

docs: install           ## the documentation as a site, in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

results-smoke: install  ## repeat a committed result in shortened form (needs Omniglot)
	$(BIN)/python results/smoke.py results/protonet-omniglot-random-5w1s.json

clean:
	rm -rf $(VENV) .bench build dist site .pytest_cache .mypy_cache .ruff_cache
