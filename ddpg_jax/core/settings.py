"""Settings that explain and check themselves: numbers are leaves, shapes are static.

A float becomes a pytree leaf: another value does not recompile, and a batch of values under `jax.vmap` is a sweep.
Everything else shapes the program and is static.
"""

import dataclasses
import inspect
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from typing_extensions import Doc

T = TypeVar("T")


INT32 = 2**31 - 1  # the device counts in int32
FLOAT32 = float(np.finfo(np.float32).max)  # and computes in float32
# Settings that are no numbers, and what they must be.
PLAIN = {bool: "True or False", str: "a string"}


def setting(*, default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A field of a `configclass`.

    Args:
      default: its value if none is given. A float makes the setting a pytree leaf, and so does None where a float is
        allowed: None is then the absence of what the number would switch on, and shapes the program.
      help: one phrase with the unit, shown by `--help` and in the README.
      low, high: the least and the greatest value allowed, elementwise; a float without them still must be finite.
    """
    return struct.field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass_transform(field_specifiers=(setting,))
def configclass(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen `flax.struct` dataclass whose type hints carry the help text for the command line.

    Its base classes, if it has any, are groups of settings that it shares with others; nothing else is inherited.
    """
    hints = get_type_hints(cls)
    for name in inspect.get_annotations(cls):
        kind, old = kind_of(hints[name]), getattr(cls, name)
        high = INT32 if old.metadata["high"] is None and kind is not float else old.metadata["high"]
        metadata = {**old.metadata, "high": high}
        setattr(cls, name, struct.field(default=old.default, pytree_node=kind is float, metadata=metadata))
        cls.__annotations__[name] = Annotated[hints[name], Doc(metadata["help"])]
    return struct.dataclass(cls)


def is_traced(cls: Any, name: str) -> bool:
    """Whether a setting of this class is a leaf: another value of it compiles nothing."""
    return cls.__dataclass_fields__[name].metadata.get("pytree_node", True)


def kind_of(hint: Any) -> Any:
    """The hint without its `| None`."""
    return next(kind for kind in get_args(hint) if kind is not NoneType) if _optional(hint) else hint


def _optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


class SettingError(ValueError):
    """A value that cannot be used; the message is one sentence naming the setting, the value and what is allowed."""


def count(name: str, value: Any) -> None:
    """Passes whole numbers of at least 1.

    Raises:
      SettingError: naming the option `name` and the value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} must be a whole number of at least 1, not {value!r}.")


def check(config: Any) -> Any:
    """Returns `config` if every setting holds an allowed value; traced values pass unseen.

    Raises:
      SettingError: naming the first setting that does not.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, jax.core.Tracer):
            _check_one(field, hints[field.name], value)
    return config


def _check_one(field: dataclasses.Field, hint: Any, value: Any) -> None:
    def refuse(allowed: str) -> SettingError:
        return SettingError(f"{field.name} must be {allowed}, not {value!r}.")

    if value is None and _optional(hint):
        return
    hint = kind_of(hint)
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise refuse("one of " + ", ".join(get_args(hint)))
        return
    if hint in PLAIN:
        if not isinstance(value, hint):
            raise refuse(PLAIN[hint])
        return
    if hasattr(hint, "__fspath__"):
        if not isinstance(value, str | hint):
            raise refuse("a path")
        return
    low, high = field.metadata["low"], field.metadata["high"]
    if not _fits(hint, value):
        raise refuse({int: "a whole number", float: "a number"}.get(hint, "a tuple of whole numbers"))
    numbers = _float64(value)
    if hint is float and not np.all(np.isfinite(numbers)):
        raise refuse("finite")
    if low is not None and not np.all(numbers >= low):
        raise refuse(f"at least {low:,}")
    if high is not None and not np.all(numbers <= high):
        raise refuse(f"at most {high:,}")
    if hint is float and not np.all(np.abs(numbers) <= FLOAT32):
        raise refuse(f"at most {FLOAT32:.3g} in size, the largest number in float32")


def _float64(value: Any) -> np.ndarray:
    """Returns numbers as float64; a whole number beyond its range as infinity."""
    try:
        return np.asarray(value, np.float64)
    except OverflowError:
        return np.asarray(np.inf)


def _fits(hint: Any, value: Any) -> bool:
    """Whether the value is of the kind that `hint` names: a number, or for a float also an array of them."""
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(int, one) for one in value)
    if hint is float and isinstance(value, float | np.floating | np.ndarray | jax.Array):
        dtype = getattr(value, "dtype", float)
        return np.size(value) > 0 and any(jnp.issubdtype(dtype, kind) for kind in (np.floating, np.integer))
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
