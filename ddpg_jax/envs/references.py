"""References to code of one's own: `my_env.py:Tank` names what is in a file, `my_package.envs:Tank` in a module.

A file is read once, and what is executed is what was hashed. It runs as a module under a name that depends on its path
and its contents, so that the same file gives the same objects and a changed one gives new ones.
"""

import ast
import hashlib
import importlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError, reason, shown

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Code(NamedTuple):
    """The file that a reference leads to."""

    file: str  # its absolute path
    sha256: str  # of its contents
    content: bytes = b""


def is_reference(name: str) -> bool:
    """Returns whether a name is a reference: `FILE.py:NAME`, `MODULE:NAME`, or a file without the name in it."""
    place, colon, attribute = name.rpartition(":")
    if not colon:
        return name.endswith(".py")
    return place.endswith(".py") or (MODULE.fullmatch(place) is not None and MODULE.fullmatch(attribute) is not None)


def load(reference: str, content: bytes | None = None) -> tuple[Any, Code]:
    """Returns what a reference names, and the file that it was in, which is executed.

    Args:
      reference: `FILE.py:NAME` or `MODULE:NAME`; NAME may have dots.
      content: of the file, where that is known and may differ from what is in the place now.

    Raises:
      SettingError: there is no such file, module or name, or the code raises an error; the message names the line.
    """
    place, colon, attribute = reference.rpartition(":")
    if not colon or not attribute:
        file = reference.rstrip(":")
        raise SettingError(f"{shown(file)} must be followed by what is in it, as in {file}:{_example(file)}.")
    if place.endswith(".py"):
        path = Path(place).absolute()
        content = _read(path, place) if content is None else content
        return _attribute(_execute(path, content), attribute, place), _code(path, content)
    module = _import(place)
    file = getattr(module, "__file__", None) or ""
    found = _code(Path(file), Path(file).read_bytes()) if file.endswith(".py") else Code(file, "")
    return _attribute(module, attribute, place), found


def fingerprint(file: str) -> str | None:
    """Returns the SHA-256 of a file's contents; None if it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def label(name: str) -> str:
    """Returns a short name for titles and folders: `Tank` of `my_env.py:Tank`, `my_algo` of `my_algo.py:ALGORITHM`."""
    name = name if is_reference(name) else name.partition("@")[0]  # of an object; a path may have an @, too
    place, colon, attribute = name.rpartition(":")
    if not colon:
        return place or attribute
    module = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return module if attribute.isupper() else attribute


def _code(path: Path, content: bytes) -> Code:
    return Code(str(path), hashlib.sha256(content).hexdigest(), content)


def _read(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise SettingError(f"{place} must be a file that can be read, and it is not ({reason(error)}).") from None


def _execute(path: Path, content: bytes) -> ModuleType:
    """Runs the contents of a file as a module, once; what lies beside the file can be imported by it."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode(errors='replace') + content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if path.parent.is_dir() and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _raised(path.name, error, str(path)) from error
        raise
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error


def _raised(place: str, error: BaseException, file: str = "") -> SettingError:
    """Returns the error that says which line of a file could not be executed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else lines[-1] if lines else None
    where = f", line {line}" if line else ""
    return SettingError(f"{place} cannot be imported{where}: {type(error).__name__}: {reason(error).rstrip('.')}.")


def _attribute(module: ModuleType, name: str, place: str) -> Any:
    """Returns what a module has under a name with or without dots."""
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            own = [key for key, value in vars(module).items() if not key.startswith("_") and _is_own(value, module)]
            there = f"; it has {', '.join(own[:10])}{', ...' * (len(own) > 10)}" if own else ""
            raise SettingError(f"{place} has nothing called {shown(name)}{there}.")
        found = getattr(found, part)
    return found


def _is_own(value: Any, module: ModuleType) -> bool:
    """Returns whether a value was made in a module rather than imported into it."""
    return not isinstance(value, ModuleType) and getattr(value, "__module__", module.__name__) == module.__name__


def _example(file: str) -> str:
    """Returns a name that a file defines, the last of its classes first, without executing the file."""
    try:
        body = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return "NAME"
    defined = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    constants = [
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    classes = [node.name for node in defined if isinstance(node, ast.ClassDef)]
    functions = [node.name for node in defined if isinstance(node, ast.FunctionDef)]
    return next(reversed(classes or functions or constants), "NAME")
