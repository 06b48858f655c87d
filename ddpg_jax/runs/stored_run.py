"""config.json, read: the settings of a run or a sweep as checked, typed data."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.environment import action_bounds
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Env, Spec
from ddpg_jax.envs.references import label
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.contents import CONFIG_KEYS, OPTIONAL_KEYS
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.named import Named, name_algorithm, name_env, open_env
from ddpg_jax.runs.own_code import Codes, read_codes, read_named
from ddpg_jax.runs.paths import check_stored_path
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
    env: str  # the name of the environment
    named: Named  # the algorithm, found
    codes: Codes  # of one's own
    own_env: Any = None  # what the user has given as the environment
    trust: bool = False  # whether the user has said that code which the folder names may be imported

    @property
    def title(self) -> str:
        """The algorithm and the environment in words."""
        return f"{label(self.algorithm)} on {self.spec.name}"

    def refuse_sweep(self) -> None:
        """Checks that it is a run.

        Raises:
          SettingError: it is a sweep, whose best run is in a folder of its own.
        """
        if self.kind != "run":
            raise SettingError(
                f"{self.folder} must be a run, not a sweep; the best run of a sweep is in its folder best."
            )

    @property
    def given(self) -> set[str]:
        """What of "algorithm" and "env" the user has given in place of what the folder names."""
        given = {"algorithm": self.named.name != self.algorithm, "env": self.own_env is not None}
        return {kind for kind, is_given in given.items() if is_given}

    def name_env(self) -> Named:
        """Returns the environment that it was trained in, which is found or imported now.

        Raises:
          SettingError: it is not here, or may not be imported.
        """
        if self.own_env is None:
            return read_named(self.folder, "env", self.env, self.codes, self.trust)
        return name_env(self.own_env)

    def make_env(self) -> Env:
        """Returns the environment that it was trained in.

        Raises:
          SettingError: it is not here, or is another one.
        """
        env = open_env(self.name_env(), self.run)
        if _shapes(env.spec) != _shapes(self.spec):
            raise SettingError(f"env must be the {self.spec.name} of {self.folder}, and observes or acts otherwise.")
        return env

    def make_env_to_play(self) -> Env:
        """Returns the environment, which multiplies matrices at the precision of the training; errors as `make_env`."""
        env, precision = self.make_env(), self.loop.matmul_precision
        return env._replace(reset=_at_precision(env.reset, precision), step=_at_precision(env.step, precision))

    def make_agent(self) -> Agent:
        """Returns its agent; policy and critic multiply matrices at the precision that it was trained with."""
        return at_precision(self.named.value.make(self.config, self.spec), self.loop.matmul_precision)


def read_run(folder: str | Path | Run, algorithm: Any = None, env: Any = None, trust: bool = False) -> Run:
    """Reads and checks the config.json of a run folder; a run that was read already is returned as it is.

    Args:
      folder: the run folder.
      algorithm, env: in place of those that the folder names, an `Algorithm`, an environment or a reference to one:
        where they were objects of another process, or their code is gone.
      trust: import code of somebody's own that the folder names, without having named it before.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, a field cannot be used, or its algorithm may not be imported.
    """
    if isinstance(folder, Run):
        return folder
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
    document.object(CONFIG_KEYS, OPTIONAL_KEYS | ({"sweep"} if document.value.get("kind") == "sweep" else set()))
    kind = fields["kind"].string()
    if kind not in ("run", "sweep"):
        raise fields["kind"].refuse("one of run, sweep")
    name = fields["algorithm"].string()
    run, spec = fields["run"].config(RunConfig), _spec(fields["spec"])
    env_name = fields["run"].at("env", run.env)
    codes = read_codes(fields.get("code"), {"algorithm": fields["algorithm"], "env": env_name})
    if "env" not in codes and "@" not in run.env and run.env != spec.name:
        raise env_name.refuse(f"{spec.name!r}, the name in spec")
    named = _algorithm(document.file, name, codes, trust) if algorithm is None else name_algorithm(algorithm)
    versions = {package: version.string() for package, version in fields["versions"].fields().items()}
    config: Any = fields["config"].config(named.value.config)
    loop = fields["loop"].config(LoopConfig)
    device = fields["device"].string()
    known = (folder, kind, name, config, loop, run, spec, versions, device, document.value)
    given = {"algorithm": algorithm, "env": env}
    codes = {kind: code for kind, code in codes.items() if given[kind] is None}
    return Run(*known, run.env, named, codes, env, trust)  # type: ignore[arg-type]


def _algorithm(file: Path, name: str, codes: Codes, trust: bool) -> Named:
    """Returns the algorithm that a config.json names."""
    if "algorithm" in codes:
        return read_named(file.parent, "algorithm", name, codes, trust)
    try:
        return name_algorithm(name)
    except SettingError as error:
        raise SettingError(f"{file}: {error}") from None


def _shapes(spec: Spec) -> Any:
    """Returns what a policy of an environment depends on."""
    bounds = (spec.action_low.tolist(), spec.action_high.tolist())
    return spec.obs_shape, spec.obs_dtype, spec.image, spec.action_repeat, bounds


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


def at_precision(agent: Agent, precision: str) -> Agent:
    """Returns the agent, whose policy and critic multiply matrices at this precision wherever they are called."""
    return agent._replace(act=_at_precision(agent.act, precision), value=_at_precision(agent.value, precision))


def _at_precision(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    @functools.wraps(function)  # so that `__wrapped__` is the function at any precision
    def call(*args):
        with jax.default_matmul_precision(precision):
            return function(*args)

    return call
