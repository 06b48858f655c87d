"""noise.py: what is added, where it is cut, and from which randomness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats

from ddpg_jax.algorithms.ddpg import DDPGConfig
from ddpg_jax.core.exploration import (
    epsilon_uniform,
    explorer,
    gaussian,
    noise_schedule,
    ornstein_uhlenbeck,
    pink,
    pink_noise,
    tanh_gaussian,
    uniform,
)

N, A = 20_000, 2
OBS, FIRST, CLOCK, KEY = jnp.zeros((N, 3)), jnp.zeros(N, bool), jnp.int32(0), jax.random.key(0)


def center(value):
    """A policy that always plays `value`."""
    return lambda learner, obs: jnp.full((len(obs), A), value)


def test_uniform_covers_the_box_evenly():
    """Every dimension of every environment is drawn by itself from U(-1, 1)."""
    explorer = uniform(A)
    action, carry = explorer.act(None, explorer.init(N), OBS, FIRST, CLOCK, KEY)
    assert action.shape == (N, A)
    assert carry == ()
    for dimension in np.asarray(action).T:
        assert scipy.stats.kstest(dimension, "uniform", (-1, 2)).pvalue > 0.01
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


def constant(scale):
    """The same σ everywhere and always."""
    return lambda clock, num_envs: scale


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_gaussian_noise_has_its_scale(mean):
    """N(μ(s), σ) in every dimension, drawn apart from the others."""
    explorer = gaussian(center(mean), constant(0.1))
    action, _ = explorer.act(None, explorer.init(N), OBS, FIRST, CLOCK, KEY)
    assert action.shape == (N, A)
    for dimension in np.asarray(action).T:
        assert scipy.stats.kstest(dimension, scipy.stats.norm(mean, 0.1).cdf).pvalue > 0.01
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


def test_gaussian_noise_stays_in_the_box():
    """What lies outside is cut to the border, not drawn again."""
    action, _ = gaussian(center(0.9), constant(0.5)).act(None, (), OBS, FIRST, CLOCK, KEY)
    assert np.abs(action).max() == 1.0
    outside = scipy.stats.norm.sf((1 - 0.9) / 0.5)
    np.testing.assert_allclose((action == 1).mean(), outside, atol=0.01)


def test_no_scale_is_the_policy_itself():
    """σ may be traced, so 0 is a value like any other."""
    act = jax.jit(lambda scale: gaussian(center(0.3), constant(scale)).act(None, (), OBS[:4], FIRST[:4], CLOCK, KEY)[0])
    np.testing.assert_array_equal(act(0.0), np.full((4, A), 0.3, np.float32))
    assert (act(0.1) != 0.3).all()


def test_noise_is_a_function_of_its_key():
    """The same key gives the same action, another key another."""
    act = gaussian(center(0.0), constant(0.1)).act
    first, again, other = (act(None, (), OBS, FIRST, CLOCK, key)[0] for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99


def test_ornstein_uhlenbeck_is_its_recursion():
    """x <- (1 - θ) x + σ ε from 0, a process of its own in every environment and dimension."""
    theta, scale = 0.2, 0.1
    noise = ornstein_uhlenbeck(center(0.0), A, constant(scale), theta)
    carry, x = noise.init(N), np.zeros((N, A))
    for step in range(5):
        key = jax.random.fold_in(KEY, step)
        action, carry = noise.act(None, carry, OBS, FIRST, CLOCK, key)
        x = x - theta * x + scale * np.asarray(jax.random.normal(key, (N, A)), np.float64)
        np.testing.assert_allclose(action, np.clip(x, -1, 1), atol=1e-6)
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


def test_ornstein_uhlenbeck_has_its_stationary_spread_and_memory():
    """σ / √(2θ - θ²) in the long run, and a correlation of 1 - θ between steps."""
    noise = ornstein_uhlenbeck(center(0.0), A, constant(0.05), 0.15)

    def step(carry, key):
        action, carry = noise.act(None, carry, OBS, FIRST, CLOCK, key)
        return carry, action

    _, actions = jax.lax.scan(step, noise.init(N), jax.random.split(KEY, 60))
    np.testing.assert_allclose(actions[-1].std(), 0.05 / np.sqrt(0.3 - 0.15**2), rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(actions[-1].ravel(), actions[-2].ravel())[0, 1], 0.85, atol=0.02)


def test_ornstein_uhlenbeck_begins_anew_with_each_episode():
    """Only where an episode begins is the past forgotten."""
    noise, first = ornstein_uhlenbeck(center(0.0), A, constant(0.0), 0.5), jnp.arange(N) % 2 == 0
    action, _ = noise.act(None, jnp.full((N, A), 0.8), OBS, first, CLOCK, KEY)
    np.testing.assert_allclose(action[::2], 0)
    np.testing.assert_allclose(action[1::2], 0.4)


def test_pink_noise_is_the_mean_of_its_processes():
    """x <- e^(-1/T) x + √(1 - e^(-2/T)) ε for T = 1, 4, ..., 1024, from ε itself where an episode begins."""
    times, first = 4.0 ** np.arange(6), jnp.arange(N) % 2 == 0
    noise = pink(center(0.1), A, constant(0.2))
    carry, x = noise.init(N), np.zeros((N, A, 6))
    for step in range(4):
        key, begins = jax.random.fold_in(KEY, step), first if step == 2 else jnp.full(N, step == 0)
        action, carry = noise.act(None, carry, OBS, begins, CLOCK, key)
        keep = np.where(np.asarray(begins)[:, None, None], 0, np.exp(-1 / times))
        x = keep * x + np.sqrt(1 - keep**2) * np.asarray(jax.random.normal(key, (N, A, 6)), np.float64)
        np.testing.assert_allclose(action, np.clip(0.1 + 0.2 * x.sum(axis=-1) / np.sqrt(6), -1, 1), atol=1e-6)
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


def test_pink_noise_is_normal_with_a_spectrum_of_one_over_f():
    """At every step, the first included, N(0, 1); over time as much power in every octave (Eberhard et al. 2023)."""
    steps, envs = 4096, 128

    def step(carry, at):
        noise, carry = pink_noise(carry, jnp.full(envs, at == 0), jax.random.fold_in(KEY, at))
        return carry, noise[:, 0]

    _, noise = jax.lax.scan(step, jnp.zeros((envs, 1, 6)), jnp.arange(steps))
    for at in (0, 7, steps - 1):
        assert scipy.stats.kstest(noise[at], "norm").pvalue > 0.01
    frequency, power = scipy.signal.periodogram(np.asarray(noise, np.float64), axis=0)
    octaves = [(frequency > 2.0**-n) & (frequency <= 2.0 ** (1 - n)) for n in range(4, 11)]  # 1/1024 to 1/8 per step
    shares = np.array([power[octave].mean(axis=1).sum() for octave in octaves])
    np.testing.assert_allclose(shares / shares.mean(), 1, atol=0.15)


def test_epsilon_uniform_mixes_whole_actions():
    """A share ε of the environments draws from the box, all dimensions at once; the others follow the policy."""
    action, _ = epsilon_uniform(gaussian(center(0.3), constant(0.0)), 0.25).act(None, (), OBS, FIRST, CLOCK, KEY)
    random = np.asarray(action != np.float32(0.3))
    assert (random[:, 0] == random[:, 1]).all()
    np.testing.assert_allclose(random[:, 0].mean(), 0.25, atol=0.01)
    assert scipy.stats.kstest(np.asarray(action)[random[:, 0], 0], "uniform", (-1, 2)).pvalue > 0.01


def test_noise_before_the_squashing():
    """a = tanh(u + σ ε): its arctanh is Gaussian around that of the policy's action, and it never is cut."""
    action, _ = tanh_gaussian(center(0.6), constant(0.5)).act(None, (), OBS, FIRST, CLOCK, KEY)
    u = np.arctanh(np.asarray(action, np.float64))[:, 0]
    assert scipy.stats.kstest(u, scipy.stats.norm(np.arctanh(0.6), 0.5).cdf).pvalue > 0.01
    assert np.abs(action).max() < 1


def test_noise_before_the_squashing_bears_a_saturated_policy():
    """A μ that has rounded to 1 stays in the box and finite."""
    action, _ = tanh_gaussian(center(1.0), constant(0.5)).act(None, (), OBS, FIRST, CLOCK, KEY)
    assert np.isfinite(action).all()
    assert np.abs(action).max() <= 1


def test_scales_are_spread_over_the_environments_and_fall_in_time():
    """Evenly from the first to the last, and linearly to the share that is left, then no further."""
    spread = noise_schedule(DDPGConfig(noise_scale=0.1, noise_scale_max=0.5))
    np.testing.assert_allclose(spread(0, 5)[:, 0], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)
    falling = noise_schedule(DDPGConfig(noise_scale=0.4, noise_final=0.25, noise_steps=1000))
    for clock, expected in ((0, 0.4), (50, 0.25), (100, 0.1), (5000, 0.1)):
        np.testing.assert_allclose(falling(jnp.int32(clock), 10), expected, rtol=1e-6)
    late = noise_schedule(DDPGConfig(noise_scale=0.4, noise_final=0.25))
    np.testing.assert_allclose(late(jnp.int32(2_000_000), 4096), 0.1, rtol=1e-6)  # 8e9 environment steps
    both = noise_schedule(DDPGConfig(noise_scale=0.0, noise_scale_max=1.0, noise_final=0.0, noise_steps=100))
    np.testing.assert_allclose(both(25, 2)[:, 0], [0.0, 0.5], rtol=1e-6)
    assert noise_schedule(DDPGConfig(noise_scale=0.3))(7, 5) == 0.3


@pytest.mark.parametrize("kind", ["gaussian", "tanh-gaussian", "ou", "pink", "epsilon-uniform"])
def test_every_kind_of_noise_follows_its_schedule(kind):
    """Environments are as far from the policy as their σ says, and later half as far."""
    config = DDPGConfig(
        noise=kind, noise_scale=0.01, noise_scale_max=0.03, noise_final=0.5, noise_steps=N, noise_epsilon=0.0
    )
    chosen = explorer(config, center(0.0), A)
    for clock, share in ((0, 1.0), (1, 0.5)):
        action, _ = chosen.act(None, chosen.init(N), OBS, ~FIRST, jnp.int32(clock), KEY)
        ends = np.asarray(action)[:2000].std(), np.asarray(action)[-2000:].std()
        np.testing.assert_allclose(ends, [share * 0.011, share * 0.029], rtol=0.06)


@pytest.mark.parametrize("kind", ["gaussian", "ou", "pink", "epsilon-uniform"])
def test_every_kind_of_noise_can_be_asked_for(kind):
    """And is what its name says: the carry tells OU and pink, the share of far actions epsilon-uniform."""
    config = DDPGConfig(noise=kind, noise_scale=0.01, noise_epsilon=0.5)
    chosen = explorer(config, center(0.0), A)
    action, carry = chosen.act(None, chosen.init(N), OBS, FIRST, CLOCK, KEY)
    assert (np.shape(carry) == (N, A)) == (kind == "ou")
    assert (np.shape(carry) == (N, A, 6)) == (kind == "pink")
    assert (np.abs(action).max() > 0.5) == (kind == "epsilon-uniform")
