"""Environments seen as images: what the pictures show, how they are stacked, and that nothing else changes."""

from types import SimpleNamespace

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import FAR, Echo, FarWalk, WalkParams

from ddpg_jax import make_env, pixels
from ddpg_jax.cli.main import main
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.envs.pixels import RENDERERS
from ddpg_jax.envs.suites import ids

KEY = jax.random.key(0)
PENDULUM, CAR = "Pendulum-v1", "MountainCarContinuous-v0"
SIZE, MIDDLE = 64, 31.5
WHITE, HILL, FLAG = 255, 89, 166  # bytes of the car, the hill and the flag
RANGE = {PENDULUM: ("theta", -np.pi, np.pi), CAR: ("position", -1.2, 0.6)}


def pictures(name, values, size=SIZE):
    """[len(values), size, size] the pictures of angles or positions, as bytes in int32."""
    field, draw = RANGE[name][0], RENDERERS[name](size)
    drawn = jax.jit(jax.vmap(lambda value: draw(SimpleNamespace(**{field: value}))))(jnp.asarray(values, jnp.float32))
    return np.rint(np.asarray(drawn) * 255).astype(np.int32)


def center(mass):
    """(x to the right, y upwards) of the center of mass [H, W], in pixels from the middle."""
    rows, columns = np.indices(mass.shape)
    return (mass * (columns - MIDDLE)).sum() / mass.sum(), (mass * (MIDDLE - rows)).sum() / mass.sum()


def refusal(call, *args, **options):
    """The sentence with which a call is refused."""
    with pytest.raises(ValueError, match=r"[.?]$") as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message
    return message


# What the pictures show


@pytest.mark.parametrize("angle", np.linspace(-np.pi, np.pi, 9))
def test_the_rod_points_up_at_0_and_turns_counter_clockwise(angle):
    picture = pictures(PENDULUM, [angle])[0]
    x, y = center(picture)
    reach = np.hypot(x, y)
    assert reach > 5
    np.testing.assert_allclose([x / reach, y / reach], [-np.sin(angle), np.cos(angle)], atol=0.02)
    rows, columns = np.nonzero(picture > 128)
    assert np.hypot(rows - MIDDLE, columns - MIDDLE).max() == pytest.approx(0.445 * SIZE, abs=1)  # the rod's far end


def test_up_is_where_gymnax_rewards_and_a_positive_torque_turns_to_the_left_of_up():
    raw, params = gymnax.make(PENDULUM)
    _, state = raw.reset_env(KEY, params)
    up = state.replace(theta=jnp.zeros(()), theta_dot=jnp.zeros(()))
    step = jax.jit(raw.step_env)
    _, state, reward, _, _ = step(KEY, up, jnp.zeros(1), params)
    assert reward == 0
    for _ in range(5):
        _, state, _, _, _ = step(KEY, state, jnp.full(1, 2.0), params)
    x, y = center(pictures(PENDULUM, [state.theta])[0])
    assert x < -1
    assert y > 0


@pytest.mark.parametrize("position", [-1.2, -0.9, -0.5236, -0.2, 0.1, 0.45, 0.6])
def test_the_car_stands_on_the_hill(position):
    far = 0.6 if position < 0 else -1.2
    picture, scene = pictures(CAR, [position, far])
    x, y = center(np.maximum(picture - scene, 0) * (picture > FLAG + 10))
    rows, columns = np.nonzero(abs(scene - HILL) < 3)
    gaps = np.hypot(columns - MIDDLE - x, MIDDLE - rows - y)
    assert gaps.min() == pytest.approx(0.05 * SIZE, abs=1)  # the disc's radius
    touched = columns[gaps < gaps.min() + 0.7].mean() - MIDDLE
    assert touched == pytest.approx(0.86 * SIZE / 1.8 * (position + 0.3), abs=1.5)
    assert (picture == WHITE).sum() > 10


def test_the_hill_and_the_flag_are_where_gymnax_has_them():
    scene = pictures(CAR, [-1.2])[0]
    position = (np.arange(SIZE) - MIDDLE) / (0.86 * SIZE / 1.8) - 0.3
    height = (abs(scene - HILL) < 3).sum(axis=0)[6:]  # the car hides the left
    valley = position[6:][height == height.min()].mean()
    assert valley == pytest.approx(-np.pi / 6, abs=0.03)  # where gymnax's gravity, -cos(3 position), turns
    assert np.corrcoef(height, np.sin(3 * position[6:]))[0, 1] > 0.999
    mast = np.nonzero(abs(scene - FLAG) < 40)[1].max()
    assert position[mast] == pytest.approx(gymnax.make(CAR)[1].goal_position, abs=0.05)


@pytest.mark.parametrize("name", RANGE)
def test_no_two_states_look_alike_and_the_picture_moves_smoothly(name):
    _, low, high = RANGE[name]
    steps = 2048
    drawn = pictures(name, np.linspace(low, high, steps, endpoint=False))
    assert len({picture.tobytes() for picture in drawn}) == steps
    length = {PENDULUM: 2 * np.pi * 0.445 * SIZE, CAR: 2.2 * 0.86 * SIZE}[name]  # of the way, in pixels
    assert abs(np.diff(drawn, axis=0)).max() <= 1.2 * 255 * length / steps + 1  # a pixel's shade follows the distance


@pytest.mark.parametrize("name", RANGE)
def test_another_size_shows_the_same(name):
    _, low, high = RANGE[name]
    values = np.linspace(low, high, 7)
    halved = pictures(name, values, 2 * SIZE).reshape(7, SIZE, 2, SIZE, 2).mean(axis=(2, 4))
    assert abs(halved - pictures(name, values)).mean() < 1
    assert make_env(f"pixels/{name}", size=20).spec.obs_shape == (20, 20, 3)


# The environment


@pytest.mark.parametrize("name", RANGE)
def test_observations_are_images_of_bytes_and_the_rest_is_the_tasks_own(name):
    env, plain = make_env(f"pixels/{name}"), make_env(name)
    assert (env.spec.name, env.spec.obs_shape, env.spec.obs_dtype) == (f"pixels/{name}", (SIZE, SIZE, 3), np.uint8)
    assert (env.spec.image, plain.spec.image) == (True, False)
    assert (env.spec.action_repeat, plain.spec.action_repeat) == (3, 1)
    assert env.spec.episode_length == plain.spec.episode_length
    assert env.spec.max_decisions == {PENDULUM: 67, CAR: 333}[name]
    bounds = (env.spec.action_low, env.spec.action_high)
    np.testing.assert_array_equal(bounds, (plain.spec.action_low, plain.spec.action_high))
    state = jax.eval_shape(env.reset, KEY)
    after, transition = jax.eval_shape(env.step, KEY, state, jnp.zeros(1))
    shapes = [[(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)] for tree in (state, after)]
    assert shapes[0] == shapes[1]  # a loop can carry it
    for obs in (state.obs, transition.obs, transition.next_obs):
        assert (obs.shape, obs.dtype) == ((SIZE, SIZE, 3), np.uint8)
    first = np.asarray(env.reset(KEY).obs)
    assert (first.min(), first.max()) == (0, 255)


@pytest.mark.parametrize("name", RANGE)
@pytest.mark.parametrize("repeat", [1, 3])
def test_the_stack_holds_the_last_three_steps_and_the_newest_comes_last(name, repeat):
    env, (raw, params) = make_env(f"pixels/{name}", action_repeat=repeat), gymnax.make(name)
    step, raw_step, field = jax.jit(env.step), jax.jit(raw.step_env), RANGE[name][0]
    state, action = env.reset(KEY), jnp.ones(1)
    _, by_hand = raw.reset_env(KEY, params)
    trail = [by_hand] * 3
    moved = []
    for decision in range(2 * 3 // repeat):
        expected = np.stack(pictures(name, [getattr(seen, field) for seen in trail[-3:]]), axis=-1)
        np.testing.assert_allclose(state.obs, expected, atol=1)
        moved.append(min(np.ptp(np.int32(state.obs[..., i]) - state.obs[..., j]) for i, j in ((0, 1), (0, 2), (1, 2))))
        key = jax.random.key(decision)
        for inner in jax.random.split(key, repeat) if repeat > 1 else [key]:
            _, by_hand, _, _, _ = raw_step(inner, by_hand, action * env.spec.action_high, params)
            trail.append(by_hand)
        before, (state, transition) = state, step(key, state, action)
        np.testing.assert_array_equal(transition.obs, before.obs)
        np.testing.assert_array_equal(transition.next_obs, state.obs)
    assert moved[0] == 0  # three times the first picture
    assert moved[-1] > 3  # each at another place, so that another order would be seen


def test_velocity_is_seen_in_the_stack_alone():
    env = make_env(f"pixels/{PENDULUM}", action_repeat=1)
    state, step = env.reset(KEY), jax.jit(env.step)
    faster = state.replace(inner=state.inner.replace(theta_dot=state.inner.theta_dot + 3))
    draw = RENDERERS[PENDULUM](SIZE)
    np.testing.assert_array_equal(*(draw(jax.tree.map(lambda leaf: leaf[-1], s.inner)) for s in (state, faster)))
    obs, other = (np.asarray(step(KEY, s, jnp.zeros(1))[0].obs) for s in (state, faster))
    np.testing.assert_array_equal(obs[..., :2], other[..., :2])
    assert np.ptp(np.int32(obs[..., 2]) - other[..., 2]) > 100


N, DECISIONS = 2, 90


@pytest.fixture(scope="module", params=RANGE)
def both(request):
    """(name, rollout of the plain environment, of the pixels), vectorized, with the same keys and actions."""
    name = request.param

    def rollout(vec, choose):
        def step(state, clock):
            action = choose(clock, state)
            state, transition, _ = vec.step(jax.random.fold_in(KEY, clock), state, action)
            return state, transition

        return jax.jit(lambda: jax.lax.scan(step, vec.reset(KEY), jnp.arange(DECISIONS)))()

    def swing(clock, state):
        random = jax.random.uniform(jax.random.key(clock), (N, 1), minval=-1)
        return random if name == PENDULUM else jnp.sign(state.env.inner.velocity)[:, None] * 0.9

    plain = rollout(vectorize(make_env(name, action_repeat=3), N, "cached"), swing)
    actions = plain[1].action
    seen = rollout(vectorize(make_env(f"pixels/{name}"), N, "cached"), lambda clock, state: actions[clock])
    return name, plain, seen


def test_rewards_and_ends_are_those_of_the_plain_environment(both):
    name, (plain_state, plain), (seen_state, seen) = both
    np.testing.assert_allclose(seen.reward, plain.reward, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(seen.discount, plain.discount)
    np.testing.assert_array_equal(seen.truncated, plain.truncated)
    newest = jax.tree.map(lambda leaf: leaf[:, -1], seen_state.env.inner)
    for mine, own in zip(jax.tree.leaves(newest), jax.tree.leaves(plain_state.env.inner), strict=True):
        np.testing.assert_allclose(mine, own, rtol=1e-3, atol=1e-4)
    if name == PENDULUM:  # 200 steps, 3 at a time
        assert np.argwhere(seen.truncated).tolist() == [[66, 0], [66, 1]]
        assert not seen.terminated.any()
    else:
        assert seen.terminated.any(axis=0).all()


def test_the_last_picture_is_the_true_successor_and_a_restart_begins_anew(both):
    name, (_, plain), (_, seen) = both

    def newest(obs):
        values = np.arctan2(obs[..., 1], obs[..., 0]) if name == PENDULUM else obs[..., 0]
        return pictures(name, values.ravel()).reshape(DECISIONS, N, SIZE, SIZE)

    np.testing.assert_allclose(seen.next_obs[..., -1], newest(plain.next_obs), atol=2)
    np.testing.assert_allclose(seen.obs[..., -1], newest(plain.obs), atol=2)
    ended = np.asarray(seen.ended)[:-1]
    assert ended.any(axis=0).all()
    obs, next_obs = np.asarray(seen.obs)[1:], np.asarray(seen.next_obs)[:-1]
    np.testing.assert_array_equal(obs[~ended], next_obs[~ended])
    begun, final = obs[ended].astype(int), next_obs[ended].astype(int)
    assert (begun == begun[..., :1]).all()
    assert (abs(begun[..., -1] - final[..., -1]).max(axis=(1, 2)) > 100).all()
    assert (np.ptp(final, axis=-1).max(axis=(1, 2)) > 3).all()  # the stack goes on to the end


# A user's own


def shade(state):
    """A picture [2, 3] whose last pixel of the first row is the position, as a byte."""
    return jnp.zeros((2, 3)).at[0, 2].set(state.x / 255)


def test_a_user_draws_an_environment_of_their_own():
    env = pixels(FarWalk(), shade, params=WalkParams(shortest=5, longest=5), frames=2, name="walk")
    assert (env.spec.name, env.spec.obs_shape, env.spec.action_repeat) == ("walk", (2, 3, 2), 3)
    state, step = env.reset(KEY), jax.jit(env.step)
    assert state.inner.x[0] >= FAR  # beyond white
    seen = [(state.obs[0, 2].tolist(), 0.0, 1.0)]
    for _ in range(2):
        state, transition = step(KEY, state, jnp.zeros(1))
        seen.append((transition.next_obs[0, 2].tolist(), float(transition.reward), float(transition.discount)))
    assert seen == [([255, 255], 0, 1), ([2, 3], 1 + 2 + 3, 1), ([4, 5], 4 + 5, 0)]
    assert state.obs.sum() == 9
    assert make_env(env) is env
    carried = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(s)] for s in (state, env.reset(KEY))]
    assert carried[0] == carried[1]


def test_episode_length_counts_the_environments_own_steps():
    assert make_env(f"pixels/{CAR}", episode_length=7).spec.max_decisions == 3
    env = pixels(Echo(-1, 1, (1,)), lambda state: jnp.zeros((1, 1)), episode_length=4)
    state, step, truncated = env.reset(KEY), jax.jit(env.step), []
    for _ in range(2):
        state, transition = step(KEY, state, jnp.zeros(1))
        truncated.append(bool(transition.truncated))
    assert (truncated, int(state.time)) == ([False, True], 4)


def test_an_environments_own_truncation_stays_one():
    class Torn(FarWalk):
        def is_truncated(self, state, params):
            return state.time == 2

    env = pixels(Torn(), shade, params=WalkParams(shortest=5, longest=5), frames=1)
    state, transition = jax.jit(env.step)(KEY, env.reset(KEY), jnp.zeros(1))
    assert (float(transition.discount), bool(transition.truncated), state.obs.max()) == (1, True, 2)


def test_pictures_are_rounded_and_clipped():
    row = [-0.5, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 1.5]
    env = pixels(Echo(-1, 1, (1,)), lambda state: jnp.array([row]) + state, frames=1, episode_length=2)
    assert env.reset(KEY).obs[0, :, 0].tolist() == [0, 0, 0, 1, 128, 255, 255]


@pytest.mark.parametrize("value", [0, -3, 2.5, "3", True])
@pytest.mark.parametrize("option", ["size", "action_repeat", "episode_length"])
def test_options_of_an_id_that_are_no_counts_are_refused(option, value):
    message = refusal(make_env, f"pixels/{PENDULUM}", **{option: value})
    assert message == f"{option} must be a whole number of at least 1, not {value!r}."


@pytest.mark.parametrize("option", ["frames", "action_repeat", "episode_length"])
def test_options_of_an_object_that_are_no_counts_are_refused(option):
    assert refusal(pixels, FarWalk(), shade, **{option: 0}) == f"{option} must be a whole number of at least 1, not 0."


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (jnp.zeros(3), "float32[3]"),
        (jnp.zeros((2, 3, 3)), "float32[2, 3, 3]"),
        (jnp.zeros((2, 3), jnp.uint8), "uint8[2, 3]"),
        (jnp.zeros((2, 3), bool), "bool[2, 3]"),
        (None, "NoneType[]"),
    ],
)
def test_pictures_that_are_none_are_refused(picture, found):
    message = refusal(pixels, FarWalk(), lambda state: picture)
    assert message == f"FarWalk needs a render that returns [H, W] floats in [0, 1], not {found}."


@pytest.mark.parametrize("frames", [1, 3])
def test_faults_are_named_as_without_images(frames):
    class Odd(Echo):
        def __init__(self, first, after):
            super().__init__(-1, 1, (1,))
            self.first, self.after = first, after

        def reset_env(self, key, params):
            return jnp.zeros(1), {"x": self.first}

        def step_env(self, key, state, action, params):
            return jnp.zeros(1), self.after, 0.0, False, {}

    def fails(state):
        raise RuntimeError("no paint")

    def refused(first=0, after=None, render=lambda state: jnp.zeros((2, 3))):
        return refusal(pixels, Odd(first, {"x": first} if after is None else after), render, frames=frames)

    assert "Odd must keep the structure of its state, but state['x'] exists after reset" in refused(after={"y": 0})
    assert "Odd: state['x'] has shape () after reset and (2,) after step" in refused(after={"x": jnp.zeros(2, int)})
    assert "Odd: state['x'] is int32 after reset and float32 after step" in refused(after={"x": 0.5})
    assert "Odd: state['x'] after reset must be a number or an array, not a str" in refused("zero")
    assert "Odd.fails raised RuntimeError at test_pixels.py, line " in refused(render=fails)


def test_what_is_no_task_is_refused():
    assert "int is not an environment in the style of gymnax (reset_env," in refusal(pixels, 3, shade)
    cart, params = gymnax.make("CartPole-v1")
    assert "CartPole-v1 has discrete actions" in refusal(pixels, cart, shade, params=params)
    assert refusal(make_env, f"pixels/{CAR}", backend="mjx") == (
        f"pixels/{CAR} has no option 'backend'; it has size, episode_length, action_repeat."
    )


# Ids


def test_pixels_have_ids_of_their_own(capsys, monkeypatch):
    assert ids("pixels/") == [f"pixels/{name}" for name in RANGE]
    near = "There is no environment 'pixels/{}'; did you mean pixels/{}?"
    assert refusal(make_env, "pixels/Pendulum") == near.format("Pendulum", PENDULUM)
    assert refusal(make_env, "pixels/CartPole-v1").startswith("There is no environment 'pixels/CartPole-v1';")
    monkeypatch.setattr("ddpg_jax.envs.suites.SUITES", {"pixels/": "ddpg_jax.envs.pixels"})
    assert main(["envs"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in (f"pixels/{PENDULUM}", f"pixels/{CAR}", "(64, 64, 3)", "999"))
