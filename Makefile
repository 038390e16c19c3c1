# xlret: every target works on a bare machine with Python 3.11; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
# Where it is set, every process compiles all that it imports, torch and Ray among it.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or say make PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,segment,serve,sweep,bench]'
	@touch $(STAMP)

install: $(STAMP)  ## make .venv and install xlret with its development tools

quickstart: $(STAMP)  ## train a small cross-lingual retriever from nothing, evaluate it, ask it questions (about 5 minutes)
	$(BIN)/xlret quickstart

serve: $(STAMP)  ## serve the quickstart's encoder on http://127.0.0.1:8000 (trains and indexes it first if need be)
	$(BIN)/xlret quickstart --release
	$(BIN)/xlret serve --release runs/releases

sweep: $(STAMP)  ## train four small retrievers side by side, compare them, release the best (up to 10 minutes); then: make serve
	$(BIN)/xlret prepare --atlas corpora/atlas
	$(BIN)/xlret sweep sweep-atlas --release sweep

# On two cores: types are looked at when the tests on Ray have ended.
test: $(STAMP)  ## lint, types and all fast tests (what CI runs)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 --keep-going test-rest test-ray types

test-ray: $(STAMP)  ## the fast tests that start a Ray, which mostly wait
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'ray and not slow' | sed -u 's/^/ray: /'

test-rest: $(STAMP)  ## the other fast tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'not ray and not slow'

types: $(STAMP)  ## mypy
	$(BIN)/mypy

docs: $(STAMP)  ## the API reference, from the docstrings, in build/docs
	$(BIN)/python -m pdoc --docformat google --output-directory build/docs xlret

test-slow: $(STAMP)  ## the long tests on real data (needs XLRET_SHARED, default ../shared)
	$(BIN)/pytest -m slow

lint: $(STAMP)  ## ruff and mypy, mending what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

bench: $(STAMP)  ## speed and memory, as ratios of one run
	$(BIN)/python -m jobs.benchmark

.PHONY: help install quickstart serve sweep test test-ray test-rest types docs test-slow lint bench
.DEFAULT_GOAL := help
