"""Where the metrics of a run go: metrics.jsonl, TensorBoard, and Weights & Biases."""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.runs.metrics import Row, to_lines


class Sink(NamedTuple):
    """Where the metrics of one seed go beside metrics.jsonl."""

    log: Callable[[dict[str, float], int], None]  # quantities, environment steps
    close: Callable[[], Any]


def tensorboard(folder: Path, seed: int, purge_step: int | None) -> Sink:
    """Returns a sink that writes TensorBoard event files of one seed, with a tag per quantity."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard" / f"seed{seed}"), purge_step=purge_step)

    def log(values: dict[str, float], steps: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, steps)

    return Sink(log, writer.close)


def weights_and_biases(project: str, folder: Path, seed: int, config: dict[str, Any]) -> Sink:
    """Returns a sink that logs one seed to a W&B run, grouped by run folder; a resumed run continues it.

    With WANDB_MODE=offline the W&B run is kept in the run folder, for `wandb sync`.
    """
    import wandb

    token = folder / "wandb" / "token"
    if not token.exists():
        token.parent.mkdir(exist_ok=True)
        token.write_text(secrets.token_hex(4), encoding="utf-8")
    run = wandb.init(
        project=project,
        group=folder.name,
        name=f"{folder.name}-seed{seed}",
        id=f"{token.read_text(encoding='utf-8')}-{seed}",
        resume="allow",
        config=config,
        dir=folder,
        reinit="create_new",
        settings=wandb.Settings(silent=True),
    )
    return Sink(lambda values, steps: run.log(values, step=steps), run.finish)


class Writer:
    """Appends rows to metrics.jsonl, and logs the values of each seed to its sinks.

    Args:
      folder: the run folder.
      sinks: a list per seed.
    """

    def __init__(self, folder: Path, sinks: Sequence[Sequence[Sink]]):
        self._file = (folder / "metrics.jsonl").open("ab")
        self._sinks = sinks

    def write(self, row: Row) -> None:
        """Writes and flushes one row, so that a reader can follow the run."""
        self._file.write(to_lines([row]))
        self._file.flush()
        lists = {name: values for name, values in row.items() if isinstance(values, list)}
        for place, sinks in enumerate(self._sinks):
            known = {name: values[place] for name, values in lists.items() if values[place] is not None}
            for sink in sinks:
                sink.log(known, row["steps"])

    def sync(self) -> None:
        """Flushes to the disk, before a checkpoint that relies on the rows."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes every file."""
        self._file.close()
        for sinks in self._sinks:
            for sink in sinks:
                sink.close()
