"""The `ddpg-jax` command: finds the command that the first words name and calls it with the others."""

import contextlib
import importlib.metadata
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ddpg_jax.cli.bench import bench
from ddpg_jax.cli.compilation import Target, compile_for_target
from ddpg_jax.cli.console import console, print_error
from ddpg_jax.cli.new import new
from ddpg_jax.cli.parse import HELP, first_line, parse
from ddpg_jax.cli.policy import evaluate, export, render
from ddpg_jax.cli.printable import printable
from ddpg_jax.cli.resume import resume
from ddpg_jax.cli.settings import options_of, read_settings
from ddpg_jax.cli.show import envs, plot, report
from ddpg_jax.cli.streams import safe_streams
from ddpg_jax.cli.suggestions import did_you_mean, meant_algorithm, unknown_algorithm, unknown_option
from ddpg_jax.cli.sweep import Search, sweep
from ddpg_jax.cli.train import train
from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.envs.references import is_reference
from ddpg_jax.runs.named import name_algorithm
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.signals import Stop

# Commands that an algorithm follows, with what they ask for beside the settings of a run; then all others.
TRAINING: dict[str, tuple[Callable[..., Any], type | None]] = {
    "train": (train, None),
    "sweep": (sweep, Search),
    "compile": (compile_for_target, Target),
}
COMMANDS: dict[str, Callable[..., Any]] = {
    "resume": resume,
    "evaluate": evaluate,
    "render": render,
    "export": export,
    "plot": plot,
    "report": report,
    "envs": envs,
    "bench": bench,
    "new": new,
}
LONG = (["train"], ["sweep"], ["resume"])  # of these, a reader of standard output that has gone is a warning
VERSION = ("--version", "-V")
EXIT_CODES = {
    0: "done",
    2: "invalid setting or unusable file; the message names it",
    3: "another process of the run has ended",
    4: "stopped because a seed diverged (--halt-on-nan) or all seeds did",
    75: "the run was stopped and can be resumed",
    130: "interrupted by ctrl-C with nothing to save; 129: SIGHUP, 143: SIGTERM",
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code, one of `EXIT_CODES`."""
    args = list(sys.argv[1:] if args is None else args)
    with safe_streams(pipe_may_close=args[:1] not in LONG or bool(set(HELP) & set(args))):
        return _run(args)


def _run(args: list[str]) -> int:
    """Runs one command and prints the error with which it ends."""
    try:
        with Stop(print_error), _plain_warnings():
            return _exit_code(args)
    except KeyboardInterrupt:
        return 130
    except SettingError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
    except OSError as error:  # a full disk, above all
        name = printable(error.filename or "a file")
        print(f"error: {name} cannot be used ({printable(error.strerror or error)}).", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Prints the warnings of this package in one line each."""
    with warnings.catch_warnings():
        show, package = warnings.showwarning, str(Path(__file__).parent.parent)

        def shown_plainly(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
            if filename.startswith(package):
                print(f"warning: {printable(message)}", file=sys.stderr)
            else:
                show(message, category, filename, lineno, *rest)

        warnings.showwarning = shown_plainly  # type: ignore[assignment]
        yield


def _exit_code(args: list[str]) -> int:
    """Of the command that the arguments name, or of the help."""
    if args[:1] in (["train"], ["sweep"]) and args[1:] and args[1].partition("=")[0] == "--resume":
        args = ["resume", *args[1].split("=", 1)[1:], *args[2:]]
    name, *rest = args or [""]
    if name in TRAINING and "--resume" in (arg.partition("=")[0] for arg in rest):
        raise SettingError("--resume takes no other settings than those of its folder: `ddpg-jax resume FOLDER`.")
    try:
        if name in COMMANDS:
            return parse(COMMANDS[name], f"ddpg-jax {name}", rest) or 0
        if name in TRAINING:
            return _train(name, rest)
    except SystemExit as stop:  # tyro has printed a help
        return int(stop.code or 0)
    if name in VERSION:
        versions = [
            f"{package} {importlib.metadata.version(package)}" for package in ("ddpg_jax", "jax", "flax", "optax")
        ]
        print(", ".join([*versions, f"Python {platform.python_version()}"]))
        return 0
    if not name or name in HELP:
        return _overview(missing=not name)
    if name in algorithms():
        raise SettingError(f"there is no command {name!r}; did you mean `ddpg-jax train {name}`?")
    raise SettingError(f"there is no command {shown(name)}; {did_you_mean(name, [*TRAINING, *COMMANDS])}")


def _train(command: str, args: list[str]) -> int:
    """Runs `train` or `sweep` with the algorithm and the settings that the arguments name."""
    run, more = TRAINING[command]
    name, *rest = args or [""]
    if not name or name.startswith("-"):
        return _algorithms(command, missing=name not in HELP)
    if name not in algorithms() and not is_reference(name):
        near = meant_algorithm(name, list(algorithms()))
        options = unknown_option(rest, options_of(near, more), f"ddpg-jax {command} {near}") if near else ""
        raise SettingError(" ".join([unknown_algorithm(name, list(algorithms())), options]).rstrip())
    return run(read_settings(f"ddpg-jax {command} {name}", name_algorithm(name), rest, more)) or 0


def _overview(missing: bool) -> int:
    commands = {name: command for name, (command, _) in TRAINING.items()} | COMMANDS
    about = {name: first_line(command) for name, command in commands.items()}
    return _print_help(
        "name a command, as in `ddpg-jax train ddpg`." if missing else "",
        "usage: ddpg-jax COMMAND ...",
        "Train, evaluate and compare deterministic policy gradient agents.",
        _listing("commands", about),
        _listing("exit codes", {str(code): meaning for code, meaning in EXIT_CODES.items()}),
        "`ddpg-jax train` lists the algorithms.",
        "`ddpg-jax COMMAND --help` lists the options of a command, `ddpg-jax --version` the versions.",
    )


def _algorithms(command: str, missing: bool) -> int:
    return _print_help(
        f"name an algorithm first, as in `ddpg-jax {command} ddpg`." if missing else "",
        f"usage: ddpg-jax {command} ALGORITHM ...",
        first_line(TRAINING[command][0]),
        _listing("algorithms", {name: algorithm.summary() for name, algorithm in algorithms().items()}),
        f"`ddpg-jax {command} ddpg --help` lists the options of ddpg.",
    )


def _listing(title: str, about: dict[str, str]) -> Panel:
    """Names and what they are, framed as tyro frames options."""
    lines = Table.grid(padding=(0, 2))
    for name, words in about.items():
        lines.add_row(Text(name, no_wrap=True), words)
    return Panel(lines, title=title, title_align="left", border_style="dim", expand=False)


def _print_help(error: str, usage: str, summary: str, *rest: Any) -> int:
    """Prints a help, below a sentence where it was not asked for; returns the exit code."""
    if error:
        print(f"error: {error}\n", file=sys.stderr)
    console(stderr=bool(error)).print(usage, f"\n{summary}\n", *rest, sep="\n")
    return 2 if error else 0
