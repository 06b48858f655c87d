"""Calls of the functions of somebody's own environment, whose faults are named by function, value and line."""

import traceback
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.settings import SHOWN, SettingError, reason

LIBRARIES = ("jax", "jaxlib", "flax", "ddpg_jax", "numpy")  # whose frames are not where a user's fault is
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
        parts = frame.filename.replace("\\", "/").split("/")
        if not any(f"{library}" in parts for library in LIBRARIES) and not frame.filename.startswith("<"):
            return f" at {parts[-1]}, line {frame.lineno}"
    return ""
