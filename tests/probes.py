"""Small environments with known answers, written as a user would write them, for any test to import.

Each is an object in the style of gymnax or of Brax; `make_env(FarWalk())` turns it into an `Env`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

FAR = 1000.0  # where `FarWalk` starts, or beyond


class Space:
    """What a gymnax box has."""

    def __init__(self, low: Any, high: Any, shape: tuple[int, ...]):
        self.low, self.high, self.shape = low, high, shape


UNIT = Space(-1.0, 1.0, (1,))


@struct.dataclass
class WalkState:
    x: jax.Array  # [] float32
    length: jax.Array  # [] int32: steps of this episode
    time: int
    key: jax.Array  # [] a typed key, as a user's state may hold one


@struct.dataclass
class WalkParams:
    shortest: int = 2
    longest: int = 6
    max_steps_in_episode: int = 100


class FarWalk:
    """Gymnax style. Starts at x ~ U(1000, 2000), then stands at 1, 2, 3, ... whatever the action.

    An episode terminates after its own L steps, L ~ U{shortest, ..., longest}. The observation is [x, L] and the
    reward of step k is k, so a whole episode returns L (L + 1) / 2. A step past the end is rewarded with NaN.
    Known answers: no `next_obs` holds an x >= 1000; Q(s, a) = sum of γ^j (k + 1 + j) for j < L - k.
    """

    default_params = WalkParams()
    name = "FarWalk"

    def action_space(self, params: WalkParams) -> Space:
        return UNIT

    def reset_env(self, key: jax.Array, params: WalkParams) -> tuple[jax.Array, WalkState]:
        x_key, length_key, key = jax.random.split(key, 3)
        length = jax.random.randint(length_key, (), params.shortest, params.longest + 1)
        state = WalkState(jax.random.uniform(x_key, minval=FAR, maxval=2 * FAR), length, 0, key)
        return self.observe(state), state

    def step_env(self, key, state, action, params):
        time = state.time + 1
        state = WalkState(jnp.asarray(time, float), state.length, time, key)
        reward = jnp.where(time > state.length, jnp.nan, state.x)
        return self.observe(state), state, reward, self.done(state, params), {}

    def done(self, state: WalkState, params: WalkParams) -> jax.Array:
        return state.time >= state.length

    def is_truncated(self, state: WalkState, params: WalkParams) -> jax.Array:
        return state.time >= params.max_steps_in_episode

    def observe(self, state: WalkState) -> jax.Array:
        return jnp.stack([state.x, state.length.astype(float)])


class OldFarWalk(FarWalk):
    """`FarWalk` in the style of gymnax before 1.0: no `is_truncated`, and the time limit is part of `done`."""

    is_truncated = property()  # hidden: hasattr() is False

    def done(self, state: WalkState, params: WalkParams) -> jax.Array:
        return (state.time >= state.length) | (state.time >= params.max_steps_in_episode)


class OldOnNewBase(OldFarWalk):
    """`OldFarWalk` on the base class of gymnax 1.0, which gives every environment an `is_truncated`."""

    is_truncated = FarWalk.is_truncated


class Echo:
    """Gymnax style, without parameters. The observation is the action it was given, flattened; nothing ends it."""

    def __init__(self, low: Any, high: Any, shape: tuple[int, ...]):
        self.space = Space(low, high, shape)

    def action_space(self, params: None) -> Space:
        return self.space

    def reset_env(self, key: jax.Array, params: None) -> tuple[jax.Array, jax.Array]:
        return jnp.zeros(int(np.prod(self.space.shape))), jnp.zeros(())

    def step_env(self, key, state, action, params):
        assert action.shape == self.space.shape
        return action.ravel(), state, 0.0, False, {}


class Bandit(Echo):
    """Gymnax style. One step, rewarded -(a - best)², a in [-1, 1], and it terminates: Q(s, a) is that reward."""

    def __init__(self, best: float = 0.5):
        super().__init__(-1.0, 1.0, (1,))
        self.best = best

    def step_env(self, key, state, action, params):
        return action, state, -jnp.square(action - self.best).sum(), True, {}


class Metronome(Echo):
    """Gymnax style. Rewards 1 for ever in one state, cut off by `episode_length` alone.

    Known answer: Q = 1 / (1 - γ) however short the episodes are, if a time limit bootstraps.
    """

    def __init__(self):
        super().__init__(-1.0, 1.0, (1,))

    def reset_env(self, key: jax.Array, params: None) -> tuple[jax.Array, jax.Array]:
        return jnp.ones(1), jnp.zeros(())

    def step_env(self, key, state, action, params):
        return jnp.ones(1), state, 1.0, False, {}


@struct.dataclass
class BraxState:
    """The fields of Brax's own State that a task without physics has."""

    obs: Any
    reward: Any
    done: Any
    metrics: dict = struct.field(default_factory=dict)
    info: dict = struct.field(default_factory=dict)


class Steps:
    """Brax style. From 0 walks by its action; rewarded with where it stands; terminates at `goal`.

    As Brax's own tasks do, it leaves Python numbers in its first state, changes their dtype and writes into `info`.
    """

    action_size = 1

    def __init__(self, goal: float = 2.0):
        self.goal = goal

    def reset(self, rng: jax.Array) -> BraxState:
        return BraxState(jnp.zeros(1), 0.0, 0.0, {"x": 0.0}, {"steps": 0})

    def step(self, state: BraxState, action: jax.Array) -> BraxState:
        state.info["steps"] += 1
        obs = state.obs + action
        done = obs[0] >= self.goal  # bool, where reset says float
        return state.replace(obs=obs, reward=obs[0], done=done, metrics={"x": obs[0]})
