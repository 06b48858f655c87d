"""`plot`: runs beside each other, from folders to a figure."""

from collections.abc import Sequence
from pathlib import Path

from ddpg_jax.results.compare import Comparison, compare
from ddpg_jax.runs.files import atomic_write, new_output

KINDS = (".png", ".svg", ".pdf")


def plot(
    folders: Sequence[str | Path],
    out: str | Path,
    x: str = "steps",
    y: str = "eval_return",
    overwrite: bool = False,
) -> Comparison:
    """Draws learning curves of runs, and of several tasks performance profiles and probabilities of improvement.

    Folders that differ in nothing but their seeds are joined into a group, drawn as the interquartile mean over seeds
    with its 95% bootstrap interval (Agarwal et al. 2021). A seed that diverged counts with the worst return that any of
    these runs had on the task, from then on; of a quantity that is no return it is left out. Where evaluations of a
    group are at different steps, each seed is interpolated between its own, and never beyond them.

    Args:
      folders: run folders, or sweeps, whose settings count as runs.
      out: the picture, .png, .svg or .pdf.
      x: "steps" and "updates" are per seed, "seconds" of the whole run with all of its seeds.
      y: a quantity of metrics.jsonl.
      overwrite: replace the picture.

    Returns:
      the numbers that are drawn.

    Raises:
      SettingError: a folder holds no run, x or y is none, a seed of a group is there twice, or `out` cannot be written;
        nothing is written then.
    """
    from ddpg_jax.results.figures import drawn, saved

    path = new_output(out, KINDS, overwrite)
    comparison = compare(folders, x, y)
    atomic_write(path, saved(drawn(comparison), path.suffix.lower()))
    return comparison
