"""The picture of a run."""

from pathlib import Path
from typing import Any

import numpy as np


def learning_curve(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Evaluation return against environment steps: a thin line per seed, a thick one for their mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [row["steps"] for row in rows]
    returns = np.array([row["eval_return"] for row in rows], float)  # [rows, S]
    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, returns, color="tab:blue", alpha=0.35, linewidth=1)
    seeds = returns.shape[1]
    axes.plot(
        steps, returns.mean(axis=1), color="tab:blue", linewidth=2, label=f"mean of {seeds} seed{'s' * (seeds > 1)}"
    )
    axes.set(title=title, xlabel="environment steps per seed", ylabel="evaluation return")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)
