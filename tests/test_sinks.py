"""Metrics beside metrics.jsonl: what every sink gets, and what happens when one cannot be written."""

import json
import shutil
import struct
from collections import Counter
from pathlib import Path

import pytest
from toys import TINY

from ddpg_jax import SettingError
from ddpg_jax.cli.main import main
from ddpg_jax.runs import sinks

ROW = {"updates": 2, "seconds": 0.5, "eval_return": [None, None], "a": [1.0, None], "b": [2.0, 3.0]}


def events_in(path):
    """The events of a TensorBoard file, the checksums of which are right."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = content[12 : 12 + length]
        assert content[8:12] == struct.pack("<I", masked_crc32c(content[:8]))
        assert content[12 + length : 16 + length] == struct.pack("<I", masked_crc32c(event))
        found.append(Event.FromString(event))
        content = content[16 + length :]
    return found


def write_rows(writer, rows):
    for steps in range(rows):
        writer.write({"steps": steps} | ROW)
    writer.close()


def test_every_sink_gets_what_its_seed_measured_and_the_last_one_the_mean(tmp_path):
    heard = [[], [], []]
    openers = [lambda here=here: sinks.Sink(lambda values, steps: here.append((steps, values)), list) for here in heard]
    writer = sinks.Writer(tmp_path, {"mine": openers})
    writer.write({"steps": 4} | ROW)
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n"), "a reader sees the run while it trains"
    writer.close()
    time = {"time/seconds": 0.5, "time/updates": 2.0}
    assert heard == [
        [(4, {"train/a": 1.0, "train/b": 2.0} | time)],
        [(4, {"train/b": 3.0} | time)],
        [(4, {"train/a": 1.0, "train/b": 2.5} | time)],
    ]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["b"] == [2.0, 3.0]


@pytest.mark.parametrize("moment", ["open", "log", "close"])
def test_a_sink_that_fails_is_one_warning(moment, tmp_path):
    """In the second seed; all seeds of it are closed and get nothing more, and the other kind gets everything."""
    calls, warnings = Counter(), []

    def opener(seed):
        def call(what):
            calls[what, seed] += 1
            if what == moment and seed == 1 and calls[what, seed] == (2 if what == "log" else 1):
                raise RuntimeError("no network\nand more")

        call("open")
        return sinks.Sink(lambda values, steps: call("log"), lambda: call("close"))

    well = []
    openers = {
        "Fragile": [lambda seed=seed: opener(seed) for seed in range(2)],
        "well": [lambda: sinks.Sink(lambda values, steps: well.append(steps), lambda: well.append("closed"))],
    }
    write_rows(sinks.Writer(tmp_path, openers, warnings.append), 4)
    (words,) = warnings
    assert words.startswith("warning: Fragile cannot be written (no network) ")
    assert "metrics.jsonl" in words
    assert well == [0, 1, 2, 3, "closed"]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4
    assert calls["log", 1] == {"open": 0, "log": 2, "close": 4}[moment]
    assert calls["close", 0] >= 1
    assert calls["close", 1] >= (moment != "open")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_sink_passes(error, tmp_path):
    def interrupted(values, steps):
        raise error

    writer = sinks.Writer(tmp_path, {"mine": [lambda: sinks.Sink(interrupted, list)]})
    with pytest.raises(error):
        writer.write({"steps": 4} | ROW)


def test_tensorboard_has_a_file_per_process_and_a_tag_per_quantity(tmp_path):
    """A resumed run purges what lies beyond its checkpoint."""
    for purge_step, steps in ((None, 4), (5, 8)):
        sink = sinks.tensorboard(tmp_path, "seed3", purge_step)
        sink.log({"eval_return": 1.5, "critic/loss": -2.0}, steps)
        sink.close()
    first, second = sorted(
        map(events_in, (tmp_path / "tensorboard" / "seed3").glob("events.out.tfevents.*")), key=lambda found: len(found)
    )
    assert first[0].file_version == second[0].file_version == "brain.Event:2"
    logged = [(event.step, value.tag, value.simple_value) for event in first[1:] for value in event.summary.value]
    assert logged == [(4, "eval_return", 1.5), (4, "critic/loss", -2.0)]
    assert (second[1].step, second[1].session_log.status) == (5, 1)  # SessionLog.START
    assert [event.step for event in second[2:]] == [8, 8]


def test_tensorboard_whose_folder_is_deleted_fails(tmp_path):
    """What is written to a deleted file would be lost without a word."""
    sink = sinks.tensorboard(tmp_path, "seed3", None)
    shutil.rmtree(tmp_path / "tensorboard")
    with pytest.raises(FileNotFoundError):
        sink.log({"eval_return": 1.5}, 4)
    sink.close()


@pytest.mark.parametrize("fault", ["a file in its place", "no room"])
def test_a_run_whose_tensorboard_cannot_be_written_ends_well(fault, tmp_path, capsys, monkeypatch):
    """Opening it fails, or every write: with a thread and a queue between, it would hang."""
    folder = tmp_path / "run"
    if fault == "no room":
        real = sinks.tensorboard

        def full(*args):
            return real(*args)._replace(log=lambda values, steps: Path("/dev/full").write_bytes(b"x"))

        monkeypatch.setattr(sinks, "tensorboard", full)
    else:
        real_mkdir = Path.mkdir

        def mkdir(path, *args, **options):
            if "tensorboard" in path.parts:
                raise NotADirectoryError(20, "Not a directory")
            real_mkdir(path, *args, **options)

        monkeypatch.setattr(Path, "mkdir", mkdir)
    assert main(f"train ddpg {TINY} --steps 80 --evaluations 2 --out {folder}".split()) == 0
    said = capsys.readouterr().err
    assert said.count("warning: TensorBoard cannot be written") == 1
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert (folder / "evaluation.json").exists()


def test_metrics_that_cannot_be_written_are_an_error(tmp_path):
    """In a sentence that names the file: no room, or another file in its place."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "metrics.jsonl").symlink_to("/dev/full")
    writer = sinks.Writer(tmp_path / "full", {})
    with pytest.raises(SettingError, match=r"metrics\.jsonl is not \(No space left on device\)"):
        writer.write({"steps": 4} | ROW)
    writer.close()
    writer = sinks.Writer(tmp_path, {})
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(SettingError, match=r"metrics\.jsonl is not \(No such file or directory\)"):
        writer.write({"steps": 4} | ROW)
