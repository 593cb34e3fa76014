# make demo   find and classify the faces in two real photos, or in any folder: make demo DIR=~/photos
# make test   the whole test suite; make test-pythons: the part of it that runs other Pythons
# Both need python3 (3.11 or later), its venv module and a C++17 compiler, and set up .venv by themselves.

PYTHON ?= python3
# Any torch from 2.11 to 2.13 does; put a CPU-only or CUDA build's pip arguments here.
TORCH ?= torch==2.13.0
DIR ?=

VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
SOURCES := $(shell find csrc fer_fast -name '*.py' -o -name '*.cpp' -o -name '*.cu' -o -name '*.h' -o -name '*.toml')

.PHONY: demo test test-pythons lint clean

demo: $(VENV)/installed-demo
	$(VENV)/bin/python examples/demo.py $(DIR)

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest

# The Python part on 3.12 and 3.13, where they are found; FER_FAST_PYTHONS=/path/python3.12:/path/python3.13 names them.
test-pythons: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest tests/test_pythons.py

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# TensorRT for RTX builds engines without a card; its packages would bring CUDA's along.
# torch and OpenVINO first: the build reads their headers, and a second one is never fetched. Editable, so that the tests see what
# they stand beside; that the wheel works, too, is one of them.
$(VENV)/installed-%: pyproject.toml setup.py CMakeLists.txt $(SOURCES)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) install '$(TORCH)' 'openvino>=2025.2'
	$(PIP) install -e '.[$*]'
	test $* != test || $(PIP) install --no-deps tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings
	touch $@

clean:
	rm -rf $(VENV) .venv-pythons build .demo
