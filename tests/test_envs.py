"""The adapters: gymnax, Brax, Playground, the linear-quadratic problem and a user's own objects."""

import os
import pathlib
import subprocess
import sys
import warnings

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from gymnax.wrappers import purerl
from probes import Echo, FarWalk, Metronome, Steps, WalkParams
from toys import slow, slow_but_for

from ddpg_jax import SettingError, make_env
from ddpg_jax.envs import brax as brax_suite
from ddpg_jax.envs import elsewhere, lqr, playground
from ddpg_jax.envs.make import ids
from ddpg_jax.envs.third_party import KNOWN_NOISE, suppress_known_noise

with suppress_known_noise():
    from brax import envs as brax_envs
    from brax.envs.wrappers import training as brax_wrappers

KEY = jax.random.key(0)
GYMNAX = ["Pendulum-v1", "MountainCarContinuous-v0", "Reacher-misc", "Swimmer-misc", "PointRobot-misc"]
BRAX = [
    "ant",
    "fast",
    "halfcheetah",
    "hopper",
    "humanoid",
    "humanoidstandup",
    "inverted_double_pendulum",
    "inverted_pendulum",
    "pusher",
    "reacher",
    "swimmer",
    "walker2d",
]


def avals(tree):
    """Structure, shapes, dtypes and weak types: what a loop must not change, and jit compiles anew for."""
    leaves = jax.tree.leaves(tree)
    return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in leaves]


def refusal(env, **options):
    """The sentence with which `make_env` refuses."""
    with pytest.raises(ValueError, match=r"[.?]$") as caught:
        make_env(env, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message
    return message


def carried(env):
    """The shapes of a state, once it is sure that a loop can carry it."""
    state = jax.eval_shape(env.reset, KEY)
    action = jax.ShapeDtypeStruct((env.spec.action_size,), jnp.float32)
    after, transition = jax.eval_shape(env.step, KEY, state, action)
    assert avals(after) == avals(state)
    assert transition.obs.shape == transition.next_obs.shape == env.spec.obs_shape
    assert transition.obs.dtype == transition.next_obs.dtype == env.spec.obs_dtype
    assert [(leaf.shape, leaf.dtype) for leaf in (transition.reward, transition.discount)] == [((), jnp.float32)] * 2
    assert (transition.truncated.shape, transition.truncated.dtype) == ((), bool)
    return state


def some_state(env):
    """A state of zeros: compiling a reset takes as long as compiling a step."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carried(env))


# gymnax


@pytest.mark.parametrize("name", GYMNAX)
def test_gymnax_steps_agree_with_step_env_by_hand_up_to_the_time_limit(name):
    env, (raw, params) = make_env(name), gymnax.make(name)
    carried(env)
    limit = params.max_steps_in_episode
    assert env.spec.episode_length == limit
    action = jnp.linspace(-1, 1, 3 * env.spec.action_size).reshape(3, -1)
    low, high = (np.asarray(bound) for bound in (raw.action_space(params).low, raw.action_space(params).high))

    @jax.jit
    @jax.vmap
    def both(key, action, late):
        state = env.reset(key)
        time = jnp.where(late, limit - 1, 0)
        state = state.replace(time=time, inner=state.inner.replace(time=time.astype(state.inner.time.dtype)))
        native = (low + high) / 2 + action * (high - low) / 2
        return state, env.step(key, state, action)[1], raw.step_env(key, state.inner, native, params)

    state, transition, (obs, _, reward, done, _) = both(jax.random.split(KEY, 3), action, jnp.array([0, 1, 1], bool))
    np.testing.assert_allclose(transition.next_obs, obs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(transition.reward, reward, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(transition.obs, state.obs)
    np.testing.assert_array_equal(transition.action, action)
    assert not done.any()
    assert transition.discount.tolist() == [1, 1, 1]
    assert transition.truncated.tolist() == [False, True, True]


@pytest.mark.parametrize("time", [0, 998])  # 999 is the limit: an end on the last step is still a termination
def test_reaching_the_goal_of_the_mountain_car_terminates(time):
    env = make_env("MountainCarContinuous-v0")
    state = env.reset(KEY)
    inner = state.inner.replace(position=jnp.float32(0.44), velocity=jnp.float32(0.06), time=jnp.int32(time))
    state = state.replace(inner=inner, time=jnp.int32(time))
    transition = jax.jit(env.step)(KEY, state, jnp.ones(1))[1]
    assert (float(transition.discount), bool(transition.truncated)) == (0, False)
    assert transition.next_obs[0] >= 0.45
    assert transition.reward > 99


@pytest.mark.parametrize("length", [3, 300])
def test_episode_length_replaces_the_limit_of_gymnax(length):
    env = make_env("Pendulum-v1", episode_length=length)
    assert env.spec.episode_length == env.spec.max_decisions == length
    steps = 300

    def step(state, clock):
        state, transition = env.step(KEY, state, jnp.zeros(1))
        return state, transition

    transition = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(steps))[1])(env.reset(KEY))
    assert np.argmax(transition.truncated) == length - 1
    assert (transition.discount == 1).all()


def test_action_repeat_adds_up_gymnax_steps():
    once, thrice = make_env("Pendulum-v1"), make_env("Pendulum-v1", action_repeat=3)
    assert thrice.spec.max_decisions == 67
    first, action, total = once.reset(KEY), jnp.full(1, 0.7), 0.0
    state, step = first, jax.jit(once.step)  # Pendulum's dynamics draw nothing: the keys do not matter
    for _ in range(3):
        state, transition = step(KEY, state, action)
        total += transition.reward
    repeated = jax.jit(thrice.step)(KEY, first, action)[1]
    np.testing.assert_allclose(repeated.next_obs, transition.next_obs, rtol=1e-5)
    np.testing.assert_allclose(repeated.reward, total, rtol=1e-5)


def test_discrete_actions_are_refused_by_name():
    assert "CartPole-v1 has discrete actions" in refusal("CartPole-v1")


@pytest.mark.parametrize(
    "bounds", [(-np.inf, np.inf), (0.0, np.inf), (-np.inf, 0.0), (1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (-3e38, 3e38)]
)
def test_bounds_that_are_no_box_are_refused_by_name(bounds):
    message = refusal(Echo(*bounds, (2,)))
    assert message.startswith("Echo has action bounds")


def test_wrappers_that_override_what_is_not_called_are_refused():
    class Passing:
        """A wrapper in gymnax's style, which hands on what it does not have."""

        def __init__(self, env):
            self._env = env

        def __getattr__(self, name):
            return getattr(self._env, name)

    class Frozen(Passing):
        def step(self, key, state, action, params=None):
            return self._env.step(key, state, 0 * action, params)

    pendulum = gymnax.make("Pendulum-v1")[0]
    said = "Pendulum-v1: Frozen overrides step, which is not called; override step_env, or pass the environment without"
    assert refusal(Frozen(pendulum)) == f"{said} its Frozen."
    assert refusal(Frozen(FarWalk())).startswith("FarWalk: Frozen overrides step")
    assert refusal(Passing(Frozen(FarWalk()))).startswith("FarWalk: Frozen overrides step")
    assert "LogWrapper overrides reset" in refusal(purerl.LogWrapper(pendulum))
    half = type("Half", (type(pendulum),), {"step": lambda self, *args: pendulum.step(*args)})
    assert "Half overrides step, which is not called" in refusal(half())
    for fine in (pendulum, Passing(pendulum), purerl.GymnaxWrapper(pendulum)):
        assert make_env(fine).spec.name == "Pendulum-v1"


# Brax


def test_the_brax_tasks_are_those_tested_here():
    assert sorted(brax_suite.names()) == BRAX


@pytest.mark.parametrize("name", slow_but_for(BRAX, "ant", "fast", "inverted_pendulum", "swimmer"))
def test_every_brax_task_can_be_carried_through_a_loop(name):
    env = make_env(f"brax/{name}")
    assert env.spec.name == f"brax/{name}"
    assert env.spec.episode_length == 1000
    assert (env.spec.action_low == -1).all()
    assert (env.spec.action_high == 1).all()
    carried(env)


@pytest.mark.parametrize("backend", ["spring", *slow("positional")])
def test_the_other_backends_trace(backend):
    carried(make_env("brax/inverted_pendulum", backend=backend))


def test_the_mjx_backend_steps():
    env = make_env("brax/inverted_pendulum", backend="mjx")
    zeros = some_state(env)
    after, transition = jax.jit(env.step)(KEY, zeros, jnp.full(1, 0.1))
    np.testing.assert_array_equal(transition.next_obs, after.inner.obs)
    assert (transition.next_obs[0] > 0, transition.next_obs[1] < 0) == (True, True)  # the cart is pushed, the pole lags
    assert (float(transition.reward), float(transition.discount), int(after.time)) == (1, 1, 1)


def test_the_pendulum_falls_over_and_that_terminates():
    env = make_env("brax/inverted_pendulum", backend="generalized")

    @jax.jit
    def push(key):
        def step(state, clock):
            state, transition = env.step(key, state, jnp.full(1, 0.05))
            return state, (transition, state.inner.obs, state.inner.reward)

        return jax.lax.scan(step, env.reset(key), jnp.arange(60))[1]

    steps, obs, reward = push(KEY)
    end = int(np.argmax(abs(obs[:, 1]) > 0.2))  # where brax gives the pendulum up
    assert 2 < end < 59
    assert steps.discount[: end + 1].tolist() == [1] * end + [0]
    assert not steps.truncated.any()
    np.testing.assert_array_equal(steps.next_obs, obs)
    np.testing.assert_array_equal(steps.reward, reward)
    np.testing.assert_array_equal(steps.obs[1:], steps.next_obs[:-1])


def test_fluid_forces_find_their_clip():
    make_env("brax/fast")  # swimmer's own `clip(a_min=)` would fail to trace, above, on jax 0.10
    from brax import fluid

    assert fluid.jp.clip(jnp.array([-1.0, 2.0]), a_min=0.5).tolist() == [0.5, 2]
    assert fluid.jp.clip(jnp.array([-1.0, 2.0]), 0, 1).tolist() == [0, 1]
    assert fluid.jp.sqrt is jnp.sqrt


@pytest.mark.parametrize(("length", "repeat"), [(6, 2), (4, 1)])
def test_time_limit_and_action_repeat_agree_with_braxs_own_wrapper(length, repeat):
    env = make_env("brax/fast", episode_length=length, action_repeat=repeat)
    wrapper = brax_wrappers.EpisodeWrapper(brax_envs.get_environment("fast"), length, repeat)
    step, reference = jax.jit(env.step), jax.jit(wrapper.step)
    state, expected = env.reset(KEY), wrapper.reset(KEY)
    for decision in range(length // repeat):
        action = jnp.full(1, 0.5 if decision else -0.5)
        state, transition = step(KEY, state, action)
        expected = reference(expected, action)
        np.testing.assert_allclose(transition.next_obs, expected.obs, rtol=1e-6)
        np.testing.assert_allclose(transition.reward, expected.reward, rtol=1e-6)
        assert transition.truncated == expected.info["truncation"] == expected.done
        assert transition.discount == 1
    assert transition.truncated


def test_a_brax_time_limit_wrapper_truncates():
    env = make_env(brax_wrappers.EpisodeWrapper(brax_envs.get_environment("fast"), 2, 1))
    carried(env)
    state, step = env.reset(KEY), jax.jit(env.step)
    seen = []
    for _ in range(2):
        state, transition = step(KEY, state, jnp.ones(1))
        seen.append((float(transition.discount), bool(transition.truncated)))
    assert seen == [(1, False), (1, True)]


def test_wrappers_that_restart_or_batch_are_refused():
    fast = brax_envs.get_environment("fast")
    assert "without its AutoResetWrapper" in refusal(brax_envs.create("fast"))
    assert "without its AutoResetWrapper" in refusal(brax_wrappers.wrap(fast))
    assert "without its AutoResetWrapper" in refusal(brax_wrappers.Wrapper(brax_envs.create("fast")))
    assert "without its VmapWrapper" in refusal(brax_wrappers.VmapWrapper(fast, 4))


def test_observations_of_several_arrays_are_refused():
    several = brax_envs.get_environment("fast", obs_mode="dict_latent_state")
    assert "Fast observes a dict; a single array is needed" in refusal(several)

    class Pair(Echo):
        def reset_env(self, key, params):
            return {"a": jnp.zeros(1), "b": jnp.zeros(1)}, jnp.zeros(())

    assert "Pair observes a dict; a single array is needed" in refusal(Pair(-1, 1, (1,)))


def test_backends_are_refused_in_one_sentence():
    assert "backend must be one of mjx, spring, positional, generalized, not 'bullet'" in refusal(
        "brax/ant", backend="bullet"
    )
    assert refusal("brax/swimmer", backend="mjx") == "brax/swimmer does not run on the mjx backend."


# Noise of third parties


def test_start_up_is_silent_and_leaves_no_file(tmp_path):
    program = """
import jax
from ddpg_jax import make_env
env = make_env("brax/halfcheetah", backend="spring")  # its model has the deprecated settotalmass
jax.eval_shape(env.reset, jax.random.key(0))
try:
    make_env("nonsense")
except ValueError:
    pass
"""
    root = str(pathlib.Path(__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_other_warnings_pass():
    import mujoco

    with warnings.catch_warnings(record=True) as caught, suppress_known_noise():
        warnings.simplefilter("always", append=True)
        warnings.warn("Brax is fine, but the roof is leaking", stacklevel=1)
        mujoco.get_mju_user_warning()("the model is unstable")
        for line in KNOWN_NOISE:
            warnings.warn(f"{line}, so they say", stacklevel=1)
    messages = [str(warning.message) for warning in caught]
    assert messages == ["Brax is fine, but the roof is leaking", "the model is unstable"]


def test_other_lines_pass_even_before_an_error(capsys):
    import mujoco

    def fail():
        with suppress_known_noise():
            print("Failed to import warp: No module named 'warp'")
            print("Failed to import the dishes")
            raise RuntimeError("no model")

    def handler(message):
        raise AssertionError(message)

    mujoco.set_mju_user_warning(handler)
    try:
        with pytest.raises(RuntimeError, match="no model"):
            fail()
        assert mujoco.get_mju_user_warning() is handler
    finally:
        mujoco.set_mju_user_warning(None)
    assert "".join(capsys.readouterr()) == "Failed to import the dishes\n"


# The user's own objects, and what is refused


def test_objects_of_both_styles_and_envs_are_taken():
    walk, steps = make_env(FarWalk(), episode_length=7), make_env(Steps(goal=1.5), episode_length=9, name="steps")
    assert (walk.spec.name, walk.spec.episode_length, walk.spec.obs_shape) == ("FarWalk", 7, (2,))
    assert (steps.spec.name, steps.spec.episode_length, steps.spec.obs_shape) == ("steps", 9, (1,))
    assert make_env(walk) is walk
    assert make_env(FarWalk(), params=WalkParams(max_steps_in_episode=8)).spec.episode_length == 8
    assert make_env(Metronome()).spec.episode_length == 1000


def test_a_brax_style_object_steps_in_its_own_bounds():
    env = make_env(Steps(goal=2.5), action_low=0, action_high=2)
    state, seen = env.reset(KEY), []
    for action in (0.0, -1.0, 1.0):
        state, transition = env.step(KEY, state, jnp.full(1, action))
        seen.append((float(transition.next_obs[0]), float(transition.reward), float(transition.discount)))
    assert seen == [(1, 1, 1), (1, 1, 1), (3, 3, 0)]


@pytest.mark.parametrize("thing", [3, None, object(), np.zeros(3), {"env": "Pendulum-v1"}])
def test_other_objects_are_refused(thing):
    assert f"{type(thing).__name__} is neither an id nor an environment" in refusal(thing)


def test_a_half_finished_object_is_refused():
    class Half:
        reset_env = step_env = None

    assert "Half lacks action_space; reset_env returns (obs, state), and step_env (obs, state," in refusal(Half())
    assert "Other is neither an id nor an environment" in refusal(type("Other", (), {"step_env": None})())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Pendulum-v0", "Pendulum-v1"),
        ("pendulum", "Pendulum-v1"),
        ("brax/antt", "brax/ant"),
        ("ant", "brax/ant"),
        ("lqr2", "lqr"),
        ("lqrlqr", "lqr"),
    ],
)
def test_an_unknown_id_is_refused_with_the_nearest(name, near):
    assert refusal(name) == f"There is no environment {name!r}; did you mean {near}?"


BRAX_PHYSICS = "the same task with Brax's own physics, so returns are not those in MuJoCo."
FOREIGN = {
    "HalfCheetah-v4": f"here it is brax/halfcheetah, {BRAX_PHYSICS}",
    "gymnasium/Ant-v5": f"here it is brax/ant, {BRAX_PHYSICS}",
    "InvertedDoublePendulum-v4": f"here it is brax/inverted_double_pendulum, {BRAX_PHYSICS}",
    "Reacher-v5": f"here it is brax/reacher, {BRAX_PHYSICS}",
    "dm_control/cheetah-run": "here it is playground/CheetahRun, the same task in MJX.",
    "dm_control/ball_in_cup-catch-v0": "here it is playground/BallInCup, the same task in MJX.",
    "dm_control/quadruped-walk": "MuJoCo Playground, which has many of dm_control's tasks, does not have it; "
    "`ddpg-jax envs` lists those here.",
    "LunarLander-v2": "it has discrete actions, and a deterministic policy gradient needs a continuous box.",
    "ALE/Pong-v5": "it has discrete actions, and a deterministic policy gradient needs a continuous box.",
    "LunarLanderContinuous-v2": "it needs Box2D, which does not run in JAX; `ddpg-jax envs` lists what does.",
    "hopper": "did you mean brax/hopper?",
    "walker": "did you mean brax/walker2d?",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_id_of_another_library_is_answered_with_ours(name):
    assert refusal(name) == f"There is no environment {name!r}; {FOREIGN[name]}"


def test_the_table_of_foreign_ids_names_environments_that_are_here():
    assert {f"brax/{name}" for name in elsewhere.BRAX.values()} <= set(ids("brax/"))


def test_the_tasks_of_playground_are_those_that_it_has():
    pytest.importorskip("mujoco_playground")
    assert set(ids("playground/")) == {f"playground/{name}" for name in elsewhere.PLAYGROUND}


@pytest.mark.parametrize("name", ["", "brax/", "§§§§§§§§"])
def test_an_unknown_id_without_a_near_one_is_refused(name):
    assert refusal(name).startswith(f"There is no environment {name!r};")


def test_numbers_of_numpy_are_options():
    length = make_env("lqr", episode_length=np.int64(9)).spec.episode_length
    assert (length, type(length)) == (9, int)


def test_foreign_options_are_refused():
    has = "it has episode_length, action_repeat"
    assert refusal("Pendulum-v1", backend="mjx") == f"Pendulum-v1 has no option 'backend'; {has}."
    assert "lqr has no option 'impl'" in refusal("lqr", impl="jax")
    assert "brax/fast has no option 'params'" in refusal("brax/fast", params=1)
    assert "FarWalk has no option 'backend'; it has params" in refusal(FarWalk(), backend="mjx")
    assert "Steps has no option 'params'" in refusal(Steps(), params=1)
    assert "lqr has no option 'episode_length'" in refusal(make_env("lqr"), episode_length=3)
    assert make_env("lqr", backend=None, episode_length=None).spec.episode_length == 50


@pytest.mark.parametrize("value", [0, -1, 2.5, "ten"])
@pytest.mark.parametrize("option", ["episode_length", "action_repeat"])
def test_lengths_that_are_no_counts_are_refused(option, value):
    assert refusal("Pendulum-v1", **{option: value}).startswith(f"{option} must be a whole number of at least 1")


@pytest.mark.parametrize(("option", "high"), [("episode_length", 100_000_000), ("action_repeat", 1_000)])
def test_lengths_beyond_what_a_run_may_have_are_refused(option, high):
    for env in ("lqr", FarWalk()):
        assert refusal(env, **{option: high + 1}) == f"{option} must be at most {high:,}, not {high + 1}."
    assert getattr(make_env("lqr", **{option: high}).spec, option) == high


# Playground


@pytest.mark.parametrize("name", slow_but_for(["CartpoleBalance", "CheetahRun"], "CartpoleBalance"))
def test_playground_tasks_step(name):
    pytest.importorskip("mujoco_playground")
    env = make_env(f"playground/{name}", episode_length=3)
    assert env.spec.name == f"playground/{name}"
    assert (env.spec.action_low.tolist(), env.spec.action_high.tolist()) == (
        [-1.0] * env.spec.action_size,
        [1.0] * env.spec.action_size,
    )
    state = some_state(env).replace(time=jnp.int32(2))
    after, transition = jax.jit(env.step)(KEY, state, jnp.full(env.spec.action_size, 0.5))
    np.testing.assert_array_equal(transition.next_obs, after.inner.obs)
    assert jnp.isfinite(transition.next_obs).all()
    assert (transition.next_obs != 0).any()
    assert (float(transition.discount), bool(transition.truncated), int(after.time)) == (1, True, 3)


def test_playground_names_lengths_and_refusals():
    pytest.importorskip("mujoco_playground")
    assert {"CartpoleBalance", "CheetahRun"} <= set(playground.names())
    assert refusal("playground/CheetaRun") == (
        "There is no environment 'playground/CheetaRun'; did you mean playground/CheetahRun?"
    )
    assert "no option 'backend'" in refusal("playground/CheetahRun", backend="mjx")


def test_an_unknown_implementation_of_the_physics_is_refused():
    with pytest.raises(SettingError, match=r"impl must be one of jax, warp, not 'foo'\."):
        playground.make("CheetahRun", impl="foo")


def test_playground_without_its_extra_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_playground", None)
    assert "pip install 'ddpg_jax[playground]'" in refusal("playground/CheetahRun")
    assert refusal("Pendulum-v2") == "There is no environment 'Pendulum-v2'; did you mean Pendulum-v1?"


# The linear-quadratic problem

NOISY = lqr.Problem(noise=0.2)
WIDE = lqr.Problem(
    a=np.array([[0.9, 0.3, 0.0], [-0.2, 1.0, 0.1], [0.0, 0.4, 0.8]]),
    b=np.array([[0.0, 0.5], [0.3, 0.0], [0.2, -0.4]]),
    q=np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.0], [0.0, 0.0, 0.3]]),
    r=np.array([[0.5, 0.1], [0.1, 0.8]]),
    noise=0.3,
)


@pytest.mark.parametrize("problem", [NOISY, WIDE])
@pytest.mark.parametrize("discount", [0.8, 0.99])
def test_the_optimum_is_the_fixed_point_of_value_iteration(problem, discount):
    a, b, q, r, noise = problem[:5]
    value, constant = np.zeros_like(q), 0.0  # V(x) = -(x' value x + constant)
    for _ in range(5000):
        curved = r + discount * b.T @ value @ b
        gain = np.linalg.solve(curved, discount * b.T @ value @ a)
        closed = a - b @ gain
        constant = discount * (constant + noise**2 * np.trace(value))
        value = q + gain.T @ r @ gain + discount * closed.T @ value @ closed
    found_gain, h, c = lqr.solve(problem, discount)
    np.testing.assert_allclose(found_gain, gain, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(c, constant, rtol=1e-8)
    lift = np.hstack([a, b])
    np.testing.assert_allclose(h, scipy.linalg.block_diag(q, r) + discount * lift.T @ value @ lift, rtol=1e-8)


@pytest.mark.parametrize("problem", [NOISY._replace(noise=0.0), WIDE._replace(noise=0.0)])
def test_q_is_the_discounted_return_of_the_environment_under_the_gain(problem):
    discount, env = 0.95, make_env("lqr", problem=problem)
    gain, h, c = lqr.solve(problem, discount)
    x, u = np.linspace(-0.8, 0.9, len(problem.a)), np.linspace(0.5, -0.7, len(problem.r))
    assert c == 0

    @jax.jit
    def discounted_return(u):
        state = env.reset(KEY).replace(inner=jnp.asarray(x, jnp.float32), obs=jnp.asarray(x, jnp.float32))

        def step(carry, clock):
            state, u = carry
            state, transition = env.step(KEY, state, u / problem.bound)
            return (state, -gain @ state.obs), discount**clock * transition.reward

        return jax.lax.scan(step, (state, u), jnp.arange(400))[1].sum()

    z, best = np.concatenate([x, u]), -gain @ x
    np.testing.assert_allclose(discounted_return(jnp.asarray(u, jnp.float32)), -z @ h @ z, rtol=1e-4)
    optimum = discounted_return(jnp.asarray(best, jnp.float32))
    assert all(discounted_return(jnp.asarray(best + d, jnp.float32)) < optimum for d in (-0.3, 0.3))


@pytest.mark.parametrize("problem", [NOISY, WIDE])
@pytest.mark.parametrize("discount", [0.8, 0.99])
def test_the_value_of_the_best_gain_is_the_optimum(problem, discount):
    gain, h, c = lqr.solve(problem, discount)
    found, constant = lqr.policy_value(problem, gain, discount)
    np.testing.assert_allclose(found, h, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(constant, c, rtol=1e-8)


@pytest.mark.parametrize("problem", [NOISY, WIDE])
def test_the_value_of_another_gain_is_the_discounted_return_under_it(problem):
    """Summed over 400 steps, from the second moment of state and input together."""
    discount = 0.9
    a, b, q, r, noise = problem[:5]
    gain = 0.7 * lqr.solve(problem, discount)[0] + 0.1
    h, c = lqr.policy_value(problem, gain, discount)
    first = np.concatenate([np.linspace(-0.8, 0.9, len(a)), np.linspace(0.5, -0.7, len(r))])
    moment, total = np.outer(first, first), 0.0
    step, acting = np.hstack([a, b]), np.vstack([np.eye(len(a)), -gain])
    for clock in range(400):
        total -= discount**clock * np.trace(scipy.linalg.block_diag(q, r) @ moment)
        moment = acting @ (step @ moment @ step.T + noise**2 * np.eye(len(a))) @ acting.T
    np.testing.assert_allclose(total, -first @ h @ first - c, rtol=1e-9)


def test_without_noise_there_is_an_optimum_of_undiscounted_returns():
    gain, h, c = lqr.solve(lqr.Problem(), 1.0)
    found, constant = lqr.policy_value(lqr.Problem(), gain, 1.0)
    np.testing.assert_allclose(found, h, rtol=1e-8)
    assert (c, constant) == (0, 0)


def test_the_value_of_a_gain_whose_return_diverges_is_refused():
    with pytest.raises(ValueError, match="diverges"):
        lqr.policy_value(NOISY, np.array([[-1.0, -1.0]]), 0.99)


def test_the_noise_and_the_first_states_of_lqr_have_the_stated_spread():
    env = make_env("lqr", problem=lqr.Problem(noise=0.2, spread=3.0))
    state = jax.vmap(env.reset)(jax.random.split(KEY, 4096))
    obs = np.asarray(state.obs)
    np.testing.assert_allclose(
        [obs.min(axis=0), obs.max(axis=0), obs.std(axis=0)],
        np.array([[-3.0], [3.0], [np.sqrt(3)]]) * np.ones(2),
        atol=0.05,
    )
    step = jax.jit(jax.vmap(env.step, in_axes=(0, None, None)))
    one = env.reset(KEY)
    moved = np.asarray(step(jax.random.split(KEY, 4096), one, jnp.zeros(1))[1].next_obs)
    np.testing.assert_allclose(moved.std(axis=0), 0.2, rtol=0.05)
    np.testing.assert_allclose(moved.mean(axis=0), lqr.Problem().a @ one.obs, atol=0.02)
