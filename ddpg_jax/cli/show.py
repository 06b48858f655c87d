"""`ddpg-jax plot`, `report` and `envs`: figures and tables of runs, and of the environments."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Column, Table
from typing_extensions import Doc

from ddpg_jax.cli.console import console, print_line, table
from ddpg_jax.cli.parse import OwnCode, RunFolder
from ddpg_jax.core.settings import SettingError, shown


def plot(
    folders: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint=""),
        Doc("run or sweep folders; runs that differ only in their seeds are combined"),
    ] = (),
    out: Annotated[Path, Doc("figure to write: .png, .svg or .pdf")] = Path("figure.png"),
    x: Annotated[Literal["steps", "updates", "seconds"], Doc("what the x axis counts")] = "steps",
    y: Annotated[str, Doc("quantity of metrics.jsonl")] = "eval_return",
    overwrite: Annotated[bool, Doc("replace the figure")] = False,
    trust: Annotated[bool, Doc("import code that a run folder names, and that you have not used before")] = False,
) -> None:
    """Draw learning curves of several runs in one figure, for a paper."""
    from ddpg_jax.results import plot as figures

    if not folders:
        raise SettingError("plot needs a run folder, or several to compare, as in `ddpg-jax plot runs/a runs/b`.")
    comparison = figures.plot(tuple(OwnCode(trust=trust).open(folder) for folder in folders), out, x, y, overwrite)
    console().print(_groups_table(comparison))
    print_line(out)


def _groups_table(comparison: Any) -> Table:
    """A line per group with the end of its curve; one without a curve has none, and a single seed has no interval."""
    rows = []
    for group in (*comparison.groups, *comparison.unmeasured):
        ends = [float(values[-1]) for values in (group.iqm, group.low, group.high) if len(values)]
        shown_ends = ends[:1] if len(group.seeds) == 1 else ends
        end = [round(float(group.x[-1])), *shown_ends] if ends else []
        line = [group.task, group.method, len(group.seeds), len(group.diverged), *end]
        rows.append([*line, *[""] * (8 - len(line))])
    several = any(len(group.seeds) > 1 for group in comparison.groups)
    title = f"{comparison.y}, interquartile mean, 95% interval" if several else comparison.y
    return table(title, ("task", "method", "seeds", "diverged", comparison.x, "iqm", "low", "high"), rows)


def report(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        Doc("page to write; by default report-RUN.html beside the folder, or report-SWEEP-best.html beside the sweep"),
    ] = None,
    pictures: Annotated[bool, Doc("play and render episodes, if the environment can be drawn")] = True,
    overwrite: Annotated[bool, Doc("replace the page")] = False,
    own: Annotated[OwnCode, tyro.conf.arg(name="your own code")] = OwnCode(),
) -> None:
    """Write one HTML page about a run."""
    from ddpg_jax.results import report as pages

    print_line(pages.report(own.open(folder), out, pictures, overwrite))


def envs(
    beginning: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(help_behavior_hint=""), Doc("list only ids that begin so, as brax/")
    ] = "",
) -> None:
    """List the environments, a table for each kind of id."""
    from ddpg_jax.envs.registered import registered_environments
    from ddpg_jax.envs.suites import ids, prefixes

    kinds, missing = [list(registered_environments())], {}
    for prefix in prefixes():
        try:
            kinds.append(ids(prefix))
        except SettingError as error:  # an extra that is not installed
            missing[prefix] = error
    wanted = [[name for name in kind if name.startswith(beginning)] for kind in kinds]
    if not any(wanted):
        meant = (missing[prefix] for prefix in missing if prefix.startswith(beginning) or beginning.startswith(prefix))
        unknown = SettingError(f"beginning must be that of an id, as brax/ or playground/, not {shown(beginning)}.")
        raise next(meant, unknown)
    refused: dict[str, SettingError | OSError] = {}
    for names in filter(None, wanted):
        refused |= _print_kind(names)
    if beginning in refused or len(refused) == sum(map(len, wanted)):
        raise refused.get(beginning) or next(iter(refused.values()))


def _print_kind(names: list[str]) -> dict[str, SettingError | OSError]:
    """Prints a table of environments, each of which is built: Playground's take seconds.

    Returns:
      why the others could not be built, by name: discrete actions, or data to be downloaded.
    """
    from ddpg_jax.envs.make import make_env

    refused: dict[str, SettingError | OSError] = {}
    listed = Table(Column("id", no_wrap=True, min_width=30), "observation", "action bounds", "episode length")
    with console(stderr=True).status("building environments") as status:
        for name in names:
            status.update(f"building {name}")
            try:
                spec = make_env(name).spec
                listed.add_row(spec.name, str(spec.obs_shape), _bounds(spec), str(spec.episode_length))
            except (SettingError, OSError) as error:
                refused[name] = error
    if listed.row_count:
        console().print(listed)
    return refused


def _bounds(spec: Any) -> str:
    low, high = set(spec.action_low.ravel().tolist()), set(spec.action_high.ravel().tolist())
    if len(low) == len(high) == 1:
        return f"[{low.pop():g}, {high.pop():g}] x {spec.action_low.shape}"
    return f"{spec.action_low.tolist()} to {spec.action_high.tolist()}"
