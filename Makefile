# make demo   install into .venv and run the preview study; prints where its report is
# make lint   install into .venv, then check style, types and spelling
# make test   the same, and then the tests
# make docs   install into .venv what these pages need, and build them into docs/_build/html; a warning is an error
# make lock   resolve the dependencies anew into requirements.lock, and those of tests and pages into the locks beside it

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
DOCS_STAMP := $(VENV)/.installed-docs
LOCK_ARGUMENTS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
PYTEST_ARGUMENTS ?= -n auto --dist loadgroup
# Tests run one to a core: matrices multiplied by threads on all of them would take three to ten times as long.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo lint test docs lock clean

demo: $(STAMP)
	$(BIN)/simsc run simsc/study/presets/preview.toml -o demo_run

lint: $(TEST_STAMP)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs simsc tests notebooks forcefields lammps_inputs

test: lint
	$(PYTEST) $(PYTEST_ARGUMENTS) -m "not slow and not alone"
	$(PYTEST) -m "alone and not slow"

docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "simsc needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

$(TEST_STAMP): $(STAMP) requirements-test.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-test.lock
	@touch $(TEST_STAMP)

$(DOCS_STAMP): $(STAMP) requirements-docs.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	@touch $(DOCS_STAMP)

lock:
	uv pip compile pyproject.toml --group build $(LOCK_ARGUMENTS) -o requirements.lock
	uv pip compile pyproject.toml --extra test -c requirements.lock $(LOCK_ARGUMENTS) -o requirements-test.lock
	uv pip compile pyproject.toml --extra docs -c requirements-test.lock $(LOCK_ARGUMENTS) -o requirements-docs.lock

clean:
	rm -rf $(VENV) demo_run docs/_build docs/reference/generated
