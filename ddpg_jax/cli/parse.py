"""Reading the words of a command with tyro, and answering those that cannot be read with one sentence."""

import contextlib
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro
from typing_extensions import Doc
from tyro.constructors import (
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from ddpg_jax.cli.suggestions import name_of, unknown_option
from ddpg_jax.core.settings import SettingError, kind_of, shown

try:
    from tyro._errors import on_parse_error
except ImportError:  # it is private to tyro; without it, people see tyro's own panels
    on_parse_error = contextlib.nullcontext  # type: ignore[assignment]

T = TypeVar("T")
CheckpointFlag = Annotated[
    str,
    tyro.conf.arg(metavar="latest|best|STEPS"),
    Doc("which checkpoint: the newest, the one with the best evaluation, or that of so many steps"),
]
RunFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN"), Doc("run folder")]
KINDS: dict[Any, str] = {int: "a whole number", float: "a number", Path: "a path", str: "a name"}
HELP = ("-h", "--help")
RULES = tyro.constructors.ConstructorRegistry()


@dataclasses.dataclass(frozen=True)
class OwnCode:
    """An algorithm or an environment of one's own."""

    algorithm: Annotated[
        str | None, tyro.conf.arg(metavar="FILE.py:NAME"), Doc("the run's algorithm; by default what it began with")
    ] = None
    env: Annotated[
        str | None, tyro.conf.arg(metavar="FILE.py:NAME"), Doc("the run's environment; by default what it began with")
    ] = None
    trust: Annotated[bool, Doc("import code that the run folder names, and that you have not used before")] = False

    def open(self, folder: Path) -> Any:
        """Returns the run of a folder, as `open_run` does; where nothing was given, the folder itself, unread."""
        from ddpg_jax.runs.stored_run import read_run

        given = (self.algorithm, self.env, self.trust)
        return folder if given == (None, None, False) else read_run(folder, *given)


def parse(command: Callable[..., T], prog: str, args: Sequence[str]) -> T:
    """Calls a command with its arguments, or prints its help, which begins with the first line of its docstring.

    Args:
      command: a function, or a dataclass, whose parameters are the options; a dataclass among them is a group.
      prog: what the user has typed up to here, such as "ddpg-jax evaluate".

    Raises:
      SettingError: the arguments cannot be read; the sentence names one of them and, where one is near, what was meant.
      SystemExit: the help was printed.
    """
    unknown = unknown_option(args, flags_of(command), prog)
    if unknown and not set(HELP) & set(args):
        raise SettingError(unknown)
    with on_parse_error(functools.partial(_refuse, prog, args)):
        return tyro.cli(
            command,
            prog=prog,
            description=first_line(command),
            args=args,
            config=(tyro.conf.OmitArgPrefixes,),
            registry=RULES,
        )


@RULES.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """An option that may be None, typed in any case, as FLOAT in the help, where tyro has {None}|FLOAT."""
    if info.type_origin not in (Union, UnionType) or kind_of(info.type) is info.type:
        return None
    spec = tyro.constructors.ConstructorRegistry.get_primitive_spec(
        PrimitiveTypeInfo.make(kind_of(info.type), info.markers)
    )
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    return dataclasses.replace(
        spec,
        instance_from_str=lambda words: None if _is_none(words) else spec.instance_from_str(words),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=None,  # of a Literal: `instance_from_str` refuses any other word
    )


def _is_none(words: Sequence[str]) -> bool:
    return [word.lower() for word in words] == ["none"]


@RULES.struct_rule
def _parameters(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The parameters of a command or a dataclass; where the help says what is done by default, tyro adds no None."""
    if not (dataclasses.is_dataclass(info.type) or inspect.isfunction(info.type)):
        return None
    hints, fields = get_type_hints(info.type, include_extras=True), []
    for name, parameter in inspect.signature(info.type).parameters.items():
        default = tyro.MISSING_NONPROP if parameter.default is parameter.empty else parameter.default
        default = getattr(info.default, name, default)
        hint, docs = hints[name], [doc for doc in getattr(hints[name], "__metadata__", ()) if isinstance(doc, Doc)]
        if (default is None or default is False) and any("by default" in doc.documentation for doc in docs):
            hint = Annotated[hint, tyro.conf.arg(help_behavior_hint="")]
        fields.append(StructFieldSpec(name, hint, default))
    return StructConstructorSpec(info.type, tuple(fields))


def first_line(command: Callable[..., Any]) -> str:
    """What a command does, in one sentence."""
    return (command.__doc__ or "").partition("\n")[0]


def flags_of(command: Any) -> list[str]:
    """The options of a command without their dashes, those of its groups included."""
    flags = []
    for name, hint in get_type_hints(command, include_extras=True).items():
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind):
            flags += flags_of(kind)
        elif name != "return" and tyro.conf.Positional not in getattr(hint, "__metadata__", ()):
            flags.append(name.replace("_", "-"))
    return flags


def _refuse(prog: str, args: Sequence[str], event: Any) -> None:
    """Raises what tyro has found as one sentence; where it returns, tyro shows its own panel."""
    with contextlib.suppress(AttributeError):  # the fields of an event are private to tyro, too
        if sentence := _sentence(prog, args, event):
            raise SettingError(sentence)


def _sentence(prog: str, args: Sequence[str], event: Any) -> str | None:
    """An event of tyro's in words; None for one that is not known here."""
    kind = type(event).__name__
    if kind == "UnrecognizedArgs":
        return f"`{prog}` has no use for {shown(event.tokens[0])}; `{prog} --help` shows what it takes."
    if kind == "MissingArgs":
        missing = " and ".join(_usage(one.arg) for one in event.missing_arguments)
        return f"`{prog}` needs {missing}; `{prog} --help` explains it."
    if kind == "BadValue":
        return f"{event.argument.display_name()} must be followed by {_allowed(event.argument)}."
    if kind in {"InvalidChoice", "InstantiationFailure"}:
        value = _value(event.argument, args)
        return f"{event.argument.display_name()} must be {_allowed(event.argument)}, not {shown(value)}."
    return None


def _usage(argument: Any) -> str:
    flag = "" if argument.is_positional() else f"{argument.display_name()} "
    return f"{flag}{argument.lowered.metavar}"


def _allowed(argument: Any) -> str:
    """What an option takes, as `check` says it of a setting."""
    kind = kind_of(argument.field.type_stripped)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_args(kind) == (int, ...):
        return "whole numbers, as in 64 64"
    return KINDS.get(kind, argument.lowered.metavar)


def _value(argument: Any, args: Sequence[str]) -> str:
    """The words that were given to an option where it was named last; of an argument without a name, the first word."""
    if argument.is_positional():
        return next((arg for arg in args if not arg.startswith("--")), args[0])
    name, count = name_of(argument.display_name()), argument.lowered.nargs
    at = max(place for place, arg in enumerate(args) if arg.startswith("--") and name_of(arg) == name)
    if "=" in args[at]:
        return args[at].partition("=")[2]
    words = list(itertools.takewhile(lambda word: not word.startswith("--"), args[at + 1 :]))
    return " ".join(words[:count] if isinstance(count, int) else words)
