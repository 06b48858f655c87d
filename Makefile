# Every target makes the virtual environment it needs; PYTHON, VENV and CONSTRAINTS may be set on the command line.
define TARGETS
make train         install, and train DDPG on Pendulum-v1 with 4 seeds
make test          the quick tests, about five minutes on two cores
make test-all      all tests
make test-targets  programs compiled for GPUs and TPUs that are not at hand
make check         linter, formatter, types, figures in README and docs, the site
make docs          the documentation site, into build/docs
make wheel         a wheel, into dist
make accelerator   everything about the accelerator of this machine; make wheels gathers what one without network lacks
make clean         remove what the others have made
endef
export TARGETS

.DEFAULT_GOAL := help
# Else each process that tests and docs start compiles 15 MB of Python anew: with --no-compile below, nothing is kept.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN = $(VENV)/bin
# Most modules of the packages are never imported; those that are are compiled when they are.
INSTALL = -m pip install -q --disable-pip-version-check --no-compile $(CONSTRAINTS)

.PHONY: help train test test-newest test-all test-targets check lint types figures docs wheel wheels accelerator clean

help:
	@echo "$$TARGETS"

train: $(VENV)/.installed
	$(BIN)/ddpg-jax train ddpg --env Pendulum-v1 --seeds 4 --steps 20000 --hidden 64 64 --batch-size 64 --out runs/make-train --overwrite

PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev
	$(PYTEST) $(ARGS)

# What another version of a library may break first: the mathematics, runs, their files, environments, exports. Of the
# many tests of resuming, those of the bits.
NEWEST = algorithms environment export loop networks resume
test-newest: $(VENV)/.dev
	$(PYTEST) $(NEWEST:%=tests/test_%.py) -k "not test_resume or uninterrupted" $(ARGS)

test-all: $(VENV)/.dev
	$(PYTEST) -m "slow or not slow" $(ARGS)

# In an environment of its own: JAX warns on every start that there is no such device.
test-targets:
	$(MAKE) VENV=.venv-targets .venv-targets/.targets
	.venv-targets/bin/python -m pytest -n 2 -m "slow or not slow" tests/test_targets.py

# `make -j2 check` runs them beside each other.
check: lint types figures docs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

figures: $(VENV)/.dev
	$(BIN)/python benchmarks/readme.py --check

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel

# What a machine with JAX for its accelerator, the packages that come with it and no network still lacks. WHEELS_FOR is
# its Python; MORE names further packages.
WHEELS_FOR ?= 3.12
WHEELS = gymnax gymnasium Farama-Notifications tyro docstring_parser typeguard tensorboardX platformdirs
WHEELS += brax jaxopt ml_collections trimesh mujoco mujoco-core mujoco-mjx glfw PyOpenGL $(MORE)
PEERS = rejax gymnax distrax tfp-nightly dm-tree decorator gast
LINUX = $(foreach version,2_28 2_27 2_24 2_17,--platform manylinux_$(version)_x86_64) --platform manylinux2014_x86_64
DOWNLOAD = $(PYTHON) -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
	--python-version $(WHEELS_FOR) --implementation cp $(LINUX)

wheels:
	rm -rf wheels
	$(DOWNLOAD) $(CONSTRAINTS) -d wheels/ours $(WHEELS)
	$(DOWNLOAD) -c benchmarks/peers/rejax/requirements.txt -d wheels/peers $(PEERS)
	$(PYTHON) -m pip wheel -q --disable-pip-version-check --no-deps -w wheels/ours .
	git describe --always --dirty --abbrev=12 > wheels/COMMIT
	du -sh wheels

# In the environment of PYTHON, whose JAX is for the accelerator. --target, since an environment made from another one
# does not see that one's packages; --no-deps, since pip would else ask for a JAX of its own.
UNPACK = $(PYTHON) -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile --upgrade --target

accelerator:
	if test -d wheels; then $(UNPACK) build/carried wheels/ours/*.whl && $(UNPACK) build/peers wheels/peers/*.whl; fi
	PYTHONPATH="$(CURDIR):$(CURDIR)/build/carried$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) benchmarks/accelerator.py $(ACCELERATOR_ARGS)

clean:
	rm -rf $(VENV) dist build *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -e .
	touch $@

$(VENV)/.targets: $(VENV)/.installed
	$(BIN)/python $(INSTALL) -e ".[targets]" pytest pytest-xdist
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python $(INSTALL) -e ".[dev]"
	touch $@
