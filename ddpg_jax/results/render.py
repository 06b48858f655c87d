"""`render`: episodes of a trained policy, drawn with the step and return as a title and written as an animation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.episodes import Trajectory, rollout, whole_state
from ddpg_jax.core.settings import INT32, SettingError, check_count
from ddpg_jax.core.types import EnvState
from ddpg_jax.deploy.policy import Source, load_seed
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.results.drawing import make_renderer
from ddpg_jax.results.drawing.animation import check_output, save_animation, save_html
from ddpg_jax.results.drawing.renderer import DEFAULT_DT, Renderer, to_rgb
from ddpg_jax.results.drawing.title import add_title
from ddpg_jax.results.outputs import check_writable, default_output
from ddpg_jax.runs.choose_checkpoint import Checkpoint
from ddpg_jax.runs.config import env_options
from ddpg_jax.runs.memory import check_episodes
from ddpg_jax.runs.paths import check_stored_path
from ddpg_jax.runs.programs import episode_keys
from ddpg_jax.runs.stored_run import Run

DEFAULT_FPS, DEFAULT_MAX_FRAMES = 25.0, 500
LAST_FRAME_DURATION = 1.0  # seconds for which the last state of an episode is shown


class RenderResult(NamedTuple):
    """What `render` wrote."""

    out: Path
    seed: int
    frames: int
    seconds: float
    returns: list[float]  # of each episode
    lengths: list[int]  # of each episode, in actions
    needs_network: bool  # whether a browser needs the network to show it


@refuse_exhaustion()
def render(
    folder: Source,
    out: str | Path | None = None,
    *,
    seed: int | None = None,
    checkpoint: Checkpoint = "latest",
    episodes: int = 1,
    start_seed: int = 0,
    size: int = 400,
    fps: float | None = None,
    max_steps: int | None = None,
    draw: Callable[[EnvState], Any] | None = None,
    overwrite: bool = False,
    log: Callable[[str], None] | None = None,
) -> RenderResult:
    """Plays the deterministic policy of a run and writes an animation of it, about as fast as the task's clock runs.

    Args:
      folder, checkpoint: as for `load_policy`.
      out: a .gif, .mp4 or .html; by default a .gif beside the folder or, of the `best/` of a sweep, beside the sweep.
        The .html of a Brax task is Brax's own viewer, whose code a browser loads from the network; any other .html is
        self-contained.
      seed: which seed of the run; None takes the best by final evaluation.
      episodes: the number of episodes, shown one after the other.
      start_seed: the seed of their initial states; up to rounding, the episodes are those of `evaluate_run`
        with this seed.
      size: width and height of a frame in pixels.
      fps: approximate frames per second, at most one frame per action and, but in an .mp4, 50; by default 25, or fewer
        where the animation would have more than 500 frames.
      max_steps: maximum number of actions shown per episode.
      draw: state -> image [H, W, 3], in place of the environment's own renderer; a step then counts as 0.05 s.
      overwrite: replace the file.
      log: called with a line of text before each stage.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, a number cannot be used, the file may not be written, a library
        is missing, or there is no way to draw the environment.
    """
    place = folder.folder if isinstance(folder, Run) else folder
    check_stored_path(place)
    out = Path(out) if out is not None else default_output(place, "", ".gif")
    check_output(out, overwrite)
    check_writable(out)
    _check_numbers(seed, start_seed, episodes, fps)
    log = log or (lambda line: None)
    agent, learner, stored, seed = load_seed(folder, seed, checkpoint)
    run, env = stored.run, stored.make_env_to_play()
    own = stored.name_env().value
    renderer = Renderer(whole_state, draw, DEFAULT_DT) if draw else make_renderer(own, size, **env_options(run))
    check_count("max_steps", 1 if max_steps is None else max_steps)
    steps = min(max_steps or env.spec.max_decisions, env.spec.max_decisions)
    check_episodes(env, stored.config, episodes, steps=steps, select=renderer.select)
    log(f"playing {episodes} episode(s) of {env.spec.name}")
    key = episode_keys(start_seed, run.seeds)[seed - run.seed]
    trajectory = rollout(key, env, lambda obs: agent.act(learner, obs), episodes, max_steps, renderer.select)
    dt = renderer.dt * env.spec.action_repeat
    html = renderer.html if out.suffix.lower() == ".html" else None
    if fps and html is None and out.suffix.lower() != ".mp4":
        fps = min(fps, 50)  # of a GIF and of the pictures in a page, which are shown for 20 ms at least
    stride = _stride(fps, dt, int(trajectory.lengths.sum()))
    durations = frame_durations(trajectory, stride, dt)
    log(f"drawing {len(durations):,} frames")
    if html is not None:
        parts = [trajectory.state_at(*index) for index in frame_indices(trajectory, stride)]
        save_html(out, html(parts, stride * dt))
    else:
        title = f"{stored.title}, seed {seed}"
        save_animation(out, frames(trajectory, renderer.draw, stride), durations, title)
    returns, lengths = trajectory.rewards.sum(axis=1, dtype=float).tolist(), trajectory.lengths.tolist()
    return RenderResult(out, seed, len(durations), sum(durations), returns, lengths, html is not None)


def _check_numbers(seed: int | None, start_seed: int, episodes: int, fps: float | None) -> None:
    for name, number, low in (("seed", seed, 0), ("start_seed", start_seed, 0), ("episodes", episodes, 1)):
        if number is not None and not low <= number <= INT32:
            raise SettingError(f"{name} must be from {low} to {INT32:,}, not {number}.")
    if fps is not None and not 0 < fps <= 100:
        raise SettingError(f"fps must be above 0 and at most 100, not {fps}.")


def _stride(fps: float | None, dt: float, actions: int) -> int:
    """Returns the number of actions, of `dt` seconds each, from one frame to the next."""
    stride = max(1, round(1 / ((fps or DEFAULT_FPS) * dt)))
    return stride if fps else max(stride, -(-actions // DEFAULT_MAX_FRAMES))


def frames(trajectory: Trajectory, draw: Callable[[Any], Any], stride: int = 1) -> np.ndarray:
    """Draws the frames of a trajectory's episodes, each with a title line of its step and return so far.

    Args:
      trajectory: from `rollout`.
      draw: what was selected of a state -> image, RGB [H, W, 3] or grayscale [H, W], in bytes or in floats from 0 to 1;
        a `Renderer`'s, or any function.
      stride: actions from one frame to the next; the first and the last state of an episode are always drawn.

    Returns:
      [F, H + title, W, 3] uint8, both sides even.

    Raises:
      SettingError: `stride` is not a whole number of at least 1, or `draw` returns something else.
    """
    check_count("stride", stride)
    returns = np.pad(np.cumsum(trajectory.rewards, axis=1, dtype=float), ((0, 0), (1, 0)))
    images = []
    for episode, step in frame_indices(trajectory, stride):
        image = to_rgb(draw(trajectory.state_at(episode, step)), "the drawing")
        title = f"step {step}   return {returns[episode, step]:,.1f}"
        titles = [title, f"{step}: {returns[episode, step]:,.4g}"]
        if len(trajectory.lengths) > 1:
            titles.insert(0, f"episode {episode + 1}   {title}")
        images.append(add_title(image, titles))
        if images[-1].shape != images[0].shape:
            height, width = image.shape[:2]
            raise SettingError(
                f"the drawing must have one size, and that of step {step} has {width} x {height} pixels."
            )
    return np.stack(images)


def frame_indices(trajectory: Trajectory, stride: int) -> Iterator[tuple[int, int]]:
    """Yields (episode, step) of each frame."""
    for episode, length in enumerate(trajectory.lengths):
        yield from ((episode, step) for step in (*range(0, int(length), stride), int(length)))


def frame_durations(trajectory: Trajectory, stride: int, dt: float) -> list[float]:
    """Returns the seconds for which each frame is shown, where an action takes `dt` seconds."""
    indices, last = frame_indices(trajectory, stride), trajectory.lengths
    return [LAST_FRAME_DURATION if step == last[episode] else stride * dt for episode, step in indices]
