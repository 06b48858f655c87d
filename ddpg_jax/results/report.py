"""`report`: one page about a run, whole in itself, from what its folder holds, finished or not."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from ddpg_jax.results.curves import group
from ddpg_jax.results.film import episodes
from ddpg_jax.results.history import History, diverged_seeds, quantities, read_history, traces
from ddpg_jax.results.html import document, section, small_figure, table, text
from ddpg_jax.results.labels import cell, named
from ddpg_jax.runs.checkpoint import DAMAGED, Damaged, checkpoints_folder, read_metadata, saved_steps
from ddpg_jax.runs.evaluation import read_evaluation
from ddpg_jax.runs.files import atomic_write, new_output
from ddpg_jax.runs.statistics import interval


def report(folder: str | Path, out: str | Path | None = None, pictures: bool = True, overwrite: bool = False) -> Path:
    """Writes one self-contained HTML page: what was run, on what, what came of it.

    Args:
      folder: a run folder, also one whose run is going on or was cut off, or the `best/` of a sweep.
      out: the page; by default report-NAME.html beside the folder.
      pictures: film episodes, if the environment can be drawn.
      overwrite: replace the page.

    Returns:
      where it is.

    Raises:
      SettingError: the folder holds no run of ours, or `out` cannot be written; nothing is written then.
    """
    place = Path(folder).resolve()
    path = new_output(out or place.with_name(f"report-{place.name}.html"), (".html",), overwrite)
    history = read_history(folder)
    title = f"{history.run.algorithm} on {history.run.spec.name}"
    parts = [_summary(history), _settings(history), _curves(history), _final(history), _checkpoints(history)]
    parts.append(section("Episodes", episodes(history.run.folder, pictures)))
    atomic_write(path, document(title, *parts).encode("utf-8"))
    return path


def command(history: History) -> list[str]:
    """The words of a command with the settings of config.json, which does not keep the one typed; no defaults."""
    words = ["ddpg-jax", "train", history.run.algorithm]
    for name, value, default in settings_of(history):
        if value == default or name == "overwrite":
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return words


def settings_of(history: History) -> list[tuple[str, Any, Any]]:
    """Every setting with its value and its default."""
    return [
        (field.name, getattr(kind, field.name), field.default)
        for kind in (history.run.run, history.run.loop, history.run.config)
        for field in dataclasses.fields(kind)
    ]


def _summary(history: History) -> str:
    rows, run = history.rows, history.run.run
    dead = [f"seed {seed} diverged by {steps:,.0f} steps" for seed, steps in diverged_seeds(history).items()]
    state = f"{rows[-1]['steps']:,.0f} of {run.steps:,} steps per seed" if rows else "no evaluation yet"
    if not (history.run.folder / "evaluation.json").exists():
        state += "; unfinished: evaluation.json is missing, so the run is going on or was cut off"
    updates = rows[-1]["updates"] if rows else 0
    took = f"; {rows[-1]['seconds']:,.1f} seconds, {updates:,.0f} update{'s' * (updates != 1)} per seed" if rows else ""
    fate = "; ".join(dead) if dead else "no seed diverged" if rows else ""
    said = f"<p>{text(history.run.folder)}: {text(state + took)}.</p><p>{text(fate)}</p>"
    words = f"<pre>{text(shlex.join(command(history)))}</pre>"
    return f"{said}<p>A command with its settings, put together from config.json:</p>{words}"


def _settings(history: History) -> str:
    every = settings_of(history)
    changed = [one for one in every if one[1] != one[2]]
    others = [(name, value) for name, value, default in every if value == default]
    versions = [*history.run.versions.items(), ("device", history.run.device)]
    return section(
        "Settings",
        table(("other than by default", "value", "default"), changed),
        f"<details><summary>as by default</summary>{table(('setting', 'value'), others)}</details>",
    ) + section("Versions and device", table(("", ""), versions))


def _curves(history: History) -> str:
    if not history.rows:
        return section("Curves", "<p>metrics.jsonl holds no whole line yet, so there is no curve.</p>")
    figures = []
    for place, quantity in enumerate(quantities(history.rows)):
        seeds = traces(history, "steps", quantity)
        if any(len(seed.x) for seed in seeds):
            one = group(history.run.spec.name, history.run.algorithm, seeds, float("nan"))
            figures.append(small_figure(one, quantity, place))
    note = "Thin: seeds. Thick: their interquartile mean in its 95% bootstrap interval. A seed that diverged ends at ×."
    return section("Curves", f"<p>{note}</p>", f'<div class="grid">{"".join(figures)}</div>')


def _final(history: History) -> str:
    evaluation = read_evaluation(history.run)
    if evaluation is None:
        return section("Final evaluation", "<p>evaluation.json is missing: the run has not ended.</p>")
    rows, episodes = evaluation.rows, evaluation.episodes
    heads, means = list(rows[0]), [row["mean"] for row in rows]
    whole = "not finite, as a seed diverged"
    if means and None not in means:
        middle = interval(means)
        whole = f"{middle.iqm:,.2f} ({middle.low:,.2f} to {middle.high:,.2f})"
    lines = [[_cell(name, row.get(name)) for name in heads] for row in rows]
    words = f"{episodes} deterministic episodes per seed. Interquartile mean over seeds, 95% interval: {whole}."
    return section("Final evaluation", table(heads, lines), f"<p>{text(words)}</p>")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "no" if name == "diverged" else "not finite"
    return str(value) if name == "seed" else cell(value)


def _checkpoints(history: History) -> str:
    folder, rows = history.run.folder, []
    for vector_step in saved_steps(folder):
        files = [file for file in (checkpoints_folder(folder) / str(vector_step)).rglob("*") if file.is_file()]
        size = f"{sum(file.stat().st_size for file in files) / 2**20:,.1f} MiB"
        try:
            metadata = read_metadata(folder, vector_step)
            state = ("kept" if metadata.replay else "left out", _cell("score", metadata.score))
        except Damaged:
            state = ("damaged", "")
        rows.append((f"{vector_step * history.run.loop.num_envs:,}", size, *state))
    damaged = len(list((folder / DAMAGED).glob("*")))
    note = f"<p>{damaged} set aside as damaged.</p>" if damaged else ""
    shown = (
        table(("steps", "size", "replay", f"mean {named('eval_return')}"), rows) if rows else "<p>There is none.</p>"
    )
    return section("Checkpoints", shown, note)
