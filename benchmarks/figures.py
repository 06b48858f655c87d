"""Pictures of the benchmarks."""

from pathlib import Path
from typing import Any


def bandit(rows: list[dict[str, Any]], path: Path) -> None:
    """Cost of the mean action against steps, a panel per dimension; the band is the range of the runs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    sizes = sorted({row["dimension"] for row in rows})
    panels = dict(zip(sizes, figure.subplots(1, len(sizes), sharey=True), strict=True))
    algorithms = dict.fromkeys(row["algorithm"] for row in rows)
    colours = dict(zip(algorithms, ("tab:blue", "tab:red", "tab:orange"), strict=True))
    for row in rows:
        axes, colour = panels[row["dimension"]], colours[row["algorithm"]]
        axes.loglog(row["steps"], row["cost"], color=colour, label=row["algorithm"])
        axes.fill_between(row["steps"], row["low"], row["high"], color=colour, alpha=0.2, linewidth=0)
        axes.set(title=f"{row['dimension']} action dimensions", xlabel="steps")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[sizes[0]].set_ylabel("cost of the mean action")
    panels[sizes[-1]].legend(frameon=False, loc="lower left")
    figure.savefig(path)
