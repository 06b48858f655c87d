"""Live plots of a run in a notebook."""

from collections.abc import Callable
from typing import Any


def live_plot(title: str = "") -> Callable[[dict[str, Any], Any], None]:
    """Returns an `on_chunk` for `run_experiment` that redraws the learning curve below the cell after every chunk.

    Args:
      title: of the figure; by default the number of steps so far.
    """
    from IPython.display import display

    from ddpg_jax.runs.figures import learning_figure

    rows: list[dict[str, Any]] = []
    handle = display(display_id=True)

    def on_chunk(row: dict[str, Any], plan: Any) -> None:
        rows.append(row)
        progress = f"{row['steps']:,} of {plan.steps(plan.bounds[-1]):,} steps"
        handle.update(learning_figure(rows, title or progress))

    return on_chunk
