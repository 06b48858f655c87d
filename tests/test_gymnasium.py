"""Policies in Gymnasium's environments, and our environments behind its interface."""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from gymnasium.utils.env_checker import check_env
from trained import make_run

from ddpg_jax import SettingError, Spec, as_gymnasium, load_policy, make_env, play_gymnasium
from ddpg_jax.cli.main import main
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.deploy.policy import Policy

CAR = "MountainCarContinuous-v0"
LOW, HIGH = np.array([[-2.0], [0.5]], np.float32), np.array([[2.0], [3.0]], np.float32)
PENDULUM = Spec(
    "Pendulum-v1", (3,), np.dtype(np.float32), np.full(1, -2, np.float32), np.full(1, 2, np.float32), episode_length=200
)


def echoing(length=5):
    """An environment that observes its last action in native units; rewards are random numbers of the step's key."""

    def reset(key):
        return jax.random.uniform(key), jnp.zeros((2, 1))

    def step(key, state, action):
        return state, action, jax.random.uniform(key), False, False

    return env_from_functions(reset, step, Spec("echo", (2, 1), np.dtype(np.float32), LOW, HIGH, length))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "run", "ddpg", PENDULUM)


@pytest.fixture
def gym_env():
    env = gymnasium.make("Pendulum-v1")
    yield env
    env.close()


@pytest.mark.filterwarnings("ignore:.*WARN.*:UserWarning")  # advice about symmetric and normalized spaces
@pytest.mark.parametrize("env", ["lqr", echoing(), toys.counting(toys.pixels)], ids=["lqr", "boxes", "bytes"])
def test_our_environments_pass_gymnasiums_check(env):
    check_env(as_gymnasium(env))


def test_spaces_are_in_the_environments_own_units():
    ours = as_gymnasium(echoing())
    assert ours.action_space == gymnasium.spaces.Box(LOW, HIGH, (2, 1), np.float32)
    assert ours.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (2, 1), np.float32)
    assert as_gymnasium(toys.counting(toys.pixels)).observation_space == gymnasium.spaces.Box(0, 255, (3,), np.uint8)
    ours.reset(seed=0)
    for action in (LOW, HIGH, [[0.5], [1.0]]):
        np.testing.assert_allclose(ours.step(np.array(action, np.float32))[0], action, rtol=1e-6)
    np.testing.assert_array_equal(ours.step(np.array([[-9.0], [9.0]]))[0], [[-2.0], [3.0]])


@pytest.mark.parametrize("action", [0.5, [0.5], [[0.5]], np.zeros((4, 1)), np.zeros((1, 2, 1)), np.zeros(2)])
def test_an_action_of_another_shape_is_refused(action):
    ours = as_gymnasium(echoing())
    ours.reset(seed=0)
    with pytest.raises(SettingError, match=r"action must have shape \(2, 1\) for echo, not \("):
        ours.step(action)


def test_matrix_products_are_in_float32():
    seen, env = [], echoing()

    def noted(function):
        return lambda *args: (seen.append(jax.config.jax_default_matmul_precision), function(*args))[1]

    ours = as_gymnasium(env._replace(reset=noted(env.reset), step=noted(env.step)))
    ours.reset(seed=0)
    ours.step(LOW)
    assert seen == ["float32", "float32"]


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_that_cannot_be_used_is_refused(seed):
    with pytest.raises(SettingError, match=r"seed must be from 0 to 2,147,483,647, not"):
        as_gymnasium("lqr", seed=seed)


@pytest.mark.parametrize("terminates", [True, False])
def test_terminations_and_truncations_are_kept(terminates):
    ours = as_gymnasium(toys.counting(toys.clock(3), 3, terminates))
    for _ in range(2):
        ours.reset()
        ends = [ours.step(np.zeros(1))[1:4] for _ in range(3)]
        assert ends == [(1.0, False, False), (1.0, False, False), (1.0, terminates, not terminates)]


def test_randomness_comes_from_the_seed_of_reset():
    """A seed restarts the generator, a reset without one continues it, and every step draws new numbers."""

    def episode(env, seed):
        env.reset(seed=seed)
        return [env.step(LOW)[1] for _ in range(3)]

    ours = as_gymnasium(echoing(), seed=7)
    first, second = episode(ours, None), episode(ours, None)
    assert len({*first, *second}) == 6
    assert episode(as_gymnasium(echoing()), 7) == first
    assert episode(ours, 7) == first
    assert episode(ours, 8) != first


@pytest.mark.filterwarnings("ignore:.*WARN.*:UserWarning")
def test_render_calls_the_function_that_is_given():
    assert as_gymnasium("lqr").render_mode is None
    assert as_gymnasium("lqr").render() is None
    env = as_gymnasium(toys.counting(toys.clock()), render=lambda state: np.full((4, 4, 3), state.time, np.uint8))
    assert env.render_mode == "rgb_array"
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))
    env.reset()
    env.step(np.zeros(1))
    np.testing.assert_array_equal(env.render(), np.ones((4, 4, 3), np.uint8))
    check_env(env)


def copy_state(gym_env, state):
    """Sets the state of Gymnasium's pendulum to that of ours; returns its observation."""
    gym_env.reset()
    gym_env.unwrapped.state = np.array([state.inner.theta, state.inner.theta_dot], float)
    return gym_env.unwrapped._get_obs()


def test_our_pendulum_is_gymnasiums(gym_env):
    """Each of 200 steps from the same state, up to the rounding of float32 of speeds to 8 and costs to 16."""
    env, rng = make_env("Pendulum-v1"), np.random.default_rng(0)
    step, state = jax.jit(env.step), env.reset(jax.random.key(3))
    speeds = []
    for _ in range(200):
        np.testing.assert_allclose(state.obs, copy_state(gym_env, state), atol=1e-6)
        action = (np.sign(state.obs[2:]) * rng.uniform(0, 2, 1)).astype(np.float32)  # most of them swing it higher
        state, ours = step(jax.random.key(0), state, env.spec.from_native(action))
        obs, reward, *_ = gym_env.step(action)
        np.testing.assert_allclose(ours.next_obs, obs, atol=5e-6)
        np.testing.assert_allclose(ours.reward, reward, atol=2e-5)
        speeds.append(abs(obs[2]))
    assert max(speeds) > 4


@pytest.mark.parametrize("prefix", ["", "pixels/"])
def test_our_mountain_car_is_gymnasiums_at_the_wall_too(prefix):
    """Each step of an episode that is driven into the left wall, up to the rounding of float32.

    The observation is compared in test_envs.py; with images as observations, the states alone are there to compare.
    """
    env, theirs = make_env(f"{prefix}MountainCarContinuous-v0", action_repeat=1), gymnasium.make(CAR)
    theirs.reset()
    step, state, hits = jax.jit(env.step), env.reset(jax.random.key(3)), 0
    for _ in range(150):
        now = np.array([state.inner.position, state.inner.velocity]).T.reshape(-1, 2)[-1]
        theirs.unwrapped.state = now
        action = np.sign(now[1:] + 1e-9)  # which swings it ever higher, in both directions
        state, ours = step(jax.random.key(0), state, jnp.asarray(action))
        obs, reward, terminated, *_ = theirs.step(action)
        after = np.array([state.inner.position, state.inner.velocity]).T.reshape(-1, 2)[-1]
        np.testing.assert_allclose(after, obs, atol=1e-6)
        if not prefix:
            np.testing.assert_allclose(ours.next_obs, obs, atol=1e-6)
        np.testing.assert_allclose(ours.reward, reward, rtol=1e-6)
        assert bool(ours.terminated) == terminated
        hits += obs[0] == np.float32(-1.2)
        if terminated:
            break
    assert terminated
    assert hits > 0
    theirs.close()


def test_a_policy_scores_the_same_in_both(gym_env, run):
    """Whole episodes from the same initial states; the brake damps what rounding changes on the way."""
    env, policy = make_env("Pendulum-v1"), load_policy(run)
    braking = Policy(env.spec, 0, lambda obs: np.clip(policy.act(obs) / 8 - obs[..., 2:] / 2, -1, 1))
    step = jax.jit(env.step)
    for seed in range(3):
        state = env.reset(jax.random.key(seed))
        obs, ours, theirs, truncated = copy_state(gym_env, state), 0.0, 0.0, False
        while not truncated:
            state, transition = step(jax.random.key(0), state, env.spec.from_native(braking(state.obs)))
            obs, reward, _, truncated, _ = gym_env.step(braking(obs))
            ours, theirs = ours + float(transition.reward), theirs + reward
        assert transition.truncated
        assert theirs < -100
        np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_playing_sums_rewards_and_counts_decisions():
    ours = as_gymnasium(toys.counting(toys.clock(5), 5, reward=lambda time: 1.0 + time))
    played = play_gymnasium(lambda obs: np.zeros(1), ours, episodes=3)
    assert played.returns.tolist() == [15.0] * 3
    assert played.lengths.tolist() == [5] * 3
    spec = toys.spec((1,), 1)._replace(action_repeat=2)
    played = play_gymnasium(Policy(spec, 0, lambda obs: np.zeros(1)), ours, episodes=2)
    assert played.returns.tolist() == [15.0] * 2
    assert played.lengths.tolist() == [3] * 2


def test_a_function_may_have_a_spec_of_its_own():
    """As one of another library has, which says nothing about repeated actions."""

    def policy(obs):
        return np.zeros(1)

    policy.spec = "mine"
    assert play_gymnasium(policy, as_gymnasium(toys.counting(toys.clock(5), 5)), episodes=1).lengths.tolist() == [5]


def test_the_seed_determines_the_episodes(run):
    policy = load_policy(run)
    first, again, other = (play_gymnasium(policy, "Pendulum-v1", 2, seed).returns for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len({*first, *other}) == 4


def test_an_environment_that_was_passed_stays_open(run, gym_env, monkeypatch):
    closed = []
    monkeypatch.setattr(gym_env.unwrapped, "close", lambda: closed.append(True))
    play_gymnasium(load_policy(run), gym_env, 1)
    assert not closed


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("CartPole-v1", r"CartPole-v1 must have Boxes of observations and of actions, not .* and Discrete\(2\)"),
        ("MountainCarContinuous-v0", r"observations of shape \(3,\) and dtype float32, .* not \(2,\) and float32"),
        (":Pendulum-v1", r"Gymnasium does not make ':Pendulum-v1' \("),
        ("Pendulums-v1", r"Gymnasium does not make 'Pendulums-v1' \(.*did you mean|Did you mean"),
        ("no_such_package:Pendulum-v1", "does not make 'no_such_package:Pendulum-v1'"),
        (3, "env must be a Gymnasium id or a gymnasium.Env, not a int"),
        (as_gymnasium(echoing()), r"echo must give observations of shape \(3,\)"),
    ],
)
def test_environments_that_do_not_fit_are_refused(run, env, message):
    with pytest.raises(SettingError, match=message) as refusal:
        play_gymnasium(load_policy(run), env, 1)
    assert ". " not in str(refusal.value)


def test_other_bounds_are_refused(run):
    other = gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(-1), np.float32(1))
    with pytest.raises(SettingError, match=r"actions from \[-2.0\] to \[2.0\].*not from \[-1.0\] to \[1.0\]"):
        play_gymnasium(load_policy(run), other, 1)
    floats = as_gymnasium(echoing())
    bytes_wanted = Policy(toys.spec((2, 1), 1, np.uint8), 0, lambda obs: np.zeros(1))
    with pytest.raises(SettingError, match="dtype uint8"):
        play_gymnasium(bytes_wanted, floats, 1)


@pytest.mark.parametrize("numbers", [{"episodes": 0}, {"seed": -1}, {"seed": 0.5}, {"episodes": 1.5}])
def test_numbers_that_cannot_be_used_are_refused(run, numbers):
    with pytest.raises(SettingError, match=f"{next(iter(numbers))} must be"):
        play_gymnasium(load_policy(run), "Pendulum-v1", **numbers)


def test_the_command_line_plays_every_seed_in_gymnasium(run, capsys):
    command = ["evaluate", str(run), "--gymnasium", "Pendulum-v1", "--episodes", "2", "--seed", "1", "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["environment"], result["episodes"]) == ("Gymnasium's Pendulum-v1", 2)
    assert [row["seed"] for row in result["seeds"]] == [3, 4]
    for row in result["seeds"]:
        returns = play_gymnasium(load_policy(run, row["seed"]), "Pendulum-v1", 2, 1).returns
        np.testing.assert_allclose(row["mean"], returns.mean(), rtol=1e-5)
        assert row["length"] == 200
    assert result["seeds"][0]["mean"] != result["seeds"][1]["mean"]
    assert main(["evaluate", str(run), "--gymnasium", "CartPole-v1"]) == 2
    assert "error: CartPole-v1 must have Boxes of observations" in capsys.readouterr().err
