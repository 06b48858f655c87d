"""networks.py and layers.py: shapes, ranges, initial weights, and statistics that come back."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax import DDPGConfig, SettingError, ddpg
from ddpg_jax.core.layers import ACTIVATIONS, Conv, Dense, Norm, flatten
from ddpg_jax.core.networks import Actor, Critic, Shape, network

KEY = jax.random.key(0)


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
@pytest.mark.parametrize("obs_shape", [(3,), (2, 3), ()])
def test_any_leading_dimensions(lead, obs_shape):
    """An actor gives [..., A] and a critic [...], whatever the shape of one observation."""
    obs, action = jnp.ones((*lead, *obs_shape)), jnp.zeros((*lead, 2))
    actor, critic = network(Actor(2, Shape(len(obs_shape), (5,)))), network(Critic(Shape(len(obs_shape), (5,))))
    assert jax.eval_shape(lambda: actor.apply(actor.init(KEY, obs), obs)).shape == (*lead, 2)
    assert jax.eval_shape(lambda: critic.apply(critic.init(KEY, obs, action), obs, action)).shape == lead


def test_an_actor_stays_in_the_box():
    """Even for observations of absurd size."""
    actor = network(Actor(2, Shape(1, (5,))))
    obs = 1e6 * jax.random.normal(KEY, (50, 3))
    assert np.abs(actor.apply(actor.init(KEY, obs), obs)).max() <= 1


def test_a_critic_reads_its_action():
    """Another action, another value."""
    critic = network(Critic(Shape(1, (5,))))
    obs, action = jnp.ones((4, 3)), jnp.linspace(-1, 1, 4)[:, None]
    q = critic.apply(critic.init(KEY, obs, action), obs, action)
    assert len(np.unique(q)) == 4


def test_bytes_are_read_as_numbers():
    """A uint8 observation counts from 0 to 255, in float32."""
    obs = jnp.array([[[0, 255], [1, 2]]], jnp.uint8)
    out = flatten(obs, 2)
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, [[0, 255, 1, 2]])


@pytest.mark.parametrize(("scale", "bound"), [(None, 1 / 20), (0.003, 0.003)])
def test_initial_weights_fill_their_range(scale, bound):
    """U(-1/√inputs, 1/√inputs), or the range asked for; kernels and biases."""
    variables = Dense(300, scale).init(KEY, jnp.zeros((1, 400)))["params"]["Dense_0"]
    for weights in variables.values():
        assert np.abs(weights).max() <= bound
        np.testing.assert_allclose(np.std(weights), bound / np.sqrt(3), rtol=0.1)


def test_hidden_sets_the_widths():
    """One hidden layer per width, and the output after them."""
    init = network(Critic(Shape(1, (7, 5)))).init
    variables = jax.eval_shape(init, KEY, jnp.zeros((1, 3)), jnp.zeros((1, 2)))
    kernels = [leaf.shape for leaf in jax.tree.leaves(variables) if leaf.ndim == 2]
    assert sorted(kernels) == [(5, 1), (5, 7), (7, 5)]


class Normalized(nn.Module):
    """A linear layer behind a batch norm."""

    @nn.compact
    def __call__(self, x):
        evaluating = not self.is_mutable_collection("batch_stats")
        return nn.Dense(1)(nn.BatchNorm(use_running_average=evaluating, momentum=0.9)(x))


def test_train_returns_the_statistics_it_moved():
    """By momentum towards the batch's own; `apply` uses them and moves nothing."""
    net, x = network(Normalized()), jnp.array([[1.0], [3.0]])
    variables = net.init(KEY, x)
    y, mutated = net.apply_train(variables, x)
    stats = mutated["batch_stats"]["BatchNorm_0"]
    assert list(mutated) == ["batch_stats"]
    np.testing.assert_allclose(stats["mean"], [0.1 * 2.0], rtol=1e-5)
    np.testing.assert_allclose(stats["var"], [0.9 + 0.1 * 1.0], rtol=1e-5)
    assert not np.allclose(y, net.apply(variables, x))


@pytest.mark.parametrize("offset", [0, 300, 10_000])
def test_batch_norm_bears_a_mean_that_is_large_beside_the_deviation(offset):
    """As that of temperatures in kelvin; the mean of squares minus the square of the mean is 0 in float32."""
    x = offset + 0.1 * jax.random.normal(KEY, (256, 1))
    norm = network(Norm("batch"))
    y, mutated = norm.apply_train(norm.init(KEY, x), x)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=0.02)
    np.testing.assert_allclose(mutated["batch_stats"]["BatchNorm_0"]["var"], 0.99 + 0.01 * x.var(), rtol=1e-5)


def test_train_and_apply_agree_without_statistics():
    """And there is nothing to give back."""
    net, x = network(Actor(2, Shape(1, (5,)))), jnp.ones((4, 3))
    variables = net.init(KEY, x)
    y, mutated = net.apply_train(variables, x)
    assert not mutated
    np.testing.assert_array_equal(y, net.apply(variables, x))


def kernels(variables):
    return {path[1].key: leaf.shape for path, leaf in jax.tree.leaves_with_path(variables) if path[-1].key == "kernel"}


@pytest.mark.parametrize(("layer", "expected"), [(1, (5, 7, 6)), (2, (3, 9, 6)), (3, (3, 7, 8))])
def test_the_action_enters_where_it_is_told(layer, expected):
    """Its two numbers widen the input of that layer alone; the layer after the last hidden one is the output."""
    critic = network(Critic(Shape(1, (7, 6), action_layer=layer)))
    variables = jax.eval_shape(critic.init, KEY, jnp.zeros((1, 3)), jnp.zeros((1, 2)))
    assert tuple(shape[0] for shape in kernels(variables).values()) == expected


def test_an_action_beyond_the_output_is_refused():
    config = DDPGConfig(hidden=(8, 8), action_layer=4)
    with pytest.raises(SettingError, match="action_layer must be at most 3, one past `hidden`, not 4"):
        ddpg(config, spec())


def test_images_too_small_for_three_convolutions_are_refused():
    small = spec((64, 14, 3), 1, np.uint8)._replace(image=True)
    with pytest.raises(SettingError, match=r"Images must be at least 15 x 15 for the default networks, not \(64, 14\)"):
        ddpg(DDPGConfig(), small)


def test_the_last_layer_has_its_own_range():
    """U(-3e-3, 3e-3) there, 1/√inputs elsewhere (Lillicrap et al. 2016, section 7)."""
    actor = network(Actor(50, Shape(1, (400,), final_scale=3e-3)))
    layers = actor.init(KEY, jnp.zeros((1, 100)))["params"]
    for name, bound in (("Dense_0", 0.1), ("Dense_1", 3e-3)):
        for weights in jax.tree.leaves(layers[name]):
            assert np.abs(weights).max() <= bound
            np.testing.assert_allclose(np.std(weights), bound / np.sqrt(3), rtol=0.15)


def test_activations_are_what_they_are_called():
    """A network of one unit with weight 1 is its activation."""
    x = jnp.array([[-2.0], [1.0]])
    expected = {"relu": [0, 1], "leaky-relu": [-0.02, 1], "elu": [np.exp(-2) - 1, 1], "tanh": np.tanh([-2, 1])}
    expected["swish"] = [-2 / (1 + np.exp(2)), 1 / (1 + np.exp(-1))]
    assert set(expected) == set(ACTIVATIONS)
    for name, y in expected.items():
        critic = network(Critic(Shape(1, (1,), activation=name)))
        ones = jax.tree.map(lambda leaf: jnp.ones_like(leaf) * (leaf.ndim > 1), critic.init(KEY, x))
        np.testing.assert_allclose(critic.apply(ones, x), y, rtol=1e-5)


def batch_norm(x, stats=None):
    """NumPy: by the batch's own statistics, or by the running (mean, var); scale 1, offset 0."""
    mean, var = (x.mean(0), x.var(0)) if stats is None else stats
    return (x - mean) / np.sqrt(var + 1e-5)


def by_hand(variables, obs, action, stats):
    """The critic of the paper with two hidden layers in NumPy; `stats` are running ones, or None while training."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def dense(i, x):
        layer = params[f"Dense_{i}"]["Dense_0"]
        return x @ layer["kernel"] + layer["bias"]

    def norm(i, x):
        return batch_norm(x, stats and stats[i])

    x = np.maximum(norm(1, dense(0, norm(0, obs))), 0)
    x = np.maximum(dense(1, np.concatenate([x, action], 1)), 0)  # no norm once the action is in
    return dense(2, x)[:, 0]


def test_batch_norm_is_where_the_paper_puts_it():
    """On the state and on each layer before the action enters; the batch's in training, the running ones elsewhere."""
    critic = network(Critic(Shape(1, (7, 6), norm="batch", action_layer=2)))
    rng = np.random.default_rng(0)
    obs, action = rng.normal(3.0, 2.0, (16, 3)), rng.uniform(-1, 1, (16, 2))
    variables = critic.init(KEY, obs, action)
    trained, mutated = critic.apply_train(variables, obs, action)
    np.testing.assert_allclose(trained, by_hand(variables, obs, action, None), rtol=1e-4, atol=1e-5)
    stats = [mutated["batch_stats"][f"Norm_{i}"]["BatchNorm_0"] for i in range(2)]
    running = [(np.asarray(s["mean"]), np.asarray(s["var"])) for s in stats]
    np.testing.assert_allclose(running[0], [0.01 * obs.mean(0), 0.99 + 0.01 * obs.var(0)], rtol=1e-4)
    moved = variables | mutated
    np.testing.assert_allclose(
        critic.apply(moved, obs, action), by_hand(moved, obs, action, running), rtol=1e-4, atol=1e-5
    )
    assert len(mutated["batch_stats"]) == 2


def test_an_actor_norms_the_state_and_every_hidden_layer():
    actor = network(Actor(2, Shape(1, (7, 6), norm="batch")))
    assert len(actor.init(KEY, jnp.zeros((1, 3)))["batch_stats"]) == 3


def test_layer_norm_is_of_each_hidden_layer():
    """Of the action's layers too, not of the input, and the same in training and evaluation."""
    critic = network(Critic(Shape(1, (7, 6), norm="layer")))
    obs, action = jax.random.normal(KEY, (4, 3)), jnp.zeros((4, 2))
    variables = critic.init(KEY, obs, action)
    assert [name for name in variables["params"] if "Norm" in name] == ["Norm_1", "Norm_2"]
    trained, mutated = critic.apply_train(variables, obs, action)
    assert not mutated
    np.testing.assert_array_equal(trained, critic.apply(variables, obs, action))
    first = variables["params"]["Dense_0"]["Dense_0"]
    far = jax.tree.map(lambda leaf: leaf, variables)
    far["params"]["Dense_0"] = {"Dense_0": jax.tree.map(lambda leaf: 10 * leaf, first)}  # a norm takes the factor out
    np.testing.assert_allclose(critic.apply(far, obs, action), trained, rtol=1e-2)


def test_a_convolution_is_xlas():
    """3 x 3, stride 2, no padding, whatever leads."""
    x = jax.random.normal(KEY, (2, 4, 9, 8, 3))
    conv = Conv(5)
    variables = conv.init(KEY, x)
    layer = variables["params"]["Dense_0"]
    kernel = layer["kernel"].reshape(3, 3, 3, 5)
    expected = jax.lax.conv_general_dilated(
        x.reshape(8, 9, 8, 3), kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    out = conv.apply(variables, x)
    assert out.shape == (2, 4, 4, 3, 5)
    np.testing.assert_allclose(out.reshape(8, 4, 3, 5), expected + layer["bias"], rtol=1e-4, atol=1e-5)


def test_images_go_through_three_convolutions():
    """Bytes are scaled to [0, 1]; the published shape has about the paper's 430,000 weights; one image or many."""
    actor = network(Actor(1, Shape(3, (200, 200), image=True)))
    obs = jax.random.randint(KEY, (2, 64, 64, 3), 0, 256).astype(jnp.uint8)
    variables = jax.jit(actor.init)(KEY, obs)
    layers = [(27, 32), (9 * 32, 32), (9 * 32, 32), (7 * 7 * 32, 200), (200, 200), (200, 1)]
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == sum((i + 1) * o for i, o in layers) == 373_593
    out = jax.jit(actor.apply)(variables, obs)
    assert out.shape == (2, 1)
    np.testing.assert_allclose(jax.jit(actor.apply)(variables, obs[0]), out[0], rtol=1e-4, atol=1e-6)
    x, params = obs / 255, variables["params"]
    for i in range(3):
        x = nn.relu(Conv(32).apply({"params": params[f"Conv_{i}"]}, x))
    x = x.reshape(2, -1)
    for i in range(3):
        x = nn.relu(x) if i else x
        x = Dense(200 if i < 2 else 1).apply({"params": params[f"Dense_{i}"]}, x)
    np.testing.assert_allclose(out, jnp.tanh(x), rtol=1e-4, atol=1e-6)
    dark = network(Actor(1, Shape(3, (200, 200), image=True))).init(jax.random.key(1), obs)["params"]
    assert all(not dark[f"Conv_{i}"]["Dense_0"]["bias"].any() for i in range(3))


def test_residual_layers_are_those_of_the_paper():
    """A linear layer, x + W₂ relu(W₁ LN(x)) for each width with four times as many features inside, LN, the output."""
    critic = network(Critic(Shape(1, (3, 3), residual=True)))
    rng = np.random.default_rng(0)
    obs, action = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    shapes = jax.eval_shape(critic.init, KEY, jnp.zeros((1, 2)), jnp.zeros((1, 1)))
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def dense(index, x):
        layer = params[f"Dense_{index}"]["Dense_0"]
        return x @ layer["kernel"] + layer["bias"]

    def layer_norm(index, x):
        layer = params[f"LayerNorm_{index}"]
        centered = x - x.mean(axis=-1, keepdims=True)
        return centered / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6) * layer["scale"] + layer["bias"]

    x = dense(0, np.concatenate([obs, action], axis=-1))
    for block in range(2):
        x = x + dense(2 * block + 2, np.maximum(dense(2 * block + 1, layer_norm(block, x)), 0))
    expected = dense(5, layer_norm(2, x))[:, 0]
    np.testing.assert_allclose(critic.apply(variables, obs, action), expected, rtol=1e-4)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(shapes) if leaf.ndim == 2) == [
        (3, 1),
        (3, 3),
        (3, 12),
        (3, 12),
        (12, 3),
        (12, 3),
    ]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden": (8, 4)}, r"hidden must be one or more equal widths where residual is given, not \(8, 4\)."),
        ({"hidden": ()}, "hidden must be one or more equal widths"),
        ({"norm": "batch"}, "norm must be none or layer where residual is given, not batch."),
        ({"action_layer": 2}, "action_layer must be 1 where residual is given, not 2."),
    ],
)
def test_what_residual_blocks_cannot_have_is_refused(settings, sentence):
    with pytest.raises(SettingError, match=sentence):
        ddpg(DDPGConfig(residual=True, **settings), spec())
