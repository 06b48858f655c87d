"""Environments that other code adds by name: in this process, or as the entry point of an installed package."""

import functools
import warnings
from importlib.metadata import entry_points
from typing import Any

from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.envs.suites import is_own_id

GROUP = "ddpg_jax.environments"
_added: dict[str, Any] = {}


def register_environment(name: str, env: Any) -> None:
    """Makes an environment known by a name, for the rest of this process; a later one of the same name replaces it.

    A package does the same for every process by an entry point in the group `ddpg_jax.environments`, whose name is the
    id and whose object is what `env` may be.

    Args:
      name: the id, as for `make_env` and `RunConfig.env`.
      env: an object that `make_env` takes or an `Env`, or a class or function without arguments that returns it. Of
        an environment that has an id, `lambda: make_env(id)` is such a function.

    Raises:
      SettingError: the name is no text, has the form of a reference or is an id that ddpg_jax makes itself; or `env` is
        a text.
    """
    _check(name, env)
    _added[name] = env


def _check(name: Any, env: Any) -> None:
    """Checks a name and the environment that is to have it; errors as for `register_environment`."""
    if not isinstance(name, str) or not name or ":" in name or "@" in name or name.endswith(".py"):
        raise SettingError(f"name must be a text without : and @ that does not end in .py, not {shown(name)}.")
    if is_own_id(name):
        raise SettingError(f"name must not be that of an environment that ddpg_jax has, and {shown(name)} is one.")
    if isinstance(env, str):
        raise SettingError(
            f"env must be an object, or a class or function that returns one, as lambda: make_env({shown(env)}) does, "
            f"not {shown(env)}."
        )


@functools.cache
def _installed() -> dict[str, Any]:
    """Returns the environments of installed packages by name.

    One that cannot be loaded, or that `register_environment` would refuse, is left out with a warning.
    """
    found = {}
    for point in entry_points(group=GROUP):
        try:
            env = point.load()
            _check(point.name, env)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            warnings.warn(f"The environment {point.name!r} of {point.value} is left out ({why}).", stacklevel=2)
        else:
            found[point.name] = env
    return found


def registered_environments() -> dict[str, Any]:
    """Returns what was registered, by name: an object, or a class or function without arguments that returns one."""
    return _installed() | _added
