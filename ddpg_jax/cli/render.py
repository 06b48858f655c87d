"""`ddpg-jax render`: a film of a trained policy."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from typing_extensions import Doc

ONLINE = "; its viewer's code comes from the network when a browser opens it"


def render(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    out: Annotated[Path | None, Doc("a .gif, .mp4 or .html; by default a .gif beside the run folder")] = None,
    seed: Annotated[int | None, Doc("which seed of the run; by default the best")] = None,
    episodes: Annotated[int, Doc("whole episodes, one after the other")] = 1,
    start_seed: Annotated[int, Doc("seed of the initial states, as `evaluate --seed`")] = 0,
    size: Annotated[int, Doc("of a picture in pixels")] = 400,
    fps: Annotated[float | None, Doc("frames a second at most; by default 25, or fewer of a long film")] = None,
    max_steps: Annotated[int | None, Doc("decisions of an episode to show at most")] = None,
    overwrite: Annotated[bool, Doc("replace the file")] = False,
) -> Callable[[], None]:
    """`render RUN`."""
    return lambda: run_render(folder, out, seed, episodes, start_seed, size, fps, max_steps, overwrite)


def run_render(
    folder: Path,
    out: Path | None,
    seed: int | None,
    episodes: int,
    start_seed: int,
    size: int,
    fps: float | None,
    max_steps: int | None,
    overwrite: bool,
) -> None:
    """Renders, and prints what was seen."""
    from ddpg_jax.devices.backend import prepare

    prepare()
    from ddpg_jax.results.render import render

    console = Console()
    film = render(
        folder,
        out,
        seed=seed,
        episodes=episodes,
        start_seed=start_seed,
        size=size,
        fps=fps,
        max_steps=max_steps,
        overwrite=overwrite,
        log=console.print,
    )
    for episode, (total, length) in enumerate(zip(film.returns, film.lengths, strict=True), 1):
        console.print(f"seed {film.seed}, episode {episode}: return {total:,.1f} in {length:,} steps")
    size_of = f"{film.out.stat().st_size / 2**20:,.2f} MiB"
    online = ONLINE if film.online else ""
    console.print(f"{film.out}: {film.frames:,} frames, {film.seconds:,.1f} s, {size_of}{online}", soft_wrap=True)
