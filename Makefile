# The package, the book and their tests, from a clone: only Python 3.11+ and make are needed.
#   make PYTHON=python3.12 book     with another Python
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make book     with the small, CPU-only PyTorch

SHELL := /bin/bash -euo pipefail
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := -r requirements.lock
EXTRAS := torch,book,dev
PORT ?= 8000
TORCH ?= 2.13.0
TEX := latexmk texlive-xetex texlive-latex-extra texlive-fonts-extra xindy fonts-dejavu

.DELETE_ON_ERROR:
.PHONY: help check unit lint book pdf links serve browser test bench lock reference newest lowest clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-12s%s\n", $$1, $$2}' Makefile

check: lint unit ## the quick check before a commit: style, types, and the tests that need no built book

lint: $(VENV)/stamp ## check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/stamp ## run the tests that need no built book, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not site and not slow' --numprocesses auto --dist worksteal

book: $(VENV)/stamp ## build the site into _build/html, executing what changed; any warning is an error
	rm -rf _build/html _build/.doctrees _build/jupyter_execute # only the cache is kept, so that no page is out of date
	$(BIN)/jupyter-book build . -W --keep-going || \
	  { rm -rf _build/html; echo "The book did not build, so there is no site; the reason is above."; exit 1; }

pdf: $(VENV)/stamp ## the book as a PDF, in _build/latex; needs TeX Live: xelatex, latexmk, xindy, DejaVu fonts
	@for tool in xelatex latexmk xindy; do command -v $$tool > /dev/null || \
	  { echo "make pdf needs $$tool, of TeX Live (on Debian: apt-get install $(TEX))"; exit 1; }; done
	rm -rf _build/.doctrees # pages prepared for the site do not suit LaTeX; executions come from the cache
	$(BIN)/jupyter-book build . --builder pdflatex -W --keep-going

links: book ## check that the links to other sites still lead somewhere
	$(BIN)/jupyter-book build . --builder linkcheck --keep-going

serve: book ## build the book, then show it at http://localhost:8000 (PORT=8001 for another port)
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

browser: $(VENV)/stamp # before the book is built: a missing browser is found in the first second
	@PYTHON=$(BIN)/python .ci/browser > /dev/null

test: browser book ## build the book and run all tests, with the coverage of the package
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' --numprocesses auto --dist worksteal --cov --cov-report=
	$(BIN)/python -m pytest -m slow --cov --cov-append --cov-report=term:skip-covered

bench: $(VENV)/stamp ## measure speed against named peers, on an idle machine, into _build/bench.json
	for script in sampling measuring training asking; do $(BIN)/python tests/bench/$$script.py; done

lock: ## renew requirements.lock from pyproject.toml (all extras; PyTorch's build and its CUDA packages stay open)
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[$(EXTRAS)]' torch==$(TORCH)
	{ echo '# Every version with which the book is built. Made by: make lock'; \
	  .venv-lock/bin/python -m pip freeze --all --exclude pip --exclude-editable \
	  | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' | grep -vE '^(nvidia-|cuda-|triton)'; } > requirements.lock
	rm -rf .venv-lock

reference: book ## store the data behind the figures and the claims' values, after a look at every change
	$(BIN)/python book/_tools/store_records.py

lowest: ## the unit tests with the lowest versions that pyproject.toml declares, in .venv-lowest
	.ci/lowest

newest: ## lint, book and tests with the newest versions that pyproject.toml allows, in .venv-newest
	.ci/newest

clean: ## remove everything that was built
	rm -rf .venv .venv-lock .venv-lowest .venv-newest _build build *.egg-info

$(VENV)/stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(REQUIREMENTS) --editable '.[$(EXTRAS)]'
	touch $@
