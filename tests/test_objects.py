"""Environment objects that nobody has seen: whatever their functions return, they work or one sentence says what to do.

Each part of an environment is drawn from values of many kinds, shapes and dtypes, most of them wrong; the others are
right, so that every part is reached.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from toys import slow

from ddpg_jax import SettingError, check_env, make_env
from ddpg_jax.core.types import Env

SOME = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)
SOME_TWIN = pytest.mark.quick_twin("[some", "[many")
MANY = settings(SOME, max_examples=400, derandomize=False)  # others in every run


class Odd:
    """An object that JAX knows nothing of."""

    def __repr__(self):
        return "Odd()"


def fails(*args):
    raise RuntimeError("the pump is off")


SHAPES = st.sampled_from([(), (1,), (2,), (3,), (2, 2), (0,), (1, 0)])
DTYPES = st.sampled_from(["float32", "float16", "bfloat16", "int32", "uint8", "bool", "complex64"])
ARRAYS = st.builds(lambda shape, dtype: jnp.ones(shape, dtype), SHAPES, DTYPES)
ODD = [None, "level", b"x", {}, {"a": 1.0}, [1.0, 2.0], (), (1.0,), 1, 0.5, True, 1j, 10**30, Odd(), Odd, len, fails]
ODD += [np.array(["a"]), np.array([None]), np.datetime64("2026-01-01"), float("nan"), np.float64(2), range(3), {1, 2}]
VALUES = st.one_of(ARRAYS, st.sampled_from(ODD), st.builds(lambda: jax.random.key(0)))


def mostly(right, wrong=VALUES):
    """The right value three times out of four."""
    return st.one_of(st.just(right), st.just(right), st.just(right), wrong)


RIGHT = {
    "obs": jnp.zeros(3),
    "state": {"x": jnp.zeros(2), "n": jnp.int32(0)},
    "reward": jnp.float32(1),
    "done": jnp.bool_(False),
    "info": {},
    "low": -1.0,
    "high": 1.0,
    "shape": (2,),
}
PARTS = {f"{when} {name}": mostly(RIGHT[name]) for when in ("reset", "step") for name in ("obs", "state")}
PARTS |= {name: mostly(RIGHT[name]) for name in ("reward", "done", "info", "low", "high")}
PARTS |= {"shape": mostly((2,), st.sampled_from([(), (1,), (2, 2), (0,), 2, None, "ab", (1.5,), (-1,), ("a",)]))}
PARTS |= {"arity": mostly(0, st.sampled_from([-1, 1, "no tuple", "raises", "branches", "to NumPy", "float"]))}
PARTS |= {"length": mostly(20, st.sampled_from([0, -3, "x", None, 2.5, 1]))}
PARTS |= {"space": mostly("box", st.sampled_from(["discrete", "none", "raises"]))}
FUNCTIONS = st.sampled_from(["reset", "step"])


def returned(values, fault, key):
    """What a function returns, with a fault of its form."""
    if fault == "raises":
        fails()
    if fault == "branches" and jax.random.uniform(key) > 0.5:
        return ()
    if fault == "to NumPy":
        np.sum(jax.random.uniform(key, (2,)).__array__())
    if fault == "float":
        float(jax.random.uniform(key))
    if fault == "no tuple":
        return values[0]
    return (*values, 1.0) if fault == 1 else tuple(values[:-1]) if fault == -1 else tuple(values)


@struct.dataclass
class Params:
    max_steps_in_episode: int = 20


class Box:
    def __init__(self, low, high, shape):
        self.low, self.high, self.shape = low, high, shape


def gymnax_style(parts, at):
    """An object whose functions return the parts."""

    class Tank:
        default_params = Params(parts["length"])

        def action_space(self, params):
            spaces = {"box": Box(parts["low"], parts["high"], parts["shape"]), "none": None}
            return fails() if parts["space"] == "raises" else spaces.get(parts["space"], type("D", (), {"n": 3})())

        def reset_env(self, key, params):
            return returned([parts["reset obs"], parts["reset state"]], at == "reset" and parts["arity"], key)

        def step_env(self, key, state, action, params):
            names = ("step obs", "step state", "reward", "done", "info")
            return returned([parts[name] for name in names], at == "step" and parts["arity"], key)

    return Tank()


@struct.dataclass
class BraxState:
    obs: object
    reward: object
    done: object
    pipeline_state: object
    info: object = struct.field(default_factory=dict)


def brax_style(parts, at):
    class Tank:
        action_size = parts["shape"][0] if isinstance(parts["shape"], tuple) and parts["shape"] else parts["shape"]

        def reset(self, key):
            state = BraxState(parts["reset obs"], jnp.zeros(()), jnp.zeros(()), parts["reset state"])
            return returned([state, 0], at == "reset" and parts["arity"], key)[0]

        def step(self, state, action):
            new = state.replace(obs=parts["step obs"], reward=parts["reward"], done=parts["done"])
            new = new.replace(pipeline_state=parts["step state"])
            return returned([new, 0], at == "step" and parts["arity"], jax.random.key(0))[0]

    return Tank()


def check_words(error):
    """A sentence that names the environment and speaks of what its author wrote."""
    words = str(error)
    assert "Tank" in words or words.startswith("episode_length must be"), words
    assert words.endswith("."), words
    assert "\n" not in words, words
    assert not any(inside in words for inside in ("Traced<", "JitTracer", "pytree", "abstract")), words


STYLES = {"gymnax": gymnax_style, "brax": brax_style}


def tried(style, parts, at):
    """An environment that can be stepped, or None where it was refused in words."""
    try:
        env = make_env(STYLES[style](parts, at))
    except SettingError as error:
        check_words(error)
        return None
    assert isinstance(env, Env)
    state = jax.eval_shape(env.reset, jax.random.key(0))
    action = jax.ShapeDtypeStruct((env.spec.action_size,), jnp.float32)
    new, transition = jax.eval_shape(env.step, jax.random.key(0), state, action)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), new) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert (transition.next_obs.shape, transition.reward.shape) == (env.spec.obs_shape, ())
    return env


ALL_RIGHT = {f"{when} {name}": RIGHT[name] for when in ("reset", "step") for name in ("obs", "state")}
ALL_RIGHT |= {name: RIGHT[name] for name in ("reward", "done", "info", "low", "high", "shape")}
ALL_RIGHT |= {"arity": 0, "length": 20, "space": "box"}


@pytest.mark.parametrize("style", STYLES)
def test_one_with_nothing_wrong_passes(style):
    check_env(STYLES[style](ALL_RIGHT, "step"), steps=3)


def random_objects(style, how):
    @how
    @given(st.fixed_dictionaries(PARTS), FUNCTIONS)
    @example(ALL_RIGHT | {"reward": "high"}, "step")
    def run(parts, at):
        tried(style, parts, at)

    return run


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("how", [pytest.param(SOME, marks=SOME_TWIN), *slow(MANY)], ids=["some", "many"])
def test_whatever_an_object_returns_it_works_or_is_refused_in_words(style, how):
    random_objects(style, how)()


# One wrong part each, and what the sentence says.
ONE_WRONG = [
    ("gymnax", "arity", -1, "step", "Tank.step_env must return (obs, state, reward, terminated, info), not 4 values"),
    ("gymnax", "arity", 1, "reset", "Tank.reset_env must return (obs, state), not 3 values"),
    ("gymnax", "arity", "no tuple", "reset", "Tank.reset_env must return (obs, state), not an array of float32 of"),
    ("gymnax", "arity", "raises", "step", "Tank.step_env raised RuntimeError at test_objects.py, line "),
    ("gymnax", "arity", "branches", "step", "Tank.step_env raised TracerBoolConversionError at test_objects.py, line"),
    ("gymnax", "arity", "to NumPy", "step", "it hands an array to NumPy while the program is compiled"),
    ("gymnax", "arity", "float", "reset", "float(), int() and range() cannot have it"),
    ("gymnax", "reset obs", "high", "reset", "Tank observes a str; a single array is needed"),
    ("gymnax", "reset obs", jnp.zeros((2, 0)), "reset", "Tank must observe real numbers, at least one, and obs is an"),
    ("gymnax", "step obs", jnp.zeros(4), "step", "Tank: obs has shape (3,) after reset and (4,) after step"),
    ("gymnax", "reset state", {"x": "high"}, "reset", "Tank: state['x'] after reset must be a number or an array, not"),
    ("gymnax", "step state", {"x": jnp.zeros(2)}, "step", "state['n'] exists after reset but not after step"),
    ("gymnax", "reward", None, "step", "Tank: reward must be a number or an array, not a NoneType"),
    ("gymnax", "reward", jnp.zeros(2), "step", "Tank must return one reward per step, not an array of shape (2,)"),
    ("gymnax", "done", "no", "step", "Tank: terminated must be a number or an array, not a str"),
    ("gymnax", "low", "no", "step", "Tank must have action bounds that are numbers of the shape (2,) of its actions"),
    ("gymnax", "low", np.zeros(3), "step", "Tank must have action bounds that are numbers of the shape (2,) of its"),
    ("gymnax", "high", -1.0, "step", "Tank has action bounds"),
    ("gymnax", "shape", (0,), "step", "Tank must have actions of at least one number, not of the shape (0,)"),
    ("gymnax", "space", "none", "step", "Tank.action_space must return a box with low, high and shape, not None"),
    ("gymnax", "space", "discrete", "step", "Tank has discrete actions"),
    ("gymnax", "length", "x", "step", "Tank: max_steps_in_episode"),
    ("brax", "shape", None, "step", "Tank: action_size must be a whole number of at least 1, not None"),
    ("brax", "done", jnp.zeros(2), "step", "Tank must return one done per step, not an array of shape (2,)"),
    ("brax", "arity", "raises", "reset", "Tank.reset raised RuntimeError at test_objects.py, line "),
]


@pytest.mark.parametrize(("style", "part", "value", "at", "sentence"), ONE_WRONG)
def test_what_is_wrong_is_named(style, part, value, at, sentence):
    with pytest.raises(SettingError) as error:
        make_env(STYLES[style](ALL_RIGHT | {part: value}, at))
    assert sentence in str(error.value)
    check_words(error.value)


def test_an_environment_of_the_host_is_told_the_ways_out():
    gymnasium = pytest.importorskip("gymnasium")
    with pytest.raises(SettingError) as error:
        make_env(gymnasium.make("Pendulum-v1"))
    assert "PendulumEnv runs in Python on the host and cannot be compiled; write it with jnp" in str(error.value)
    assert all(word in str(error.value) for word in ("docs/port_an_environment.md", "as_gymnasium"))
    with pytest.raises(SettingError, match=r"Odd is a class; make_env needs an object of it, Odd\(\)."):
        make_env(Odd)


class Forgetful:
    """Its step is right but for one thing."""

    def __init__(self, fault):
        self.fault = fault

    def action_space(self, params):
        return Box(-1.0, 1.0, (1,))

    def reset_env(self, key, params):
        x = jax.random.normal(key, (2,))
        return x, x

    def step_env(self, key, x, action, params):
        if self.fault == "self":
            self.x = x
        if self.fault == "order":
            return x, 1.0, False, False, {}
        return x, x, 1.0, jnp.abs(x[0]) if self.fault == "angle" else False, {}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("self", "Forgetful must not keep what it computes in self.x; what the next step needs belongs in the state;"),
        ("order", "step_env (obs, state, reward, terminated, info)."),
        ("angle", "Forgetful must return a truth value as terminated, not one of float32;"),
    ],
)
def test_what_would_only_show_later_is_named(fault, sentence):
    with pytest.raises(SettingError) as error:
        make_env(Forgetful(fault))
    assert sentence in str(error.value)


def test_what_is_lacking_and_what_is_no_method_is_said():
    without, attribute = type("Without", (Forgetful,), {}), type("Attribute", (Forgetful,), {})
    attribute.action_space = Box(-1.0, 1.0, (1,))
    lacking = type("Lacking", (), {"step_env": 1, "action_space": 1})
    assert make_env(without("")).spec.name == "Without"
    with pytest.raises(SettingError, match=r"Attribute.action_space must be a method that returns the box"):
        make_env(attribute(""))
    with pytest.raises(SettingError, match=r"Lacking lacks reset_env; reset_env returns \(obs, state\), and step_env"):
        make_env(lacking())
