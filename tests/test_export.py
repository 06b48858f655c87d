"""Exported policies against `load_policy`: StableHLO, ONNX and plain arrays."""

import functools
import io
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from trained import HIGH, LOW, PIXELS, SPEC, invented, make_run

from ddpg_jax import DDPGConfig, SettingError, ddpg, export, load_critic, load_policy, make_env, make_policy
from ddpg_jax.cli.main import main
from ddpg_jax.deploy.export import loader
from ddpg_jax.deploy.export.npz import encode as encode_npz
from ddpg_jax.deploy.export.onnx_model import convert
from ddpg_jax.deploy.export.onnx_model import encode as encode_onnx
from ddpg_jax.deploy.policy import Policy, TrainedSeed, load_seed
from ddpg_jax.runs import folders
from ddpg_jax.runs.contents import LOCK
from ddpg_jax.runs.files import temporary_name
from ddpg_jax.runs.stored_run import read_run

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CASES = {
    "ddpg": {"norm": "batch", "activation": "leaky-relu", "normalize_obs": True},
    "td3": {"norm": "layer", "activation": "leaky-relu", "normalize_obs": True},
    "sac": {"norm": "batch", "activation": "elu", "normalize_obs": True},
    "dpg-off-policy": {"norm": "layer", "activation": "swish"},
    "copdac-q": {"norm": "layer", "activation": "tanh", "normalize_obs": True},
}
FLOAT = jax.ShapeDtypeStruct((4,), np.float32)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each of CASES, made when it is first used."""
    folder = tmp_path_factory.mktemp("runs")

    class Runs(dict):
        def __missing__(self, name):
            self[name] = make_run(folder / name, name, **CASES[name])
            return self[name]

    return Runs()


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("pixels") / "run", "ddpg", PIXELS, norm="batch")


@functools.cache
def expected(folder):
    """Observations, and the actions of `load_policy` for them."""
    policy, rng = load_policy(folder), np.random.default_rng(1)
    shape = (1000, *policy.spec.obs_shape)
    noise = rng.integers(0, 256, (100, *shape[1:])) if policy.spec.image else rng.normal(size=shape, scale=2.0)
    obs = noise.astype(policy.spec.obs_dtype)
    obs[::10] *= 1 if policy.spec.image else 20  # beyond the bound of normalized observations
    return obs, policy(obs)


def session(model):
    run = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda obs: run.run(["action"], {"obs": obs})[0]


OPEN = {
    "jax": lambda path: jax.export.deserialize(bytearray(path.read_bytes())).call,
    "onnx": lambda path: session(path.read_bytes()),
    "npz": loader.load,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("format", OPEN)
def test_every_format_is_the_policy(runs, name, format, tmp_path):
    """On 1,000 observations, of every algorithm, with norms, activations and normalized observations."""
    there = OPEN[format](export(runs[name], format, tmp_path / "p.npz"))
    obs, action = expected(runs[name])
    assert np.unique(action).size > 500
    np.testing.assert_allclose(there(obs), action, atol=1e-5, rtol=0)
    assert there(obs).shape == (1000, 2, 1)
    assert (there(1e3 * obs) >= LOW).all()
    assert (there(1e3 * obs) <= HIGH).all()


@pytest.mark.parametrize("format", OPEN)
def test_the_batch_may_have_any_size(runs, format, tmp_path):
    there = OPEN[format](export(runs["td3"], format, tmp_path / "p.npz"))
    obs, action = expected(runs["td3"])
    for count in (1, 3):
        np.testing.assert_allclose(there(obs[:count]), action[:count], atol=1e-5, rtol=0)


@pytest.mark.parametrize("format", ["jax", "onnx"])
def test_a_policy_of_images_is_exported_with_its_encoder(pixels, format, tmp_path):
    there = OPEN[format](export(pixels, format, tmp_path / "p"))
    obs, action = expected(pixels)
    assert action.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(there(obs), action, atol=1e-5, rtol=0)


def test_the_best_seed_is_exported_unless_one_is_named(runs, tmp_path):
    obs, best = expected(runs["td3"])
    best_there, first, second = (
        OPEN["onnx"](export(runs["td3"], "onnx", tmp_path / f"{seed}", seed))(obs) for seed in (None, 3, 4)
    )
    np.testing.assert_allclose(best_there, best, atol=1e-5)
    np.testing.assert_array_equal(best_there, second)
    assert abs(first - second).max() > 0.1
    with pytest.raises(SettingError, match="seed must be from 3 to 4"):
        export(runs["td3"], "onnx", tmp_path / "5", 5)


def test_stablehlo_is_for_every_platform_at_the_precision_of_the_run(runs, tmp_path):
    there = jax.export.deserialize(bytearray(export(runs["sac"], "jax", tmp_path / "p").read_bytes()))
    assert there.platforms == ("cpu", "cuda", "tpu")
    assert there.in_avals[0].shape[1:] == (2, 2)
    text = there.mlir_module()
    assert text.count("stablehlo.dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


def test_a_policy_in_memory_has_the_precision_of_training_by_default():
    """Where that of JAX would be bfloat16 or TF32."""
    spec = make_env("lqr").spec
    agent = ddpg(DDPGConfig(hidden=(4,)), spec)
    policy = make_policy(agent, agent.init(jax.random.key(0)), spec)
    text = jax.jit(policy.trained.policy).lower(jnp.zeros(spec.obs_shape)).as_text()
    assert text.count("stablehlo.dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


def alone(code, *arguments, without=("ddpg_jax", "flax")):
    """What a process prints that cannot import these libraries."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({without!r})); "
    done = subprocess.run([sys.executable, "-c", hide + code, *arguments], capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


def test_stablehlo_needs_no_ddpg_jax(runs, tmp_path):
    path, obs = export(runs["ddpg"], "jax", tmp_path / "p"), expected(runs["ddpg"])[0][:3]
    code = (
        "import json, numpy as np, jax.export\n"
        "policy = jax.export.deserialize(bytearray(open(sys.argv[1], 'rb').read()))\n"
        "print(json.dumps(policy.call(np.array(json.loads(sys.argv[2]))).tolist()))"
    )
    got = alone(code, str(path), json.dumps(obs.tolist()))
    np.testing.assert_allclose(got, expected(runs["ddpg"])[1][:3], atol=1e-5)


def test_the_loader_needs_numpy_alone(runs, tmp_path):
    """Its text, as it stands in docs/export.md, where one observation or many are given as lists."""
    path, obs = export(runs["copdac-q"], "npz", tmp_path / "p.npz"), expected(runs["copdac-q"])[0][:3]
    code = Path(loader.__file__).read_text() + (
        "\nimport json, sys\npolicy, obs = load(sys.argv[1]), json.loads(sys.argv[2])\n"
        "assert policy(obs[0]).shape == (2, 1)\n"
        "print(json.dumps(policy(obs).tolist()))"
    )
    assert "import" in code
    body = code.split('"""', 2)[2]
    got = alone(body, str(path), json.dumps(obs.tolist()), without=("ddpg_jax", "jax", "flax", "onnx"))
    np.testing.assert_allclose(got, expected(runs["copdac-q"])[1][:3], atol=1e-5)


def test_the_docs_show_the_loader_as_it_is():
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    text = Path(loader.__file__).read_text().split('"""', 2)[2].strip()
    assert text in re.sub(r"(?m)^```$", "", page)


def test_npz_refuses_what_is_no_perceptron(runs, pixels, tmp_path):
    with pytest.raises(SettingError, match=r"ddpg's policy for pixels/toy is none \(it sees images\)"):
        export(pixels, "npz", tmp_path / "p.npz")
    trained = load_seed(runs["td3"])
    act = trained.agent.act
    more = trained._replace(agent=trained.agent._replace(act=lambda learner, obs: 0.9 * act(learner, obs)))
    with pytest.raises(SettingError, match="does more than its layers say"):
        encode_npz(more)
    other = trained._replace(learner=trained.learner.replace(params={"policy": trained.learner.params["actor"]}))
    with pytest.raises(SettingError, match="built in another way"):
        encode_npz(other)
    blocks = trained._replace(run=trained.run._replace(config=trained.run.config.replace(residual=True)))
    with pytest.raises(SettingError, match="it has residual blocks"):
        encode_npz(blocks)
    shorter = jax.tree.map(lambda leaf: leaf[1:] if leaf.ndim == 2 else leaf, trained.learner.params["actor"])
    other = trained._replace(learner=trained.learner.replace(params={"actor": shorter}))  # which NumPy cannot multiply
    with pytest.raises(SettingError, match="does more than its layers say"):
        encode_npz(other._replace(agent=trained.agent._replace(act=lambda learner, obs: jnp.zeros((len(obs), 2)))))
    assert not list(tmp_path.iterdir())


def test_npz_is_compared_with_the_policy_in_float32(runs):
    """Whatever the precision of the run, at which a GPU may compute what is not the same to the tolerance."""
    run, seen = read_run(runs["td3"]), []

    def make(config, spec):
        agent = run.named.value.make(config, spec)

        def act(learner, obs):
            seen.append(jax.config.jax_default_matmul_precision)
            return agent.act(learner, obs)

        return agent._replace(act=act)

    loop, named = run.loop.replace(matmul_precision="bfloat16"), run.named.value._replace(make=make)
    trained = load_seed(run._replace(loop=loop, named=run.named._replace(value=named)))
    encode_npz(trained)
    assert set(seen) == {"float32"}
    jax.eval_shape(trained.policy, jnp.zeros(SPEC.obs_shape))
    assert seen[-1] == "bfloat16"


@pytest.mark.parametrize("format", OPEN)
def test_parameters_that_are_not_finite_are_refused_as_such(runs, format, tmp_path):
    policy = load_policy(runs["td3"])
    learner = policy.trained.learner
    broken = learner.replace(params=jax.tree.map(lambda leaf: leaf.at[..., 0].set(jnp.nan), learner.params))
    with pytest.raises(SettingError, match=r"the parameters of seed 4 must be finite; it has diverged\."):
        export(policy._replace(trained=policy.trained._replace(learner=broken)), format, tmp_path / "p")
    assert not list(tmp_path.iterdir())


def test_a_policy_takes_what_its_observations_are():
    """An image in [0, 1] would be black in bytes."""

    def act(obs):
        assert obs.dtype == np.uint8
        return obs[..., :1] / 255

    policy = Policy(toys.spec((3,), 1, np.uint8), 0, act)
    whole = np.array([255.0, 0.0, 7.0])
    for obs in ([255, 128, 0], np.full((2, 3), 255, np.uint8), jnp.full(3, 255, jnp.int32), whole):
        assert (policy(obs) == 1).all()
    assert policy([True, False, True]).shape == (1,)
    refused = {"float64": [0.1, 0.5, 1.0], "int64": [0, 256, 1], "object": {"image": 0}, "<U1": ["a", "b", "c"]}
    refused |= {"uint16": np.array([256, 0, 0], np.uint16), "float32": np.array([np.nan, 0, 0], np.float32)}
    for found, obs in refused.items():
        with pytest.raises(SettingError, match=rf"obs must be uint8 for toy, or numbers that uint8 .*, not {found}\."):
            policy(obs)
    floats, one = (Policy(toys.spec(shape, 1), 0, lambda obs: np.zeros(1)) for shape in ((3,), ()))
    assert floats([1, 2, 3]).shape == (1,)
    with pytest.raises(SettingError, match=r"obs must be an array of numbers for toy, not \[\[1\], \[1, 2\]\]"):
        floats([[1], [1, 2]])
    with pytest.raises(SettingError, match=r"obs must have shape \(3,\) or \(batch, 3\) for toy, not \(2,\)"):
        floats([1, 2])
    with pytest.raises(SettingError, match=r"obs must have shape \(\) or \(batch,\) for toy, not \(1, 2\)"):
        one([[1, 2]])


def test_a_critic_takes_what_its_observations_and_actions_are(runs):
    critic = load_critic(runs["td3"])
    with pytest.raises(SettingError, match=r"obs must be float32 for toy, .* not object"):
        critic({"obs": 0}, LOW)
    with pytest.raises(SettingError, match=r"action must be float32 for toy, .* not complex64"):
        critic(np.zeros((2, 2)), LOW * 1j)


def test_the_algorithm_of_a_user_is_exported_too(monkeypatch):
    """The one of CONTRIBUTING.md, which this package does not know."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    monkeypatch.setitem(sys.modules, "gentle", gentle := types.ModuleType("gentle"))
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], vars(gentle))
    config = gentle.GentleConfig(hidden=(4,), norm="batch", optimizer="sgd")
    agent = gentle.gentle(config, SPEC)
    learner = invented(jax.eval_shape(agent.init, jax.random.key(0)))
    trained = TrainedSeed(agent, learner, types.SimpleNamespace(spec=SPEC, config=config, algorithm="gentle"), 0)
    obs = np.random.default_rng(3).normal(size=(50, 2, 2)).astype(np.float32)
    for there in (session(encode_onnx(trained)), loader.load(io.BytesIO(encode_npz(trained)))):
        np.testing.assert_allclose(there(obs), trained.policy(obs), atol=1e-5)


FUNCTIONS = {
    "arithmetic": lambda x: (x + 2) * x - x / 3 - (-x) + x**2 + x**3 + jnp.square(x) + (x**2 + 1) ** 0.3,
    "roots": lambda x: jnp.sqrt(x * x + 1) + jax.lax.rsqrt(x * x + 1) + jnp.log(x * x + 1) + jnp.log1p(x * x),
    "curves": lambda x: jnp.exp(x) + jnp.expm1(x) + jax.nn.sigmoid(x) + jnp.sin(x) * jnp.cos(x) + jax.lax.erf(x),
    "steps": lambda x: jnp.sign(x) + jnp.floor(x) - jnp.ceil(2 * x) + jnp.abs(x) + jnp.clip(x, -0.5, 0.3),
    "clamp": lambda x: jax.lax.clamp(-0.5, x, 0.3),
    "comparisons": lambda x: (x > 0) * 1.0 + (x >= 1) * 2 + (x < -1) * 3 + (x <= 0.5) * 4.0 + (x != 0) + (x == 1),
    "choice": lambda x: jnp.where(x > 0.2, x, 3.0),
    "reductions": lambda x: x.sum(-1) + x.max(axis=1) * x.min(axis=1) + x.mean(-1) + x.var(-1),
    "activations": lambda x: jax.nn.gelu(x) + jax.nn.softplus(x) + jax.nn.silu(x) + jax.nn.relu6(x),
    "softmax": lambda x: jax.nn.softmax(x),
    "shapes": lambda x: x.reshape(-1, 2, 2).transpose(0, 2, 1)[:, None].squeeze(1),
    "pieces": lambda x: jnp.concatenate([x[:, 1:3], x[:, ::2], x[:, :1], x[:, -1:], x[:, 0:1] * x[:, 3][:, None]], -1),
    "picture": lambda x: x.reshape(-1, 2, 2, 1)[..., 0:1, 0:2:2, :],
    "halves": lambda x: jnp.split(x, 2, axis=-1)[0] - jnp.split(x, [1, 3], axis=-1)[1],
    "stretched": lambda x: jnp.broadcast_to(x[:, :, None], (*x.shape, 3)) + jnp.ones((3,)),
    "product": lambda x: x @ jnp.arange(12.0).reshape(4, 3),
    "vectors": lambda x: x @ jnp.arange(4.0),
    "transposed": lambda x: x @ jnp.arange(12.0).reshape(3, 4).T,
    "batched": lambda x: jnp.einsum("bi,bj->bij", x, x) @ jnp.arange(8.0).reshape(4, 2),
    "left": lambda x: jnp.einsum("eij,bi->ebj", jnp.arange(24.0).reshape(2, 4, 3), x).sum(0),
    "inner": lambda x: (x * x).sum(-1) + jnp.einsum("bi,bi->b", x, x),
    "dtypes": lambda x: (x.astype(jnp.int32) + 1).astype(jnp.float32),
    "constant": lambda x: jnp.zeros(x.shape) + jnp.linalg.norm(jnp.arange(4.0)),
    "rematerialized": jax.checkpoint(lambda x: jnp.tanh(x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_translation_computes_the_same(name):
    function = FUNCTIONS[name]
    x = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    model = convert(lambda _, x: function(x), {}, FLOAT)
    expected = np.asarray(function(jnp.asarray(x)))
    got = session(model.SerializeToString())(x)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


REFUSED = {
    "'sort'": lambda x: jnp.sort(x),
    "'cumsum'": lambda x: jnp.cumsum(x, -1),
    "gather at indices that depend on the observation": lambda x: jnp.arange(9.0)[(x > 0).astype(int)],
    "arrays of size 2*batch": lambda x: jnp.concatenate([x, x]).reshape(2 * x.shape[0], 2, 2),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_translation_is_refused_by_name(what):
    with pytest.raises(SettingError, match=re.escape(what)) as refusal:
        convert(lambda _, x: REFUSED[what](x), {}, FLOAT)
    assert str(refusal.value).count(".") == 1


def test_an_onnx_model_has_its_origin_and_nothing_but_its_policy(runs, tmp_path):
    """SAC's standard deviation, the critics and the optimizer are left out; parameters keep their names."""
    model = onnx.load(export(runs["sac"], "onnx", tmp_path / "p.onnx"))
    assert {p.key: p.value for p in model.metadata_props} == {"algorithm": "sac", "environment": "toy", "seed": "4"}
    names = {array.name for array in model.graph.initializer}
    assert "params/actor/params/Dense_0/Dense_0/kernel" in names
    assert not [name for name in names if "Dense_3" in name or "critic" in name or "opt_state" in name]
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 2, 2]
    assert [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == ["batch", 2, 1]


def test_nothing_is_overwritten_by_default(runs, tmp_path):
    path = tmp_path / "deep" / "p.onnx"
    export(runs["td3"], "onnx", path, 3)
    before = path.read_bytes()
    with pytest.raises(SettingError, match="--overwrite"):
        export(runs["td3"], "onnx", path, 4)
    assert path.read_bytes() == before
    export(runs["td3"], "onnx", path, 4, overwrite=True)
    assert path.read_bytes() != before
    assert [file.name for file in path.parent.iterdir()] == ["p.onnx"]


def test_what_cannot_be_exported_is_refused_in_a_sentence(runs, tmp_path, monkeypatch):
    with pytest.raises(SettingError, match="format must be one of jax, onnx, npz, not 'pickle'"):
        export(runs["td3"], "pickle")
    with pytest.raises(SettingError, match="is a folder"):
        export(runs["td3"], "npz", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"file that can be written.*\(File exists\)"):
        export(runs["td3"], "npz", tmp_path / "file" / "p.npz")
    with pytest.raises(SettingError, match="not a run folder"):
        export(tmp_path / "none", "npz")
    for folder in (None, len, 3):
        with pytest.raises(SettingError, match="folder must be a run folder or a policy from load_policy or make"):
            export(folder, "npz")
    with pytest.raises(SettingError, match=r"matmul_precision must be one of float32, .*, not 'f8'"):
        make_policy(None, None, SPEC, matmul_precision="f8")
    with pytest.raises(SettingError, match="seed and checkpoint must not be given for a policy"):
        export(load_policy(runs["td3"]), "npz", tmp_path / "p.npz", seed=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="format onnx needs onnx; `pip install onnx`"):
        export(runs["td3"], "onnx", tmp_path / "p.onnx")


def test_the_command_line_exports_into_the_run_which_stays_a_run(tmp_path, capsys):
    folder = make_run(tmp_path / "run", "ddpg")
    for format, suffix in (("jax", "stablehlo"), ("onnx", "onnx"), ("npz", "npz")):
        assert main(["export", str(folder), "--format", format]) == 0
        printed = capsys.readouterr().out
        assert f"policy.{suffix}" in printed
        assert "obs [batch, 2, 2] float32 to action [batch, 2, 1] float32" in printed
    assert main(["export", str(folder), "--format", "npz", "--seed", "3"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main(["export", str(folder), "--format", "npz", "--seed", "3", "--overwrite"]) == 0
    obs = np.ones((2, 2))
    np.testing.assert_allclose(loader.load(folder / "policy.npz")(obs), load_policy(folder, 3)(obs), atol=1e-5)
    temporary_name(folder / "policy.npz").touch()  # of a process that was killed while it exported
    with folders.new_run_folder(folder, overwrite=True):
        assert {path.name for path in folder.iterdir()} <= {LOCK}
