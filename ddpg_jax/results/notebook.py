"""Live plots of a run in a notebook."""

import io
from collections.abc import Callable
from typing import Any


def live_plot(title: str = "") -> Callable[[dict[str, Any], Any], None]:
    """Returns an `on_chunk` for `run_experiment` that redraws the learning curve below the cell after every chunk.

    Args:
      title: of the figure; by default the number of steps so far.
    """
    from IPython.display import Image, display

    from ddpg_jax.runs.figures import learning_figure

    rows: list[dict[str, Any]] = []
    handle = display(display_id=True)

    def on_chunk(row: dict[str, Any], plan: Any) -> None:
        rows.append(row)
        progress = f"{row['steps']:,} of {plan.steps(plan.bounds[-1]):,} steps"
        picture = io.BytesIO()  # a figure itself is shown as its repr, unless the notebook has set matplotlib up
        learning_figure(rows, title or progress).savefig(picture, format="png")
        handle.update(Image(data=picture.getvalue()))

    return on_chunk
