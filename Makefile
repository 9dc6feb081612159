# The same commands as in the README and in .ci/run, under the names that LangChain's packages use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install test lint format type fuzz soak audit bench conformance demo picture docs dist

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv .venv

install: $(BIN)/python  ## Make the environment
	$(BIN)/pip install -q -c constraints.txt -e ".[test,reference-clients,notebooks,lint]"

test:  ## Run the tests
	$(BIN)/pytest -n auto --dist loadfile

lint:  ## Look for mistakes and for formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format:  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type:  ## Check the types
	$(BIN)/mypy

fuzz:  ## Read bent input with every decoder and parser, MINUTES=10 of CPU time a family; FAMILY=wire for one
	$(BIN)/python -W ignore tools/fuzz.py $(or $(MINUTES),10) $(addprefix --family ,$(FAMILY))

soak:  ## Ask well and badly for MINUTES=20 and see that nothing grows
	$(BIN)/python tools/soak.py $(or $(MINUTES),20)

audit:  ## Look for known vulnerabilities in the locked versions, in an environment of its own
	test -x .audit/bin/python || $(PYTHON) -m venv .audit
	.audit/bin/pip install -q pip-audit
	.audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

bench:  ## Measure, beside the floor and the peers, in an environment of its own
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[langchain,llamaindex,oci-lite,aws,httpx2,emulator,bench]"
	.bench/bin/python -m benchmarks

conformance:  ## Ask which LlamaIndex package keeps which rule, in an environment of its own
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[conformance]"
	.bench/bin/python -m benchmarks.conformance

demo:  ## Stream an answer, and a broken one
	$(BIN)/mdstream demo

picture:  ## Draw the README's picture anew
	$(BIN)/python tools/picture.py

docs:  ## Build the documentation into build/site, strictly
	test -x .docs/bin/python || $(PYTHON) -m venv .docs
	.docs/bin/pip install -q -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --strict

dist:  ## Build wheel and sdist into dist/, and try both in empty environments with each extra
	$(BIN)/pip install -q build
	rm -rf dist
	$(BIN)/python -m build -q
	$(BIN)/python tools/smoke.py dist/*
