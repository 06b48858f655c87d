"""Where the metrics of a run go: metrics.jsonl, TensorBoard, and Weights & Biases.

metrics.jsonl is part of the run, and where it cannot be written the run ends. The others are copies: where one of them
fails, the run says so once and goes on without it.
"""

import errno
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.core.settings import reason
from ddpg_jax.runs.dashboards import METRICS, values_of_seeds
from ddpg_jax.runs.files import atomic_write, read_bytes
from ddpg_jax.runs.metrics import Row, to_lines
from ddpg_jax.runs.paths import not_writable

WARNING = "warning: "  # begins a sentence about what a run goes on without


class Sink(NamedTuple):
    """Where the metrics of one seed go beside metrics.jsonl."""

    log: Callable[[dict[str, float], int], None]  # quantities by their tags, environment steps
    close: Callable[[], Any]


def tensorboard(folder: Path, name: str, purge_step: int | None, hparams: Mapping[str, Any] | None = None) -> Sink:
    """Returns a sink that writes a TensorBoard event file, with a tag per quantity.

    It is written here and now: tensorboardX's own writer is a thread with a queue, which fills, and then waits for
    ever, once the file cannot be written.

    Args:
      folder: the run folder.
      name: what TensorBoard calls the curve, "seed3" or "mean".
      hparams: hyperparameters for the HPARAMS tab.
      purge_step: TensorBoard drops what earlier files have from this step on; None drops nothing.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import hparams as hparams_summaries
    from tensorboardX.summary import scalar

    place = folder / "tensorboard" / name
    place.mkdir(parents=True, exist_ok=True)
    file_name = (
        f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    )
    file = (place / file_name).open("xb")

    def write(*events: Event) -> None:
        check_in_place(place / file_name, file)
        file.write(b"".join(map(_record, events)))
        file.flush()

    write(Event(wall_time=time.time(), file_version="brain.Event:2"))
    if purge_step is not None:
        write(Event(wall_time=time.time(), step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    if hparams is not None:
        summaries = hparams_summaries(dict(hparams), dict.fromkeys(METRICS, 0.0))
        write(*(Event(wall_time=time.time(), summary=summary) for summary in summaries))

    def log(values: dict[str, float], steps: int) -> None:
        now = time.time()
        write(*(Event(wall_time=now, step=steps, summary=scalar(tag, value)) for tag, value in values.items()))

    return Sink(log, file.close)


def _record(event: Any) -> bytes:
    """Returns an event as TensorFlow's record format frames it: its length and its bytes, each with a checksum."""
    from tensorboardX.record_writer import masked_crc32c

    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    return length + checksums[0] + content + checksums[1]


def weights_and_biases(project: str, folder: Path, seed: int, config: dict[str, Any]) -> Sink:
    """Returns a sink that logs one seed to a W&B run, grouped by run folder; a resumed run continues it.

    With WANDB_MODE=offline the W&B run is kept in the run folder, for `wandb sync`.
    """
    import wandb

    token = folder / "wandb" / "token"
    if not token.exists():
        token.parent.mkdir(exist_ok=True)
        atomic_write(token, secrets.token_hex(4).encode("utf-8"))
    run = wandb.init(
        project=project,
        group=folder.name,
        name=f"{folder.name}-seed{seed}",
        id=f"{read_bytes(token).decode('utf-8')}-{seed}",
        resume="allow",
        config=config,
        dir=folder,
        reinit="create_new",
        settings=wandb.Settings(silent=True),
    )
    return Sink(lambda values, steps: run.log(values, step=steps), run.finish)


class Guard:
    """The sinks of one kind, a sink per seed, of which the first that fails is one warning and the end of them all.

    Args:
      name: what people call this kind of sink.
      openers: a function per seed that opens its sink.
      warn: called with the sentence.
    """

    def __init__(self, name: str, openers: Sequence[Callable[[], Sink]], warn: Callable[[str], None]):
        self._name, self._warn = name, warn
        self._sinks: list[Sink] = []
        self._attempt(lambda: self._sinks.extend(opener() for opener in openers))

    def log(self, values: Sequence[dict[str, float]], steps: int) -> None:
        """Logs the quantities of each seed."""
        sinks = list(self._sinks)
        self._attempt(lambda: [sink.log(one, steps) for sink, one in zip(sinks, values, strict=False)])

    def close(self) -> None:
        """Closes the sink of each seed."""
        sinks, self._sinks = self._sinks, []
        self._attempt(lambda: [sink.close() for sink in sinks], sinks)

    def _attempt(self, action: Callable[[], Any], opened: Sequence[Sink] = ()) -> None:
        try:
            action()
        except Exception as error:  # whatever it is, the run does not depend on it
            for sink in opened or self._sinks:
                with suppress(Exception):
                    sink.close()
            self._sinks = []
            self._warn(
                f"{WARNING}{self._name} cannot be written ({reason(error)}) and gets nothing more; metrics.jsonl goes "
                "on having everything"
            )


def check_in_place(path: Path, file: Any) -> None:
    """Raises OSError if the path of an open file leads elsewhere by now: what is written would be lost."""
    if not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
        raise FileNotFoundError(errno.ENOENT, "another file has taken its place")


class Writer:
    """Appends rows to metrics.jsonl, and logs the values of each seed to its sinks.

    Args:
      folder: the run folder.
      sinks: by the name of a kind, a function per seed that opens its sink; one more gets the mean of the seeds.
      warn: called with a sentence about a sink that fails.

    Raises:
      SettingError: metrics.jsonl cannot be written, here and in every method.
    """

    def __init__(
        self, folder: Path, sinks: Mapping[str, Sequence[Callable[[], Sink]]], warn: Callable[[str], None] = print
    ):
        self._path = folder / "metrics.jsonl"
        self._file = self._written(lambda: self._path.open("ab", buffering=0))  # else closing would try once more
        self._sinks = [Guard(name, openers, warn) for name, openers in sinks.items()]
        self._previous: Row | None = None

    def write(self, row: Row) -> None:
        """Writes one row, so that a reader can follow the run."""
        self._written(lambda: self._append(to_lines([row])))
        shown, self._previous = values_of_seeds(row, self._previous), row
        for sink in self._sinks:
            sink.log(shown, row["steps"])

    def _append(self, content: bytes) -> None:
        """Writes all of it, where the system may take a part at a time."""
        check_in_place(self._path, self._file)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]

    def sync(self) -> None:
        """Flushes to the disk, before a checkpoint that relies on the rows."""
        self._written(lambda: os.fsync(self._file.fileno()))

    def close(self) -> None:
        """Closes every file."""
        for sink in self._sinks:
            sink.close()
        self._written(self._file.close)

    def _written(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except OSError as error:
            raise not_writable("folder", self._path, reason(error)) from None
