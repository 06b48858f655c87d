"""Environments by id or by object, all behind one small protocol (`Env` in types.py)."""

import difflib
import importlib
from types import ModuleType
from typing import Any

from ddpg_jax.types import Env

# id prefix -> the module that knows the rest of the id; imported when first asked for
SUITES = {"": "gymnax", "brax/": "brax", "playground/": "playground", "lqr": "lqr"}


def suite(prefix: str) -> ModuleType:
    """The module behind a prefix of `SUITES`."""
    return importlib.import_module(f"ddpg_jax.envs.{SUITES[prefix]}")


def make_env(env: Any, **options: Any) -> Env:
    """An environment from its id or from a user's own object.

    Args:
      env: a gymnax id ("Pendulum-v1"), "brax/ant", "playground/CheetahRun", "lqr"; or an object in the style of
        gymnax (`reset_env`, `step_env`, `action_space`) or of Brax (`reset`, `step`, `action_size`); or an `Env`.
      options: `episode_length` (steps until truncation) and `action_repeat` for every kind; `backend` for Brax;
        `impl` for Playground; `params` for a gymnax-style object.

    Raises:
      ValueError: no such id, actions that are not a box, or options the environment does not have, in one sentence.
    """
    if isinstance(env, Env):
        return env
    options = {option: value for option, value in options.items() if value is not None}
    for option in ("episode_length", "action_repeat"):
        value = options.get(option, 1)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{option} must be a whole number of at least 1, not {value!r}.")
    if isinstance(env, str):
        return _by_name(env, options)
    if hasattr(env, "step_env") and hasattr(env, "reset_env"):
        return suite("").wrap(env, **options)
    if hasattr(env, "action_size") and hasattr(env, "reset") and hasattr(env, "step"):
        return suite("brax/").wrap(env, **options)
    raise ValueError(
        f"{type(env).__name__} is neither an id nor an environment in the style of gymnax (reset_env, step_env) "
        "or Brax (reset, step, action_size)."
    )


def _by_name(name: str, options: dict[str, Any]) -> Env:
    prefix = max((prefix for prefix in SUITES if name.startswith(prefix)), key=len)
    module, rest = suite(prefix), name.removeprefix(prefix) or name
    if rest not in module.names():
        known = [p + n for p in SUITES if p != "playground/" or p == prefix for n in suite(p).names()]
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(
            f"There is no environment {name!r}; {f'did you mean {near[0]}?' if near else '`ddpg-jax envs` lists them.'}"
        )
    foreign = options.keys() - module.OPTIONS
    if foreign:
        raise ValueError(f"{name} has no option {foreign.pop()!r}; it has {', '.join(module.OPTIONS)}.")
    return module.make(rest, **options)
