"""The adapters by the prefix of their ids: gymnax without one, "brax/", "playground/", "pixels/", "lqr"."""

import importlib
from types import ModuleType

from ddpg_jax.core.settings import SettingError

# Prefix of an id -> the adapter that knows the rest of the id; imported when it is first needed.
SUITES = {
    "": "ddpg_jax.envs.gymnax",
    "brax/": "ddpg_jax.envs.brax",
    "playground/": "ddpg_jax.envs.playground",
    "pixels/": "ddpg_jax.envs.pixels",
    "lqr": "ddpg_jax.envs.lqr",
}
WRAPPERS = ("", "brax/")  # the adapters that wrap objects, too: those that have the attributes in their STYLE


def prefixes() -> list[str]:
    """Returns the prefixes in `SUITES`."""
    return list(SUITES)


def prefix_of(name: str) -> str:
    """Returns the longest prefix in `SUITES` that an id has."""
    return max((prefix for prefix in SUITES if name.startswith(prefix)), key=len)


def suite(prefix: str) -> ModuleType:
    """Returns the adapter for a prefix in `SUITES`."""
    return importlib.import_module(SUITES[prefix])


def ids(prefix: str) -> list[str]:
    """Returns the full ids of the environments with a prefix in `SUITES`."""
    return [name if name == prefix else prefix + name for name in suite(prefix).names()]


def is_own_id(name: str) -> bool:
    """Returns whether a name is the id of an environment that an adapter here makes."""
    try:
        return name in ids(prefix_of(name))
    except SettingError:  # an extra that is not installed
        return True
