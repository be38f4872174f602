# make setup | demo | test | lint | docs | fuzz | bench | bench-nnunet    (each works alone in a fresh clone)
PYTHON ?= python3
DEMO_OUTPUT ?= demo_output
DOCS_OUTPUT ?= build/docs
PYTEST_OPTIONS ?= -q
FUZZ_COUNT ?= 500

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Compiled by all cores afterwards: pip takes half of an installation's time for it, on one.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# What MONAI needs to run an exported bundle lies beside the environment: within it, every import of MONAI imports it
# too, which takes each training process more than two seconds longer to start.
BUNDLE := $(VENV)/monai-bundle
RUNS_BUNDLES := pytorch-ignite scikit-image imageio lazy-loader tifffile
# nnU-Net in an environment of its own: the benchmarks against it run it there, nothing of ours needs it.
NNUNET := .venv-nnunet
NNUNET_STAMP := $(NNUNET)/.installed-2.8.1-torch-2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup system demo test lint docs bench bench-nnunet fuzz clean

help:
	@echo "make setup   create $(VENV) and install everything (done once, then free)"
	@echo "make demo    make a phantom study, segment it, show the result in $(DEMO_OUTPUT)/"
	@echo "make test    run the tests"
	@echo "make lint    ruff and mypy"
	@echo "make docs    build the documentation into $(DOCS_OUTPUT)/"
	@echo "make fuzz    read some thousand damaged files, FUZZ_COUNT of each kind"
	@echo "make bench   measure speed and memory on this machine"
	@echo "make bench-nnunet   install nnU-Net into $(NNUNET), for the benchmarks against it"

setup: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(not (3, 10) <= v <= (3, 13) and f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 -m venv failed; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (some minutes the first time) ..."
	@$(PIP) -c constraints.txt -e '.[dev]'
	@$(PIP) -c constraints.txt --no-deps --upgrade --target $(BUNDLE) $(RUNS_BUNDLES)
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib $(BUNDLE) >/dev/null || true  # some hold templates, not Python
	@$(MAKE) --no-print-directory system
	@touch $@
	@echo "Ready: $(BIN)/livermriseg --help, or . $(BIN)/activate and then livermriseg"

# The compiled wheels need shared libraries of the system, Qt (for the panel's tests) the most; slim images lack them.
NEEDED := libstdc++6 libgcc-s1 zlib1g libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 fonts-dejavu-core
CORE := import numpy, SimpleITK, torch, openvino, vtk, slicer
PANEL := import PySide6.QtWidgets, PySide6.QtTest, PySide6.QtUiTools
system:
	@$(BIN)/python -c '$(CORE); $(PANEL)' >/dev/null 2>$(VENV)/imports.log && exit 0; \
	  tail -n 1 $(VENV)/imports.log; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $(NEEDED); \
	  else echo "A system library is missing. Install: $(NEEDED) (Debian names), then run make setup again."; fi; \
	  $(BIN)/python -c '$(PANEL)' || echo "Without these libraries the panel's tests are skipped."; \
	  $(BIN)/python -c '$(CORE)'

demo: setup
	@$(BIN)/livermriseg demo -o $(DEMO_OUTPUT)

fuzz: setup
	@$(BIN)/python Testing/fuzz/run.py --count $(FUZZ_COUNT)

test: setup
	@$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "Unformatted files; run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@MYPYPATH=Testing:Testing/studies:Testing/benchmarks \
	  $(BIN)/mypy --no-error-summary --follow-imports=silent Testing/studies Testing/benchmarks
	@echo "lint: clean"

docs: setup
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs $(DOCS_OUTPUT)
	@echo "docs: open $(DOCS_OUTPUT)/index.html"

bench: setup
	@$(BIN)/python Testing/benchmarks/run.py

bench-nnunet: setup $(NNUNET_STAMP)
	@echo "Ready: $(BIN)/python Testing/benchmarks/nnunet_parity.py"

$(NNUNET_STAMP):
	@test -x $(NNUNET)/bin/python || $(BIN)/python -m venv $(NNUNET)
	@echo "Installing nnU-Net into $(NNUNET) (some minutes) ..."
	@$(NNUNET)/bin/python -m pip install --quiet --disable-pip-version-check nnunetv2==2.8.1 torch==2.13.0
	@touch $@

clean:
	rm -rf build dist $(DEMO_OUTPUT) *.egg-info
