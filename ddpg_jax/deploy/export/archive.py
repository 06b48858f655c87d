"""A policy as a NumPy archive: a list of steps and the arrays of each, which NumPy alone runs in a few lines.

Steps act on x [..., features] in their order; loader.py, which needs no other file, has what each of them does.
"""

import io
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.networks import NetworkConfig
from ddpg_jax.core.normalization import BOUND, EPSILON, Statistics
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Spec
from ddpg_jax.deploy.export.loader import load
from ddpg_jax.deploy.policy import Trained

NORM_EPSILON = {"layer": 1e-6, "batch": 1e-5}  # flax's own
TRIED, TOLERANCE = 64, 1e-4  # observations that the steps are compared on, and how close they come, of a bound's range

Step = tuple[Any, ...]  # the name of a step, and its arrays


def encode(trained: Trained) -> bytes:
    """The archive: "steps" [N] names, "I.J" the array J of step I, "obs_shape" and "action_shape".

    Raises:
      SettingError: the policy is no multi-layer perceptron of `NetworkConfig`.
    """
    spec = trained.spec
    try:
        listed = steps(trained)
    except (KeyError, AttributeError):  # of an algorithm whose actor is built in another way
        raise _refused(trained, "its actor is built in another way") from None
    arrays: dict[str, Any] = {"steps": np.array([step[0] for step in listed])}
    arrays |= {"obs_shape": np.array(spec.obs_shape, int), "action_shape": np.array(spec.action_low.shape, int)}
    arrays |= {f"{i}.{j}": np.asarray(array) for i, step in enumerate(listed) for j, array in enumerate(step[1:])}
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    _compare(trained, file)
    return file.getvalue()


def steps(trained: Trained) -> list[Step]:
    """What the policy does with a flat observation, one step after the other.

    Raises:
      SettingError: it sees images, or its algorithm has no `NetworkConfig`.
      KeyError: its actor has other layers than those of `NetworkConfig`.
    """
    config, learner = trained.run.config, jax.device_get(trained.learner)
    if trained.spec.image or not isinstance(config, NetworkConfig):
        raise _refused(trained, "it sees images" if trained.spec.image else "its settings describe no layers")
    variables = learner.params["actor"]
    listed = _normalize(learner.normalizer) if isinstance(learner.normalizer, Statistics) else []
    if config.norm == "batch":
        listed += _norm("batch", variables, 0)  # of the state
    for layer in range(len(config.hidden)):
        listed += _dense(variables, layer)
        if config.norm != "none":
            listed += _norm(config.norm, variables, layer + 1)
        listed += [(config.activation,)]
    return [*listed, *_dense(variables, len(config.hidden)), ("tanh",), *_native(trained.spec)]


def _normalize(seen: Statistics) -> list[Step]:
    scale = 1 / np.sqrt(seen.variance.ravel() + np.float32(EPSILON))
    return [("affine", seen.mean.ravel(), scale, np.float32(0)), ("clip", np.float32(-BOUND), np.float32(BOUND))]


def _dense(variables: Any, number: int) -> list[Step]:
    layer = variables["params"][f"Dense_{number}"]["Dense_0"]
    return [("dense", layer["kernel"], layer["bias"])]


def _norm(kind: str, variables: Any, number: int) -> list[Step]:
    name, module = f"Norm_{number}", {"layer": "LayerNorm_0", "batch": "BatchNorm_0"}[kind]
    learned, epsilon = variables["params"][name][module], np.float32(NORM_EPSILON[kind])
    if kind == "layer":
        return [("standardize", epsilon), ("affine", np.float32(0), learned["scale"], learned["bias"])]
    seen = variables["batch_stats"][name][module]
    return [("affine", seen["mean"], learned["scale"] / np.sqrt(seen["var"] + epsilon), learned["bias"])]


def _native(spec: Spec) -> list[Step]:
    """From [-1, 1] to the environment's own units."""
    low, high = spec.action_low.ravel(), spec.action_high.ravel()
    return [("affine", np.float32(0), high / 2 - low / 2, high / 2 + low / 2), ("clip", low, high)]


def _compare(trained: Trained, file: io.BytesIO) -> None:
    """Raises where the steps are not the policy, whose algorithm may have built it in its own way."""
    spec = trained.spec
    obs = np.random.default_rng(0).normal(size=(TRIED, *spec.obs_shape)).astype(spec.obs_dtype)
    gap = np.abs(load(file)(obs) - np.asarray(jax.jit(trained.act)(obs))) / (spec.action_high - spec.action_low)
    if not gap.max() <= TOLERANCE:
        raise _refused(trained, "its algorithm does more than its layers say")


def _refused(trained: Trained, why: str) -> SettingError:
    return SettingError(
        f"format npz holds multi-layer perceptrons of NetworkConfig, and {trained.run.algorithm}'s policy for "
        f"{trained.spec.name} is none ({why}); jax and onnx hold it."
    )
