"""What the host decides after a chunk, on chunks that are made up."""

import importlib
import signal
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from ddpg_jax.cli import interrupt
from ddpg_jax.runs import monitor
from ddpg_jax.runs.chunks import ChunkResult
from ddpg_jax.runs.monitor import Callbacks, CheckpointClock, Monitor
from ddpg_jax.runs.pace import duration

DIVERGED = {1: (5, "reward")}  # the second seed, at vector step 5


def chunk(diverged=None, returns=(1.0, 2.0)):
    return ChunkResult(10, None, None, {"eval_return": np.array(returns)}, diverged or {})


def watched(should_stop=None, log=None, halt_on_nan=False):
    """The monitor of a run of two seeds, 4 environments each."""
    run = SimpleNamespace(seed=3, seeds=2, halt_on_nan=halt_on_nan)
    plan = SimpleNamespace(steps=lambda vector_step: 4 * vector_step)
    return Monitor(SimpleNamespace(run=run, plan=plan), Callbacks(log, should_stop=should_stop))


def clock(checkpoint_steps=None, checkpoint_seconds=None):
    """The clock of a run that was saved at 40 steps."""
    run = SimpleNamespace(checkpoint_steps=checkpoint_steps, checkpoint_seconds=checkpoint_seconds)
    return CheckpointClock(run, 40)


@pytest.mark.parametrize(("stop", "last", "outcome"), [(0, 0, None), (1, 0, "stopped"), (0, 1, "finished")])
def test_a_run_ends_where_it_is_stopped_and_at_its_last_chunk(stop, last, outcome):
    assert watched(lambda: bool(stop)).outcome(chunk(), bool(last)) == outcome


def test_a_run_that_is_stopped_in_its_last_chunk_has_finished():
    """There is nothing to resume."""
    assert watched(lambda: True).outcome(chunk(), last=True) == "finished"


@pytest.mark.parametrize(("halt_on_nan", "outcome"), [(False, None), (True, "halted")])
def test_one_diverged_seed_ends_a_run_only_if_it_is_told_to(halt_on_nan, outcome):
    """It is named once."""
    said = []
    one = watched(log=said.append, halt_on_nan=halt_on_nan)
    assert [one.outcome(chunk(DIVERGED), last=False) for _ in range(2)] == [outcome] * 2
    (words,) = said
    assert words.startswith("seed 4 diverged at 20 steps: reward is not finite")
    both = DIVERGED | {0: (6, "obs")}
    assert one.outcome(chunk(both), last=True) == "halted"


def test_where_nobody_takes_rows_it_is_said_once_how_long_a_run_takes():
    """Two seconds for 40 of 100 steps, and as many to the end; compilation does not count."""
    said, rows = [], []
    plan = SimpleNamespace(steps=lambda vector_step: 4 * vector_step, bounds=[10, 25])
    job = SimpleNamespace(run=SimpleNamespace(seed=0, seeds=1), plan=plan)
    spent = [(40, 5.0, 5.0), (60, 16.0, 15.0), (80, 17.0, 15.0)]
    alone = Monitor(job, Callbacks(said.append))
    watched_rows = Monitor(job, Callbacks(said.append, lambda row, plan: rows.append(row)))
    for steps, seconds, compiling in spent:
        row = {"steps": steps, "seconds": seconds, "compile_seconds": compiling}
        alone.show(row)
        watched_rows.show(row)
    assert said == ["60 steps, and about 2 s to the end"]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45, "45 s"), (719, "12 min"), (12_000, "3 h 20 min"), (7_200, "2 h"), (187_200, "2 d 4 h")],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


def test_a_checkpoint_is_due_after_so_many_steps_or_seconds(monkeypatch):
    """Since the last one, and not a step before."""
    now = [100.0]
    monkeypatch.setattr(monitor.time, "perf_counter", lambda: now[0])
    steps, seconds = clock(checkpoint_steps=40), clock(checkpoint_seconds=30.0)
    assert [steps.due(step) for step in (79, 80, 81)] == [False, True, True]
    steps.saved(80)
    assert [steps.due(step) for step in (119, 120)] == [False, True]
    for time, due in ((129.0, False), (130.0, True)):
        now[0] = time
        assert seconds.due(41) == due
    assert not clock().due(10**6)


def test_the_score_is_the_mean_of_the_seeds_that_have_not_diverged():
    assert chunk(returns=(1.0, np.nan, 4.0)).score() == 2.5
    assert chunk(returns=(np.nan, np.nan)).score() == -np.inf


@pytest.mark.parametrize("name", ["log", "on_chunk", "should_stop"])
def test_a_callback_that_fails_is_one_warning_and_not_called_again(name):
    said, calls = [], []

    def fail(*args):
        calls.append(args)
        raise ValueError("oh\nno")

    listening = {"log": said.append} | {name: fail}
    callbacks = Callbacks(**listening).guarded()
    with warnings.catch_warnings(record=True) as python:
        warnings.simplefilter("always")
        for _ in range(3):
            getattr(callbacks, name)(*{"log": ["words"], "on_chunk": [{}, None], "should_stop": []}[name])
    words = said + [str(one.message) for one in python]
    assert len(calls) == 1
    assert len(words) == 1
    assert f"{name} raised ValueError (oh) and is not called again" in words[0]


def test_without_a_log_warnings_go_where_python_has_them(capsys):
    """Where those are errors, to standard error."""
    silent = Callbacks(should_stop=lambda: np.array([True, False])).guarded()  # which is neither true nor false
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not silent.should_stop()
        assert not silent.should_stop()
    assert capsys.readouterr().err.count("warning: should_stop raised ValueError") == 1


@pytest.mark.parametrize("log", [None, lambda words: 1 / 0])
def test_a_warning_is_given_also_where_log_is_none_or_fails(log):
    callbacks = Callbacks(log).guarded()
    with warnings.catch_warnings(record=True) as python:
        warnings.simplefilter("always")
        callbacks.say("compiling")
        callbacks.warn("warning: no room")
        callbacks.warn("warning: no network")
    said = [str(one.message) for one in python]
    assert said[-2:] == ["no room", "no network"]
    assert said[:-2] == (["log raised ZeroDivisionError (division by zero) and is not called again"] if log else [])


def test_an_interrupt_in_a_callback_passes():
    def interrupt(words):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Callbacks(interrupt).guarded().say("anything")


@pytest.mark.parametrize("words", [["-m", "ddpg_jax", "train"], ["-um", "ddpg_jax"], ["-m", "mine.run"]])
def test_ctrl_c_is_left_to_programs_of_others(words, monkeypatch):
    """While `python -m` imports a package, "-m" is the first argument of every module."""
    monkeypatch.setattr(sys, "argv", ["-m", *words])
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        importlib.reload(interrupt)
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_DFL) == ("ddpg_jax" in words)
    finally:
        signal.signal(signal.SIGINT, before)
