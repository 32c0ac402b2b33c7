# make demo | test | test-matrix | stress | sanitize | wheels | try-wheels | lint | clean
#
# Every target sets up what it needs: a virtual environment outside the clone with torch and the test tools,
# and the native extension, built with cargo into python/framelift/. What is there already is not made again.
#
# Settings: PYTHON (an interpreter, 3.11 to 3.13), TORCH (a version, or none), TESTS (what pytest runs),
# PYTEST_FLAGS, JOBS (processes that share the tests).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := test
MAKEFLAGS += --no-print-directory

TORCH ?= 2.15.0
TESTS ?= tests
PYTEST_FLAGS ?=
MATRIX ?=
JOBS ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? cores : 8)))

# rustup puts cargo here, and not every shell has been told.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The first interpreter that runs and has a version that is supported.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3 python; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 \
	&& { echo "$$candidate"; break; }; done)
ifeq ($(strip $(PYTHON)),)
$(error no Python from 3.11 to 3.13 found: install one, or name it: make PYTHON=/path/to/python3.11)
endif
PYTHON_VERSION := $(shell "$(PYTHON)" -c 'import platform; import sys; print(platform.python_version() + sys.abiflags)')

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/framelift
VENV := $(CACHE)/venv-$(PYTHON_VERSION)-$(TORCH)
VENV_PYTHON := $(VENV)/bin/python
# Named by its contents: clones with the same requirements share an environment and never rebuild each other's.
REQUIREMENTS := $(VENV)/requirements-$(shell sha256sum requirements-dev.txt | cut -c 1-16).stamp

MATURIN := "$(shell sed -n 's/^requires = \["\(maturin.*\)"\]/\1/p' pyproject.toml)"
WHEELS_VENV := $(CACHE)/venv-wheels-$(PYTHON_VERSION)

CARGO_FLAGS := --release --locked --target-dir target/$(PYTHON_VERSION)
SUFFIX = $(VENV_PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'
export PYO3_PYTHON := $(VENV_PYTHON)
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYTHONPATH := $(CURDIR)/python

.PHONY: test others test-matrix stress sanitize sanitized demo wheels try-wheels lint build environment toolchain clean

# The whole suite is followed by a part of it on the other versions of CPython.
test: build
	@echo "==> tests: $(TESTS) (Python $(PYTHON_VERSION), torch $(TORCH))"
	@$(VENV_PYTHON) -m pytest $(SHARED) $(TESTS) $(PYTEST_FLAGS)
	@$(if $(filter tests,$(TESTS)),$(MAKE) others,true)

# By file: the tests of a file may share what its first one has made.
SHARED = --numprocesses $(JOBS) --dist loadfile

# Frames, interpreter, guards and models, on each other CPython with one torch.
others:
	+@"$(PYTHON)" .ci/matrix.py others

# All other combinations of CPython and torch: hours, and gigabytes for each. MATRIX="--torch 2.13.0 --minor 11".
test-matrix:
	+@"$(PYTHON)" .ci/matrix.py rest $(MATRIX)

# Memory and references: the tests of frames on a debug build of CPython where there is one (Debian's
# python3.11-dbg), and there, or else in PYTHON, once more with the extension under AddressSanitizer.
DEBUG_PYTHON ?= $(shell command -v python3.11-dbg || command -v python3.12-dbg || command -v python3.13-dbg)

sanitize:
	@$(if $(DEBUG_PYTHON),$(MAKE) test TORCH=none PYTHON="$(DEBUG_PYTHON)" TESTS=tests/frames,\
		echo "==> no debug build of CPython: install python3.11-dbg to count references, too")
	@$(MAKE) sanitized TORCH=none PYTHON="$(or $(DEBUG_PYTHON),$(PYTHON))" TESTS=tests/frames

# Stable rustc has the sanitizer, and wants to be told that we know it may change. CPython's own allocator would
# hide from it what is freed.
sanitized: $(REQUIREMENTS) toolchain
	@echo "==> native extension under AddressSanitizer (Python $(PYTHON_VERSION))"
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	CFLAGS="-fsanitize=address -fno-omit-frame-pointer -g" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" \
		cargo build $(CARGO_FLAGS)-sanitized --target "$$host" --lib --quiet; \
	installed=python/framelift/_native$$($(SUFFIX)); \
	trap 'rm -f "$$installed"' EXIT; \
	cp "target/$(PYTHON_VERSION)-sanitized/$$host/release/lib_native.so" "$$installed"; \
	echo "==> tests: $(TESTS), sanitized"; \
	LD_PRELOAD=$$(cc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 \
		PYTHONMALLOC=malloc $(VENV_PYTHON) -m pytest $(TESTS) $(PYTEST_FLAGS)

# What make test samples, as a whole: takes many minutes.
stress: build
	@echo "==> stress: $(TESTS)"
	@FRAMELIFT_STRESS=1 $(VENV_PYTHON) -m pytest $(SHARED) -m stress $(TESTS) $(PYTEST_FLAGS)

demo: build
	@echo "==> demo"
	@$(VENV_PYTHON) bench/demo.py

# One wheel for each CPython, in dist/. What they need of the C library, and so their tag, is found by looking.
wheels: toolchain
	@mkdir -p "$(CACHE)"; [ -x "$(WHEELS_VENV)/bin/maturin" ] || { \
		"$(PYTHON)" -m venv "$(WHEELS_VENV)" && "$(WHEELS_VENV)/bin/python" -m pip install --quiet $(MATURIN); }
	@for interpreter in $$("$(PYTHON)" .ci/matrix.py interpreters); do \
		echo "==> wheel for $$interpreter"; \
		PYO3_PYTHON="$$interpreter" "$(WHEELS_VENV)/bin/maturin" build --quiet --release --locked \
			--interpreter "$$interpreter" --target-dir target/wheels --out dist; \
	done; \
	ls dist/*.whl

# Each wheel in a fresh environment with only torch, far from the clone and from Rust: the README's first example.
try-wheels:
	@"$(PYTHON)" .ci/try_wheels.py

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
	installed=python/framelift/_native$$($(SUFFIX)); \
	if ! cmp --silent "$$built" "$$installed"; then \
		cp "$$built" "$$installed.new" && mv "$$installed.new" "$$installed"; \
	fi

environment: $(REQUIREMENTS)

PACKAGES = torch==$(TORCH) --requirement requirements-dev.txt
ifeq ($(TORCH),none)
PACKAGES = $(foreach package,pytest> pytest-xdist,"$(shell grep '^$(package)' requirements-dev.txt)")
endif

# One make at a time: clones share the environment. What was interrupted is done again, pip keeps what is good.
$(REQUIREMENTS):
	@echo "==> virtual environment $(VENV)$(if $(filter none,$(TORCH)),, (torch $(TORCH): a large download the first time))"
	@mkdir -p "$(CACHE)"
	@exec 9>"$(VENV).lock"; flock 9; \
	if [ ! -e "$@" ]; then \
		[ -x "$(VENV_PYTHON)" ] || "$(PYTHON)" -m venv "$(VENV)"; \
		"$(VENV_PYTHON)" -m pip install --quiet --upgrade pip; \
		"$(VENV_PYTHON)" -m pip install --progress-bar off $(PACKAGES) \
			| { grep --line-buffered -v '^Requirement already satisfied' || true; }; \
		touch "$@"; \
	fi

toolchain:
	@command -v cargo >/dev/null || { echo "cargo not found: install Rust, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler found: install gcc or clang" >&2; exit 1; }

clean:
	rm -rf target python/framelift/_native*.so
