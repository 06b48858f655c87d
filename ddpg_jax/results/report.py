"""`report`: one HTML page about a run, self-contained, from what its folder holds, whether it is finished or not."""

import contextlib
import dataclasses
import shlex
import time
from pathlib import Path
from typing import Any

from ddpg_jax.core.settings import SettingError
from ddpg_jax.deploy.policy import Source
from ddpg_jax.envs.references import is_reference
from ddpg_jax.results.curves import make_group
from ddpg_jax.results.history import History, diverged_seeds, quantities, read_history, traces
from ddpg_jax.results.html import curve_figure, document, escape, paragraph, policy_animation, section, table
from ddpg_jax.results.labels import cell, named
from ddpg_jax.results.outputs import check_writable, default_output
from ddpg_jax.runs.checkpoint import DAMAGED, Damaged, checkpoints_folder, read_metadata, saved_steps
from ddpg_jax.runs.evaluation import read_evaluation
from ddpg_jax.runs.files import atomic_write, new_output
from ddpg_jax.runs.paths import check_stored_path
from ddpg_jax.runs.statistics import interval
from ddpg_jax.runs.stored_run import Run

REMOVAL = 0.5  # seconds within which a checkpoint that a run is removing is gone, else it is damaged


def report(folder: Source, out: str | Path | None = None, pictures: bool = True, overwrite: bool = False) -> Path:
    """Writes a self-contained HTML page about a run: its settings, curves, final evaluation, checkpoints, an episode.

    Args:
      folder: a run folder, also one whose run is not finished or was interrupted, or the `best/` of a sweep.
      out: the page; by default report-NAME.html beside the folder or, of the `best/` of a sweep, report-SWEEP-best.html
        beside the sweep.
      pictures: render an episode, if the environment can be drawn.
      overwrite: replace the page.

    Returns:
      The path of the page.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or `out` cannot be written; nothing is written then.
    """
    place = folder.folder if isinstance(folder, Run) else folder
    check_stored_path(place)
    path = new_output(out or default_output(place, "report-", ".html"), (".html",), overwrite)
    check_writable(path)
    history = read_history(folder)
    history.run.refuse_sweep()
    sections = [_summary(history), _settings(history), _versions(history), _curves(history)]
    sections += [_evaluation(history), _checkpoints(history)]
    off = paragraph("Rendering was turned off.")
    episode = policy_animation(history.run, _best_seed(history)) if pictures else off
    title = history.run.title
    atomic_write(path, document(title, *sections, section("Episode", episode)).encode("utf-8"))
    return path


def train_command(history: History) -> list[str]:
    """Returns the words of a command line with the settings of config.json that are not defaults."""
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
    """Returns the name, the value and the default of every setting."""
    return [
        (field.name, getattr(config, field.name), field.default)
        for config in (history.run.run, history.run.loop, history.run.config)
        for field in dataclasses.fields(config)
    ]


def _summary(history: History) -> str:
    rows, run = history.rows, history.run.run
    sentences = [f"Run folder: {history.run.folder}."]
    if rows:
        last = rows[-1]
        sentences.append(f"It was trained for {last['steps']:,.0f} of {_planned_steps(history):,} steps per seed.")
        updates = f"{last['updates']:,.0f} update{'s' * (last['updates'] != 1)}"
        took = f"{last['seconds']:,.1f} seconds and " if history.is_timed() else ""
        sentences.append(f"This took {took}{updates} per seed.")
    else:
        sentences.append("It has no evaluation yet.")
    if not (history.run.folder / "evaluation.json").exists():
        sentences.append("It is not finished: evaluation.json is missing, so it is running or was interrupted.")
    elif not _is_finished(history):
        sentences.append(
            "It is not finished: it ended before its last step, stopped or because seeds diverged, or is running again."
        )
    diverged = [f"Seed {seed} diverged by step {step:,.0f}." for seed, step in diverged_seeds(history).items()]
    stability = " ".join(diverged) or ("No seed diverged." if rows else "")
    command = paragraph("Its settings as a command:") + f"<pre>{escape(shlex.join(train_command(history)))}</pre>"
    names = (run.env, history.run.algorithm)
    if any("@" in name and not is_reference(name) for name in names):  # a path may have an @, too
        command = paragraph("It was started in Python, with an object that no command line has.")
    return paragraph(" ".join(sentences)) + paragraph(stability) + command


def _planned_steps(history: History) -> int:
    """Returns the environment steps per seed of the whole run: those asked for, in whole steps of all environments."""
    num_envs = history.run.loop.num_envs
    return -(-history.run.run.steps // num_envs) * num_envs


def _is_finished(history: History) -> bool:
    """Returns whether it was trained to its end; a run that was stopped before has an evaluation.json, too."""
    return bool(history.rows) and history.rows[-1]["steps"] >= _planned_steps(history)


def _best_seed(history: History) -> int:
    """Returns the seed with the best final evaluation or, without one, with the best return that was measured last."""
    evaluation = read_evaluation(history.run)
    if evaluation is not None and evaluation.best_seed is not None:
        return evaluation.best_seed
    seeds = history.run.run.seed_numbers()
    rows = [row["eval_return"] for row in history.rows if any(value is not None for value in row["eval_return"])]
    finite = {seed: value for seed, value in zip(seeds, rows[-1], strict=True) if value is not None} if rows else {}
    return max(finite or seeds, key=lambda seed: finite.get(seed, 0.0))


def _settings(history: History) -> str:
    settings = settings_of(history)
    changed = [(name, value, default) for name, value, default in settings if value != default]
    unchanged = [(name, value) for name, value, default in settings if value == default]
    defaults = table(("setting", "value"), unchanged)
    details = f"<details><summary>settings at their defaults</summary>{defaults}</details>"
    return section("Settings", table(("changed setting", "value", "default"), changed), details)


def _versions(history: History) -> str:
    rows = [*history.run.versions.items(), ("device", history.run.device)]
    return section("Versions and device", table(("component", "version"), rows))


def _curves(history: History) -> str:
    if not history.rows:
        return section("Curves", paragraph("metrics.jsonl has no complete line yet, so there is no curve."))
    figures = []
    for index, quantity in enumerate(quantities(history.rows)):
        seeds = traces(history, "steps", quantity)
        if any(len(seed.x) for seed in seeds):
            with contextlib.suppress(SettingError):  # its seeds have not been measured at the same time yet
                group = make_group(history.run.spec.name, history.run.algorithm, seeds, worst=float("nan"))
                figures.append(curve_figure(group, quantity, f"f{index}-"))
    lines = "Thin lines are seeds, the thick one is their interquartile mean and the band its 95% bootstrap interval."
    lines = lines if history.run.run.seeds > 1 else "The line is a single seed."
    crosses = "× marks where a seed diverged; from there on, it is excluded."
    return section("Curves", paragraph(f"{lines} {crosses}"), f'<div class="grid">{"".join(figures)}</div>')


def _evaluation(history: History) -> str:
    evaluation, finished = read_evaluation(history.run), _is_finished(history)
    if evaluation is None:
        return section("Final evaluation", paragraph("evaluation.json is missing: the run is not finished."))
    rows = evaluation.rows
    header, means = list(rows[0]), [row["mean"] for row in rows]
    overall = "not finite, because a seed diverged"
    if None not in means:
        mean = interval(means)
        overall = f"{mean.iqm:,.2f} ({mean.low:,.2f} to {mean.high:,.2f})"
    over_seeds = f"Interquartile mean over seeds, with its 95% interval: {overall}."
    if len(rows) == 1:
        over_seeds = "There is one seed, so there is no interval."
    cells = [[_cell(name, row.get(name)) for name in header] for row in rows]
    episodes = f"{evaluation.episodes} deterministic episodes per seed."
    early = " The run was not trained to its end; this is the policy with which it was last stopped." * (not finished)
    title = "Final evaluation" if finished else "Evaluation"
    return section(title, table(header, cells), paragraph(f"{episodes} {over_seeds}{early}"))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return {"diverged": "no", "standard_error": "not known"}.get(name, "not finite")
    return str(value) if name == "seed" else cell(value)


def _checkpoint_cells(folder: Path, vector_step: int) -> tuple[str, str, str] | None:
    """Returns the size, whether the replay is in it, and the score; None if it cannot be read."""
    try:
        files = [path for path in (checkpoints_folder(folder) / str(vector_step)).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        metadata = read_metadata(folder, vector_step)
    except (Damaged, OSError):
        return None
    return f"{size:,.1f} MiB", "saved" if metadata.replay else "not saved", _cell("score", metadata.score)


def _checkpoints(history: History) -> str:
    folder, num_envs = history.run.folder, history.run.loop.num_envs
    found = {vector_step: _checkpoint_cells(folder, vector_step) for vector_step in saved_steps(folder)}
    if None in found.values():
        time.sleep(REMOVAL)
    there = set(saved_steps(folder))
    rows = [
        (f"{vector_step * num_envs:,}{' (damaged)' * (cells is None)}", *(cells or ("", "", "")))
        for vector_step, cells in found.items()
        if cells or vector_step in there
    ]
    header = ("steps", "size", "replay", f"mean {named('eval_return')}")
    parts = [table(header, rows) if rows else paragraph("There are none.")]
    if damaged := len(list((folder / DAMAGED).glob("*"))):
        parts.append(paragraph(f"Damaged checkpoints that were set aside: {damaged}."))
    return section("Checkpoints", *parts)
