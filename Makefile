# The same commands as in the README and in .ci/run, under the names that LangChain's packages use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install test test-all-pythons lowest lint format type fuzz soak audit bench bench-instructions comparison scaling conformance migration demo engines examples picture docs dist

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(BIN)/python:
	$(PYTHON) -m venv .venv

install: $(BIN)/python  ## Create the environment
	$(BIN)/pip install -q -c constraints.txt -e ".[test,reference-clients,notebooks,lint]"

test:  ## Run the tests
	$(BIN)/pytest -n auto --dist loadfile

test-all-pythons:  ## Run the tests on every installed Python from 3.11 on, each in an environment of its own; TESTS="tests/test_cli.py" for some
	$(PYTHON) tools/all_pythons.py $(TESTS)

lowest:  ## Import, demo and a part of the conformance suites with the lowest supported versions
	.ci/lowest

lint:  ## Check the code and its formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format:  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type:  ## Check the types
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/type_checks/mypy.ini

fuzz:  ## Fuzz every decoder and parser, MINUTES=10 of CPU time per family; FAMILY=wire for one
	$(BIN)/python -W ignore tools/fuzz.py $(or $(MINUTES),10) $(addprefix --family ,$(FAMILY))

soak:  ## Mix successful and failing calls for MINUTES=20 and check for leaks
	$(BIN)/python tools/soak.py $(or $(MINUTES),20)

audit:  ## Look for known vulnerabilities in the locked versions, in a separate environment
	test -x .audit/bin/python || $(PYTHON) -m venv .audit
	.audit/bin/pip install -q pip-audit
	.audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

bench:  ## Measure performance beside other packages, in a separate environment; ARGS="--quick --only burst" for some
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[langchain,llamaindex,oci-lite,aws,httpx2,emulator,bench]"
	.bench/bin/python -m benchmarks $(ARGS)

bench-instructions:  ## Count instructions with valgrind, which other processes do not change; GROUP="core imports" for some, ARGS=--ours for mdstream only
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[langchain,llamaindex,oci-lite,aws,httpx2,emulator,bench]"
	.bench/bin/python -m benchmarks.instructions --write $(if $(GROUP),--only $(GROUP)) $(ARGS)

comparison:  ## Measure performance beside other packages, and write the tables of docs/comparison.md
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[langchain,llamaindex,oci-lite,aws,httpx2,emulator,bench]"
	.bench/bin/python -m benchmarks --write $(ARGS)

scaling:  ## Measure how costs grow, and write docs/performance.md and its pictures; ARGS="--only streams" for one curve
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[langchain,llamaindex,oci-lite,aws,httpx2,emulator,bench]"
	.bench/bin/python -m benchmarks.scaling --write $(ARGS)

conformance:  ## Run the conformance suite on LlamaIndex packages, in a separate environment
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install -q -e ".[conformance]"
	.bench/bin/python -m benchmarks.conformance

migration:  ## Record the names of other packages and write the tables of the migration pages, in a separate environment
	test -x .migration/bin/python || $(PYTHON) -m venv .migration
	.migration/bin/pip install -q -e ".[migration]"
	.migration/bin/pip install -q --no-deps "llama-index-llms-sagemaker-endpoint>=0.6"  # its dependencies compile llama-cpp-python
	.migration/bin/python -m benchmarks.migration

demo:  ## Stream a response, and an interrupted one
	$(BIN)/mdstream demo

picture:  ## Draw the README's picture
	$(BIN)/python tools/picture.py

engines:  ## Run the tests on Ray, Spark and Dask, in a separate environment
	test -x .engines/bin/python || $(PYTHON) -m venv .engines
	.engines/bin/pip install -q -c constraints.txt -e ".[engines]"
	.engines/bin/pytest tests/engines tests/test_rows_finished.py tests/test_rows_tables.py tests/test_notebooks.py

examples:  ## Run the tests of the web apps in examples/, each in an environment of its own; APP=gradio for one
	$(PYTHON) tools/examples.py $(APP)

docs:  ## Build the documentation into build/site, strictly
	test -x .docs/bin/python || $(PYTHON) -m venv .docs
	.docs/bin/pip install -q -c constraints.txt -e ".[docs,agents]"
	NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --strict

dist:  ## Build wheel and sdist into dist/, and test both in empty environments with each extra
	$(BIN)/pip install -q build
	rm -rf dist
	$(BIN)/python -m build -q
	$(BIN)/python tools/smoke.py dist/*
