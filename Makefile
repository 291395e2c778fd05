# make demo    a demo project in ./demo, from nothing to a champion, with its pictures
# make test    the fast tests; make test FLAGS="--random-order" in another order each time
# make check   format, lint, types, the package's size and import circles, the slow tests, and all
#              properties with more examples
# make bench   overhead and start-up, as ratios measured in one run; promotions without and with
#              skill; the demo on other data

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# More flags for pip, for example an index that has torch's CPU build.
PIP_FLAGS ?=
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt

# Two workers, one thread each; the tests of a file stay on one of them, with its servers and kills.
# In memory where that is, since the record waits for the disk at every commit; with bytecode kept,
# whatever the environment says, since the tests start podium some hundred times.
PYTEST := PYTHONDONTWRITEBYTECODE= TMPDIR=$(firstword $(wildcard /dev/shm) /tmp) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
FLAGS  ?=

.PHONY: demo tools test check slow bench lint types size clean
.DELETE_ON_ERROR:

tools: $(VENV)/.tools

demo: $(VENV)/.installed
	@test -f demo/podium.toml || $(BIN)/podium init demo --demo --quiet
	cd demo && ../$(BIN)/podium run

test: $(VENV)/.tools
	$(PYTEST) -m "not slow" $(FLAGS)

check: lint types size slow

slow: $(VENV)/.tools
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=podium $(FLAGS)

lint: $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.tools
	$(BIN)/mypy

size: $(VENV)/.tools
	$(BIN)/python tests/structure.py

bench: $(VENV)/.tools
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/record.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/promotion.py
	$(BIN)/python benchmarks/search_overhead.py
	$(BIN)/python benchmarks/searches.py --seeds 2 --only random,qmc,tpe,random_bayesian_refine
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/sequences.py
	$(BIN)/python benchmarks/stats.py
	$(BIN)/python benchmarks/backtest.py
	$(BIN)/python benchmarks/schedules.py
	$(BIN)/python benchmarks/honest.py --out out/honest.jsonl
	$(BIN)/python benchmarks/verdicts.py

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "podium needs Python 3.11 or later, $(PYTHON) is " + sys.version.split()[0] + "; run: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@# torch first and pinned: a range could bring gigabytes of CUDA packages.
	$(PIP) torch==2.13.0
	$(PIP) -e '.[torch,parquet,plots]'
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(PIP) -e '.[torch,trees,mlflow,parquet,postgresql,demo,dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
