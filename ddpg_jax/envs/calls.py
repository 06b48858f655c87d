"""Calls of the functions of somebody's own environment, whose faults are named by function, value and line."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import jaxlib
import numpy as np

from ddpg_jax.core.settings import SHOWN, SettingError, reason
from ddpg_jax.core.types import Env

# The folders of the libraries whose lines are not where a user's fault is; the last one is that of this package.
LIBRARIES = (*(Path(library.__path__[0]) for library in (jax, jaxlib, flax, np)), Path(__file__).parents[1])
# Errors of JAX -> what to do, where its own words explain how it works inside.
ADVICE: dict[type[Exception], str] = {
    jax.errors.TracerBoolConversionError: "it branches on a value that is known only when the compiled program runs; "
    "jnp.where or jax.lax.cond chooses by such a value",
    jax.errors.ConcretizationTypeError: "it needs the value of an array while the program is compiled; float(), int() "
    "and range() cannot have it, jnp functions can",
    jax.errors.TracerArrayConversionError: "it hands an array to NumPy while the program is compiled; jnp has the same "
    "functions",
}


def called(owner: str, function: Callable[..., Any], *args: Any) -> Any:
    """Returns what a function of somebody's own returns.

    Raises:
      SettingError: it raised an error; the message names the function, the line and what to do.
    """
    try:
        return function(*args)
    except SettingError:
        raise
    except Exception as error:
        advice = next((words for kind, words in ADVICE.items() if isinstance(error, kind)), reason(error).rstrip("."))
        what = f"{owner}.{getattr(function, '__name__', type(function).__name__)}"
        raise SettingError(f"{what} raised {type(error).__name__}{_place(error)}: {advice}.") from error


def trace_step(env: Env, original: Any, returns: str) -> None:
    """Traces one step of an environment, so that its faults are named before anything is compiled.

    Args:
      env: the environment.
      original: the object that it was made of.
      returns: what its functions are to return, which an error about a shape does not say by itself.
    """
    try:
        _trace(env)
    except SettingError as error:
        words = str(error)
        says_all = " raised " in words or " must return (" in words
        raise SettingError(words if says_all else f"{words.rstrip('.')}; {returns}.") from error
    for name, value in getattr(original, "__dict__", {}).items():
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value)):
            raise SettingError(
                f"{env.spec.name} must not keep what it computes in self.{name}; what the next step needs belongs in "
                f"the state; {returns}."
            )


def _trace(env: Env) -> None:
    key, action = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct((env.spec.action_size,), np.float32)
    jax.eval_shape(env.step, key, jax.eval_shape(env.reset, key), action)


def results(owner: str, function: str, names: tuple[str, ...], returned: Any) -> tuple[Any, ...]:
    """Returns the values of a tuple or a list.

    Raises:
      SettingError: it is something else, or has another number of values than there are names.
    """
    if isinstance(returned, tuple | list) and len(returned) == len(names):
        return tuple(returned)
    found = f"{len(returned)} values" if isinstance(returned, tuple | list) else kind_of_value(returned)
    raise SettingError(f"{owner}.{function} must return ({', '.join(names)}), not {found}.")


def attribute(owner: str, function: str, returned: Any, name: str) -> Any:
    """Returns an attribute of what a function returned.

    Raises:
      SettingError: it has no such attribute.
    """
    if not hasattr(returned, name):
        raise SettingError(f"{owner}.{function} must return a state with {name}, not {kind_of_value(returned)}.")
    return getattr(returned, name)


def kind_of_value(value: Any) -> str:
    """Returns in words what a value is: an array by its dtype and shape, anything else by its type."""
    if isinstance(value, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
        return f"an array of {value.dtype} of shape {tuple(value.shape)}"
    if value is None:
        return "None"
    name = type(value).__name__[:SHOWN]
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _place(error: Exception) -> str:
    """Returns the last line of somebody's own code that an error came through, as " at my_env.py, line 12"."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if not any(file.is_relative_to(library) for library in LIBRARIES) and not frame.filename.startswith("<"):
            return f" at {file.name}, line {frame.lineno}"
    return ""
