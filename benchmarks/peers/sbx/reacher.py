"""Gymnasium's Reacher-v5 as Brax has that task, so that both libraries learn the same one.

Gymnasium spreads the targets evenly over the disk's area and Brax over its radius, which puts them nearer to the
centre; Gymnasium shows the speeds of the joints and Brax the fingertip's. What stays apart is the integrator: Runge and
Kutta's here, Euler's there.
"""

import gymnasium
import numpy as np
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

UPPER, LOWER = 0.1, 0.11  # metres
RADIUS = 0.2


class BraxReacher(ReacherEnv):
    """The arm, its reward and its starts are the parent's."""

    def reset_model(self) -> np.ndarray:
        angle, radius = self.np_random.uniform(0, 2 * np.pi), self.np_random.uniform(0, RADIUS)
        position = self.init_qpos + self.np_random.uniform(-0.1, 0.1, self.model.nq)
        velocity = self.init_qvel + self.np_random.uniform(-0.005, 0.005, self.model.nv)
        position[2:] = radius * np.cos(angle), radius * np.sin(angle)
        velocity[2:] = 0
        self.set_state(position, velocity)
        return self._get_obs()

    def _get_obs(self) -> np.ndarray:
        shoulder, elbow = np.cumsum(self.data.qpos[:2])
        first, second = np.cumsum(self.data.qvel[:2])
        observation = super()._get_obs()
        observation[6:8] = [  # of the fingertip, by the chain rule
            -UPPER * np.sin(shoulder) * first - LOWER * np.sin(elbow) * second,
            UPPER * np.cos(shoulder) * first + LOWER * np.cos(elbow) * second,
        ]
        return observation


gymnasium.register("BraxReacher-v5", BraxReacher, max_episode_steps=50)
