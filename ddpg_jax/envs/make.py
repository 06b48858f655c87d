"""Makes an `Env`, the one type of environment here, from an id or from an object."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from ddpg_jax.core.settings import SHOWN, SettingError, check_count, shown
from ddpg_jax.core.types import Env, EnvState

# Prefix of an id -> the adapter that knows the rest of the id; imported when it is first needed.
SUITES = {
    "": "ddpg_jax.envs.gymnax",
    "brax/": "ddpg_jax.envs.brax",
    "playground/": "ddpg_jax.envs.playground",
    "pixels/": "ddpg_jax.envs.pixels",
    "lqr": "ddpg_jax.envs.lqr",
}
NEAR = 0.6  # how alike an id and a name must be, as difflib counts it
WRAPPERS = ("", "brax/")  # the adapters that wrap objects, too: those that have the attributes in their STYLE


def suite(prefix: str) -> ModuleType:
    """Returns the adapter for a prefix in `SUITES`."""
    return importlib.import_module(SUITES[prefix])


def ids(prefix: str) -> list[str]:
    """Returns the full ids of the environments with a prefix in `SUITES`."""
    return [name if name == prefix else prefix + name for name in suite(prefix).names()]


def make_env(env: Any, **options: Any) -> Env:
    """Returns an environment from its id or from a user's own object.

    Args:
      env: a gymnax id ("Pendulum-v1"), "brax/ant", "playground/CheetahRun", "pixels/Pendulum-v1", "lqr"; or an object
        in the style of gymnax (`reset_env`, `step_env`, `action_space`) or of Brax (`reset`, `step`, `action_size`); or
        an `Env`.
      options: `episode_length` (steps until truncation) and `action_repeat` for every kind; `backend` for Brax;
        `impl` for Playground; `size` for pixels; `params` for a gymnax-style object, `action_low` and `action_high`
        for a Brax-style one, and `name` for both.

    Raises:
      SettingError: there is no such id, the actions are not a box, or the environment does not have such an option.
    """
    options = {option: value for option, value in options.items() if value is not None}
    if isinstance(env, Env):
        _refuse_unknown(options, (), env.spec.name)
        return env
    for option in ("episode_length", "action_repeat"):
        check_count(option, options.get(option, 1))
    if isinstance(env, str):
        return _make_by_id(env, options)
    adapters = [suite(prefix) for prefix in WRAPPERS]
    for adapter in adapters:
        if all(hasattr(env, attribute) for attribute in adapter.STYLE):
            _refuse_unknown(options, list(inspect.signature(adapter.wrap).parameters)[1:], type(env).__name__)
            return adapter.wrap(env, **options)
    gymnax_style, brax_style = (", ".join(adapter.STYLE) for adapter in adapters)
    raise SettingError(
        f"{type(env).__name__} is neither an id nor an environment in the style of gymnax ({gymnax_style}) or Brax "
        f"({brax_style})."
    )


def as_gymnasium(
    env: Any, seed: int | None = None, render: Callable[[EnvState], Any] | None = None, **options: Any
) -> Any:
    """Returns an environment as a `gymnasium.Env`, with actions in the environment's own units.

    Observations are unbounded, except by their dtype. Where the environment repeats actions, one step is one action.

    Args:
      env, options: as for `make_env`.
      seed: seeds the first episodes, if the first `reset` is called without a seed.
      render: state -> image [H, W, 3] of bytes, for `env.render()` with render_mode "rgb_array"; without it,
        render_mode is None.

    Raises:
      SettingError: as for `make_env`.
    """
    from ddpg_jax.envs.gymnasium import Adapter

    return Adapter(make_env(env, **options), seed, render)


def _make_by_id(name: str, options: dict[str, Any]) -> Env:
    prefix = max((prefix for prefix in SUITES if name.startswith(prefix)), key=len)
    if name not in ids(prefix):
        known = [known for p in SUITES if p != "playground/" or p == prefix for known in ids(p)]
        near = _nearest_id(name, prefix, known)
        meant = f"did you mean {near}?" if near else "`ddpg-jax envs` lists them."
        raise SettingError(f"There is no environment {shown(name)}; {meant}")
    module = suite(prefix)
    _refuse_unknown(options, module.OPTIONS, name)
    return module.make(name.removeprefix(prefix) or name, **options)


def _nearest_id(name: str, prefix: str, known: list[str]) -> str | None:
    """Returns the known id that is most like a name, first of all with the same prefix; None if none is like it."""
    short: dict[str, str] = {}
    for one in sorted(known, key=lambda one: one.rpartition("/")[0] != prefix.rpartition("/")[0]):
        short.setdefault(one.rpartition("/")[2].lower(), one)
    word = name.rpartition("/")[2].lower()
    near = difflib.get_close_matches(word, short, 1, NEAR) if 0 < len(word) <= SHOWN else []
    return short[near[0]] if near else None


def _refuse_unknown(options: dict[str, Any], known: Iterable[str], name: str) -> None:
    for option in options.keys() - set(known):
        raise SettingError(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}.")
