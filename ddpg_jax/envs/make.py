"""Makes an `Env`, the one type of environment here, from an id or from an object."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ddpg_jax.core.environment import check_episode, check_int32
from ddpg_jax.core.settings import SHOWN, SettingError, shown
from ddpg_jax.core.types import Env, EnvState
from ddpg_jax.envs.calls import trace_step
from ddpg_jax.envs.elsewhere import meant
from ddpg_jax.envs.objects import instance, is_own, why_not
from ddpg_jax.envs.references import label
from ddpg_jax.envs.registered import registered_environments
from ddpg_jax.envs.suites import WRAPPERS, ids, prefix_of, prefixes, suite

NEAR = 0.6  # how alike an id and a name must be, as difflib counts it


def make_env(env: Any, **options: Any) -> Env:
    """Returns an environment from its id or from a user's own object.

    Args:
      env: a gymnax id ("Pendulum-v1"), "brax/ant", "playground/CheetahRun", "pixels/Pendulum-v1", "lqr", or an id that
        was registered; or a reference to code of one's own, "my_env.py:Tank" or "my_package.envs:Tank", whose class or
        function is called without arguments; or an object in the style of gymnax (`reset_env`, `step_env`,
        `action_space`) or of Brax (`reset`, `step`, `action_size`); or an `Env`.
      options: `episode_length` (steps until truncation) and `action_repeat` for every kind; `backend` for Brax;
        `impl` for Playground; `size` for pixels; `params` for a gymnax-style object, `action_low` and `action_high`
        for a Brax-style one, and `name` for both.

    Raises:
      SettingError: there is no such id, the actions are not a box, the environment does not have such an option, or a
        function of an object raises an error or returns something unexpected; the message names what is wrong.
    """
    given = {option: value for option, value in options.items() if value is not None}
    options = {option: value.item() if isinstance(value, np.generic) else value for option, value in given.items()}
    if is_own(env):
        found, name = instance(env), label(env)
        if isinstance(found, Env) and env in registered_environments():
            found = found._replace(spec=found.spec._replace(name=name))
        env, options = found, options if isinstance(found, Env) else {"name": name} | options
    if isinstance(env, Env):
        _refuse_unknown(options, (), env.spec.name)
        return env
    check_episode(options.get("episode_length"), options.get("action_repeat"))
    if isinstance(env, str):
        return _make_by_id(env, options)
    for adapter in map(suite, WRAPPERS):
        if all(hasattr(env, attribute) for attribute in adapter.STYLE) and not isinstance(env, type):
            _refuse_unknown(options, list(inspect.signature(adapter.wrap).parameters)[1:], type(env).__name__)
            made = adapter.wrap(env, **options)
            trace_step(made, env, adapter.RETURNS)
            return made
    raise SettingError(why_not(env))


def as_gymnasium(
    env: Any, seed: int | None = None, render: Callable[[EnvState], Any] | None = None, **options: Any
) -> Any:
    """Returns an environment as a `gymnasium.Env`, with actions in the environment's own units.

    Observations are unbounded, except by their dtype. Where the environment repeats actions, one step is one action.

    Args:
      env, options: as for `make_env`.
      seed: from 0 to 2,147,483,647; seeds the first episodes, if the first `reset` is called without a seed.
      render: state -> image [H, W, 3] of bytes, for `env.render()` with render_mode "rgb_array"; without it,
        render_mode is None.

    Raises:
      SettingError: as for `make_env`, or the seed cannot be used.
    """
    from ddpg_jax.envs.gymnasium import Adapter

    check_int32("seed", 0 if seed is None else seed)
    return Adapter(make_env(env, **options), None if seed is None else int(seed), render)


def _make_by_id(name: str, options: dict[str, Any]) -> Env:
    prefix = prefix_of(name)
    if name not in ids(prefix):
        known = [known for p in prefixes() if p != "playground/" or p == prefix for known in ids(p)]
        raise SettingError(f"There is no environment {shown(name)}; {_instead(name, prefix, known)}")
    module = suite(prefix)
    _refuse_unknown(options, module.OPTIONS, name)
    return module.make(name.removeprefix(prefix) or name, **options)


def _instead(name: str, prefix: str, known: list[str]) -> str:
    """Returns what was meant by an unknown id, and how that differs where the id is of another library."""
    elsewhere = meant(name)
    if elsewhere:
        return f"here it is {elsewhere.known}, {elsewhere.about}." if elsewhere.known else f"{elsewhere.about}."
    near = _nearest_id(name, prefix, known)
    return f"did you mean {near}?" if near else "`ddpg-jax envs` lists them."


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
