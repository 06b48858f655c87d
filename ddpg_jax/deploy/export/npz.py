"""A policy as a NumPy archive: a list of steps and the arrays of each, which NumPy alone runs in a few lines.

Steps act on x [..., features] in their order; loader.py, which needs no other file, defines what each of them computes.
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
from ddpg_jax.deploy.policy import TrainedSeed

NORM_EPSILON = {"layer": 1e-6, "batch": 1e-5}  # those of flax
CHECKED_OBSERVATIONS = 64
TOLERANCE = 1e-4  # of the distance between an action's bounds, between the steps and the policy

Step = tuple[Any, ...]  # the name of a step, and its arrays


def encode(trained: TrainedSeed) -> bytes:
    """Writes the archive: "steps" [N] names, "I.J" the array J of step I, "obs_shape" and "action_shape".

    Raises:
      SettingError: the policy is no multi-layer perceptron of `NetworkConfig`.
    """
    spec = trained.spec
    try:
        steps = policy_steps(trained)
    except (KeyError, AttributeError):  # an algorithm whose actor has other layers
        raise _refusal(trained, "its actor is built in another way") from None
    arrays: dict[str, Any] = {"steps": np.array([name for name, *_ in steps])}
    arrays |= {"obs_shape": np.array(spec.obs_shape, int), "action_shape": np.array(spec.action_low.shape, int)}
    arrays |= {f"{i}.{j}": np.asarray(array) for i, step in enumerate(steps) for j, array in enumerate(step[1:])}
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    _check_against_policy(trained, file)
    return file.getvalue()


def policy_steps(trained: TrainedSeed) -> list[Step]:
    """Returns the steps of a policy, from a flat observation to a flat action in the environment's own units.

    Raises:
      SettingError: it observes images, has residual blocks, or its algorithm has no `NetworkConfig`.
      KeyError: its actor has other layers than those of `NetworkConfig`.
    """
    config, learner = trained.run.config, jax.device_get(trained.learner)
    if trained.spec.image or not isinstance(config, NetworkConfig):
        raise _refusal(trained, "it sees images" if trained.spec.image else "its settings describe no layers")
    if config.residual:
        raise _refusal(trained, "it has residual blocks")
    variables = learner.params["actor"]
    steps = _normalize_obs(learner.normalizer) if isinstance(learner.normalizer, Statistics) else []
    if config.norm == "batch":
        steps += _norm("batch", variables, 0)  # of the observation
    for layer in range(len(config.hidden)):
        steps += _dense(variables, layer)
        if config.norm != "none":
            steps += _norm(config.norm, variables, layer + 1)
        steps += [(config.activation,)]
    return [*steps, *_dense(variables, len(config.hidden)), ("tanh",), *_rescale_action(trained.spec)]


def _normalize_obs(statistics: Statistics) -> list[Step]:
    mean, scale = statistics.mean.ravel(), 1 / np.sqrt(statistics.variance.ravel() + np.float32(EPSILON))
    return [("affine", mean, scale, np.float32(0)), ("clip", np.float32(-BOUND), np.float32(BOUND))]


def _dense(variables: Any, index: int) -> list[Step]:
    layer = variables["params"][f"Dense_{index}"]["Dense_0"]
    return [("dense", layer["kernel"], layer["bias"])]


def _norm(kind: str, variables: Any, index: int) -> list[Step]:
    name, module = f"Norm_{index}", {"layer": "LayerNorm_0", "batch": "BatchNorm_0"}[kind]
    params, epsilon = variables["params"][name][module], np.float32(NORM_EPSILON[kind])
    if kind == "layer":
        return [("standardize", epsilon), ("affine", np.float32(0), params["scale"], params["bias"])]
    statistics = variables["batch_stats"][name][module]
    return [("affine", statistics["mean"], params["scale"] / np.sqrt(statistics["var"] + epsilon), params["bias"])]


def _rescale_action(spec: Spec) -> list[Step]:
    """Returns the steps from [-1, 1] to the environment's own units."""
    low, high = spec.action_low.ravel(), spec.action_high.ravel()
    return [("affine", np.float32(0), high / 2 - low / 2, high / 2 + low / 2), ("clip", low, high)]


def _check_against_policy(trained: TrainedSeed, file: io.BytesIO) -> None:
    """Raises SettingError where the steps compute something else than the policy, whose algorithm may do more.

    The policy is taken at the precision of NumPy, since that of the run may be lower than the tolerance.
    """
    spec = trained.spec
    obs = np.random.default_rng(0).normal(size=(CHECKED_OBSERVATIONS, *spec.obs_shape)).astype(spec.obs_dtype)
    act = getattr(trained.agent.act, "__wrapped__", trained.agent.act)
    exact = trained._replace(agent=trained.agent._replace(act=act))
    with jax.default_matmul_precision("float32"):
        wanted = np.asarray(jax.jit(exact.policy)(obs))
    try:
        error = np.abs(load(file)(obs) - wanted) / (spec.action_high - spec.action_low)
    except ValueError:  # arrays whose shapes do not fit together
        error = np.array(np.inf)
    if not error.max() <= TOLERANCE:
        raise _refusal(trained, "its algorithm does more than its layers say")


def _refusal(trained: TrainedSeed, reason: str) -> SettingError:
    return SettingError(
        f"format npz holds multi-layer perceptrons of NetworkConfig, and {trained.run.algorithm}'s policy for "
        f"{trained.spec.name} is none ({reason}); jax and onnx hold it."
    )
