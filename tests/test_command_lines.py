"""Command lines of any kind: each works or is refused in one sentence, and none ends in a traceback.

Whatever would train, play or measure is replaced by `Planned`, so that a line that works stops right after planning.
"""

import contextlib
import dataclasses
import io
from datetime import timedelta
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpg_jax.cli.main import COMMANDS, TRAINING, main
from ddpg_jax.cli.parse import flags_of
from ddpg_jax.cli.settings import Processes
from ddpg_jax.cli.sweep import Search
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.plan import plan_run
from ddpg_jax.runs.registry import algorithms

SMALL = ("--env", "lqr", "--steps", "2000", "--hidden", "4", "--batch-size", "16", "--replay-capacity", "1000")
SMALL += ("--warmup-steps", "100", "--evaluations", "2", "--eval-episodes", "2")
LIMIT = timedelta(seconds=30)  # of one line; with an idle core, none takes more than two


class Planned(Exception):
    """Raised in place of what would begin now."""


def planned(*args, **options):
    raise Planned


def plan_only(*args):
    plan_run(*args)
    raise Planned


REPLACED = {
    "ddpg_jax.devices.backend.prepare": lambda *args, **options: None,
    "ddpg_jax.runs.experiment.plan_run": plan_only,
    "ddpg_jax.sweeps.sweep.describe": planned,
    "ddpg_jax.runs.bench.table": planned,
    "ddpg_jax.runs.measure._measured": planned,
    "ddpg_jax.devices.multihost.initialize": planned,
    "ddpg_jax.envs.suites.SUITES": {"": "ddpg_jax.envs.gymnax", "lqr": "ddpg_jax.envs.lqr"},
}


def answer(args):
    """(exit code, standard error) of a command line; 0 where it would have begun."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        for name, substitute in REPLACED.items():
            stack.enter_context(mock.patch(name, substitute))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            code = main(args)
        except Planned:
            code = 0
    return code, err.getvalue()


def is_answered(args):
    """Fails unless the line works, or is refused in one sentence, which a help may follow."""
    code, errors = answer(args)
    assert code in (0, 2), args
    if code == 2:
        first, *rest = errors.removesuffix("\n").split("\n")
        assert first.startswith("error: "), (args, errors)
        assert not rest or rest[1].startswith("usage: "), (args, errors)
        assert len(first) < 2000, args
        assert first[-1] in ".?", first
        assert not any(line.startswith("error:") for line in rest)


def training_options(name):
    """The options of `train` and `sweep`, but for the one that connects to other processes."""
    kinds = (RunConfig, LoopConfig, algorithms()[name].config, Processes, Search)
    options = [field.name.replace("_", "-") for kind in kinds for field in dataclasses.fields(kind)]
    return [*(option for option in options if option != "distributed"), "preset"]


NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.integers(-(10**30), 10**30),
    st.sampled_from([2**31 - 1, 2**31, 2**32, 2**63, 10**9, -(2**31), 10**400]),
    st.floats(),
    st.floats(0, 1),
    st.sampled_from(["1e400", "1e-400", "1e-50", "-0.0", "٣", "1_000", "0x10", "1e3", " 7 ", "1,2", "4,4"]),
).map(str)
TEXTS = st.one_of(
    st.text(st.characters(codec=None, categories=None), max_size=8),
    st.sampled_from(
        ["", "None", "True", "False", ".", "..", "lqr", "pixels/Pendulum-v1", "brax/ant", "a[/b]c", "\udcff"]
    ),
    st.sampled_from(
        ["x" * 300, "x" * 100_000, "9" * 5_000, "[" * 3_000, "tau", "hidden", "log", "uniform", "periodic"]
    ),
    st.sampled_from(["a\0b", "new\nline", "/dev/null/x", "--", "-x", "-", "--=5", "--seeds=", "\ud800", "vmap", "ou"]),
)
VALUES = st.one_of(NUMBERS, NUMBERS, TEXTS)


def option(names):
    """An option as a list of words: its name, known or made up, with "=" or not, and some values."""
    made_up = st.text(st.characters(codec=None, categories=None), max_size=6)
    name = st.one_of(st.sampled_from(names), st.sampled_from(names), st.sampled_from(names), made_up)
    values = st.lists(VALUES, max_size=4)
    apart = st.tuples(name, values).map(lambda drawn: [f"--{drawn[0]}", *drawn[1]])
    joined = st.tuples(name, VALUES).map(lambda drawn: [f"--{drawn[0]}={drawn[1]}"])
    single = st.tuples(name, VALUES).map(lambda drawn: [f"--{drawn[0]}", drawn[1]])
    absent = name.map(lambda name: [f"--no-{name}"])
    return st.one_of(single, single, single, joined, apart, absent).filter(lambda words: "--distributed" not in words)


@st.composite
def lines(draw):
    """A command line: a command, an algorithm where it needs one, and up to three options."""
    command = draw(st.sampled_from([*TRAINING, *TRAINING, *TRAINING, *(name for name in COMMANDS if name != "envs")]))
    if command in TRAINING:
        algorithm = draw(st.sampled_from(sorted(algorithms())))
        words, names = [command, algorithm, *SMALL], training_options(algorithm)
        if command == "sweep" and draw(st.booleans()):
            words += draw(st.sampled_from([["--grid", "discount", "0.5", "0.9"], ["--grid", "n-step", "1", "2"]]))
    else:
        words, names = [command, *draw(st.lists(VALUES, max_size=2))], flags_of(COMMANDS[command]) or ["x"]
    for option_words in draw(st.lists(option(names), max_size=3)):
        words += option_words
    return words


@pytest.mark.quick_twin("any_command_line_is", "any_of_many_command_lines_is")
@given(lines())
@settings(max_examples=60, deadline=LIMIT, derandomize=True, database=None)
def test_any_command_line_is_answered(args):
    is_answered(args)


@pytest.mark.slow
@given(lines())
@settings(max_examples=150, deadline=LIMIT, database=None)
def test_any_of_many_command_lines_is_answered(args):
    is_answered(args)
