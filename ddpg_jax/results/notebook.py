"""A run inside a notebook."""

from collections.abc import Callable
from typing import Any


def live_plot(title: str = "") -> Callable[[dict[str, Any], Any], None]:
    """A `on_chunk` for `run_experiment` that draws the learning curve anew, below the cell, after every chunk."""
    from IPython.display import display

    from ddpg_jax.runs.figures import learning_figure

    rows: list[dict[str, Any]] = []
    below = display(display_id=True)

    def on_chunk(row: dict[str, Any], plan: Any) -> None:
        rows.append(row)
        below.update(learning_figure(rows, title or f"{row['steps']:,} of {plan.steps(plan.bounds[-1]):,} steps"))

    return on_chunk
