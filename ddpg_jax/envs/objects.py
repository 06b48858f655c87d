"""Objects of one's own as environments: what a reference or a registered name leads to, and why something is none."""

import inspect
from typing import Any

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env
from ddpg_jax.envs.calls import called
from ddpg_jax.envs.references import is_reference, load
from ddpg_jax.envs.registered import registered_environments
from ddpg_jax.envs.suites import WRAPPERS, suite

HOST_LIBRARIES = ("gymnasium", "gym", "dm_env", "dm_control", "pettingzoo")  # of environments in NumPy
PORTING = "docs/port_an_environment.md"


def is_own(env: Any) -> bool:
    """Whether an environment is named by a reference or a registered name, which lead to an object of one's own."""
    return isinstance(env, str) and (is_reference(env) or env in registered_environments())


def instance(name: str) -> Any:
    """Returns the environment object that a reference or a registered name leads to.

    Raises:
      SettingError: it leads nowhere, or to a class or function that needs arguments or raises an error.
    """
    known = registered_environments()
    return instantiate(known[name] if name in known else load(name)[0], name)


def instantiate(found: Any, name: str) -> Any:
    """Returns an environment object: `found`, or what it returns where it is a class or a function.

    Raises:
      SettingError: it needs arguments, or raises an error.
    """
    is_object = isinstance(found, Env) or any(all(hasattr(found, at) for at in suite(p).STYLE) for p in WRAPPERS)
    if not callable(found) or (is_object and not isinstance(found, type)):
        return found
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise SettingError(
            f"{name} must be callable without arguments ({error}); a function that calls it with them can be named."
        ) from None
    except ValueError:  # a function without a signature, such as some of C's
        pass
    return called(name, found)


def why_not(env: Any) -> str:
    """Returns why something is no environment, in one sentence."""
    styles = [", ".join(suite(prefix).STYLE) for prefix in WRAPPERS]
    name = env.__name__ if isinstance(env, type) else type(env).__name__
    if isinstance(env, type):
        return f"{name} is a class; make_env needs an object of it, {name}()."
    if any(layer.__module__.partition(".")[0] in HOST_LIBRARIES for layer in type(env).__mro__):
        name = type(getattr(env, "unwrapped", env)).__name__
        return (
            f"{name} runs in Python on the host and cannot be compiled; write it with jnp in the style of gymnax or "
            f"Brax ({PORTING} ports one line by line), or train an environment of ddpg_jax elsewhere by as_gymnasium."
        )
    has = {prefix: [hasattr(env, at) for at in suite(prefix).STYLE] for prefix in WRAPPERS}
    for prefix, found in has.items():
        if 2 * sum(found) > len(found):
            lacking = ", ".join(at for at, there in zip(suite(prefix).STYLE, found, strict=True) if not there)
            return f"{name} lacks {lacking}; {suite(prefix).RETURNS}."
    return (
        f"{name} is neither an id nor an environment in the style of gymnax ({styles[0]}) or Brax ({styles[1]}); "
        f"`ddpg-jax new env FILE.py` writes one to begin with."
    )
