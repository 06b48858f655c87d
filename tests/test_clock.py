"""The seconds of a run, and what is said while it compiles."""

import json
import re
import time
from types import SimpleNamespace

import jax
import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, run_experiment
from ddpg_jax.runs import clock as clocks
from ddpg_jax.runs.clock import COMPILED, Clock


def slow_program(seconds):
    """What `jax.jit` returns, but for compiling nothing in so many seconds."""
    lowered = SimpleNamespace(compile=lambda: time.sleep(seconds))
    return SimpleNamespace(lower=lambda *args: lowered)


def test_what_is_compiled_is_said_with_its_time_and_counted(monkeypatch):
    """Of the block, only what is compiled in it."""
    monkeypatch.setattr(clocks, "EVERY", 0.05)
    said = []
    clock, began = Clock(said.append, seconds=100.0, compile_seconds=7.0), time.perf_counter()
    with clock.compiling("the training") as compiled:
        compiled(slow_program(0.3))
        time.sleep(0.2)
    first, *ticks, last = said
    assert first == "compiling the training"
    assert re.fullmatch(r"compiled the training in \d+\.\d s", last)
    assert ticks
    assert all(re.fullmatch(r"compiling the training: \d+ s so far", tick) for tick in ticks)
    seconds, compile_seconds = clock.read()
    assert 7.3 <= compile_seconds <= seconds - 100 + 7 - 0.2  # the sleep after it is not counted
    assert 100.5 <= seconds <= 100 + time.perf_counter() - began


def test_what_is_compiled_after_arrays_is_counted_in_silence():
    said = []
    clock = Clock(said.append)
    with clock.compiling_after(jax.numpy.ones(3)):
        time.sleep(0.05)
    assert said == []
    assert 0.05 <= clock.read()[1] < 0.5


@pytest.fixture
def cache(tmp_path):
    """A compilation cache of its own, empty."""
    from jax.experimental.compilation_cache import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "programs"))
    yield
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.usefixtures("cache")
def test_a_program_from_the_cache_is_said_to_be():
    said = []

    def once(what):
        with Clock(said.append).compiling(what) as compiled:
            compiled(jax.jit(lambda x: x * 3 + 1), 2.0)

    once("the first")
    once("the second")
    assert said[1].startswith("compiled the first in ")
    assert "cache" not in said[1]
    assert said[3].startswith("compiled the second in ")
    assert said[3].endswith(", from the cache")


def test_a_run_compiles_each_program_once_and_says_so(tmp_path):
    """Ahead of its first call, which finds it compiled."""
    names = []

    def note(event, seconds, fun_name="", **_):
        names.extend([fun_name] if event == COMPILED else [])

    jax.monitoring.register_event_duration_secs_listener(note)
    said = []
    loop = LoopConfig(batch_size=4, warmup_steps=40, replay_capacity=100)
    run = RunConfig(env="lqr", steps=80, evaluations=2, eval_episodes=1, episode_length=7, out=tmp_path / "run")
    try:
        run_experiment("ddpg", DDPGConfig(hidden=(4,)), loop, run, log=said.append)
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    for program in ("init", "prefill", "evaluate", "chunk"):
        assert names.count(f"jit({program})") == 1, names
    phases = [words for words in said if words.startswith("compil")]
    assert [words.partition(" in ")[0] for words in phases] == [
        f"{verb} the {phase}" for phase in ("warm-up", "evaluation", "training") for verb in ("compiling", "compiled")
    ]
    assert any(words.startswith("60 steps, and about ") and words.endswith(" to the end") for words in said)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    spent = [row["compile_seconds"] for row in rows]
    assert 0 < spent[0] < spent[1] == spent[2]
    assert all(row["compile_seconds"] < row["seconds"] for row in rows)
