# `make app` and `make test` need only a Python 3.10 or newer: each makes .venv itself and installs into it again
# when a requirements file has changed. Works with GNU make 3.81 (macOS) and newer.

PYTHON ?=
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.12 python3.11 python3.10 python3.13 python3 python)
PY := .venv/bin/python
ARGS ?=

CONFIGS := aia/training/configs
RECIPE := $(CONFIGS)/egogestar.json
OUT := runs/$(basename $(notdir $(RECIPE)))
INIT := torchvision
# One of the family: temporal and attention of its network, such as tsn-none, tsm-stinc or "tsm-c->st".
MEMBER := tsm-cinst
# Each needs up to 4 GB; one of them runs all tests of the page (tests/conftest.py). WORKERS=0: one process.
WORKERS := 2
# Python keeps the compiled tests: compiling them takes 3 s a process, also where the environment says to keep nothing.
# A process that crashes ends the run, which names its test: with another in its place xdist waits forever.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) \
  --dist loadfile --no-loadscope-reorder --max-worker-restart=0
# Material prints a notice about its successor unless told not to.
DOCS := NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help app test test-long check lint docs format bench examples answers model models need-data clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

app: .venv/.app ## the page; options: make app ARGS="--port 8000 --model user/repo"
	$(PY) app.py $(ARGS)

test: lint ## ruff and the tests; options of pytest: make test ARGS="tests/video/test_reader.py -x"
	$(PYTEST) -m "not long" $(ARGS)

test-long: .venv/.dev ## the tests that take long, which CI runs after the others
	$(PYTEST) -m long $(ARGS)

check: lint ## ruff and the tests that need no browser, no running page and no training
	$(PYTEST) -m "not browser and not server and not slow and not long" $(ARGS)

lint: .venv/.dev ## style, format, types, imports, scripts and the documentation's links; no source is changed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PY) -m tools.lint_scripts
	$(DOCS) build # with --quiet a warning would be no error

docs: .venv/.dev ## the documentation as a site: open site/index.html
	$(DOCS) build --clean

format: .venv/.dev ## ruff's fixes and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/.dev ## time everything and put the tables into docs/benchmarks.md; one part: make bench ARGS=forward
	$(PY) -m benchmarks $(if $(ARGS),$(ARGS),--update)

examples: .venv/.app ## draw assets/examples again
	$(PY) -m tools.draw_examples assets/examples

answers: .venv/.app ## compute the examples' answers in assets/answers again: after a new default model or new words
	$(PY) -m app.ui.examples

model: need-data .venv/.app ## train: make model DATA=folder [RECIPE=file] [OUT=folder] [ARGS="--set seed=1"]
	$(PY) -m aia train "$(RECIPE)" --data "$(DATA)" --out "$(OUT)" $(ARGS)

models: need-data .venv/.app ## a shipped model from scratch: make models DATA=folder [MEMBER=tsn-cinst] [INIT=trunk file]
	$(PY) -m aia train $(CONFIGS)/egogestar.json --data "$(DATA)" --out runs/first \
	  --init "$(INIT)" --cache runs/cache $(ARGS)
	$(PY) -m aia train $(CONFIGS)/egogestar.json --data "$(DATA)" --out runs/start \
	  --init runs/first --cache runs/cache --set epochs=12 $(ARGS)
	$(PY) -m aia train $(CONFIGS)/egogestar-family.json --data "$(DATA)" --out "runs/$(MEMBER)" \
	  --init runs/start --cache runs/cache --set network.temporal=$(firstword $(subst -, ,$(MEMBER))) \
	  --set "network.attention=$(patsubst tsn-%,%,$(patsubst tsm-%,%,$(MEMBER)))" $(ARGS)

need-data:
	@test -n "$(DATA)" || { \
	  echo "make model needs DATA=folder: videos and a csv with the columns file, label, split, scene." >&2; exit 2; }

clean: ## remove .venv, caches and builds; runs/ stays
	rm -rf .venv site .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp in .venv says what is installed; the tests' packages include the page's.
.venv/.app: requirements.txt | .venv/bin/pip
	@echo "Installing $< into .venv: some GB for torch, a few minutes the first time."
	@$(PY) -m pip install -q --disable-pip-version-check -r $<
	@touch $@

.venv/.dev: requirements-dev.txt requirements.txt | .venv/bin/pip
	@echo "Installing $< into .venv: some GB for torch, a few minutes the first time."
	@$(PY) -m pip install -q --disable-pip-version-check -r $<
# Without its dependencies: they would put another build of OpenCV over ours, one that needs libGL.
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps "grad-cam>=1.5" ttach
	@touch .venv/.app $@

.venv/bin/pip:
	@for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$python"; continue; }; \
	  echo "Making .venv with $$("$$python" -V)"; \
	  exec "$$python" -m venv --clear .venv; \
	done; \
	if test -n "$$bare"; then \
	  echo "$$bare has no venv module; on Debian and Ubuntu: sudo apt-get install python3-venv"; \
	else \
	  echo 'No Python 3.10 or newer found; install one or name it, as in: make app PYTHON=/path/to/python3'; \
	fi >&2; exit 1
