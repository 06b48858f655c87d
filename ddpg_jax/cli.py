"""The command line: `ddpg-jax train` and `sweep ALGORITHM`, `evaluate RUN`, `envs`, `bench`."""

import contextlib
import dataclasses
import functools
import io
import json
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Column, Table
from typing_extensions import Doc

from ddpg_jax import hosts
from ddpg_jax.algorithms import algorithms
from ddpg_jax.cli_sweep import Search, run_sweep
from ddpg_jax.presets import PRESETS, Preset
from ddpg_jax.settings import SettingError, check
from ddpg_jax.train import LoopConfig

LOST = "another process of this run has ended; when all are back, `ddpg-jax train --resume` goes on from the checkpoint"


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, or 2 after one sentence about a value that cannot be used."""
    try:
        command = _parse(sys.argv[1:] if args is None else args)
        command()
    except SystemExit as stop:
        return int(stop.code or 0)
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(args: Sequence[str]) -> Callable[[], None]:
    """The command that the arguments name, bound to them; tyro's framed complaints become one line."""
    train_app, sweep_app = tyro.extras.SubcommandApp(), tyro.extras.SubcommandApp()
    for name, algorithm in algorithms().items():
        summary = (algorithm.make.__doc__ or name).splitlines()[0]
        train_app.command(name=name, help=summary)(_train_command(name, args))
        sweep_app.command(name=name, help=summary)(_sweep_command(name, args))
    app = tyro.extras.SubcommandApp()
    app.command(train_app, name="train", help="Train agents and write a run folder.")
    app.command(sweep_app, name="sweep", help="Train agents of many settings at once and write one table.")
    app.command(name="resume", help="Go on with a run from its newest checkpoint; also `train --resume RUN`.")(_resume)
    app.command(name="evaluate", help="Play whole episodes with the policies of a run.")(_evaluate)
    app.command(name="envs", help="List the environments.")(_envs)
    app.command(name="bench", help="Measure this machine beside the limit of its matrix products.")(_bench)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return app.cli(prog="ddpg-jax", args=_resumed(args), config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        if stop.code:
            print(f"error: {_one_line(errors.getvalue())}", file=sys.stderr)
        raise


def _resumed(args: Sequence[str]) -> list[str]:
    """`train --resume RUN` as the command that it means."""
    return ["resume", *args[2:]] if list(args[:2]) == ["train", "--resume"] else list(args)


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Several processes of one run: the same command in each of them."""

    distributed: Annotated[bool, Doc("this is one of several processes; on a CPU each is one device")] = False
    coordinator: Annotated[str | None, Doc("HOST:PORT of process 0; by default found out from the cluster")] = None
    processes: Annotated[int | None, Doc("how many; by default as the cluster says")] = None
    process: Annotated[int | None, Doc("which of them this is, from 0; by default as the cluster says")] = None

    def join(self) -> bool:
        """Finds the others, if there are any; returns whether this process speaks for all."""
        if not self.distributed:
            if (self.coordinator, self.processes, self.process) != (None, None, None):
                raise SettingError("distributed must be given with coordinator, processes and process.")
            return True
        hosts.join(self.coordinator, self.processes, self.process)
        return hosts.first()


def _train_command(name: str, args: Sequence[str]) -> Callable[..., Callable[[], None]]:
    """`train NAME` with the defaults of the preset that the arguments name."""
    defaults, accept, hints = _settings(name, args)

    def train(
        preset: str | None = None,
        run: Any = defaults["run"],
        loop: Any = defaults["loop"],
        config: Any = defaults["config"],
        others: Hosts = Hosts(),
    ) -> Callable[[], None]:
        def command():
            accept(preset)
            _train(name, run, loop, config, others)

        return command

    train.__annotations__ = hints | {"others": Hosts}
    return train


def _sweep_command(name: str, args: Sequence[str]) -> Callable[..., Callable[[], None]]:
    """`sweep NAME` with the defaults of the preset that the arguments name."""
    defaults, accept, hints = _settings(name, args)

    def sweep(
        preset: str | None = None,
        search: Search = Search(),
        run: Any = defaults["run"],
        loop: Any = defaults["loop"],
        config: Any = defaults["config"],
    ) -> Callable[[], None]:
        def command():
            accept(preset)
            run_sweep(name, search, run, loop, config)

        return command

    sweep.__annotations__ = hints | {"search": Search}
    return sweep


def _settings(name: str, args: Sequence[str]) -> tuple[dict[str, Any], Callable[[str | None], None], dict[str, Any]]:
    """Of an algorithm: the default of each group of settings, what refuses an unknown preset, and all type hints."""
    from ddpg_jax.plan import RunConfig

    recipes = {name_of: recipe for name_of, recipe in PRESETS.items() if recipe.algorithm == name}
    asked = [after for flag, after in pairwise(args) if flag == "--preset"]
    asked += [arg.removeprefix("--preset=") for arg in args if arg.startswith("--preset=")]
    chosen = recipes.get(asked[-1]) if asked else None
    chosen = chosen or Preset("", name, {}, {}, {})
    kind = algorithms()[name].config
    known = ", ".join(recipes) or "none yet"

    def accept(preset: str | None) -> None:
        if len(asked) > 1:
            raise SettingError(f"preset must be given once, not {len(asked)} times.")
        if preset not in {None, *recipes}:
            raise SettingError(f"preset must be one of those of {name} ({known}), not {preset!r}.")

    about = Doc(f"a recipe of the literature, setting the defaults below: {known}")
    hints = {"preset": Annotated[str | None, about], "run": RunConfig, "loop": LoopConfig, "config": kind}
    defaults = {"run": RunConfig(**chosen.run), "loop": LoopConfig(**chosen.loop), "config": kind(**chosen.config)}
    return defaults, accept, hints


def _one_line(panel: str) -> str:
    """The first paragraph under the title of a panel, whatever its frame and rules are drawn with."""
    lines = [line.strip("│ ") for line in panel.splitlines()[1:]]
    rules = [i for i, line in enumerate(lines) if not line.strip("─-╰╯")]
    begin = 1 if rules and rules[0] == 0 else 0
    return " ".join(lines[begin : next((rule for rule in rules if rule > begin), None)])


def _train(name: str, run: Any, loop: LoopConfig, config: Any, others: Hosts) -> None:
    from ddpg_jax.experiment import run_experiment

    _prepare(check(run), loop, config, others)
    _show(others, functools.partial(run_experiment, name, config, loop, run))


def _prepare(run: Any, loop: LoopConfig, config: Any, others: Hosts) -> None:
    """Sets JAX up for a run."""
    from ddpg_jax.device import prepare
    from ddpg_jax.seeds import fits_one_thread

    image, hidden = run.env.startswith("pixels/"), getattr(config, "hidden", ())
    alone = run.devices is None and not others.distributed
    one_thread = alone and fits_one_thread(loop.num_envs, loop.batch_size, hidden, image)
    prepare(run.seeds, one_thread, 1 if others.distributed else run.devices)


def _show(others: Hosts, experiment: Callable[..., Any]) -> None:
    """Runs an experiment with a display and prints its table, in one of the processes."""
    import jax

    from ddpg_jax.display import Display

    speaks = others.join()
    try:
        with Display(Console(stderr=False, quiet=not speaks)) as display:
            result = experiment(announce=display.announce, report=display.report)
    except jax.errors.JaxRuntimeError as error:
        if not others.distributed:
            raise
        print(f"error: {LOST} ({str(error).splitlines()[0][:200]})", file=sys.stderr, flush=True)
        hosts.leave(3)
    run = result.run
    display.console.print(_table(result.table, f"{run.eval_episodes} deterministic episodes per seed"))
    display.console.print(
        f"{result.folder}: config.json, metrics.jsonl, evaluation.json, curve.png, checkpoints, tensorboard"
    )


def _resume(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    steps: Annotated[int | None, Doc("environment steps per seed to train to; by default as before")] = None,
    devices: Annotated[int | None, Doc("devices to use; by default as before")] = None,
    others: Hosts = Hosts(),
) -> Callable[[], None]:
    return lambda: _resume_run(folder, steps, devices, others)


def _resume_run(folder: Path, steps: int | None, devices: int | None, others: Hosts) -> None:
    from ddpg_jax.experiment import resume_experiment
    from ddpg_jax.plan import RunConfig
    from ddpg_jax.run_folder import read_config

    stored = read_config(folder)
    run = RunConfig(**stored["run"])
    run = dataclasses.replace(run, devices=run.devices if devices is None else devices)
    _prepare(check(run), LoopConfig(**stored["loop"]), stored["config"], others)
    _show(others, functools.partial(resume_experiment, folder, steps, devices))


def _evaluate(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    episodes: Annotated[int, Doc("whole episodes per seed")] = 32,
    seed: Annotated[int, Doc("seed of the initial states")] = 0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
) -> Callable[[], None]:
    return lambda: _evaluate_run(folder, episodes, seed, json)


def _evaluate_run(folder: Path, episodes: int, seed: int, as_json: bool) -> None:
    from ddpg_jax.device import prepare
    from ddpg_jax.experiment import evaluate_run

    prepare()
    report = evaluate_run(folder, episodes, seed)
    if as_json:
        print(json.dumps(report))
    else:
        title = f"{report['algorithm']} on {report['environment']}, {episodes} deterministic episodes per seed"
        Console().print(_table(report["seeds"], title))


def _table(rows: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "not finite"
    return str(value) if name == "seed" else f"{value:,.1f}"


def _envs() -> Callable[[], None]:
    return _list_envs


def _list_envs() -> None:
    from ddpg_jax.envs import SUITES, ids, make_env

    table = Table(Column("id", no_wrap=True, min_width=30), "observation", "action bounds", "episode length")
    for prefix in SUITES:
        with contextlib.suppress(SettingError):  # an extra that is not installed
            for name in ids(prefix):
                with contextlib.suppress(SettingError, OSError):  # discrete actions, or data to be downloaded
                    spec = make_env(name).spec
                    table.add_row(spec.name, str(spec.obs_shape), _bounds(spec), str(spec.episode_length))
    Console().print(table)


def _bench(
    seconds: Annotated[float, Doc("about how long to measure each row")] = 3.0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
) -> Callable[[], None]:
    return lambda: _measure(seconds, json)


def _measure(seconds: float, as_json: bool) -> None:
    from ddpg_jax.device import prepare

    if not 0 < seconds <= 3600:
        raise SettingError(f"seconds must be above 0 and at most 3,600, not {seconds}.")
    prepare(seeds=8)
    from ddpg_jax import bench

    rows = []
    for row in bench.table(seconds):
        rows.append(row)
        if not as_json:
            Console().print(f"  {row['workload']} measured")
    if as_json:
        print(json.dumps({"machine": bench.machine(), "rows": rows}))
        return
    table = Table(title=f"DDPG on Pendulum-v1; {bench.machine()}", caption="limit: the matrix products alone")
    heads = {
        "workload": "workload",
        "updates_per_s": "updates/s",
        "env_steps_per_s": "env steps/s",
        "first_update_s": "to first update",
        "limit_updates_per_s": "limit, updates/s",
        "share": "share of limit",
    }
    for head in heads.values():
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*(_measured(name, row.get(name)) for name in heads))
    Console().print(table)


def _measured(name: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return {"share": f"{value:.0%}", "first_update_s": f"{value:.1f} s"}.get(name, f"{value:,.0f}")


def _bounds(spec: Any) -> str:
    low, high = set(spec.action_low.ravel().tolist()), set(spec.action_high.ravel().tolist())
    if len(low) == len(high) == 1:
        return f"[{low.pop():g}, {high.pop():g}] x {spec.action_low.shape}"
    return f"{spec.action_low.tolist()} to {spec.action_high.tolist()}"
