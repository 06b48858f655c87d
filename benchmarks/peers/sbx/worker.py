"""SBX's DDPG: SB3's host loop and replay around networks and update in JAX.

What is measured: `model.learn` in calls of `chunk` vector steps, so acting, Monitor, DummyVecEnv, replay, the copy of
each minibatch to the device and the jitted update. Its strengths: SB3's interface with a JAX update, many gradient
steps in one compiled call. Its DDPG still draws the target noise and clips it to zero, at a small cost.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import host_loop
from protocol import Line, serve


def main(line: Line) -> None:
    with line.importing():
        from sbx import DDPG
    host_loop.run(line, DDPG, ("sbx-rl", "jax", "flax", "stable-baselines3", "torch", "gymnasium", "numpy"))


if __name__ == "__main__":
    serve(main)
