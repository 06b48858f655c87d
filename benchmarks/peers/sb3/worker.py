"""stable-baselines3's DDPG: PyTorch, environments and replay on the host, one process.

What is measured: `model.learn` in calls of `chunk` vector steps, so acting, Monitor, DummyVecEnv, replay and update as
a user gets them. Its strengths: the reference implementation in PyTorch, any gymnasium environment. It runs on the CPU
unless the installed torch finds a GPU. Its DDPG is its TD3 with one critic, no delay and no target noise.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import host_loop
from protocol import Line, serve


def main(line: Line) -> None:
    with line.importing():
        from stable_baselines3 import DDPG
    host_loop.run(line, DDPG, ("stable-baselines3", "torch", "gymnasium", "numpy"))


if __name__ == "__main__":
    serve(main)
