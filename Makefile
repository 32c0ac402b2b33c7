# make demo | test | stress | lint | clean
#
# Every target sets up what it needs: a virtual environment outside the clone with torch and the test tools,
# and the native extension, built with cargo into python/framelift/. What is there already is not made again.
#
# Settings: PYTHON (an interpreter, 3.11 to 3.13), TORCH (a version), TESTS (what pytest runs), PYTEST_FLAGS.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := test
MAKEFLAGS += --no-print-directory

TORCH ?= 2.15.0
TESTS ?= tests
PYTEST_FLAGS ?=

# rustup puts cargo here, and not every shell has been told.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The first interpreter that runs and has a version that is supported.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3 python; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 \
	&& { echo "$$candidate"; break; }; done)
ifeq ($(strip $(PYTHON)),)
$(error no Python from 3.11 to 3.13 found: install one, or name it: make PYTHON=/path/to/python3.11)
endif
PYTHON_VERSION := $(shell "$(PYTHON)" -c 'import platform; print(platform.python_version())')

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/framelift
VENV := $(CACHE)/venv-$(PYTHON_VERSION)-$(TORCH)
VENV_PYTHON := $(VENV)/bin/python
# Named by its contents: clones with the same requirements share an environment and never rebuild each other's.
REQUIREMENTS := $(VENV)/requirements-$(shell sha256sum requirements-dev.txt | cut -c 1-16).stamp

CARGO_FLAGS := --release --locked --target-dir target/$(PYTHON_VERSION)
export PYO3_PYTHON := $(VENV_PYTHON)
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYTHONPATH := $(CURDIR)/python

.PHONY: test stress demo lint build environment toolchain clean

test: build
	@echo "==> tests: $(TESTS)"
	@$(VENV_PYTHON) -m pytest $(TESTS) $(PYTEST_FLAGS)

# What make test samples, as a whole: takes many minutes.
stress: build
	@echo "==> stress: $(TESTS)"
	@FRAMELIFT_STRESS=1 $(VENV_PYTHON) -m pytest -m stress $(TESTS) $(PYTEST_FLAGS)

demo: build
	@echo "==> demo"
	@$(VENV_PYTHON) bench/demo.py

lint: $(REQUIREMENTS) toolchain
	@echo "==> lint: ruff"
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@echo "==> lint: rustfmt, clippy"
	@cargo fmt --check
	@cargo clippy $(CARGO_FLAGS) --quiet -- --deny warnings
	@echo "==> lint: C"
	@cc -std=c11 -Wall -Wextra -Werror -fsyntax-only \
		-isystem "$$($(VENV_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')" csrc/*.c

build: $(REQUIREMENTS) toolchain
	@echo "==> native extension (cargo build, Python $(PYTHON_VERSION))"
	@cargo build $(CARGO_FLAGS) --lib --quiet
	@built=target/$(PYTHON_VERSION)/release/lib_native.so; \
	suffix=$$($(VENV_PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'); \
	installed=python/framelift/_native$$suffix; \
	if ! cmp --silent "$$built" "$$installed"; then \
		cp "$$built" "$$installed.new" && mv "$$installed.new" "$$installed"; \
	fi

environment: $(REQUIREMENTS)

# One make at a time: clones share the environment. What was interrupted is done again, pip keeps what is good.
$(REQUIREMENTS):
	@echo "==> virtual environment $(VENV) (torch $(TORCH): a large download the first time)"
	@mkdir -p "$(CACHE)"
	@exec 9>"$(VENV).lock"; flock 9; \
	if [ ! -e "$@" ]; then \
		[ -x "$(VENV_PYTHON)" ] || "$(PYTHON)" -m venv "$(VENV)"; \
		"$(VENV_PYTHON)" -m pip install --quiet --upgrade pip; \
		"$(VENV_PYTHON)" -m pip install --progress-bar off torch==$(TORCH) --requirement requirements-dev.txt \
			| { grep --line-buffered -v '^Requirement already satisfied' || true; }; \
		touch "$@"; \
	fi

toolchain:
	@command -v cargo >/dev/null || { echo "cargo not found: install Rust, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler found: install gcc or clang" >&2; exit 1; }

clean:
	rm -rf target python/framelift/_native*.so
