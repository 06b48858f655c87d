"""Classes of settings, with the help text and the allowed range of every setting, and their checks.

Floats are pytree leaves: another value does not recompile, and a batch of values under `jax.vmap` is a sweep. All other
settings are static: they determine the compiled program.
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

INT32 = 2**31 - 1  # the largest int32, in which the device counts
FLOAT32 = float(np.finfo(np.float32).max)  # the largest float32, in which it computes
PLAIN_TYPES = {bool: "True or False", str: "a string"}


def setting(*, default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """Declares one setting, as a field of a `configclass`.

    A setting whose type is `float` or `float | None` is a pytree leaf. With None there is no leaf, and what the number
    would switch on is absent from the compiled program.

    Args:
      default: the default value.
      help: one phrase, with the unit, for `--help` and the README.
      low, high: the smallest and the largest allowed value, elementwise. Floats must be finite in any case.
    """
    return struct.field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass_transform(field_specifiers=(setting,))
def configclass(cls: type[T]) -> type[T]:
    """Makes a class of settings a frozen `flax.struct` dataclass, with the help texts in its type hints for tyro.

    Base classes are groups of settings that several classes share; nothing else is inherited.
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
    """Returns whether a setting of this class is a pytree leaf, so that another value does not recompile."""
    return cls.__dataclass_fields__[name].metadata.get("pytree_node", True)


def kind_of(hint: Any) -> Any:
    """Returns the type hint without its `| None`."""
    return next(kind for kind in get_args(hint) if kind is not NoneType) if _optional(hint) else hint


def _optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


class SettingError(ValueError):
    """A value that cannot be used; the message is one sentence with the setting, the value and what is allowed."""


def check_count(name: str, value: Any) -> None:
    """Checks that the argument called `name` is a whole number of at least 1.

    Raises:
      SettingError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} must be a whole number of at least 1, not {value!r}.")


def check(config: Any) -> Any:
    """Returns `config` after checking that every setting has an allowed value; traced values cannot be checked.

    Raises:
      SettingError: a value is not allowed; the message is about the first of them.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, jax.core.Tracer):
            _check_one(field, hints[field.name], value)
    return config


def _check_one(field: dataclasses.Field, hint: Any, value: Any) -> None:
    """Checks one setting: its type by the type hint, then its range."""

    def refuse(allowed: str) -> SettingError:
        return SettingError(f"{field.name} must be {allowed}, not {value!r}.")

    if value is None and _optional(hint):
        return
    hint = kind_of(hint)
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise refuse("one of " + ", ".join(get_args(hint)))
        return
    if hint in PLAIN_TYPES:
        if not isinstance(value, hint):
            raise refuse(PLAIN_TYPES[hint])
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
    """Returns whether the value has the type of the hint; where that is `float`, an array of numbers has it, too."""
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(int, one) for one in value)
    if hint is float and isinstance(value, float | np.floating | np.ndarray | jax.Array):
        dtype = getattr(value, "dtype", float)
        return np.size(value) > 0 and any(jnp.issubdtype(dtype, kind) for kind in (np.floating, np.integer))
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
