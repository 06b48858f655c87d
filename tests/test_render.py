"""What is drawn says what the state says, and a film holds what was played."""

import json
import os
import re
import sys
from types import SimpleNamespace as State

import jax
import jax.numpy as jnp
import learning_gif
import numpy as np
import pytest
import toys
from PIL import Image, ImageSequence

from ddpg_jax import SettingError, check_env, evaluate, make_env
from ddpg_jax.cli.main import main
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.rollout import Trajectory, rollout
from ddpg_jax.deploy.play import evaluate_run
from ddpg_jax.envs.make import ids
from ddpg_jax.results.drawing import FAMILIES, classic, drawer, film, gl, plane
from ddpg_jax.results.drawing.caption import captioned
from ddpg_jax.results.drawing.flat import FLAT
from ddpg_jax.results.render import frames, moments, render, times

SIZE = 96
BLUE, ORANGE, GREEN = (52, 92, 150), (235, 125, 40), (66, 150, 94)


def place(picture, color):
    """(right, up) of the middle of what has a color, from -1 to 1."""
    near = np.abs(picture.astype(int) - color).max(axis=-1) < 12
    assert near.any()
    row, column = (indices.mean() for indices in np.nonzero(near))
    return 2 * column / (picture.shape[1] - 1) - 1, 1 - 2 * row / (picture.shape[0] - 1)


def test_the_pendulum_stands_hangs_and_leans_as_its_angle_says():
    picture = classic.pendulum(SIZE)
    at = {angle: place(picture(State(theta=angle, last_u=0.0)), ORANGE) for angle in (0.0, np.pi, np.pi / 2)}
    assert at[0.0] == pytest.approx((0, 1 / 1.45), abs=0.02)
    assert at[np.pi] == pytest.approx((0, -1 / 1.45), abs=0.02)
    assert at[np.pi / 2] == pytest.approx((-1 / 1.45, 0), abs=0.02)


def test_the_pendulums_arc_is_its_torque():
    picture = classic.pendulum(SIZE)
    left, right, still = (picture(State(theta=np.pi, last_u=torque))[SIZE // 4 :] for torque in (2.0, -2.0, 0.0))
    assert place(left, GREEN)[0] < -0.1 < 0.1 < place(right, GREEN)[0]
    assert not (np.abs(still.astype(int) - GREEN).max(axis=-1) < 12).any()


def test_the_car_is_where_its_position_says_and_on_the_hill():
    picture = classic.mountain_car(SIZE)
    left, valley, goal = (place(picture(State(position=x)), BLUE) for x in (-1.1, -np.pi / 6, 0.45))
    assert left[0] < valley[0] < goal[0]
    assert valley[1] < min(left[1], goal[1])
    assert valley[0] == pytest.approx((-np.pi / 6 + 0.3) / 1.02, abs=0.05)


def test_the_arm_ends_where_its_angles_say():
    """Each angle is counted from the right, so two of 90 degrees stretch the arm upwards."""
    picture = plane.reacher(SIZE)
    drawn = picture(State(angles=np.array([np.pi / 2, np.pi / 2]), goal_xy=np.array([-1.5, 1.0])))
    assert place(drawn, GREEN) == pytest.approx((0, 2 / 2.3), abs=0.03)
    assert place(drawn, ORANGE) == pytest.approx((-1.5 / 2.3, 1 / 2.3), abs=0.03)
    bent = picture(State(angles=np.array([np.pi / 2, np.pi]), goal_xy=np.array([-1.5, -1.0])))
    assert place(bent, GREEN) == pytest.approx((-1 / 2.3, 1 / 2.3), abs=0.03)


def test_the_robot_is_where_it_is_and_never_out_of_sight():
    picture = plane.point_robot(SIZE)
    goal, still = np.array([0.0, 1.0]), np.zeros(2)
    here = place(picture(State(pos=np.array([0.8, -0.4]), goal=goal, last_action=still)), BLUE)
    assert here == pytest.approx((0.5, -0.25), abs=0.03)
    far = place(picture(State(pos=np.array([9.0, 0.0]), goal=goal, last_action=still)), BLUE)
    assert far[0] > 0.85


def test_the_fish_swims_towards_its_goal_between_urchins():
    picture, urchins = plane.swimmer(SIZE), np.array([[-0.9, -0.9], [0.9, -0.9]])
    state = State(urchin_xys=urchins, xy=np.array([0.7, 0.7]), xy_vel=np.zeros(2), goal_xy=np.array([-0.7, 0.7]))
    drawn = picture(state)
    assert place(drawn, BLUE) == pytest.approx((0.5, 0.5), abs=0.05)
    assert place(drawn, ORANGE) == pytest.approx((-0.5, 0.5), abs=0.03)
    assert place(drawn, plane.URCHIN) == pytest.approx((0, -0.9 / 1.4), abs=0.03)


def test_the_block_is_where_the_first_number_says_and_its_arrow_points_with_the_second():
    picture = classic.lqr(SIZE)
    assert place(picture(np.array([1.05, 0.0])), BLUE) == pytest.approx((0.5, 0), abs=0.03)
    right, left = (place(picture(np.array([0.0, speed])), ORANGE)[0] for speed in (1.0, -1.0))
    assert left < -0.05 < 0.05 < right


def test_every_task_of_ours_has_a_drawing():
    """Of gymnax's tasks those with a box of actions; Brax's physics are drawn as one family."""
    boxes = {name for name in ids("") if name in FLAT}
    assert boxes | {"lqr"} == set(FLAT)
    assert {"brax/", "playground/", "pixels/"} < set(FAMILIES)
    for name in (*FLAT, *ids("pixels/")):
        env = make_env(name)
        drawing = drawer(name, SIZE)
        drawn = drawing.picture(jax.device_get(drawing.select(env.reset(jax.random.key(0)))))
        assert drawn.dtype == np.uint8
        assert drawn.shape[0] == SIZE
        assert drawing.seconds > 0


def test_pixels_are_shown_beside_what_the_agent_sees():
    env, drawing = make_env("pixels/Pendulum-v1"), drawer("pixels/Pendulum-v1", SIZE)
    state = jax.device_get(env.reset(jax.random.key(0)))
    drawn = drawing.picture(drawing.select(state))
    alone = classic.pendulum(SIZE)(jax.tree.map(lambda leaf: leaf[-1], state.inner))
    assert (drawn[:, :SIZE] == alone).all()
    seen = drawn[:, SIZE + 4 :]
    assert seen[:29].std() > 20
    grey = Image.fromarray(state.obs[..., 0]).resize((29, 29), Image.Resampling.NEAREST)
    assert (seen[:29, :, 0] == np.asarray(grey)).all()


class Walk:
    """A gymnax-style object that can draw itself, as floats."""

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


def test_an_environment_of_ones_own_draws_itself():
    drawing = drawer(Walk())
    played = rollout(jax.random.key(0), make_env(Walk()), lambda obs: -obs, max_steps=3, select=drawing.select)
    shown = frames(played, drawing.picture)
    assert shown.shape[0] == 4
    assert shown[0, -1, 0] == pytest.approx(played.states[0, 0, 0] * 255, abs=1)


def test_any_function_of_a_state_draws():
    """And a state may hold a key."""
    env = toys.wandering()
    played = rollout(jax.random.key(0), env, lambda obs: jnp.zeros_like(obs))
    shown = frames(played, lambda state: np.full((8, 8, 3), state.time, np.uint8))
    assert shown[:, -1, -1, 0].tolist() == list(range(8))


@pytest.mark.parametrize("drawn", [np.zeros((4, 4, 2)), np.zeros(4), "no", np.zeros((4, 4, 3), int)])
def test_what_is_no_picture_is_refused(drawn):
    played = rollout(jax.random.key(0), toys.wandering(2), lambda obs: jnp.zeros_like(obs))
    with pytest.raises(SettingError, match="needs a render that returns"):
        frames(played, lambda state: drawn)


def test_without_a_way_to_draw_it_says_what_is_missing():
    for env in (State(), State(render=3), State(render=lambda state, params: 0)):
        with pytest.raises(SettingError, match="needs a `render` that takes a state"):
            drawer(env)
    with pytest.raises(SettingError, match="toy cannot be drawn"):
        drawer(toys.wandering())
    with pytest.raises(SettingError, match="brax/fast cannot be drawn: it has no bodies"):
        drawer("brax/fast")


def test_an_env_is_drawn_by_its_name_or_as_what_it_observes():
    assert drawer(make_env("lqr"), SIZE).seconds == FLAT["lqr"].seconds
    env = toys.wandering()
    image = env._replace(spec=env.spec._replace(image=True))
    obs = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert drawer(image, SIZE).picture(obs).shape[0] == SIZE


def uneven():
    """Rewards drawn at random, and episodes that end by themselves after 2 to 5 steps."""

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
    policy = lambda obs: obs[:, :1]  # noqa: E731
    played, told = rollout(key, env, policy, 6), evaluate(key, env, policy, 6)
    np.testing.assert_allclose(played.rewards.sum(axis=1), told.returns, rtol=1e-5)
    assert played.lengths.tolist() == told.lengths.tolist()
    assert len(set(played.lengths.tolist())) > 1
    assert played.states.inner.shape == (6, played.lengths.max() + 1)
    assert (played.states.inner[:, 0] == played.lengths).all()
    assert (played.states.inner[:, -1] == 0).all()  # an end is kept as it was


def test_an_episode_ends_at_its_end():
    """The last state is the final one, and nothing after it is shown or counted."""
    env = toys.counting(toys.clock(5), length=5, terminates=True)
    longer = env._replace(spec=env.spec._replace(episode_length=20))
    played = rollout(jax.random.key(0), longer, lambda obs: obs, 2)
    assert played.lengths.tolist() == [5, 5]
    assert played.rewards.tolist() == [[1.0] * 5] * 2
    assert played.states.inner[:, -1].tolist() == [5, 5]
    assert list(moments(played, 2)) == [(e, t) for e in (0, 1) for t in (0, 2, 4, 5)]
    assert times(played, 2, 0.1) == pytest.approx([0.2, 0.2, 0.2, 1.0] * 2)


def test_a_caption_changes_with_its_words_and_fits():
    picture = np.zeros((41, 65, 3), np.uint8)
    first, second = captioned(picture, ["step 1"]), captioned(picture, ["step 2"])
    assert first.shape == second.shape
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    assert (first[-41:, :65] == 0).all()
    assert (first != second).any()
    assert (first[:-41] < 100).any()
    assert (captioned(picture, ["step 1 and much more than fits here", "step 1"]) == first).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run with two seeds."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = "train ddpg --env lqr --episode-length 7 --steps 60 --hidden 4 --batch-size 4 --warmup-steps 40"
    words += " --seeds 2 --evaluations 1 --eval-episodes 2 --out"
    assert main([*words.split(), str(folder)]) == 0
    return folder


def test_a_gif_has_a_frame_for_each_state_and_the_returns_of_evaluation(run, capsys):
    assert main(["render", str(run), "--seed", "1", "--episodes", "2", "--size", "80"]) == 0
    said = capsys.readouterr().out
    out = run.parent / "run.gif"
    with Image.open(out) as image:
        shown = [(frame.convert("RGB").copy(), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
        assert image.info["loop"] == 0
    assert [duration for _, duration in shown] == ([100] * 7 + [1000]) * 2
    assert shown[0][0].size[0] == 80
    assert place(np.asarray(shown[0][0])[-80:], BLUE) != place(np.asarray(shown[7][0])[-80:], BLUE)
    row = evaluate_run(run, 2)["seeds"][1]
    film = render(run, seed=1, episodes=2, size=80, overwrite=True)
    assert np.mean(film.returns) == pytest.approx(row["mean"], rel=1e-5)
    assert f"episode 1: return {film.returns[0]:,.1f} in 7 steps" in said


def test_frames_are_left_out_for_the_pace_asked_for(run):
    out = run.parent / "slow.gif"
    film = render(run, out, size=80, fps=5.0)
    assert film.frames == 5  # steps 0, 2, 4, 6 and the last, 7
    with Image.open(out) as image:
        assert image.info["duration"] == 200
    short = render(run, out, size=80, max_steps=3, overwrite=True)
    assert short.frames == 4
    assert short.lengths == [3]


def test_ones_own_pictures_of_a_run(run):
    out = run.parent / "own.gif"
    film = render(run, out, draw=lambda state: np.full((64, 64), state.time / 7))
    with Image.open(out) as image:
        last = [frame.convert("L").getpixel((60, 70)) for frame in ImageSequence.Iterator(image)]
    assert film.frames == len(last) == 8
    assert last == pytest.approx(np.linspace(0, 255, 8), abs=4)  # a palette is chosen in 64 shades of each color


def test_a_page_holds_its_film(run):
    out = run.parent / "page.html"
    film = render(run, out, size=80)
    page = out.read_text()
    assert not film.online
    assert "http" not in page
    assert "ddpg on lqr" in page
    assert "data:image/gif;base64," in page


def test_an_mp4_is_as_long_as_the_film(run):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    out = run.parent / "film.mp4"
    film = render(run, out, size=80)
    count, seconds = ffmpeg.count_frames_and_secs(str(out))
    assert count == 7 + 10
    assert seconds == pytest.approx(film.seconds, abs=0.15)


WRONG = {
    "--out film.avi": "out must end in .gif or .mp4 or .html",
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
    assert main(["render", str(tmp_path), "--out", str(tmp_path / "film.gif")]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_without_its_library_an_mp4_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(SettingError, match=re.escape("pip install 'ddpg_jax[video]'")):
        film.check_target(tmp_path / "film.mp4", False)


def test_a_film_that_cannot_be_finished_leaves_what_was_there(tmp_path, monkeypatch):
    def half(out, *film):
        out.write_text("half of a film")
        raise OSError("no room")

    monkeypatch.setitem(film.WRITERS, ".gif", half)
    out = tmp_path / "film.gif"
    out.write_text("mine")
    with pytest.raises(SettingError, match="no room"):
        film.write_film(out, np.zeros((1, 4, 4, 3), np.uint8), [1.0])
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_without_opengl_one_sentence_names_it(monkeypatch):
    monkeypatch.setattr(gl, "KINDS", {"egl": "mujoco.no_such_context"})
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(SettingError, match=r"need OpenGL.*\(egl: No module named"):
        gl.context(64)


def test_a_headless_linux_tries_what_needs_no_display(monkeypatch):
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gl, "KINDS", {"egl": "mujoco.missing_a", "osmesa": "mujoco.missing_b"})
    with pytest.raises(SettingError, match=r"egl: .*missing_a.*; osmesa: .*missing_b"):
        gl.context(64)


@pytest.fixture(scope="module")
def opengl():
    """Skips where MuJoCo cannot draw."""
    if sys.platform == "linux":
        os.environ.pop("DISPLAY", None)
    try:
        gl.context(64).free()
    except SettingError as error:
        pytest.skip(str(error))


def test_brax_is_drawn_as_its_joints_are(opengl):
    """The pole stands, then leans to the right."""
    drawing = drawer("brax/inverted_pendulum", SIZE)

    def tip(angle):
        picture = drawing.picture({"q": np.array([0.0, angle])})
        body = (picture[..., 0].astype(int) - picture[..., 2] > 40).nonzero()
        top = body[0].argmin()
        return body[1][top], body[0][top]

    (middle, high), (right, low), (left, _) = tip(0.0), tip(1.0), tip(-1.0)
    assert abs(middle - SIZE / 2) < 4
    assert left < middle - 8 < middle + 8 < right
    assert low > high + 4


def test_an_object_with_a_model_is_drawn_as_playground_keeps_its_states(opengl):
    mujoco = pytest.importorskip("mujoco")
    text = "<mujoco><worldbody><light pos='0 0 3'/><body><joint type='slide' axis='1 0 0'/><geom size='.2' "
    model = mujoco.MjModel.from_xml_string(text + "rgba='1 0 0 1'/></body></worldbody></mujoco>")
    drawing = drawer(State(mj_model=model, dt=0.02), SIZE)
    data = State(qpos=np.zeros(1), mocap_pos=np.zeros((0, 3)), mocap_quat=np.zeros((0, 4)))
    part = drawing.select(State(inner=State(data=data)))
    first, second = drawing.picture(part), drawing.picture(part | {"q": np.array([0.2])})
    assert drawing.seconds == 0.02
    red = [np.nonzero(shot[..., 0].astype(int) - shot[..., 2] > 60)[1].mean() for shot in (first, second)]
    assert red[1] > red[0] + 2


def test_braxs_own_viewer_is_given_every_state():
    import base64
    import zlib

    drawing = drawer("brax/inverted_pendulum")
    x = State(pos=np.zeros((2, 3)), rot=np.tile([1.0, 0, 0, 0], (2, 1)))
    page = drawing.viewer([{"x": x}] * 3, 0.08)
    packed = re.search(r'var system = "([^"]+)"', page).group(1)
    system = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert len(system["states"]["x"]) == 3
    assert system["opt"]["timestep"] == pytest.approx(0.08)
    assert "https://" in page  # so the command says that it needs the network


def test_what_is_drawn_passes_the_check_of_environments():
    check_env(Walk(), steps=5)


def test_the_film_of_learning_begins_each_panel_where_the_curve_has_come_to_it():
    angles = np.linspace(3.0, 0.0, learning_gif.EPISODE + 1)[None]
    states = {"theta": angles, "last_u": 0 * angles}
    played = Trajectory(states, np.ones((1, learning_gif.EPISODE)), np.array([learning_gif.EPISODE]))
    learned = learning_gif.Learnt([0, 10_000, 20_000], [-1500.0, -400.0, -150.0], [played] * 4)
    picture = lambda state: classic.pendulum(learning_gif.PANEL)(State(**state))  # noqa: E731
    begun = []
    for time in (0, 20, 250):
        shown = learning_gif.frame(learned, picture, [0, 16, 33, 110], time)[: learning_gif.LABEL + learning_gif.PANEL]
        bobs = np.abs(shown.astype(int) - ORANGE).max(axis=-1) < 12
        begun.append([bool(bobs[:, 200 * panel : 200 * (panel + 1)].any()) for panel in range(4)])
    assert begun == [[True, False, False, False], [True, True, False, False], [True] * 4]
    early, late = (np.asarray(learning_gif.curve(learned, until)).astype(int) for until in (5_000, 20_000))
    lines = [(np.abs(sheet - BLUE).max(axis=-1) < 12).any(axis=0).nonzero()[0].max() for sheet in (early, late)]
    assert lines[0] < 270 < 700 < lines[1]
