"""Images show what the state is, and animations hold the episodes that `evaluate` plays."""

import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace as State

import jax
import jax.numpy as jnp
import learning_gif
import numpy as np
import pytest
import toys
from PIL import Image, ImageSequence

from ddpg_jax import SettingError, as_gymnasium, check_env, evaluate, make_env, make_renderer
from ddpg_jax.cli.main import main
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.episodes import Trajectory, rollout
from ddpg_jax.deploy.evaluate import evaluate_run
from ddpg_jax.envs.suites import ids
from ddpg_jax.results.drawing import MODULES, animation, classic_control, opengl, planar, top_down
from ddpg_jax.results.drawing.pixels import channel_column
from ddpg_jax.results.drawing.title import add_title
from ddpg_jax.results.render import frame_durations, frame_indices, frames, render

SIZE = 96
BLUE, ORANGE, GREEN = (52, 92, 150), (235, 125, 40), (66, 150, 94)


def has_color(image, color):
    """The pixels [H, W] that have about this color."""
    return np.abs(image.astype(int) - color).max(axis=-1) < 12


def center_of(image, color):
    """The (x, y) of the center of the pixels of a color, from -1 to 1."""
    pixels = has_color(image, color)
    assert pixels.any()
    row, column = (indices.mean() for indices in np.nonzero(pixels))
    return 2 * column / (image.shape[1] - 1) - 1, 1 - 2 * row / (image.shape[0] - 1)


def test_the_pendulum_is_drawn_at_its_angle():
    draw = classic_control.pendulum(SIZE)
    bobs = {angle: center_of(draw(State(theta=angle, last_u=0.0)), ORANGE) for angle in (0.0, np.pi, np.pi / 2)}
    assert bobs[0.0] == pytest.approx((0, 1 / 1.45), abs=0.02)
    assert bobs[np.pi] == pytest.approx((0, -1 / 1.45), abs=0.02)
    assert bobs[np.pi / 2] == pytest.approx((-1 / 1.45, 0), abs=0.02)


def test_the_arc_of_the_pendulum_is_its_torque():
    draw = classic_control.pendulum(SIZE)
    left, right, none = (draw(State(theta=np.pi, last_u=torque))[SIZE // 4 :] for torque in (2.0, -2.0, 0.0))
    assert center_of(left, GREEN)[0] < -0.1 < 0.1 < center_of(right, GREEN)[0]
    assert not has_color(none, GREEN).any()


def test_the_car_is_drawn_at_its_position_on_the_hill():
    draw = classic_control.mountain_car(SIZE)
    left, valley, goal = (center_of(draw(State(position=x)), BLUE) for x in (-1.1, -np.pi / 6, 0.45))
    assert left[0] < valley[0] < goal[0]
    assert valley[1] < min(left[1], goal[1])
    assert valley[0] == pytest.approx((-np.pi / 6 + 0.3) / 1.02, abs=0.05)


def test_the_arm_is_drawn_at_its_angles():
    """Each angle is measured from the x axis, so two of 90 degrees stretch the arm upwards."""
    draw = top_down.reacher(SIZE)
    straight = draw(State(angles=np.array([np.pi / 2, np.pi / 2]), goal_xy=np.array([-1.5, 1.0])))
    assert center_of(straight, GREEN) == pytest.approx((0, 2 / 2.3), abs=0.03)
    assert center_of(straight, ORANGE) == pytest.approx((-1.5 / 2.3, 1 / 2.3), abs=0.03)
    bent = draw(State(angles=np.array([np.pi / 2, np.pi]), goal_xy=np.array([-1.5, -1.0])))
    assert center_of(bent, GREEN) == pytest.approx((-1 / 2.3, 1 / 2.3), abs=0.03)


def test_the_robot_is_drawn_at_its_position_and_never_out_of_view():
    draw = top_down.point_robot(SIZE)
    goal, no_action = np.array([0.0, 1.0]), np.zeros(2)
    robot = center_of(draw(State(pos=np.array([0.8, -0.4]), goal=goal, last_action=no_action)), BLUE)
    assert robot == pytest.approx((0.5, -0.25), abs=0.03)
    far = center_of(draw(State(pos=np.array([9.0, 0.0]), goal=goal, last_action=no_action)), BLUE)
    assert far[0] > 0.85


def test_the_fish_is_drawn_between_urchins_and_goal():
    draw, urchins = top_down.swimmer(SIZE), np.array([[-0.9, -0.9], [0.9, -0.9]])
    state = State(urchin_xys=urchins, xy=np.array([0.7, 0.7]), xy_vel=np.zeros(2), goal_xy=np.array([-0.7, 0.7]))
    image = draw(state)
    assert center_of(image, BLUE) == pytest.approx((0.5, 0.5), abs=0.05)
    assert center_of(image, ORANGE) == pytest.approx((-0.5, 0.5), abs=0.03)
    assert center_of(image, top_down.PURPLE) == pytest.approx((0, -0.9 / 1.4), abs=0.03)


def test_the_block_is_drawn_at_the_first_component_with_an_arrow_for_the_second():
    draw = classic_control.lqr(SIZE)
    assert center_of(draw(np.array([1.05, 0.0])), BLUE) == pytest.approx((0.5, 0), abs=0.03)
    right, left = (center_of(draw(np.array([0.0, velocity])), ORANGE)[0] for velocity in (1.0, -1.0))
    assert left < -0.05 < 0.05 < right


def test_every_task_that_we_ship_can_be_drawn():
    """Of gymnax's tasks those with a box of actions; Brax's tasks share one module."""
    boxes = {name for name in ids("") if name in planar.TASKS}
    assert boxes | {"lqr"} == set(planar.TASKS)
    assert {"brax/", "playground/", "pixels/"} < set(MODULES)
    for name in (*planar.TASKS, *ids("pixels/")):
        renderer = make_renderer(name, SIZE)
        image = renderer(make_env(name).reset(jax.random.key(0)))
        assert image.dtype == np.uint8
        assert image.shape[0] == SIZE
        assert renderer.dt > 0


def test_pixels_are_drawn_beside_what_the_agent_observes():
    env, renderer = make_env("pixels/Pendulum-v1"), make_renderer("pixels/Pendulum-v1", SIZE)
    state = jax.device_get(env.reset(jax.random.key(0)))
    image = renderer(state)
    task = classic_control.pendulum(SIZE)(jax.tree.map(lambda leaf: leaf[-1], state.inner))
    assert (image[:, :SIZE] == task).all()
    observed = image[:, SIZE + 4 :]
    assert observed[:29].std() > 20
    channel = Image.fromarray(state.obs[..., 0]).resize((29, 29), Image.Resampling.NEAREST)
    assert (observed[:29, :, 0] == np.asarray(channel)).all()


class Walk:
    """A gymnax-style object that can render itself, as floats."""

    name = "walk"

    def action_space(self, params):
        return State(low=-1.0, high=1.0, shape=(1,))

    def reset_env(self, key, params):
        x = jax.random.uniform(key, (1,))
        return x, x

    def step_env(self, key, x, action, params):
        x = x + 0.1 * action
        return x, x, -jnp.abs(x).sum(), False, {}

    def render(self, x):
        return np.full((20, 30), np.clip(x[0], 0, 1))


def test_an_environment_with_a_render_method_is_drawn_by_it():
    renderer = make_renderer(Walk())
    played = rollout(jax.random.key(0), make_env(Walk()), lambda obs: -obs, max_steps=3, select=renderer.select)
    images = frames(played, renderer.draw)
    assert images.shape[0] == 4
    assert images[0, -1, 0] == pytest.approx(played.states[0, 0, 0] * 255, abs=1)


def test_a_fault_of_a_render_method_is_named():
    class Broken(Walk):
        dt = 0.1

        def render(self, x):
            return {}["x"]

    renderer = make_renderer(Broken())
    assert renderer.dt == 0.1
    with pytest.raises(SettingError, match=r"walk.render raised KeyError at test_render.py, line \d+: 'x'."):
        renderer.draw(np.zeros(1))
    Broken.dt = lambda self: 0.1
    with pytest.raises(SettingError, match=r"walk.dt must be the seconds of a step, a number above 0, not"):
        make_renderer(Broken())


def test_images_of_several_sizes_are_refused():
    played = rollout(jax.random.key(0), toys.wandering(3), lambda obs: jnp.zeros_like(obs))
    with pytest.raises(SettingError, match="must have one size, and that of step 1 has 9 x 9 pixels"):
        frames(played, lambda state: np.zeros((8 + int(state.time), 8 + int(state.time), 3), np.uint8))


@pytest.mark.parametrize("channels", [1, 3, 20, 100])
def test_any_number_of_channels_fits_in_a_column(channels):
    obs = np.full((16, 16, channels), 200, np.uint8)
    column = channel_column(obs, 64)
    assert column.shape[0] == 64
    assert (column == 200).any()


def test_a_renderer_is_what_as_gymnasium_takes():
    env = as_gymnasium("lqr", render=make_renderer("lqr", SIZE))
    env.reset(seed=0)
    first = env.render()
    env.step(np.ones(env.action_space.shape))
    assert first.shape == (SIZE, SIZE, 3)
    assert center_of(first, BLUE) != center_of(env.render(), BLUE)


def test_any_function_of_a_state_draws():
    """And a state may hold a key."""
    env = toys.wandering()
    played = rollout(jax.random.key(0), env, lambda obs: jnp.zeros_like(obs))
    images = frames(played, lambda state: np.full((8, 8, 3), state.time, np.uint8))
    assert images[:, -1, -1, 0].tolist() == list(range(8))


@pytest.mark.parametrize("image", [np.zeros((4, 4, 2)), np.zeros(4), "no", np.zeros((4, 4, 3), int)])
def test_what_is_no_image_is_refused(image):
    played = rollout(jax.random.key(0), toys.wandering(2), lambda obs: jnp.zeros_like(obs))
    with pytest.raises(SettingError, match="needs a render that returns"):
        frames(played, lambda state: image)


def test_an_environment_that_cannot_be_drawn_is_refused_with_the_reason():
    for env in (State(), State(render=3), State(render=lambda state, params: 0)):
        with pytest.raises(SettingError, match="needs a `render` that takes a state"):
            make_renderer(env)
    with pytest.raises(SettingError, match="toy cannot be drawn"):
        make_renderer(toys.wandering())
    with pytest.raises(SettingError, match="brax/fast cannot be drawn: it has no bodies"):
        make_renderer("brax/fast")


def test_an_env_is_drawn_by_its_name_or_as_what_it_observes():
    assert make_renderer(make_env("lqr"), SIZE).dt == planar.TASKS["lqr"].dt
    env = toys.wandering()
    image_env = env._replace(spec=env.spec._replace(image=True))
    obs = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert make_renderer(image_env, SIZE).draw(obs).shape[0] == SIZE


def uneven():
    """Random rewards, and episodes that terminate after 2 to 5 steps."""

    def reset(key):
        left = jax.random.randint(key, (), 2, 6)
        return left, jnp.array([left], jnp.float32)

    def step(key, left, action):
        left = left - 1
        return left, jnp.array([left], jnp.float32), jax.random.normal(key), left <= 0, False

    return env_from_functions(reset, step, toys.spec((1,), 1, episode_length=9))


def test_the_rollout_is_what_evaluation_plays():
    """Return by return and length by length, where episodes are of several lengths and their steps are random."""
    env, key = uneven(), jax.random.key(3)

    def policy(obs):
        return obs[:, :1]

    played, evaluation = rollout(key, env, policy, 6), evaluate(key, env, policy, 6)
    np.testing.assert_allclose(played.rewards.sum(axis=1), evaluation.returns, rtol=1e-5)
    assert played.lengths.tolist() == evaluation.lengths.tolist()
    assert len(set(played.lengths.tolist())) > 1
    assert played.states.inner.shape == (6, played.lengths.max() + 1)
    assert (played.states.inner[:, 0] == played.lengths).all()
    assert (played.states.inner[:, -1] == 0).all()  # the last state is repeated


def test_an_episode_ends_at_its_end():
    """The last state is the final one, and nothing after it is shown or counted."""
    env = toys.counting(toys.clock(5), length=5, terminates=True)
    longer = env._replace(spec=env.spec._replace(episode_length=20))
    played = rollout(jax.random.key(0), longer, lambda obs: obs, 2)
    assert played.lengths.tolist() == [5, 5]
    assert played.rewards.tolist() == [[1.0] * 5] * 2
    assert played.states.inner[:, -1].tolist() == [5, 5]
    assert list(frame_indices(played, 2)) == [(e, t) for e in (0, 1) for t in (0, 2, 4, 5)]
    assert frame_durations(played, 2, 0.1) == pytest.approx([0.2, 0.2, 0.2, 1.0] * 2)


def test_a_title_is_the_longest_that_fits():
    image = np.zeros((41, 65, 3), np.uint8)
    first, second = add_title(image, ["step 1"]), add_title(image, ["step 2"])
    assert first.shape == second.shape
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    assert (first[-41:, :65] == 0).all()
    assert (first != second).any()
    assert (first[:-41] < 100).any()
    assert (add_title(image, ["step 1 and much more than fits here", "step 1"]) == first).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_run):
    """A run of two seeds, and room for files beside it."""
    return shutil.copytree(tiny_run, tmp_path_factory.mktemp("runs") / "run")


def test_a_gif_has_a_frame_for_each_state_and_the_returns_of_evaluation(run, capsys):
    assert main(["render", str(run), "--seed", "1", "--episodes", "2", "--size", "80"]) == 0
    printed = capsys.readouterr().out
    out = run.parent / "run.gif"
    with Image.open(out) as image:
        shown = [(frame.convert("RGB").copy(), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
        assert image.info["loop"] == 0
    assert [duration for _, duration in shown] == ([100] * 7 + [1000]) * 2
    assert shown[0][0].size[0] == 80
    assert center_of(np.asarray(shown[0][0])[-80:], BLUE) != center_of(np.asarray(shown[7][0])[-80:], BLUE)
    row = evaluate_run(run, 2)["seeds"][1]
    result = render(run, seed=1, episodes=2, size=80, overwrite=True)
    assert np.mean(result.returns) == pytest.approx(row["mean"], rel=1e-5)
    assert f"episode 1: return {result.returns[0]:,.1f} in 7 steps" in printed


def test_frames_are_skipped_for_a_lower_frame_rate(run):
    out, lines = run.parent / "slow.gif", []
    result = render(run, out, size=80, fps=5.0, log=lines.append)
    assert result.frames == 5  # steps 0, 2, 4, 6 and the last, 7
    assert lines == ["playing 1 episode(s) of lqr", "drawing 5 frames"]
    with Image.open(out) as image:
        assert image.info["duration"] == 200
    short = render(run, out, size=80, max_steps=3, overwrite=True)
    assert short.frames == 4
    assert short.lengths == [3]


def test_a_run_is_drawn_by_a_function_of_ones_own(run):
    out = run.parent / "own.gif"
    result = render(run, out, draw=lambda state: np.full((64, 64), 36 * int(state.time), np.uint8))
    with Image.open(out) as image:
        last = [frame.convert("L").getpixel((60, 70)) for frame in ImageSequence.Iterator(image)]
    assert result.frames == len(last) == 8
    assert last == pytest.approx(36 * np.arange(8), abs=4)  # a palette is chosen in 64 shades of each color


def test_an_html_page_contains_its_animation(run):
    out = run.parent / "page.html"
    result = render(run, out, size=80)
    page = out.read_text()
    assert not result.needs_network
    assert "http" not in page
    assert "ddpg on lqr" in page
    assert "data:image/gif;base64," in page


def test_an_mp4_is_as_long_as_the_animation(run):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    out = run.parent / "video.mp4"
    result = render(run, out, size=80)
    count, seconds = ffmpeg.count_frames_and_secs(str(out))
    assert count == 7 + 10
    assert seconds == pytest.approx(result.seconds, abs=0.15)


WRONG = {
    "--out video.avi": "out must end in .gif or .mp4 or .html",
    "--out there.gif": "there.gif already exists; --overwrite replaces it",
    "--seed 2": "seed must be from 0 to 1",
    "--seed -1": "seed must be from 0",
    "--start-seed -1": "start_seed must be from 0",
    "--episodes 0": "episodes must be from 1",
    "--max-steps 0": "max_steps must be a whole number of at least 1",
    "--size 20": "size must be from 64 to 1,024 pixels, not 20",
    "--fps 0": "fps must be above 0",
    "--fps nan": "fps must be above 0",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_refusal_is_one_sentence_and_nothing_is_written(words, run, capsys, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run.parent / "there.gif").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in run.parent.iterdir()}
    words = words.split() if "--out" in words else ["--out", "new.gif", *words.split()]
    assert main(["render", "run", *words]) == 2
    errors = capsys.readouterr().err
    assert WRONG[next(key for key in WRONG if key.split() == words[-2:])] in errors
    assert errors.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in run.parent.iterdir()} == before
    assert (run.parent / "there.gif").read_text() == "mine"


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main(["render", str(tmp_path), "--out", str(tmp_path / "video.gif")]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_without_its_library_an_mp4_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(SettingError, match=re.escape("pip install 'ddpg_jax[video]'")):
        animation.check_output(tmp_path / "video.mp4", overwrite=False)


def test_an_animation_that_cannot_be_finished_leaves_what_was_there(tmp_path, monkeypatch):
    def write_half(path, *_):
        path.write_text("half of an animation")
        raise OSError("no room")

    monkeypatch.setitem(animation.WRITERS, ".gif", write_half)
    out = tmp_path / "video.gif"
    out.write_text("mine")
    with pytest.raises(SettingError, match="no room"):
        animation.save_animation(out, np.zeros((1, 4, 4, 3), np.uint8), [1.0])
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["video.gif"]


BALL = """
<mujoco><worldbody>
  <light pos='0 0 3'/><body><joint type='slide' axis='1 0 0'/><geom size='.2' rgba='1 0 0 1'/></body>
</worldbody></mujoco>
"""


@pytest.fixture
def ball():
    """A MuJoCo model of a red ball on a slide."""
    return pytest.importorskip("mujoco").MjModel.from_xml_string(BALL)


def hide(monkeypatch, backends):
    """Makes MuJoCo's modules of these OpenGL libraries fail to import."""
    for backend in backends:
        monkeypatch.setitem(sys.modules, f"mujoco.{backend}", None)


def test_missing_opengl_is_refused_in_one_sentence(ball, monkeypatch):
    hide(monkeypatch, ["egl"])
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(SettingError, match=r"needs OpenGL.*\(egl: .*mujoco\.egl"):
        opengl.create_renderer(ball, 64)


@pytest.mark.parametrize(("display", "tried"), [("", ["egl", "osmesa"]), (":7", ["glfw", "egl", "osmesa"])])
def test_linux_tries_what_can_work_with_or_without_a_display(ball, monkeypatch, display, tried):
    for name in ("MUJOCO_GL", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(sys, "platform", "linux")
    hide(monkeypatch, tried)
    with pytest.raises(SettingError, match="needs OpenGL") as refusal:
        opengl.create_renderer(ball, 64)
    assert re.findall(r"(\w+): ", str(refusal.value)) == tried


@pytest.fixture
def needs_opengl(ball):
    """Skips where MuJoCo cannot render."""
    try:
        opengl.create_renderer(ball, 64).close()
    except SettingError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_renderer_that_is_alive_at_exit_is_closed_without_a_word(needs_opengl):
    code = f"import mujoco; from ddpg_jax.results.drawing import opengl; model = {BALL!r}\n"
    code += "renderer = opengl.create_renderer(mujoco.MjModel.from_xml_string(model), 64)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr


def test_brax_is_drawn_at_its_joints(needs_opengl):
    """The pole stands upright, then leans to the right and to the left."""
    renderer = make_renderer("brax/inverted_pendulum", SIZE)

    def tip(angle):
        image = renderer.draw({"q": np.array([0.0, angle])})
        rows, columns = (image[..., 0].astype(int) - image[..., 2] > 40).nonzero()
        return columns[rows.argmin()], rows.min()

    (middle, high), (right, low), (left, _) = tip(0.0), tip(1.0), tip(-1.0)
    assert abs(middle - SIZE / 2) < 4
    assert left < middle - 8 < middle + 8 < right
    assert low > high + 4


def test_an_object_with_a_model_is_drawn_at_playgrounds_joints(needs_opengl, ball):
    renderer = make_renderer(State(mj_model=ball, dt=0.02), SIZE)
    data = State(qpos=np.zeros(1), mocap_pos=np.zeros((0, 3)), mocap_quat=np.zeros((0, 4)))
    part = renderer.select(State(inner=State(data=data)))
    first, second = renderer.draw(part), renderer.draw(part | {"q": np.array([0.2])})
    assert renderer.dt == 0.02
    red = [np.nonzero(image[..., 0].astype(int) - image[..., 2] > 60)[1].mean() for image in (first, second)]
    assert red[1] > red[0] + 2


def test_braxs_own_viewer_is_given_every_state():
    import base64
    import zlib

    renderer = make_renderer("brax/inverted_pendulum")
    x = State(pos=np.zeros((2, 3)), rot=np.tile([1.0, 0, 0, 0], (2, 1)))
    page = renderer.html([{"x": x}] * 3, 0.08)
    packed = re.search(r'var system = "([^"]+)"', page).group(1)
    system = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert len(system["states"]["x"]) == 3
    assert system["opt"]["timestep"] == pytest.approx(0.08)
    assert "https://" in page  # which is why `RenderResult.needs_network` exists


def test_an_environment_with_a_render_method_passes_the_check_of_environments():
    check_env(Walk(), steps=5)


def test_the_animation_of_learning_starts_each_panel_when_the_curve_has_reached_it():
    angles = np.linspace(3.0, 0.0, learning_gif.EPISODE + 1)[None]
    states = {"theta": angles, "last_u": 0 * angles}
    played = Trajectory(states, np.ones((1, learning_gif.EPISODE)), np.array([learning_gif.EPISODE]))
    learned = learning_gif.Learned([0, 10_000, 20_000], [-1500.0, -400.0, -150.0], [played] * 4)
    draw_pendulum = classic_control.pendulum(learning_gif.PANEL)

    def draw(state):
        return draw_pendulum(State(**state))

    started = []
    for time in (0, 20, 250):
        frame = learning_gif.frame(learned, draw, [0, 16, 33, 110], time)
        bobs = has_color(frame[: learning_gif.LABEL + learning_gif.PANEL], ORANGE)
        started.append([bool(bobs[:, 200 * panel : 200 * (panel + 1)].any()) for panel in range(4)])
    assert started == [[True, False, False, False], [True, True, False, False], [True] * 4]
    early, late = (np.asarray(learning_gif.curve(learned, until)) for until in (5_000, 20_000))
    ends = [has_color(curve, BLUE).any(axis=0).nonzero()[0].max() for curve in (early, late)]
    assert ends[0] < 270 < 700 < ends[1]
