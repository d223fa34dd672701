# make run    solve the bundled day exactly (7.5 minutes at most) and heuristically (as long), judge both;
#             the result is in runs/ieee33-road16-compare
# make test   the whole test suite
# Both create .venv on first use. Another interpreter: make test PYTHON=/path/to/python3.12
VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=

.PHONY: run test clean

run: $(STAMP)
	$(BIN)/mpec compare ieee33-road16 --time-limit 450 --force --out runs/ieee33-road16-compare

# One BLAS thread a process: the tests already run on every core.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not long"

$(STAMP): pyproject.toml
	@set -e; \
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  found=; \
	  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	    if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.11 or newer with its venv module was found." >&2; \
	    echo "  Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
	    echo "  or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Creating $(VENV) with $$($$found --version)"; \
	  rm -rf $(VENV); "$$found" -m venv $(VENV); \
	fi; \
	echo "Installing evcs-mpec and what it needs into $(VENV) (a minute or two, once)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; \
	touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
