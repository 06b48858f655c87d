"""JSON from files, checked as it is read: a value of the expected kind, or one sentence that says what is wrong.

A `Value` knows its file and its place in it, so that whoever asks for an integer gets an integer or a `SettingError`
that names the file, the field, the value and what is allowed. No reader looks at unchecked JSON.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from ddpg_jax.core.settings import INT32, SettingError, check, kind_of
from ddpg_jax.runs.files import read_bytes

Config = TypeVar("Config")
LONGEST = 80  # characters of a value in a message


class Value(NamedTuple):
    """A value in a JSON file, with the place where it stands."""

    file: Path
    place: str  # "run.seeds", "line 3: steps"; "" for the whole document
    value: Any

    def refuse(self, allowed: str) -> SettingError:
        """Returns the error that says what is allowed here."""
        shown = ascii(self.value)  # ASCII, since a lone surrogate could not be printed
        shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
        place = f"{self.place} " if self.place else ""
        return SettingError(f"{self.file}: {place}must be {allowed}, not {shown}.")

    def at(self, name: Any, value: Any) -> "Value":
        """Returns a value below this one."""
        name = name if isinstance(name, str) and name.isprintable() else ascii(name)
        joint = "" if self.place.endswith(": ") or not self.place else "."
        return Value(self.file, f"{self.place}{joint}{name}", value)

    def object(self, required: set[str], optional: set[str] | None = None) -> dict[str, "Value"]:
        """Returns the fields of an object that has all required names and no unknown one; None allows any name."""
        fields = self.fields()
        if missing := sorted(required - fields.keys()):
            raise self.at(missing[0], None)._missing()
        if optional is not None and (unknown := sorted(map(ascii, fields.keys() - required - optional))):
            raise self.refuse(f"an object without the unknown field {unknown[0]}")
        return fields

    def fields(self) -> dict[str, "Value"]:
        """Returns the fields of an object."""
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        return {name: self.at(name, value) for name, value in self.value.items()}

    def items(self) -> list["Value"]:
        """Returns the items of a list."""
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        return [self.at(index, value) for index, value in enumerate(self.value)]

    def integer(self, low: int = 0, high: int = INT32) -> int:
        """Returns a whole number within bounds."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.refuse(f"a whole number from {low:,} to {high:,}")
        return self.value

    def number(self) -> float:
        """Returns a finite number as a float."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            try:
                found = float(self.value)
            except OverflowError:
                found = math.inf
            if math.isfinite(found):
                return found
        raise self.refuse("a finite number")

    def string(self) -> str:
        """Returns a string that can be printed: one without lone surrogates."""
        if not isinstance(self.value, str) or any("\ud800" <= letter <= "\udfff" for letter in self.value):
            raise self.refuse("a string")
        return self.value

    def path(self) -> Path:
        """Returns a path, whose bytes need not be UTF-8."""
        if not isinstance(self.value, str) or "\0" in self.value:
            raise self.refuse("a path")
        return Path(self.value)

    def boolean(self) -> bool:
        """Returns true or false."""
        if not isinstance(self.value, bool):
            raise self.refuse("true or false")
        return self.value

    def optional(self, read: Callable[["Value"], Any]) -> Any:
        """Returns None for null, and else what `read` makes of it."""
        return None if self.value is None else read(self)

    def config(self, kind: type[Config]) -> Config:
        """Returns the object as a `configclass`, every field of which it names, with allowed values."""
        fields = self.object({field.name for field in dataclasses.fields(kind)}, set())  # type: ignore[arg-type]
        hints = get_type_hints(kind)
        made = kind(**{name: value.of(hints[name]) for name, value in fields.items()})
        try:
            return check(made)
        except SettingError as error:
            raise SettingError(f"{self.file}: {self.place}.{error}") from None

    def setting(self, kind: type) -> Any:
        """Returns the value as the setting of a `configclass` that this place is named after."""
        return self.of(get_type_hints(kind)[self.place.rsplit(".", 1)[-1]])

    def of(self, hint: Any) -> Any:
        """Returns the value as a setting with this type hint; whether it is in range is for `check` to say."""
        if self.value is None and NoneType in get_args(hint):
            return None
        kind = kind_of(hint)
        if get_origin(kind) is tuple:
            return tuple(item.integer() for item in self.items())
        readers: dict[Any, Callable[[], Any]] = {
            bool: self.boolean,
            int: lambda: self.integer(low=-INT32),
            float: self.number,
            Path: self.path,
        }
        return readers.get(kind, self.string)()

    def _missing(self) -> SettingError:
        return SettingError(f"{self.file}: {self.place} is missing.")


def read_json(file: Path) -> Value:
    """Reads a JSON file.

    Raises:
      OSError: it cannot be read, or is no regular file.
      SettingError: it is no JSON.
    """
    return parse_json(file, "", read_bytes(file))


def parse_json(file: Path, place: str, text: bytes) -> Value:
    """Returns a JSON text of a file as a value; `place` says where in the file it stands.

    Raises:
      SettingError: it is no JSON; NaN, infinities and repeated names of an object are none.
    """
    try:
        return Value(file, place, json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        reason = "it is nested too deep" if isinstance(error, RecursionError) else ascii(str(error))[1:-1]
        raise SettingError(f"{file}{f' is damaged in {place[:-2]}' if place else ' is damaged'} ({reason}).") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
