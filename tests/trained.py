"""Run folders without a run: random parameters and statistics, so that nothing in a policy is at its initial 0 or 1."""

import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np

from ddpg_jax import LoopConfig, RunConfig, Spec
from ddpg_jax.core.types import TrainState
from ddpg_jax.runs.checkpoint import save_state
from ddpg_jax.runs.evaluation import write_evaluation
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.run_folder import config_dict, write_config

LOW, HIGH = np.array([[-2.0], [0.5]], np.float32), np.array([[2.0], [3.0]], np.float32)  # no symmetry, two dimensions
SPEC = Spec("toy", (2, 2), np.dtype(np.float32), LOW, HIGH, episode_length=20)
PIXELS = Spec("pixels/toy", (16, 16, 3), np.dtype(np.uint8), LOW, HIGH, episode_length=20, image=True)


def invented(shapes, seed=0):
    """Arrays of these shapes: noise around 1 for scales and variances, around 0 for the rest; whole numbers are 0."""
    rng = np.random.default_rng(seed)

    def invent(path, leaf):
        if leaf.dtype != np.float32:
            return np.zeros(leaf.shape, leaf.dtype)
        around = any(name in jax.tree_util.keystr(path) for name in ("scale", "var"))
        return (around + 0.5 * rng.uniform(-1, 1, leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(invent, shapes)


PLACE, TEMPLATES = tempfile.TemporaryDirectory(), {}  # with a folder for each kind of run, which others are copies of


def make_run(folder, algorithm, spec=SPEC, seeds=2, best=4, **settings):
    """A folder that `load_policy` reads: seeds from 3, of which `best` did best."""
    kind = repr((algorithm, tuple(spec), seeds, best, sorted(settings.items())))
    if kind not in TEMPLATES:
        TEMPLATES[kind] = _make_run(Path(PLACE.name) / str(len(TEMPLATES)), algorithm, spec, seeds, best, settings)
    return Path(shutil.copytree(TEMPLATES[kind], folder))


def _make_run(folder, algorithm, spec, seeds, best, settings):
    made = algorithms()[algorithm]
    config = made.config(**{"hidden": (4, 4), "optimizer": "sgd"} | settings)
    agent = made.make(config, spec)
    keys = jax.random.split(jax.random.key(0), seeds)
    learner = invented(jax.eval_shape(jax.vmap(agent.init), keys))
    said = config_dict(algorithm, RunConfig(env=spec.name, seeds=seeds, seed=3), LoopConfig(), config, spec)
    folder.mkdir(parents=True)
    write_config(folder, said)
    nothing = np.zeros((seeds, 1), np.float32)
    save_state(folder, 7, TrainState(keys, nothing, (), learner, nothing, nothing), said)
    rest = {"std": 0.0, "min": 0.0, "max": 1.0, "length": 20.0}
    write_evaluation(folder, 1, [{"seed": 3 + i, "mean": float(3 + i == best)} | rest for i in range(seeds)])
    return folder
