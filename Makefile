# The verbs: setup demo test check bench peers toolchains docs space. `make demo` and `make test` set everything up.
# More arguments: make demo ARGS="--corpus ../code", make test ARGS="-k fim".
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test check bench toolchains docs space peers clean

# torch comes first and alone: asked for by another package, it may arrive with gigabytes of CUDA libraries.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hf-santa needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	  echo "Name another one: make demo PYTHON=python3.11"; exit 1; }
	@echo "Setting up .venv: one to three minutes, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	@touch $@

setup: .venv/installed

demo: setup
	@$(BIN)/hf-santa demo $(ARGS)

space: setup
	@$(BIN)/hf-santa demo --serve $(ARGS)

test: setup
	@$(BIN)/pytest $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@for file in $$(ls tests/bench/*.py | grep -v _peer.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# They pin other versions than ours of what both need, so they live apart.
peers:
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/detectors/peers.txt

docs: setup
	$(BIN)/python docs/generate.py

toolchains:
	@missing=$$(for tool in node:nodejs javac:default-jdk-headless chromium:chromium unshare:util-linux patch:patch; do \
	  command -v $${tool%%:*} >/dev/null || echo $${tool##*:}; done); \
	if [ -z "$$missing" ]; then echo "toolchains: node, javac, chromium, unshare and patch are there"; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "Install with your system's package manager: $$missing"; exit 1; fi

clean:
	rm -rf .venv .venv-bench out
