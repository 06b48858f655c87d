"""Animates learning: four policies of one run, all from the same initial state, above the learning curve.

    python benchmarks/learning_gif.py     # trains DDPG on Pendulum-v1 for 20,000 steps: a minute or two on one core

Each panel starts when the curve reaches the training step of its policy. Writes benchmarks/results/learning.gif.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ddpg_jax import DDPGConfig, Env, LoopConfig, ddpg, evaluate, make_env, make_renderer, rollout, trainer
from ddpg_jax.results.drawing.animation import save_animation
from ddpg_jax.results.drawing.canvas import BACKGROUND, BLUE, DARK_GRAY, LIGHT_GRAY, ORANGE

OUT = Path(__file__).parent / "results" / "learning.gif"
STAGES, STEPS, EVERY, SEED = (0, 3_000, 6_000, 20_000), 20_000, 500, 0
EPISODE, SWEEP = 140, 110  # frames of an episode, and of the curve from its beginning to its end
WIDTH, PANEL, GAP, LABEL, CURVE, FINE = 800, 192, 8, 46, 170, 3  # pixels; FINE: supersampling of the curve
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 12, 30  # margins of the curve
WORST, BEST = -1900, 0


class Learned(NamedTuple):
    """A run: its learning curve, and an episode of its policy at each stage."""

    steps: list[int]
    returns: list[float]
    played: list[Any]


def hanging(env: Env) -> Env:
    """Returns a pendulum that always starts at rest, hanging almost straight down."""

    def reset(key):
        state = env.reset(key)
        inner = replace(state.inner, theta=jnp.float32(3.0), theta_dot=jnp.float32(0.0))
        return replace(state, inner=inner, obs=jnp.array([jnp.cos(3.0), jnp.sin(3.0), 0.0], jnp.float32))

    return env._replace(reset=reset)


def learn() -> Learned:
    """Trains one seed and plays an episode at each stage."""
    env = make_env("Pendulum-v1")
    agent = ddpg(DDPGConfig(hidden=(64, 64)), env.spec)
    run = trainer(env, agent, LoopConfig(batch_size=64, replay_capacity=STEPS))
    train, start, select = jax.jit(run.train), hanging(env), make_renderer("Pendulum-v1").select

    @jax.jit
    def score(learner):
        return evaluate(jax.random.key(1), env, lambda obs: agent.act(learner, obs)).returns.mean()

    def play(learner):
        return rollout(jax.random.key(2), start, lambda obs: agent.act(learner, obs), max_steps=EPISODE, select=select)

    state = jax.jit(lambda key: run.prefill(run.init(key)))(jax.random.key(SEED))
    untrained = float(score(state.learner))
    learned = Learned([0, run.warmup], [untrained, untrained], [play(state.learner)])
    for before, after in pairwise(range(run.warmup, STEPS + 1, EVERY)):
        state, _ = train(state, before, after - before)
        learned.steps.append(after)
        learned.returns.append(float(score(state.learner)))
        if after in STAGES:
            learned.played.append(play(state.learner))
            print(f"{after:,} steps: {learned.returns[-1]:,.1f}", flush=True)
    return learned


def animation(learned: Learned) -> np.ndarray:
    """Returns the frames [F, H, W, 3]."""
    draw = make_renderer("Pendulum-v1", PANEL).draw
    starts = [SWEEP * stage // STEPS for stage in STAGES]
    return np.stack([frame(learned, draw, starts, time) for time in range(starts[-1] + EPISODE + 1)])


def frame(learned: Learned, draw: Any, starts: list[int], time: int) -> np.ndarray:
    """Draws the panels with their labels, and the curve below them."""
    sheet = Image.new("RGB", (WIDTH, LABEL + PANEL + CURVE), BACKGROUND)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(17), ImageFont.load_default(14)
    for place, (stage, played, start) in enumerate(zip(STAGES, learned.played, starts, strict=True)):
        step, middle = min(max(time - start, 0), EPISODE), place * (PANEL + GAP) + GAP // 2 + PANEL // 2
        drawn = draw(jax.tree.map(lambda leaf: leaf[0, step], played.states)).astype(float)  # noqa: B023
        shown = drawn if time >= start else 0.25 * drawn + 0.75 * np.array(BACKGROUND)
        sheet.paste(Image.fromarray(shown.astype(np.uint8)), (middle - PANEL // 2, LABEL))
        ink = DARK_GRAY if time >= start else (190, 192, 190)
        pen.text((middle, 15), f"{stage:,} steps" if stage else "untrained", ink, large, "mm")
        pen.text((middle, 35), f"return {played.rewards[0, :step].sum():,.0f}", ink, small, "mm")
    sheet.paste(curve(learned, min(STEPS * time / SWEEP, STEPS)), (0, LABEL + PANEL))
    return np.asarray(sheet)


def curve(learned: Learned, until: float) -> Image.Image:
    """Draws the learning curve up to so many steps."""
    sheet = Image.new("RGB", (WIDTH * FINE, CURVE * FINE), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13 * FINE)

    def at(steps: float, value: float) -> tuple[float, float]:
        right = LEFT + (WIDTH - LEFT - RIGHT) * steps / STEPS
        return FINE * right, FINE * (TOP + (CURVE - TOP - BOTTOM) * (value - BEST) / (WORST - BEST))

    for value in (0, -500, -1000, -1500):
        pen.line([at(0, value), at(STEPS, value)], LIGHT_GRAY, FINE)
        pen.text((at(0, value)[0] - 8 * FINE, at(0, value)[1]), f"{value:,}", DARK_GRAY, font, "rm")
    for steps in range(0, STEPS + 1, 5_000):
        anchor = "ms" if steps < STEPS else "rs"
        pen.text((at(steps, 0)[0], FINE * (CURVE - 8)), f"{steps:,} steps" if steps else "0", DARK_GRAY, font, anchor)
    about = "DDPG on Pendulum-v1: mean return of evaluation"
    pen.text((at(STEPS, 0)[0], at(0, -1250)[1]), about, DARK_GRAY, font, "rm")
    heights = [float(np.interp(steps, learned.steps, learned.returns)) for steps in (*STAGES, until)]
    points = [(s, r) for s, r in zip(learned.steps, learned.returns, strict=True) if s < until] + [(until, heights[-1])]
    pen.line([at(*point) for point in points], BLUE, 3 * FINE, "curve")
    for steps, height in [*zip(STAGES, heights, strict=False), (until, heights[-1])]:
        if steps <= until:
            pen.circle(at(steps, height), 5 * FINE, ORANGE)
    return sheet.resize((WIDTH, CURVE), Image.Resampling.BOX)


if __name__ == "__main__":
    frames = animation(learn())
    save_animation(OUT, frames, [0.05] * (len(frames) - 1) + [2.0], "DDPG learning Pendulum-v1")
    print(f"{OUT.name}: {len(frames)} frames, {OUT.stat().st_size / 2**20:.2f} MiB")
