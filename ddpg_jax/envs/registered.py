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
      env: what `make_env` takes, or a class or function without arguments that returns it.

    Raises:
      SettingError: the name is no text, or has the form of an id that ddpg_jax makes itself.
    """
    if not isinstance(name, str) or not name or ":" in name or "@" in name or name.endswith(".py"):
        raise SettingError(f"name must be a text without : and @ that does not end in .py, not {shown(name)}.")
    if is_own_id(name):
        raise SettingError(f"name must not be that of an environment that ddpg_jax has, and {shown(name)} is one.")
    _added[name] = env


@functools.cache
def _installed() -> dict[str, Any]:
    """Returns the environments of installed packages by name; one that cannot be loaded is left out with a warning."""
    found = {}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            warnings.warn(f"The environment {point.name!r} of {point.value} is left out ({why}).", stacklevel=2)
    return found


def registered_environments() -> dict[str, Any]:
    """Returns what was registered, by name: an object, or a class or function without arguments that returns one."""
    return _installed() | _added
