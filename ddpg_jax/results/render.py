"""A trained policy to look at: its episodes drawn, captioned and written as a film."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.rollout import Trajectory, at, rollout, whole
from ddpg_jax.core.settings import INT32, SettingError, count
from ddpg_jax.core.types import EnvState
from ddpg_jax.deploy.policy import one_learner
from ddpg_jax.results.drawing import drawer
from ddpg_jax.results.drawing.caption import captioned
from ddpg_jax.results.drawing.drawing import Drawing, as_picture
from ddpg_jax.results.drawing.film import check_target, write_film, write_page
from ddpg_jax.runs.config import env_options
from ddpg_jax.runs.programs import episode_keys

FPS, FRAMES = 25.0, 500  # frames a second at most, and in a film at most, where none are asked for
OWN_PACE = 0.05  # s for which a state stays that somebody's own function draws
PAUSE = 1.0  # s for which an episode's last state stays


class Rendered(NamedTuple):
    """What `render` has written."""

    out: Path
    seed: int
    frames: int
    seconds: float
    returns: list[float]  # of each episode
    lengths: list[int]  # likewise, in decisions
    online: bool  # a page that needs the network when it is opened


def silent(words: str) -> None:
    """Announces to nobody."""


def render(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    seed: int | None = None,
    episodes: int = 1,
    start_seed: int = 0,
    size: int = 400,
    fps: float | None = None,
    max_steps: int | None = None,
    draw: Callable[[EnvState], Any] | None = None,
    overwrite: bool = False,
    log: Callable[[str], None] = silent,
) -> Rendered:
    """Plays the deterministic policy of a run and writes a film of it, about as fast as its clock runs.

    Args:
      folder: the run folder.
      out: a .gif, .mp4 or .html; by default a .gif beside the folder. A Brax task's .html is Brax's own viewer, whose
        code a browser loads from the network; any other page holds all that it shows.
      seed: which seed of the run; None takes the best by final evaluation.
      episodes: how many, one after the other.
      start_seed: of their initial states; the episodes are those of `evaluate_run` with it.
      size: of a picture in pixels.
      fps: frames a second at most; by default 25, or fewer where the film would have more than 500 frames.
      max_steps: decisions of an episode to show at most.
      draw: state -> picture [H, W, 3], in place of the environment's own drawing, for 0.05 s each.
      overwrite: replace the file.
      log: told in words what happens next.

    Raises:
      SettingError: the folder holds no run of ours, a number cannot be used, the file may not be written, a library is
        missing, or there is no way to draw the environment.
    """
    out = Path(out) if out is not None else _beside(Path(folder).resolve())
    check_target(out, overwrite)
    _check(seed, start_seed, episodes, fps)
    agent, learner, stored, seed = one_learner(folder, seed)
    run, env = stored.run, stored.make_env()
    drawing = drawer(run.env, size, **env_options(run)) if draw is None else Drawing(whole, draw, OWN_PACE)
    log(f"playing {episodes} episode(s) of {env.spec.name}")
    keys = episode_keys(start_seed, run.seeds)
    policy = lambda obs: agent.act(learner, obs)  # noqa: E731
    played = rollout(keys[seed - run.seed], env, policy, episodes, max_steps, drawing.select)
    pace = drawing.seconds * env.spec.action_repeat
    every = _every(fps, pace, int(played.lengths.sum()))
    seconds = times(played, every, pace)
    log(f"drawing {len(seconds):,} frames")
    viewer = drawing.viewer if out.suffix.lower() == ".html" else None
    if viewer:
        write_page(out, viewer([at(played, *moment) for moment in moments(played, every)], every * pace))
    else:
        title = f"{stored.algorithm} on {env.spec.name}, seed {seed}"
        write_film(out, frames(played, drawing.picture, every), seconds, title)
    returns = played.rewards.sum(axis=1, dtype=float).tolist()
    return Rendered(out, seed, len(seconds), sum(seconds), returns, played.lengths.tolist(), viewer is not None)


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.gif")


def _check(seed: int | None, start_seed: int, episodes: int, fps: float | None) -> None:
    for name, number, low in (("seed", seed, 0), ("start_seed", start_seed, 0), ("episodes", episodes, 1)):
        if number is not None and not low <= number <= INT32:
            raise SettingError(f"{name} must be from {low} to {INT32:,}, not {number}.")
    if fps is not None and not 0 < fps <= 100:
        raise SettingError(f"fps must be above 0 and at most 100, not {fps}.")


def _every(fps: float | None, pace: float, decisions: int) -> int:
    """Decisions from one frame to the next, where one takes `pace` s."""
    every = max(1, round(1 / ((fps or FPS) * pace)))
    return every if fps else max(every, -(-decisions // FRAMES))


def frames(played: Trajectory, picture: Callable[[Any], Any], every: int = 1) -> np.ndarray:
    """The pictures of all episodes, one after the other, under episode, step and return so far.

    Args:
      picture: what was kept of a state -> [H, W, 3] bytes or floats in [0, 1], or grey [H, W]: a `Drawing`'s, or
        anybody's.
      every: decisions from one frame to the next; the first and the last state of an episode are always shown.

    Returns:
      [F, H + caption, W, 3] bytes, both sides even.

    Raises:
      SettingError: `every` is not a whole number of at least 1, or something else than pictures is drawn.
    """
    count("every", every)
    returns = np.concatenate([np.zeros((len(played.lengths), 1)), np.cumsum(played.rewards, axis=1, dtype=float)], 1)
    shown = []
    for episode, step in moments(played, every):
        drawn = as_picture(picture(at(played, episode, step)), "the drawing")
        words, short = f"step {step}   return {returns[episode, step]:,.1f}", f"{step}: {returns[episode, step]:,.4g}"
        first = [f"episode {episode + 1}   {words}"] if len(played.lengths) > 1 else []
        shown.append(captioned(drawn, [*first, words, short]))
    return np.stack(shown)


def moments(played: Trajectory, every: int) -> Iterator[tuple[int, int]]:
    """(episode, step) of each frame."""
    for episode, length in enumerate(played.lengths):
        yield from ((episode, step) for step in (*range(0, int(length), every), int(length)))


def times(played: Trajectory, every: int, seconds: float) -> list[float]:
    """How long each frame is shown, in s, where a decision takes `seconds`."""
    return [PAUSE if step == played.lengths[episode] else every * seconds for episode, step in moments(played, every)]
