"""The reprs of objects in a notebook or at a prompt: names and sizes, no arrays and no addresses."""

from pathlib import Path

import jax
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, ddpg, live_plot, make_env, trainer
from ddpg_jax.runs.experiment import Result
from ddpg_jax.runs.figures import learning_curve, learning_figure
from ddpg_jax.runs.plan import Plan

ENV = make_env("Pendulum-v1")
AGENT = ddpg(DDPGConfig(hidden=(4,), norm="none"), ENV.spec)


def test_the_repr_of_an_environment_is_what_an_agent_meets():
    assert repr(ENV) == "Env(Pendulum-v1, obs (3,) float32, actions (1,) in -2 to 2, 200 steps)"


@pytest.mark.parametrize("shown", [AGENT, AGENT.init(jax.random.key(0))])
def test_the_repr_of_agents_and_learners_names_their_roles(shown):
    assert "actor 21" in repr(shown)
    assert "critic 25" in repr(shown)


def test_the_reprs_of_states_and_results_are_short():
    loop = LoopConfig(batch_size=2, replay_capacity=10, warmup_steps=5)
    state = jax.eval_shape(trainer(ENV, AGENT, loop).init, jax.random.key(0))
    assert repr(state).endswith("memory 5,120)")  # rows of 3 + 1 + 1 + 1 + 1 + 3, 64 in a line: 8 lines of 640
    table = [{"seed": 3, "mean": -1234.56}, {"seed": 4, "mean": None}]
    text = repr(Result(Path("runs/x"), table, state, RunConfig(), 2000, "finished"))
    assert text == "Result(finished, 2,000 steps, seeds 3: -1,234.6, 4: -, runs/x)"


def test_a_live_plot_shows_every_row_so_far(monkeypatch):
    """As an image, also in a notebook that has not set matplotlib up."""
    drawn, shown = [], []

    class DisplayHandle:
        def update(self, picture):
            shown.append(picture)

    def draw(rows, title):
        drawn.append(learning_figure(rows, title))
        return drawn[-1]

    monkeypatch.setattr("IPython.display.display", lambda display_id: DisplayHandle())
    monkeypatch.setattr("ddpg_jax.runs.figures.learning_figure", draw)
    on_chunk = live_plot()
    for steps in (10, 20):
        on_chunk({"steps": steps, "eval_return": [1.0, steps]}, Plan([0, 50], 2, 1, 0, 0, 0))
    formats, _ = DisplayFormatter().format(shown[-1])
    assert "image/png" in formats
    axes = drawn[-1].axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [10, 20])
    assert axes.get_title() == "20 of 100 steps"


def test_the_legend_of_a_curve_counts_the_seeds_that_its_mean_is_of():
    rows = [{"steps": 10, "eval_return": [1.0] * 4}, {"steps": 20, "eval_return": [1.0, None, 2.0, 3.0]}]
    for until, label in ((1, "mean of 4 seeds"), (2, "mean of the seeds that have not diverged (3 of 4)")):
        (text,) = learning_figure(rows[:until], "").axes[0].get_legend().get_texts()
        assert text.get_text() == label


def test_dollar_signs_in_a_title_are_no_formula(tmp_path):
    learning_curve([{"steps": 10, "eval_return": [1.0]}], r"ddpg on $\tank$", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").exists()
