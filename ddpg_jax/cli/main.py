"""The command line: `train`, `sweep`, `resume`, `evaluate`, `plot`, `report`, `render`, `export`, `envs`, `bench`."""

import contextlib
import difflib
import io
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

import tyro
from typing_extensions import Doc

from ddpg_jax.cli.bench import bench
from ddpg_jax.cli.explain import plot, report
from ddpg_jax.cli.export import export
from ddpg_jax.cli.look import envs, evaluate
from ddpg_jax.cli.render import render
from ddpg_jax.cli.sweep import Search, run_sweep
from ddpg_jax.cli.train import Hosts, resume, run_train
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.presets import BEST, Preset, presets_for, searched
from ddpg_jax.runs.registry import algorithms

COMMANDS = ("train", "sweep", "resume", "evaluate", "plot", "report", "render", "export", "envs", "bench")


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    0; 2 after one sentence about a value, a file or a disk that cannot be used; 3 where another process of the run has
    ended; 4 where seeds diverged and the run ended for it; 75 where it was asked to stop and can go on.
    """
    try:
        command = _parse(sys.argv[1:] if args is None else args)
        return command() or 0
    except SystemExit as stop:
        return int(stop.code or 0)
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, above all
        print(f"error: {error.filename or 'a file'} cannot be used ({error.strerror or error}).", file=sys.stderr)
    return 2


def _parse(args: Sequence[str]) -> Callable[[], int | None]:
    """The command that the arguments name, bound to them; tyro's framed complaints become one line."""
    train_app, sweep_app = tyro.extras.SubcommandApp(), tyro.extras.SubcommandApp()
    for name, algorithm in algorithms().items():
        summary = (algorithm.make.__doc__ or name).splitlines()[0]
        train_app.command(name=name, help=summary)(_command(name, args, run_train, Hosts))
        sweep_app.command(name=name, help=summary)(_command(name, args, run_sweep, Search))
    app = tyro.extras.SubcommandApp()
    app.command(train_app, name="train", help="Train agents and write a run folder.")
    app.command(sweep_app, name="sweep", help="Train agents of many settings at once and write one table.")
    app.command(name="resume", help="Go on with a run from its newest checkpoint; also `train --resume RUN`.")(resume)
    app.command(name="evaluate", help="Play whole episodes with the policies of a run.")(evaluate)
    app.command(name="render", help="Write a film of the policy of a run: .gif, .mp4 or .html.")(render)
    app.command(name="export", help="Write the policy of a run as one file that needs no ddpg_jax.")(export)
    app.command(name="plot", help="Draw learning curves of runs beside each other, for a paper.")(plot)
    app.command(name="report", help="Write one HTML page about a run.")(report)
    app.command(name="envs", help="List the environments.")(envs)
    app.command(name="bench", help="Measure this machine beside the limit of its matrix products.")(bench)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return app.cli(prog="ddpg-jax", args=_resumed(args), config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        if stop.code:
            print(f"error: {_one_line(errors.getvalue())}{_meant(errors.getvalue(), args)}", file=sys.stderr)
        raise


def _meant(said: str, args: Sequence[str]) -> str:
    """The known word nearest to the first unknown one, as a question; nothing where none is near."""
    from ddpg_jax.runs.config import RunConfig

    if "Unrecognized options: " not in said:
        return ""
    groups: list[Any] = [RunConfig, LoopConfig, Hosts, Search]
    groups += [algorithms()[arg].config for arg in args[1:2] if arg in algorithms()]
    flags = {f"--{name.replace('_', '-')}" for group in groups for name in group.__dataclass_fields__}
    words = [*COMMANDS, *algorithms(), *flags, "--preset", "--range"]
    unknown = next((arg for arg in args if arg in _one_line(said).replace(",", "").split() and arg not in words), "")
    near = difflib.get_close_matches(unknown.split("=")[0], words, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _resumed(args: Sequence[str]) -> list[str]:
    """`train --resume RUN` as the command that it means."""
    return ["resume", *args[2:]] if list(args[:2]) == ["train", "--resume"] else list(args)


def _command(
    name: str, args: Sequence[str], run_it: Callable[..., int | None], extra_kind: Any
) -> Callable[..., Callable[[], int | None]]:
    """`train NAME` or `sweep NAME`, with the defaults of the preset that the arguments name.

    Args:
      run_it: (name, what `extra_kind` asks for beside the settings, run, loop, config), what the command does.
    """
    from ddpg_jax.runs.config import RunConfig

    asked, envs = _given("--preset", args), _given("--env", args)
    named = presets_for(name, envs[-1] if envs else RunConfig.env)
    chosen = named.get(asked[-1]) if asked else None
    chosen = chosen or Preset("", name, {}, {}, {})
    kind = algorithms()[name].config
    known = ", ".join(named) or "none yet"

    def bound(
        preset: str | None = None,
        extra: Any = extra_kind(),
        run: RunConfig = RunConfig(**chosen.run),
        loop: LoopConfig = LoopConfig(**chosen.loop),
        config: Any = kind(**chosen.config),
    ) -> Callable[[], int | None]:
        def command():
            if len(asked) > 1:
                raise SettingError(f"preset must be given once, not {len(asked)} times.")
            if preset == BEST and BEST not in named:
                raise SettingError(f"preset {BEST} of {name} needs a task that was searched ({searched(name)}).")
            if preset not in {None, *named}:
                raise SettingError(f"preset must be one of those of {name} ({known}), not {preset!r}.")
            return run_it(name, extra, run, loop, config)

        return command

    about = Doc(f"a preset that sets the defaults below: {known}")
    hints = {"run": RunConfig, "loop": LoopConfig, "config": kind, "extra": extra_kind}
    bound.__annotations__ = {"preset": Annotated[str | None, about], **hints}
    return bound


def _given(flag: str, args: Sequence[str]) -> list[str]:
    """Every value that the arguments give a flag, in either form; those after `=` last."""
    after = [value for word, value in pairwise(args) if word == flag]
    return after + [arg.removeprefix(f"{flag}=") for arg in args if arg.startswith(f"{flag}=")]


def _one_line(panel: str) -> str:
    """The first paragraph under the title of a panel, whatever its frame and rules are drawn with."""
    lines = [line.strip("│ ") for line in panel.splitlines()[1:]]
    rules = [i for i, line in enumerate(lines) if not line.strip("─-╰╯")]
    begin = 1 if rules and rules[0] == 0 else 0
    return " ".join(lines[begin : next((rule for rule in rules if rule > begin), None)])
