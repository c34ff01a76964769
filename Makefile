# Everything a developer or a curious user needs; each target sets up what it uses.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Empty for the newest versions of everything.
CONSTRAINTS ?= -c constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)
# Two workers of one thread each: the networks of the tests are too small to gain from more.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
# After all tests on PyTorch: only those to which another backend matters.
OTHER_BACKEND := -m 'not network and not faults and not one_backend'
ALSO_SLOW := -m 'not network and not faults'
# Programs that JAX compiled, for the tests and their subprocesses that need the same ones. Each runs
# a few times only, so that optimizing its machine code would take longer than it saves.
JAX := KERAS_BACKEND=jax JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/.jax-programs \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_DISABLE_MOST_OPTIMIZATIONS=1
OLDEST_KERAS := 3.8.0
KIND ?= weights
N ?= 20000
SOURCES := src tests examples benchmarks tools docs/conf.py docs/_ext
# TensorFlow's build without GPU code exists for Linux and Windows only.
TENSORFLOW := $(if $(filter Darwin,$(shell uname -s)),tensorflow,tensorflow-cpu)

.PHONY: demo test test-jax test-tensorflow test-all test-oldest elsewhere heads faults fuzz lint format bench docs dist extras clean

demo: $(VENV)/.demo  ## feature maps of two photographs, then a fine-tuned classifier; IMAGE=... classifies a garment
	KERAS_BACKEND=jax $(BIN)/python examples/demo.py $(if $(IMAGE),--image '$(IMAGE)')

test: $(VENV)/.dev  ## the tests on PyTorch, which compiles nothing, but for the slow ones
	KERAS_BACKEND=torch $(PYTEST)

test-jax: $(VENV)/.all  ## what depends on the backend, on JAX
	$(JAX) $(PYTEST) $(OTHER_BACKEND)

test-tensorflow: $(VENV)/.all  ## what depends on the backend, on TensorFlow
	KERAS_BACKEND=tensorflow $(PYTEST) $(OTHER_BACKEND)

test-all: $(VENV)/.all  ## the tests on PyTorch, and on JAX and TensorFlow what depends on the backend
	KERAS_BACKEND=torch $(PYTEST) $(ALSO_SLOW)
	$(MAKE) test-jax
	$(MAKE) test-tensorflow

test-oldest: $(VENV)/.all $(VENV)/.oldest-keras  ## what touches Keras' own files, on the oldest supported Keras
	KERAS_BACKEND=torch PYTHONPATH=$(VENV)/.oldest-keras $(PYTEST) \
		tests/golden tests/models/test_saving.py tests/presets

elsewhere: $(VENV)/.all  ## what other software computes from exported files: rewrites the table in docs/elsewhere.md
	KERAS_BACKEND=torch PYTHONPATH=tests $(BIN)/python -m elsewhere.table

heads: $(VENV)/.all $(VENV)/.heads  ## the backbone under heads of KerasHub and KerasCV
	KERAS_BACKEND=torch PYTHONPATH=$(VENV)/.heads $(PYTEST) tests/models/test_other_heads.py
	KERAS_BACKEND=tensorflow PYTHONPATH=$(VENV)/.heads $(PYTEST) tests/models/test_other_heads.py
	$(JAX) PYTHONPATH=$(VENV)/.heads $(PYTEST) tests/models/test_other_heads.py

faults: $(VENV)/.all  ## trainings that are killed at every kind of moment, on PyTorch and JAX
	KERAS_BACKEND=torch $(PYTEST) tests/faults tests/train/distributed -m ''
	$(JAX) $(PYTEST) tests/faults -m ''

fuzz: $(VENV)/.dev  ## N damaged and hostile files, read in a worker process under limits; KIND=images, too
	KERAS_BACKEND=torch PYTHONPATH=tests nice $(BIN)/python -m fuzz.$(KIND) --cases $(N)

lint: $(VENV)/.dev  ## style, format, types, and the direction of imports
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python tools/check_layers.py

format: $(VENV)/.dev  ## mend style and format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.all  ## speed against KerasCV, which gets a virtual environment of its own
	$(BIN)/python benchmarks/backbone_speed.py

docs: $(VENV)/.docs  ## the documentation site, in docs/_build/html; its notebooks run once
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -b html docs docs/_build/html

dist: $(VENV)/.venv  ## wheel and sdist, checked: texts, size, and a prediction in a fresh environment
	rm -rf dist
	$(PIP_INSTALL) build twine
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tools/check_wheel.py dist/*.whl

extras: $(VENV)/.venv  ## each extra alone, in a clean environment of the newest versions; EXTRAS='jax hf' for some
	rm -rf dist
	$(PIP_INSTALL) build
	$(BIN)/python -m build --wheel
	$(BIN)/python tools/check_extras.py dist/*.whl $(EXTRAS)

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[jax,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[torch,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/.all: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[jax,$(TENSORFLOW)]'
	@touch $@

$(VENV)/.oldest-keras: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $@ keras==$(OLDEST_KERAS)
	@touch $@

# Of what the two ask for, only what they import.
$(VENV)/.heads: $(VENV)/.venv
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $@ keras-hub keras-cv==0.9.0 \
		regex tokenizers sentencepiece dm-tree tensorflow-datasets
	@touch $@

clean:
	rm -rf $(VENV) dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output
