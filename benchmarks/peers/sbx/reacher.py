"""Gymnasium's Reacher-v5 changed to the task of Brax's `mjx` backend, so that both libraries learn the same one.

Gymnasium draws targets uniformly over the disk's area, integrates with Runge-Kutta and observes the velocities of the
joints. Brax draws them uniformly over its radius, integrates with Euler, and observes the position and velocity of the
fingertip before the last of the two substeps, the velocity being that of a fingertip in the direction of x from the
elbow.
"""

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

RADIUS, LOWER = 0.2, 0.11  # meters


class BraxReacher(ReacherEnv):
    """Reacher with Brax's targets, integrator and observation; arm, reward and initial states are unchanged."""

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
        observation, speed = super()._get_obs(), np.zeros(6)  # angular, linear
        lower = self.model.body("body1").id
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_XBODY, lower, speed, False)
        observation[6:8] = speed[3], speed[4] + LOWER * speed[2]
        return observation


gymnasium.register("BraxReacher-v5", BraxReacher, max_episode_steps=50)
