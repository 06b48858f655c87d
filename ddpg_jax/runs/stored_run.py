"""config.json, read: the settings of a run or a sweep as checked, typed data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.environment import action_bounds
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Env, Spec
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.config import RunConfig, env_options
from ddpg_jax.runs.contents import CONFIG_KEYS
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.paths import check_stored_path
from ddpg_jax.runs.registry import installed_algorithm
from ddpg_jax.runs.run_folder import FORMAT


class Run(NamedTuple):
    """What config.json says of a run or a sweep."""

    folder: Path
    kind: Literal["run", "sweep"]
    algorithm: str
    config: Any  # the algorithm's settings
    loop: LoopConfig
    run: RunConfig
    spec: Spec
    versions: dict[str, str]
    device: str
    contents: dict[str, Any]  # config.json as it stands there

    def make_env(self) -> Env:
        """Returns the environment that it was trained in."""
        return make_env(self.run.env, **env_options(self.run))

    def make_agent(self) -> Agent:
        """Returns its agent; policy and critic multiply matrices at the precision that it was trained with."""
        agent = installed_algorithm(self.algorithm).make(self.config, self.spec)
        precision = self.loop.matmul_precision
        return agent._replace(act=_at_precision(agent.act, precision), value=_at_precision(agent.value, precision))


def read_run(folder: str | Path) -> Run:
    """Reads and checks the config.json of a run folder.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or a field cannot be used; the message names it.
    """
    folder = Path(folder)
    check_stored_path(folder)
    try:
        document = read_json(folder / "config.json")
    except OSError as error:
        raise SettingError(
            f"{folder} is not a run folder: its config.json cannot be read ({error.strerror})."
        ) from None
    fields = document.fields()
    if "format" in fields and document.value["format"] != FORMAT:
        raise fields["format"].refuse(f"{FORMAT}, the format that this version of ddpg_jax reads")
    document.object(CONFIG_KEYS, {"sweep"} if document.value.get("kind") == "sweep" else set())
    kind = fields["kind"].string()
    if kind not in ("run", "sweep"):
        raise fields["kind"].refuse("one of run, sweep")
    name = fields["algorithm"].string()
    try:
        algorithm = installed_algorithm(name)
    except SettingError as error:
        raise SettingError(f"{document.file}: {error}") from None
    run, spec = fields["run"].config(RunConfig), _spec(fields["spec"])
    if run.env != spec.name:
        raise fields["run"].at("env", run.env).refuse(f"{spec.name!r}, the name in spec")
    versions = {package: version.string() for package, version in fields["versions"].fields().items()}
    config: Any = fields["config"].config(algorithm.config)
    loop = fields["loop"].config(LoopConfig)
    device = fields["device"].string()
    return Run(folder, kind, name, config, loop, run, spec, versions, device, document.value)  # type: ignore[arg-type]


def _spec(value: Value) -> Spec:
    """Returns the specification of an environment, which fixes every shape of a policy."""
    fields = value.object(set(Spec._fields), set())
    low, high = (_array(fields[name]) for name in ("action_low", "action_high"))
    if low.shape != high.shape:
        raise fields["action_high"].refuse(f"of the shape of action_low, {list(low.shape)}")
    name = fields["name"].string()
    try:
        low, high = action_bounds(low, high, low.shape, name)
    except SettingError as error:
        raise SettingError(f"{value.file}: {value.place}: {error}") from None
    return Spec(
        name=name,
        obs_shape=tuple(size.integer(low=1) for size in fields["obs_shape"].items()),
        obs_dtype=_dtype(fields["obs_dtype"]),
        action_low=low,
        action_high=high,
        episode_length=fields["episode_length"].integer(low=1),
        action_repeat=fields["action_repeat"].integer(low=1),
        image=fields["image"].boolean(),
    )


def _array(value: Value) -> np.ndarray:
    """Returns a nested list of numbers as an array; a single number is an array, too."""

    def numbers(value: Value) -> Any:
        return [numbers(item) for item in value.items()] if isinstance(value.value, list) else value.number()

    try:
        found = np.array(numbers(value), np.float32)
    except (ValueError, RecursionError):  # rows of different lengths, or too many dimensions
        raise value.refuse("an array of numbers") from None
    if not found.size:
        raise value.refuse("an array with at least one number")
    return found


def _dtype(value: Value) -> np.dtype:
    allowed = {np.dtype(kind).name: np.dtype(kind) for kind in "?bBhHiIlLefd"}
    if value.string() not in allowed:
        raise value.refuse(f"one of {', '.join(allowed)}")
    return allowed[value.value]


def _at_precision(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    def call(*args):
        with jax.default_matmul_precision(precision):
            return function(*args)

    return call
