"""What a run trains, and on what, as it is named in its config.json: by an installed name, a reference, or an object.

An object has no name that another process could find it by; it is called `Tank@3f9c2a10`, and this process alone knows
which object that is.
"""

import secrets
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.core.types import Algorithm, Env
from ddpg_jax.envs.make import make_env
from ddpg_jax.envs.objects import instantiate
from ddpg_jax.envs.references import Code, is_reference, label, load
from ddpg_jax.runs import trust
from ddpg_jax.runs.config import RunConfig, env_options
from ddpg_jax.runs.registry import installed_algorithm

Kind = Literal["algorithm", "env"]
_objects: dict[str, Any] = {}  # name -> the object that this process has called so


class Named(NamedTuple):
    """An algorithm or an environment, with the name that it has in config.json."""

    name: str
    value: Any  # an `Algorithm`; or what `make_env` takes
    code: Code | None = None  # where a reference leads


def name_algorithm(algorithm: Any) -> Named:
    """Returns an algorithm with its name.

    Args:
      algorithm: an installed name, a reference such as "my_algo.py:ALGORITHM", an `Algorithm`, or what this returns.

    Raises:
      SettingError: there is no such algorithm.
    """
    if isinstance(algorithm, Algorithm):
        return _object(algorithm, getattr(algorithm.make, "__name__", "algorithm").replace("_", "-"))
    return _named("algorithm", algorithm, installed_algorithm)


def name_env(env: Any) -> Named:
    """Returns an environment with its name.

    Args:
      env: an id, a reference such as "my_env.py:Tank", an object as for `make_env`, or what this returns.

    Raises:
      SettingError: a reference leads nowhere, or to something that needs arguments.
    """
    if not isinstance(env, str | Named):
        name = env.spec.name if isinstance(env, Env) else str(getattr(env, "name", type(env).__name__))
        return _object(env, name)
    return _named("env", env, lambda name: name)


def _named(kind: Kind, name: Any, installed: Callable[[str], Any]) -> Named:
    if isinstance(name, Named):
        return name
    if not isinstance(name, str):
        allowed = "a name, a reference such as my_algo.py:ALGORITHM or an Algorithm"
        raise SettingError(f"{kind} must be {allowed}, not {shown(name)}.")
    if name in _objects:
        return Named(name, _objects[name])
    if not is_reference(name):
        if "@" in name:
            raise SettingError(
                f"{kind} {name} is an object of another process; give it again as {kind}: the object to open_run, or a "
                f"reference to --{kind}, as my_file.py:NAME."
            )
        return Named(name, installed(name))
    found = load_reference(kind, name)
    trust.remember(name, found.code)
    return found


def open_env(task: Named, run: RunConfig) -> Env:
    """Returns the environment of a run, which has the name that it was given."""
    own_name = {} if task.value == task.name or isinstance(task.value, Env) else {"name": label(task.name)}
    return make_env(task.value, **env_options(run), **own_name)


def load_reference(kind: Kind, name: str, place: str | None = None, content: bytes | None = None) -> Named:
    """Returns what a reference leads to.

    Args:
      place: `FILE:NAME` to load in its stead, and `content` of that file, as for `load`.

    Raises:
      SettingError: it leads nowhere, or to something else than an `Algorithm` or an environment.
    """
    value, code = load(place or name, content)
    if kind == "env":
        value = instantiate(value, name)
    elif not isinstance(value, Algorithm):
        raise SettingError(f"{name} must be an Algorithm, as ddpg_jax.Algorithm makes it, not {shown(value)}.")
    return Named(name, value, code)


def _object(value: Any, name: str) -> Named:
    """Returns an object under the name by which this process knows it."""
    known = next((key for key, one in _objects.items() if one is value), None)
    if known is None:
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        known = f"{plain or 'object'}@{secrets.token_hex(4)}"
        _objects[known] = value
    return Named(known, value)
