# The two commands a fresh machine needs: `make demo` and `make test`.
# VENV, PYTHON and JOBS may be given: make test VENV=/somewhere/env PYTHON=python3.12 JOBS=8

VENV ?= .venv
PYTHON ?= python3
OUT ?= demo-out
JOBS ?= 2
PIP = $(VENV)/bin/python -m pip --quiet --disable-pip-version-check
PINNED = --constraint constraints.txt

.PHONY: demo test soak check docs clean

demo: $(VENV)/.installed
	$(VENV)/bin/glm2x demo --out $(OUT) --force

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(JOBS) --dist loadfile

# the faults of tests/faults at many more moments than the tests of every day take
soak: $(VENV)/.installed-dev
	GLM2X_SOAK=1 OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/faults

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# -W: a link that leads nowhere, or a cell of the tutorial that fails, is an error
docs: $(VENV)/.installed-docs
	$(VENV)/bin/python -m sphinx -W --keep-going -b html docs docs-out

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  "glm2x needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: give another, as in make demo PYTHON=python3.12" % v)'
	@echo "installing glm2x into $(VENV): about 2 GB, a minute or two"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install $(PINNED) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) install $(PINNED) --editable '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(PIP) install $(PINNED) --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) docs-out .mypy_cache .pytest_cache .ruff_cache .hypothesis
