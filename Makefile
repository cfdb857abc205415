# The verbs: setup demo model test test-lesser test-lowest check bench peers toolchains docs space. `make demo` and `make test` set everything up.
# More arguments: make demo ARGS="--source ../code", make test ARGS="-k fim".
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup tools demo model test test-lesser test-lowest check bench toolchains docs space peers clean

# torch comes first and alone: asked for by another package, it may arrive with gigabytes of CUDA libraries.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hf-santa needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	  echo "Name another one: make demo PYTHON=python3.11"; exit 1; }
	@echo "Setting up .venv: one to three minutes, once."
	@$(PYTHON) -m venv .venv
	@$(PIP) torch
	@$(PIP) --editable '.[all]'
	@touch $@

# What only tests, checks, benches and the documentation need.
.venv/tools: .venv/installed
	@echo "Adding the tools for tests and checks: a minute, once."
	@$(PIP) --editable '.[dev]'
	@touch $@

setup: .venv/installed

tools: .venv/tools

# An hour's training on this machine's Python code, measured on packages that it never saw: out/model/model.
SITE = $(shell $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
model: setup
	@$(BIN)/hf-santa pretrain --source $(SITE) --out out/model --languages Python --minutes 60 --gaps 1000 $(ARGS)

demo: setup
	@$(BIN)/hf-santa demo $(ARGS)

# make space MODEL=folder-or-repo-id; alone, it takes the demo's model and an index of the demo's data. With STATIC=1 the page that runs the
# model in the browser (MODEL is a folder then).
PORT ?= 7860
SPACE := cd spaces/santa_demo && ../../$(BIN)/python app.py $(ARGS)
space: setup
ifdef STATIC
ifdef MODEL
	@$(BIN)/hf-santa stage model out/static --model $(MODEL)
	@$(BIN)/hf-santa stage space out/static --model $(MODEL) --static $(ARGS)
else
	@$(BIN)/hf-santa demo
	@$(BIN)/hf-santa stage model out/static
	@$(BIN)/hf-santa stage space out/static --static $(ARGS)
endif
	@echo "static Space http://127.0.0.1:$(PORT)/"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory out/static/space $(PORT)
else ifdef MODEL
	@export HF_SANTA_MODEL="$(or $(realpath $(MODEL)),$(MODEL))"; $(SPACE)
else
	@$(BIN)/hf-santa demo
	@$(BIN)/hf-santa data index out/demo/dataset out/demo/training.index
	@export HF_SANTA_MODEL=../../out/demo/model HF_SANTA_INDEX=../../out/demo/training.index; $(SPACE)
endif

test: tools
	@$(BIN)/pytest $(ARGS)

# The model's tests as processors without AVX-512 and without AVX take them, and the data recipes' without compiled code.
MODEL_TESTS := tests/unit/modeling_santa/test_*.py tests/integration/test_model_cli.py
test-lesser: tools
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/pytest -q $(MODEL_TESTS)
	ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default $(BIN)/pytest -q $(MODEL_TESTS)
	HF_SANTA_ENGINE=numpy $(BIN)/pytest -q tests/unit/data_recipes/filters tests/unit/data_recipes/dedup tests/unit/data_recipes/test_pipeline.py
	NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=$$(mktemp -d) $(BIN)/pytest -q tests/unit/data_recipes/engine tests/unit/data_recipes/test_pipeline.py

# The oldest versions that our ranges allow, in an environment of their own; warnings of that age are not ours to mend.
.venv-lowest/installed: pyproject.toml constraints-lowest.txt
	@$(PYTHON) -m venv .venv-lowest
	@.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt torch
	@.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt --editable '.[dev]'
	@touch $@

test-lowest: .venv-lowest/installed
	.venv-lowest/bin/pytest -q -W ignore::DeprecationWarning -W ignore::FutureWarning tests/unit tests/integration $(ARGS)

check: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd spaces/santa_demo && ../../$(BIN)/mypy --config-file ../../pyproject.toml *.py

bench: tools
	@for file in $$(ls tests/bench/*.py | grep -v _peer.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# They pin other versions than ours of what both need, so they live apart.
peers:
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/detectors/peers.txt

# The reference from the code, then the site in out/site; a broken link or a page outside the navigation is an error.
docs: tools
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "site out/site/index.html; with its search: $(PYTHON) -m http.server -d out/site"

# Command and Debian package of each tool; what has no command of its own is asked of dpkg. Julia and Swift are not in Debian.
TOOLS := node:nodejs npm:npm javac:default-jdk-headless chromium:chromium unshare:util-linux patch:patch bwrap:bubblewrap \
  g++:g++ mcs:mono-mcs ldmd2:ldc go:golang-go lua:lua5.3 perl:perl php:php-cli Rscript:r-base-core racket:racket ruby:ruby \
  rustc:rustc scalac:scala ocaml:ocaml-nox ghc:ghc clojure:clojure elixir:elixir gnatmake:gnat tclsh:tcl guile:guile-3.0 emacs:emacs-nox \
  fpc:fp-compiler
LIBRARIES := lua-unit libtest-deep-perl ruby-test-unit libjavatuples-java libmono-system-numerics4.0-cil
TYPESCRIPT := 5.9.3

toolchains:
	@missing=$$(for tool in $(TOOLS); do command -v $${tool%%:*} >/dev/null || echo $${tool##*:}; done; \
	  command -v dpkg >/dev/null && for name in $(LIBRARIES); do dpkg -s $$name >/dev/null 2>&1 || echo $$name; done); \
	if [ -z "$$missing" ]; then echo "toolchains: all that Debian has are there"; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "Install with your system's package manager: $$missing"; exit 1; fi
	@[ "$$(tsc --version 2>/dev/null)" = "Version $(TYPESCRIPT)" ] || npm install --global --silent typescript@$(TYPESCRIPT)

clean:
	rm -rf .venv .venv-bench .venv-lowest out
