"""envs/vet.py and door.py: an environment that cannot be learned from is refused, and what is wrong with it named."""

import jax
import jax.numpy as jnp
import pytest
from flax import struct
from gymnax.environments.spaces import Box

from ddpg_jax import SettingError, check_env


class Puck:
    """Push a puck to the middle; each fault in turn."""

    def __init__(self, fault=""):
        self.fault = fault

    def action_space(self, params):
        return Box(-1.0, 1.0, (1,))

    def observation_space(self, params):
        if self.fault == "no bounds":
            raise KeyError("low")
        if self.fault == "wide bounds":
            return Box(-jnp.ones(3), jnp.ones(3), (3,))
        return Box(-1.0, 1.0, (2,))

    def reset_env(self, key, params):
        x, zero = jax.random.uniform(key, minval=-1.0, maxval=1.0), (0,) if self.fault == "another state" else 0
        return jnp.array([x, jnp.nan if self.fault == "nan first" else 0.0]), {"x": x, "time": zero}

    def step_env(self, key, state, action, params):
        x, time = jnp.clip(state["x"] + 0.1 * action[0], -1.0, 1.0), jnp.ravel(jnp.array(state["time"]))[0] + 1
        reward, obs, new = -jnp.abs(x), jnp.array([x, 0.0]), {"x": x, "time": time}
        if self.fault == "wide obs":
            obs = jnp.zeros(3)
        if self.fault == "wide state":
            new = {"x": x * jnp.ones(2), "time": time}
        if self.fault == "fraction":
            new = {"x": x, "time": time + 0.5}
        if self.fault == "more state":
            new |= {"speed": x}
        if self.fault == "another state":
            new["time"] = [time]
        if self.fault == "wide reward":
            reward = reward[None]
        if self.fault == "nan reward":
            reward = jnp.where(time > 20, jnp.nan, reward)
        if self.fault == "nan obs":
            obs = jnp.where(time > 20, jnp.inf, obs)
        if self.fault == "outside":
            obs = obs + jnp.array([0.0, 0.1]) * time
        return obs, new, reward, jnp.ones(2, bool) if self.fault == "wide end" else False, {}


FAULTS = {
    "wide obs": r"Puck: obs has shape \(2,\) after reset and \(3,\) after step.",
    "wide state": r"Puck: state\['x'\] has shape \(\) after reset and \(2,\) after step.",
    "fraction": r"Puck: state\['time'\] is int32 after reset and float32 after step; reset must return float32.",
    "more state": r"but state\['speed'\] exists after step but not after reset.",
    "another state": r"Puck must keep the structure of its state, which has tuple after reset and list after step.",
    "wide reward": r"Puck must return one reward per step, not an array of shape \(1,\).",
    "wide end": r"Puck must return one terminated per step, not an array of shape \(2,\).",
    "nan first": r"obs after reset\[1\] is nan at step 0.",
    "nan reward": r"reward is nan at step 20.",
    "nan obs": r"obs\[0\] is inf at step 20.",
    "no bounds": r"Puck.observation_space raised KeyError at test_check_env.py, line \d+: 'low'.",
    "wide bounds": r"Puck must have an observation_space with bounds that are numbers of the shape \(2,\) of obs",
    "outside": r"obs\[1\] is 1.1 at step 10, outside -1 to 1.",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault):
    with pytest.raises(SettingError, match=FAULTS[fault]):
        check_env(Puck(fault), steps=30, episode_length=50)


def test_a_reference_is_checked_like_its_object(tmp_path, monkeypatch):
    (tmp_path / "pucks.py").write_text("from test_check_env import Puck\n\noutside = Puck('outside')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="must stay within its observation_space"):
        check_env("pucks.py:outside", steps=30, episode_length=50)


@struct.dataclass
class Fixed:
    x: jax.Array
    size: int = struct.field(pytree_node=False, default=1)


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        (Fixed(0.0, 2), "Fixed with other fields outside the tree after reset than after step"),
        (Fixed([0.0, ()]), r"state.x exists after reset but not after step"),
    ],
)
def test_the_state_keeps_its_kind(after, difference):
    class Kinds(Puck):
        def reset_env(self, key, params):
            return jnp.zeros(2), Fixed(0.0)

        def step_env(self, key, state, action, params):
            return jnp.zeros(2), after, 0.0, False, {}

    with pytest.raises(SettingError, match=difference):
        check_env(Kinds(), steps=2, episode_length=50)


def test_what_is_right_passes():
    check_env(Puck(), steps=60, episode_length=50)
    check_env("lqr", steps=5)


def test_numbers_that_cannot_be_used_are_refused():
    with pytest.raises(SettingError, match="steps must be a whole number of at least 1, not 0"):
        check_env("lqr", steps=0)
    for seed in (-1, "0", 2**31):
        with pytest.raises(SettingError, match="seed must be from 0 to 2,147,483,647, not "):
            check_env("lqr", seed=seed)


def test_matrix_products_are_those_of_training():
    seen = []

    class Noting(Puck):
        def step_env(self, *args):
            seen.append(jax.config.jax_default_matmul_precision)
            return super().step_env(*args)

    check_env(Noting(), steps=1, episode_length=50)
    assert seen[-1] == "float32"
