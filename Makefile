# Every target makes the virtual environment it needs; PYTHON, VENV and CONSTRAINTS may be set on the command line.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN = $(VENV)/bin

.PHONY: train test test-all test-targets check docs wheel clean

train: $(VENV)/.installed
	$(BIN)/ddpg-jax train ddpg --env Pendulum-v1 --seeds 4 --steps 20000 --hidden 64 64 --batch-size 64 --out runs/make-train --overwrite

PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev
	$(PYTEST) $(ARGS)

test-all: $(VENV)/.dev
	$(PYTEST) -m "slow or not slow" $(ARGS)

# In an environment of its own: JAX warns on every start that there is no such device.
test-targets:
	$(MAKE) VENV=.venv-targets .venv-targets/.dev
	.venv-targets/bin/python -m pip install -q --disable-pip-version-check $(CONSTRAINTS) -e ".[targets]"
	.venv-targets/bin/python -m pytest -n 2 -m "slow or not slow" tests/test_targets.py

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python benchmarks/readme.py --check
	$(MAKE) docs

CORE = types losses roles learning agent networks exploration replay environment vector_env loop episodes diagnostics

docs: $(VENV)/.dev
	$(BIN)/python -W error::UserWarning -m pdoc -d google --math -o build/docs ddpg_jax $(CORE:%=ddpg_jax.core.%)

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) dist build *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(CONSTRAINTS) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check $(CONSTRAINTS) -e ".[dev]"
	touch $@
