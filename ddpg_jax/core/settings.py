"""Classes of settings, with the help text and the allowed range of every setting, and their checks.

Floats are pytree leaves: another value does not recompile, and a batch of values under `jax.vmap` is a sweep. All other
settings are static: they determine the compiled program.
"""

import dataclasses
import functools
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
TINY = float(np.finfo(np.float32).tiny)  # the smallest normal float32; devices turn smaller numbers into 0
SHOWN = 100  # characters of a value in a message
PLAIN_TYPES = {bool: "True or False", str: "a string"}


def setting(
    *,
    default: Any,
    help: str,
    low: float | str | None = None,
    above: float | str | None = None,
    high: float | None = None,
    longest: int | None = None,
    at_start: bool = False,
) -> Any:
    """Declares one setting, as a field of a `configclass`.

    A setting whose type is `float` or `float | None` is a pytree leaf. With None there is no leaf, and what the number
    would switch on is absent from the compiled program.

    Args:
      default: the default value.
      help: one phrase, with the unit, for `--help` and the README.
      low, high: the smallest and the largest allowed value, elementwise. Floats must be finite in any case.
      above: a value that is too small by itself, in place of `low`.
      longest: the largest number of values of a tuple.
      at_start: whether it is read only when training begins, so that another value later would have no effect.

    `low` and `above` may be the name of another setting of the same class, whose value they then are. A setting whose
    type is `Any` takes an object of any kind, which is not checked here, and is a string on the command line.
    """
    limits = {"low": low, "above": above, "high": high, "longest": longest}
    return struct.field(default=default, metadata={"help": help, "at_start": at_start, **limits})


def other_default(owner: Any, name: str, *, default: Any) -> Any:
    """Declares a setting again that `owner` has declared, with another default."""
    return struct.field(default=default, metadata=owner.__dataclass_fields__[name].metadata)


@dataclass_transform(field_specifiers=(setting, other_default))
def configclass(cls: type[T]) -> type[T]:
    """Makes a class of settings a frozen `flax.struct` dataclass, with the help texts in its type hints for tyro.

    Base classes are groups of settings that several classes share; nothing else is inherited.
    """
    hints = get_type_hints(cls)
    for name in inspect.get_annotations(cls):
        hint = str if hints[name] is Any else hints[name]  # an object, or a name on the command line
        kind, old = kind_of(hint), getattr(cls, name)
        high = INT32 if old.metadata["high"] is None and kind is not float else old.metadata["high"]
        metadata = {**old.metadata, "high": high, "object": hints[name] is Any}
        setattr(cls, name, struct.field(default=old.default, pytree_node=kind is float, metadata=metadata))
        cls.__annotations__[name] = Annotated[hint, Doc(metadata["help"])]
    return struct.dataclass(cls)


def is_traced(cls: Any, name: str) -> bool:
    """Returns whether a setting of this class is a pytree leaf, so that another value does not recompile."""
    return cls.__dataclass_fields__[name].metadata.get("pytree_node", True)


def is_at_start(cls: Any, name: str) -> bool:
    """Returns whether a setting of this class is read only when training begins."""
    return cls.__dataclass_fields__[name].metadata.get("at_start", False)


def kind_of(hint: Any) -> Any:
    """Returns the type hint without its `| None`."""
    return next(kind for kind in get_args(hint) if kind is not NoneType) if _optional(hint) else hint


def _optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


def reason(error: BaseException) -> str:
    """Returns what an error says in one line."""
    words = (isinstance(error, OSError) and error.strerror) or str(error).strip() or type(error).__name__
    return words.splitlines()[0][:200]


class SettingError(ValueError):
    """A value that cannot be used; the message is one sentence with the setting, the value and what is allowed."""


def check_count(name: str, value: Any) -> None:
    """Checks that the argument called `name` is a whole number of at least 1.

    Raises:
      SettingError: it is not.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} must be a whole number of at least 1, not {shown(value)}.")


def check(config: Any) -> Any:
    """Returns `config` after checking that every setting has an allowed value; traced values cannot be checked.

    Raises:
      SettingError: a value is not allowed; the message is about the first of them.
    """
    hints = _hints_of(type(config))
    known = [field for field in dataclasses.fields(config) if not _traced(getattr(config, field.name))]
    for field in known:
        _check_one(field, hints[field.name], getattr(config, field.name))
    for field in known:
        _check_pair(field, config)
    return config


def plain(config: Any) -> Any:
    """Returns `config` after `check`, with Python's own numbers in place of NumPy's and of arrays of a single one.

    Raises:
      SettingError: a value is not allowed, or a setting is several numbers, as for `jax.vmap` over `train`.
    """
    numbers = [field.name for field in dataclasses.fields(check(config)) if not field.metadata["object"]]
    return dataclasses.replace(config, **{name: _plain(name, getattr(config, name)) for name in numbers})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(name, one) for one in value)
    if getattr(value, "ndim", 0):
        raise SettingError(f"{name} must be one number in a run, not {shown(value)}; a sweep tries several.")
    return value.item() if isinstance(value, np.generic | np.ndarray | jax.Array) else value


_hints_of: Any = functools.cache(get_type_hints)


def _traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def shown(value: Any) -> str:
    """Returns a value as it stands in a message, in which a long one is cut off."""
    try:
        words = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return f"a number of {value.bit_length():,} bits"
    return words if len(words) <= SHOWN else f"{words[:SHOWN]}..."


def _check_one(field: dataclasses.Field, hint: Any, value: Any) -> None:
    """Checks one setting: its type by the type hint, then its range."""

    def refuse(allowed: str) -> SettingError:
        return SettingError(f"{field.name} must be {allowed}, not {shown(value)}.")

    if (value is None and _optional(hint)) or field.metadata["object"]:
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
    if not _fits(hint, value):
        raise refuse({int: "a whole number", float: "a number"}.get(hint, "a tuple of whole numbers"))
    longest = field.metadata["longest"]
    if longest is not None and len(value) > longest:
        raise SettingError(f"{field.name} must be at most {longest:,} numbers, not {len(value):,}.")
    allowed = _allowed(field.metadata, _float64(value), hint is float)
    if allowed:
        raise refuse(allowed)


def _allowed(limits: Any, numbers: np.ndarray, real: bool) -> str | None:
    """Returns what is allowed in place of these numbers, or None if all of them are."""
    low, above, high = (limits[name] for name in ("low", "above", "high"))
    if real and not np.all(np.isfinite(numbers)):
        return "finite"
    if isinstance(low, int | float) and not np.all(numbers >= low):
        return f"at least {low:,}"
    if isinstance(above, int | float) and not np.all(numbers > above):
        return f"above {above:,}"
    if high is not None and not np.all(numbers <= high):
        return f"at most {high:,}"
    if real and not np.all(np.abs(numbers) <= FLOAT32):
        return f"at most {FLOAT32:.3g} in size, the largest number in float32"
    if real and not np.all((numbers == 0) | (np.abs(numbers) >= TINY)):
        zero = "0 or " * (above is None)
        return f"{zero}at least {TINY:.3g} in size, the smallest number in float32"
    return None


def _check_pair(field: dataclasses.Field, config: Any) -> None:
    """Checks a setting whose bound is another one, in float32, unless one of them is None or traced."""
    for bound, words in (("low", "at least"), ("above", "above")):
        other = field.metadata[bound]
        if not isinstance(other, str):
            continue
        value, limit = getattr(config, field.name), getattr(config, other)
        if value is None or limit is None or _traced(limit):
            continue
        larger = np.greater_equal if bound == "low" else np.greater
        if not np.all(larger(np.asarray(value, np.float32), np.asarray(limit, np.float32))):
            raise SettingError(f"{field.name} must be {words} {other} ({shown(limit)}), not {shown(value)}.")


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
