"""settings.py: what is refused and in which words, and what is a leaf."""

import re
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError, ddpg, trainer
from ddpg_jax.algorithms.d4pg import D4PGConfig
from ddpg_jax.algorithms.sac import SACConfig
from ddpg_jax.core.settings import check, configclass, setting

NAN, INF = float("nan"), float("inf")
NUMBER, WHOLE, TUPLE = "a number", "a whole number", "a tuple of whole numbers"
RESTARTS = "one of pool, every-step, cached"


@configclass
class Odd:
    """Kinds of setting that the algorithms' own do not have."""

    flag: bool = setting(default=False, help="a switch")
    text: str = setting(default="x", help="anything")


REFUSED = [
    (DDPGConfig, "actor_lr", -1e-3, "at least 0"),
    (DDPGConfig, "actor_lr", NAN, "finite"),
    (DDPGConfig, "actor_lr", INF, "finite"),
    (DDPGConfig, "actor_lr", True, NUMBER),
    (DDPGConfig, "actor_lr", "0.1", NUMBER),
    (DDPGConfig, "actor_lr", None, NUMBER),
    (DDPGConfig, "actor_lr", 1j, NUMBER),
    (DDPGConfig, "actor_lr", [1e-3, 1e-4], NUMBER),
    (DDPGConfig, "actor_lr", [[1.0], [1.0, 2.0]], NUMBER),
    (DDPGConfig, "actor_lr", np.array(["a", "b"]), NUMBER),
    (DDPGConfig, "actor_lr", np.array([True]), NUMBER),
    (DDPGConfig, "actor_lr", np.array([]), NUMBER),
    (DDPGConfig, "actor_lr", np.array([1e-3, NAN]), "finite"),
    (DDPGConfig, "discount", 1.01, "at most 1"),
    (DDPGConfig, "discount", np.array([0.9, 1.01]), "at most 1"),
    (DDPGConfig, "tau", jnp.array([0.1, -0.1]), "above 0"),
    (DDPGConfig, "tau", 0.0, "above 0"),
    (DDPGConfig, "tau", 1e-50, "at least 1.18e-38 in size, the smallest number in float32"),
    (DDPGConfig, "actor_lr", 1e-50, "0 or at least 1.18e-38 in size, the smallest number in float32"),
    (DDPGConfig, "reward_scale", -1e-46, "0 or at least 1.18e-38 in size, the smallest number in float32"),
    (DDPGConfig, "clip_norm", 0.0, "above 0"),
    (DDPGConfig, "noise_scale", 1e7, "at most 1,000,000"),
    (SACConfig, "temperature", 0.0, "above 0"),
    (RunConfig, "evaluations", 10**9, "at most 1,000,000"),
    (RunConfig, "action_repeat", 2**31 - 1, "at most 1,000"),
    (DDPGConfig, "hidden", (0,), "at least 1"),
    (DDPGConfig, "hidden", (64, -1), "at least 1"),
    (DDPGConfig, "hidden", (64.0,), TUPLE),
    (DDPGConfig, "hidden", (NAN,), TUPLE),
    (DDPGConfig, "hidden", (True,), TUPLE),
    (DDPGConfig, "hidden", ("64",), TUPLE),
    (DDPGConfig, "hidden", ((64, 64),), TUPLE),
    (DDPGConfig, "hidden", ((1, 2), (3,)), TUPLE),
    (DDPGConfig, "hidden", (64, None), TUPLE),
    (DDPGConfig, "hidden", 64, TUPLE),
    (DDPGConfig, "hidden", [64, 64], TUPLE),  # static, and a list has no hash
    (DDPGConfig, "hidden", None, TUPLE),
    (LoopConfig, "num_envs", 0, "at least 1"),
    (LoopConfig, "num_envs", -3, "at least 1"),
    (LoopConfig, "num_envs", 2.0, WHOLE),
    (LoopConfig, "num_envs", True, WHOLE),
    (LoopConfig, "num_envs", "2", WHOLE),
    (LoopConfig, "num_envs", None, WHOLE),
    (LoopConfig, "num_envs", [2], WHOLE),
    (LoopConfig, "num_envs", np.array(2), WHOLE),
    (LoopConfig, "replay_capacity", 2**31, "at most 2,147,483,647"),
    (LoopConfig, "replay_capacity", 10**30, "at most 2,147,483,647"),
    (LoopConfig, "reset_mode", "sometimes", RESTARTS),
    (LoopConfig, "reset_mode", None, RESTARTS),
    (LoopConfig, "reset_mode", np.array([1, 2]), RESTARTS),
    (Odd, "flag", "yes", "True or False"),
    (Odd, "flag", 1, "True or False"),
]


@pytest.mark.parametrize(("config", "name", "value", "allowed"), REFUSED)
def test_refusals_name_the_setting_the_value_and_what_is_allowed(config, name, value, allowed):
    """In one sentence, whatever the value."""
    with pytest.raises(SettingError) as refusal:
        check(config(**{name: value}))
    assert str(refusal.value) == f"{name} must be {allowed}, not {value!r}."


ACCEPTED = [
    DDPGConfig(),
    DDPGConfig(actor_lr=0, discount=1, tau=1.0),
    DDPGConfig(actor_lr=np.float32(0.1), critic_lr=jnp.bfloat16(0.5), tau=np.array([0.1, 0.2]), discount=jnp.zeros(2)),
    DDPGConfig(hidden=()),
    DDPGConfig(hidden=(np.int64(8), 1)),
    LoopConfig(num_envs=np.int32(3), reset_mode="cached"),
    LoopConfig(replay_capacity=2**31 - 1),
    Odd(flag=True, text=""),
]


PAIRS = [
    (D4PGConfig(value_low=3.0, value_high=1.0), "value_high must be above value_low (3.0), not 1.0."),
    (D4PGConfig(value_low=1.0, value_high=1.0 + 1e-9), "value_high must be above value_low (1.0), not 1.000000001."),
    (
        D4PGConfig(value_low=np.array([0.0, 9.0]), value_high=5.0),
        "value_high must be above value_low (array([0., 9.]))",
    ),
    (DDPGConfig(noise_scale=0.5, noise_scale_max=0.1), "noise_scale_max must be at least noise_scale (0.5), not 0.1."),
]


@pytest.mark.parametrize(("config", "sentence"), PAIRS)
def test_a_setting_may_bound_another(config, sentence):
    with pytest.raises(SettingError, match=re.escape(sentence)):
        check(config)


def test_bounds_that_are_traced_or_absent_pass():
    jax.eval_shape(lambda low: check(D4PGConfig(value_low=low)).value_low, 1e6)
    jax.eval_shape(lambda high: check(D4PGConfig(value_high=high)).value_high, -1e6)
    check(DDPGConfig(noise_scale=0.5, noise_scale_max=0.5))
    check(DDPGConfig(noise_scale=0.5))


def test_a_long_value_is_cut_off():
    with pytest.raises(SettingError) as refused:
        check(DDPGConfig(hidden=(10,) * 60 + (0,)))
    assert str(refused.value) == f"hidden must be at least 1, not {str((10,) * 60)[:100]}...."
    with pytest.raises(SettingError, match=r"hidden must be at most 100 numbers, not 10,000\."):
        check(DDPGConfig(hidden=(4,) * 10_000))
    with pytest.raises(SettingError, match=r"seeds must be at most 2,147,483,647, not a number of 33,220 bits\."):
        check(RunConfig(seeds=10**10_000))


@pytest.mark.parametrize("config", ACCEPTED)
def test_allowed_values_pass(config):
    """And come back as they are; arrays are batches for `jax.vmap`."""
    assert check(config) is config


def test_traced_values_pass_unseen():
    """Under jit and under vmap, even where their value would be refused."""
    jax.eval_shape(check, DDPGConfig(actor_lr=-1.0))
    jax.vmap(lambda lr: check(DDPGConfig(actor_lr=lr)).actor_lr)(jnp.array([-1.0, 0.1]))


def test_agents_and_trainers_check_their_settings():
    """Before anything is built from them."""
    with pytest.raises(SettingError, match="discount"):
        ddpg(DDPGConfig(discount=2.0), None)
    with pytest.raises(SettingError, match="num_envs"):
        trainer(None, None, LoopConfig(num_envs=0))


def test_floats_are_leaves_and_the_rest_is_static():
    """So that a float may change or be batched without compiling anew."""
    assert jax.tree.leaves(DDPGConfig()) == [3e-4, 1e-3, 0.99, 1.0, 0.005, 0.1, 0.15, 0.1]
    assert jax.tree.leaves(LoopConfig()) == []
    assert jax.tree.structure(DDPGConfig(tau=0.5)) == jax.tree.structure(DDPGConfig())
    assert jax.tree.structure(DDPGConfig(hidden=(8,))) != jax.tree.structure(DDPGConfig())


def test_a_literal_is_checked_as_text():
    """A setting made of choices takes one of them."""

    @configclass
    class Choice:
        color: Literal["red", "blue"] = setting(default="red", help="a color")

    check(Choice(color="blue"))
    with pytest.raises(SettingError, match="color must be one of red, blue, not 'green'"):
        check(Choice(color="green"))


def test_a_number_without_bounds_must_still_be_finite():
    """SAC's target entropy may have either sign."""
    assert check(SACConfig(target_entropy=-3.0)).target_entropy == -3
    for value in (float("nan"), float("inf"), "low"):
        with pytest.raises(SettingError, match="target_entropy must be"):
            check(SACConfig(target_entropy=value))


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ({"out": 7}, "out must be a path, not 7."),
        ({"overwrite": 1}, "overwrite must be True or False, not 1."),
        ({"wandb": False}, "wandb must be a string, not False."),
        ({"episode_length": 2**31}, "episode_length must be at most 100,000,000, not 2147483648."),
        ({"action_repeat": 1.5}, "action_repeat must be a whole number, not 1.5."),
        ({"steps": 10**400}, "steps must be at most 2,147,483,647, not 1000"),
    ],
)
def test_a_setting_of_any_type_is_checked(run, sentence):
    with pytest.raises(SettingError, match=re.escape(sentence)):
        check(RunConfig(**run))


@pytest.mark.parametrize("value", [1e39, -1e39, 10**400])
def test_numbers_must_fit_the_device(value):
    """float32 makes infinities of them."""
    with pytest.raises(SettingError, match=r"reward_scale must be (finite|at most 3.4e\+38 in size)"):
        check(DDPGConfig(reward_scale=value))
