# Every target makes the virtual environment it needs; PYTHON and VENV may be set on the command line.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: train test check docs wheel clean

train: $(VENV)/.installed
	$(BIN)/ddpg-jax train ddpg --env Pendulum-v1 --seeds 4 --steps 20000 --hidden 64 64 --batch-size 64 --out runs/make-train --overwrite

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

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
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
