"""Gymnasium's Reacher-v5 as Brax's `mjx` backend has that task, so that both libraries learn the same one.

Gymnasium spreads the targets evenly over the disk's area, integrates by Runge and Kutta and shows the speeds of the
joints. Brax spreads them over its radius, integrates by Euler, and shows the fingertip's place and speed as they were
before the last of the two substeps, the speed being that of a fingertip which lies in the direction of x from the
elbow.
"""

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

RADIUS, LOWER = 0.2, 0.11  # metres


class BraxReacher(ReacherEnv):
    """The arm, its reward and its starts are the parent's."""

    def __init__(self) -> None:
        super().__init__()
        self.model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER

    def reset_model(self) -> np.ndarray:
        angle, radius = self.np_random.uniform(0, 2 * np.pi), self.np_random.uniform(0, RADIUS)
        position = self.init_qpos + self.np_random.uniform(-0.1, 0.1, self.model.nq)
        velocity = self.init_qvel + self.np_random.uniform(-0.005, 0.005, self.model.nv)
        position[2:] = radius * np.cos(angle), radius * np.sin(angle)
        velocity[2:] = 0
        self.set_state(position, velocity)
        return self._get_obs()

    def _get_obs(self) -> np.ndarray:
        observation, speed = super()._get_obs(), np.zeros(6)  # turning, moving
        lower = self.model.body("body1").id
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_XBODY, lower, speed, False)
        observation[6:8] = speed[3], speed[4] + LOWER * speed[2]
        return observation


gymnasium.register("BraxReacher-v5", BraxReacher, max_episode_steps=50)
