"""The door: bounds, time limits, action repeat, restarts, episode metrics and evaluation, against hand counts."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from probes import FAR, Bandit, Echo, FarWalk, Metronome, OldFarWalk, OldOnNewBase, Steps, WalkParams
from toys import counting, spec

from ddpg_jax import make_env
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.exploration import uniform
from ddpg_jax.core.vector_env import vectorize

N, POOL, STEPS = 6, 4, 60
KEY = jax.random.key(0)
REST = jnp.zeros(1)
FOUR = {"params": WalkParams(shortest=4, longest=4)}  # FarWalk with episodes of 4 steps


def avals(tree):
    """Structure, shapes, dtypes and weak types: what a loop must not change, and jit compiles anew for."""
    leaves = jax.tree.leaves(tree)
    return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in leaves]


def values(tree):
    """The leaves as text, typed keys too."""
    return [str(leaf) for leaf in jax.tree.leaves(tree)]


def episode(env, decisions, action=REST, key=KEY):
    """`decisions` transitions in a row, stacked, from one reset and without a restart."""
    step = jax.jit(env.step)
    state, transitions = env.reset(key), []
    for decision in range(decisions):
        state, transition = step(jax.random.fold_in(key, decision), state, action)
        transitions.append(transition)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *transitions)


# Bounds


@pytest.mark.parametrize(
    ("low", "high", "shape"),
    [
        ([0.0, -3.0], [2 * np.pi, 5.0], (2,)),
        ([[0.0, -1.0], [2.0, -8.0]], [[1.0, 1.0], [4.0, -2.0]], (2, 2)),
        (-4.0, -2.0, ()),
        (2, 4, (3,)),
    ],
)
def test_the_corners_and_the_middle_of_the_box_are_exact(low, high, shape):
    env = make_env(Echo(low, high, shape))
    low, high = (np.broadcast_to(np.asarray(bound, np.float32), shape) for bound in (low, high))
    assert env.spec.action_size == max(1, low.size)
    actions = jnp.array([-1.0, 1.0, 0.0])[:, None] * jnp.ones(env.spec.action_size)
    state = env.reset(KEY)
    native = jax.vmap(lambda action: env.step(KEY, state, action)[1].next_obs)(actions)
    np.testing.assert_array_equal(native, np.stack([low.ravel(), high.ravel(), ((low + high) / 2).ravel()]))
    for one in np.asarray(actions, np.float32):  # as a policy in use does
        alone = env.spec.to_native(one)
        assert np.shape(alone) == shape
        np.testing.assert_allclose(env.spec.from_native(np.asarray(alone)), one, atol=1e-6)


def test_every_dimension_has_its_own_bounds_in_order():
    env = make_env(Echo(np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3) + 2, (2, 3)))
    action = jnp.linspace(-1, 1, 6)
    native = env.step(KEY, env.reset(KEY), action)[1].next_obs
    np.testing.assert_allclose(native, np.arange(6) + 1 + action, rtol=1e-6)


def test_random_boxes_are_never_left_and_invert():
    random = np.random.default_rng(0)
    low = random.uniform(-5, 5, 2000)
    spec = make_env(Echo(low, low + random.uniform(0.01, 9, 2000), (2000,))).spec
    actions = jnp.concatenate([random.uniform(-1, 1, (8, 2000)), -np.ones((1, 2000)), np.ones((1, 2000))])
    native = jax.jit(spec.to_native)(actions)
    assert ((native >= spec.action_low) & (native <= spec.action_high)).all()
    np.testing.assert_array_equal(native[-2:], [spec.action_low, spec.action_high])
    np.testing.assert_allclose(spec.from_native(native), actions, atol=2e-3)  # the narrowest box is 0.01 wide


def test_uniform_warm_up_covers_exactly_the_box():
    low, high = np.array([0.0, -3.0], np.float32), np.array([2 * np.pi, 5.0], np.float32)
    env = make_env(Echo(low, high, (2,)))
    action, _ = uniform(2).act(None, (), None, jnp.zeros(8192, bool), 0, KEY)
    state = env.reset(KEY)
    native = np.asarray(jax.vmap(lambda a: env.step(KEY, state, a)[1].next_obs)(action))
    assert ((native >= low) & (native <= high)).all()
    deciles = np.quantile(native, np.linspace(0, 1, 11), axis=0)
    np.testing.assert_allclose(deciles, low + np.linspace(0, 1, 11)[:, None] * (high - low), atol=0.25)
    np.testing.assert_allclose(deciles[[0, -1]], [low, high], atol=0.01)


# Ends of episodes


def test_an_episode_ends_by_itself_with_discount_0():
    steps = episode(make_env(FarWalk(), **FOUR), 4)
    assert steps.discount.tolist() == [1, 1, 1, 0]
    assert not steps.truncated.any()
    assert steps.reward.tolist() == [1, 2, 3, 4]
    assert steps.next_obs.tolist() == [[1, 4], [2, 4], [3, 4], [4, 4]]
    assert steps.obs[0, 0] >= FAR
    np.testing.assert_array_equal(steps.obs[1:], steps.next_obs[:-1])


@pytest.mark.parametrize("walk", [FarWalk, OldFarWalk, OldOnNewBase])
def test_a_time_limit_truncates_and_keeps_the_discount(walk):
    steps = episode(make_env(walk(), **FOUR, episode_length=3), 3)
    assert steps.discount.tolist() == [1, 1, 1]
    assert steps.truncated.tolist() == [False, False, True]
    assert steps.ended.tolist() == [False, False, True]
    assert not steps.terminated.any()


@pytest.mark.parametrize("walk", [FarWalk, OldFarWalk, OldOnNewBase])
def test_the_environments_own_time_limit_truncates(walk):
    env = make_env(walk(), params=WalkParams(shortest=4, longest=4, max_steps_in_episode=2))
    assert env.spec.episode_length == 2
    steps = episode(env, 2)
    assert (steps.discount.tolist(), steps.truncated.tolist()) == ([1, 1], [False, True])


@pytest.mark.parametrize("walk", [FarWalk, OldFarWalk, OldOnNewBase])
def test_an_end_at_the_time_limit_is_a_termination(walk):
    steps = episode(make_env(walk(), **FOUR, episode_length=4), 4)
    assert steps.discount.tolist() == [1, 1, 1, 0]
    assert not steps.truncated.any()


def test_an_environments_own_truncation_is_not_a_termination():
    class Torn(FarWalk):
        def is_truncated(self, state, params):
            return state.time == 2

    steps = episode(make_env(Torn(), **FOUR), 2)
    assert (steps.discount.tolist(), steps.truncated.tolist()) == ([1, 1], [False, True])


def test_a_repeated_action_adds_rewards_and_stays_at_the_end():
    env = make_env(FarWalk(), params=WalkParams(shortest=5, longest=5), action_repeat=2)
    steps = episode(env, 3)
    assert steps.reward.tolist() == [1 + 2, 3 + 4, 5]
    assert steps.next_obs[:, 0].tolist() == [2, 4, 5]
    assert steps.discount.tolist() == [1, 1, 0]


def test_the_time_limit_counts_the_environments_own_steps_under_action_repeat():
    env = make_env(FarWalk(), **FOUR, action_repeat=2, episode_length=3)
    steps = episode(env, 2)
    assert env.spec.max_decisions == 2
    assert steps.reward.tolist() == [3, 3]
    assert (steps.discount.tolist(), steps.truncated.tolist()) == ([1, 1], [False, True])


def test_the_keys_of_repeated_steps_differ():
    class Dice(Echo):
        def step_env(self, key, state, action, params):
            return jnp.zeros(1), state, jax.random.uniform(key), False, {}

    reward = episode(make_env(Dice(-1, 1, (1,)), action_repeat=2), 1).reward[0]
    assert reward not in [2 * jax.random.uniform(key) for key in [*jax.random.split(KEY), KEY]]


# States that can be carried


@pytest.mark.parametrize("probe", [FarWalk, OldFarWalk, Bandit, Metronome, Steps])
@pytest.mark.parametrize("action_repeat", [1, 3])
def test_a_step_keeps_shapes_and_dtypes_even_weak_ones(probe, action_repeat):
    env = make_env(probe(), action_repeat=action_repeat)
    state = jax.eval_shape(env.reset, KEY)
    after, transition = jax.eval_shape(env.step, KEY, state, REST)
    assert avals(after) == avals(state)
    assert [(leaf.shape, leaf.dtype) for leaf in (transition.reward, transition.discount)] == [((), jnp.float32)] * 2
    assert (transition.truncated.shape, transition.truncated.dtype) == ((), bool)
    assert transition.obs.shape == transition.next_obs.shape == env.spec.obs_shape


@pytest.mark.parametrize("probe", [FarWalk, Steps])
def test_a_step_is_pure(probe):
    env = make_env(probe())
    state = env.reset(KEY)
    before = values(state)
    first, second = (env.step(KEY, state, REST)[0] for _ in range(2))
    assert values(state) == before
    assert values(first) == values(second) != before


class Fraction(Echo):
    """Counts halves from an int."""

    def step_env(self, key, state, action, params):
        return action, state + 0.5, 0.0, False, {}

    def reset_env(self, key, params):
        return jnp.zeros(1), 0


def test_a_state_that_would_lose_its_fraction_is_refused():
    with pytest.raises(ValueError, match="is int32 after reset and float32 after step"):
        make_env(Fraction(-1, 1, (1,)))


@pytest.mark.parametrize(
    ("obs", "difference"),
    [
        (jnp.zeros(2), r"toy: obs has shape \(3,\) in its spec and \(2,\) after reset\."),
        (jnp.zeros(3), r"toy: obs is uint8 in its spec and float32 after reset\."),
    ],
)
def test_a_reset_that_is_not_as_its_spec_says_is_refused(obs, difference):
    env = env_from_functions(lambda key: (0, obs), None, spec((3,), 1, np.uint8))
    with pytest.raises(ValueError, match=difference):
        env.reset(KEY)


# Restarts


@pytest.fixture(scope="module", params=["pool", "every-step", "cached"])
def rollout(request):
    """60 steps of 6 FarWalks: the policy, the first state, transitions and metrics [60, ...], the last state."""
    vec = vectorize(make_env(FarWalk()), N, request.param, POOL)

    @jax.jit
    def run(key):
        first = vec.reset(key)

        def step(state, clock):
            state, transition, metrics = vec.step(jax.random.fold_in(key, clock), state, jnp.zeros((N, 1)))
            return state, (transition, metrics)

        last, (transitions, metrics) = jax.lax.scan(step, first, jnp.arange(STEPS))
        return first, transitions, metrics, last

    first, transitions, metrics, last = run(KEY)
    return request.param, vec, first, *jax.tree.map(np.asarray, (transitions, metrics)), last


def starts(transitions):
    """The x of all restarts, [restarts]: what is observed after the end of an episode."""
    return transitions.obs[1:, :, 0][transitions.ended[:-1]]


def test_no_transition_leaks_the_next_episode(rollout):
    _, _, first, transitions, _, _ = rollout
    obs, next_obs, ended = transitions.obs, transitions.next_obs, transitions.ended
    np.testing.assert_array_equal(obs[0], first.env.obs)
    assert (next_obs[..., 0] < FAR).all()
    np.testing.assert_array_equal(next_obs[..., 0] == next_obs[..., 1], ended)  # x == L at the end, and only there
    np.testing.assert_array_equal(obs[1:][~ended[:-1]], next_obs[:-1][~ended[:-1]])
    assert (obs[1:, :, 0][ended[:-1]] >= FAR).all()


def test_returns_and_lengths_of_episodes_are_exact(rollout):
    _, _, _, transitions, metrics, last = rollout
    total, length = np.zeros(N), np.zeros(N)
    for t in range(STEPS):
        total, length, ended = total + transitions.reward[t], length + 1, transitions.ended[t]
        assert [float(part[t]) for part in metrics["episode_return"]] == [total[ended].sum(), ended.sum()]
        assert [float(part[t]) for part in metrics["episode_length"]] == [length[ended].sum(), ended.sum()]
        np.testing.assert_array_equal(total[ended], (length * (length + 1) / 2)[ended])
        total, length = total * ~ended, length * ~ended
    np.testing.assert_array_equal(last.episode_return, total)
    np.testing.assert_array_equal(last.episode_steps, length)


def test_time_and_state_start_again_with_the_episode(rollout):
    _, _, _, transitions, _, last = rollout
    since = [STEPS - 1 - max(np.flatnonzero(ended), default=-1) for ended in transitions.ended.T]
    np.testing.assert_array_equal(last.env.time, since)
    np.testing.assert_array_equal(last.env.inner.time, since)


def test_restarts_follow_the_policy(rollout):
    policy, _, first, transitions, _, last = rollout
    seen, own = starts(transitions), np.asarray(first.env.obs[:, 0])
    assert len(seen) > 50
    if policy == "pool":
        assert first.pool.obs.shape == (POOL, 2)
        assert set(seen) == set(np.asarray(first.pool.obs[:, 0]))  # all of it is used, and nothing else
        assert not set(seen) & set(own)
        each = [set(transitions.obs[1:, env, 0][transitions.ended[:-1, env]]) for env in range(N)]
        assert min(map(len, each)) > 1
    if policy == "every-step":
        assert first.pool is None
        assert len({*seen, *own}) == len(seen) + N
    if policy == "cached":
        for env in range(N):
            assert set(transitions.obs[1:, env, 0][transitions.ended[:-1, env]]) == {own[env]}
    assert jax.tree.structure(last) == jax.tree.structure(first)


def test_environments_that_end_together_draw_apart(rollout):
    policy, _, _, transitions, _, _ = rollout
    obs, ended = transitions.obs[1:, :, 0], transitions.ended[:-1]
    together = [set(obs[t][ended[t]]) for t in range(STEPS - 1) if ended[t].sum() >= 3]
    assert together
    assert max(map(len, together)) >= 2, policy


def test_every_state_of_the_pool_is_as_likely_for_every_environment():
    """Of environments that all end at every step: each alone, and two of them with respect to each other."""
    vec = vectorize(counting(lambda time: jnp.zeros(1), length=1), 10, "pool", 4)
    first = vec.reset(KEY)
    first = replace(first, pool=replace(first.pool, obs=jnp.arange(4.0)[:, None]))

    def drawn(key):
        return vec.step(key, first, jnp.zeros((10, 1)))[0].env.obs[:, 0].astype(int)

    index = np.asarray(jax.jit(jax.vmap(drawn))(jax.random.split(KEY, 4000)))  # [draws, environments]
    for env in range(10):
        assert scipy.stats.chisquare(np.bincount(index[:, env], minlength=4)).pvalue > 0.001
    for env in (4, 9):  # of other rotations than environment 0
        assert scipy.stats.chisquare(np.bincount((index[:, env] - index[:, 0]) % 4, minlength=4)).pvalue > 0.001
    assert (np.sort(index[:, :4], axis=1) == np.arange(4)).all()  # neighbors never share a state


def test_refresh_renews_the_pool_and_nothing_else(rollout):
    policy, vec, _, _, _, last = rollout
    fresh = jax.jit(vec.refresh)(jax.random.key(1), last)
    assert avals(fresh) == avals(last)
    before, after = (set(np.asarray(state.pool.obs[:, 0])) if state.pool else set() for state in (last, fresh))
    if policy == "pool":
        assert not before & after
        assert len(after) == POOL
        fresh, last = fresh.replace(pool=None), last.replace(pool=None)
    assert values(fresh) == values(last)


def test_a_vector_state_can_be_carried_and_donated(rollout):
    policy, vec, _, _, _, _ = rollout
    if policy == "cached":  # here the pool is the first state
        jax.jit(lambda state: state, donate_argnums=0)(vec.reset(KEY))  # twice the same buffer would raise
    shapes = jax.eval_shape(vec.reset, KEY)
    after = jax.eval_shape(vec.step, KEY, shapes, jax.ShapeDtypeStruct((N, 1), jnp.float32))[0]
    assert avals(after) == avals(shapes)


def test_lengths_are_counted_in_decisions():
    vec = vectorize(make_env(Metronome(), episode_length=3, action_repeat=2), 2, "cached")
    state, step = vec.reset(KEY), jax.jit(vec.step)
    for clock in range(4):
        state, transition, metrics = step(KEY, state, jnp.zeros((2, 1)))
        ended = 2 * (clock % 2)
        assert [float(part) for part in metrics["episode_return"]] == [3 * ended, ended]
        assert [float(part) for part in metrics["episode_length"]] == [2 * ended, ended]
        assert transition.truncated.tolist() == [ended > 0] * 2


def test_a_reward_that_is_not_a_number_spoils_one_episode_alone():
    class Broken(FarWalk):
        def step_env(self, key, state, action, params):
            obs, state, reward, done, info = super().step_env(key, state, action, params)
            return obs, state, jnp.where(done, jnp.nan, reward), done, info

    vec = vectorize(make_env(Broken(), params=WalkParams(shortest=2, longest=2)), 2, "cached")
    state, step = vec.reset(KEY), jax.jit(vec.step)
    for clock in range(3):
        state, _, metrics = step(KEY, state, jnp.zeros((2, 1)))
        assert jnp.isnan(metrics["episode_return"][0]) == (clock == 1)
    assert state.episode_return.tolist() == [1, 1]
