"""`ddpg-jax evaluate`, `render` and `export`: what can be done with the trained policies of a run."""

from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import tyro
from typing_extensions import Doc

from ddpg_jax.cli.console import console, evaluation_table, print_line
from ddpg_jax.cli.parse import CheckpointFlag, OwnCode, RunFolder


def evaluate(
    folder: RunFolder,
    episodes: Annotated[int, Doc("whole episodes per seed")] = 32,
    seed: Annotated[int, Doc("seed of the initial states")] = 0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
    gymnasium: Annotated[
        str | None, Doc("id of a Gymnasium environment to play in, instead of the one of the training")
    ] = None,
    checkpoint: CheckpointFlag = "latest",
    own: Annotated[OwnCode, tyro.conf.arg(name="your own code")] = OwnCode(),
) -> None:
    """Play whole episodes with the policies of a run."""
    from ddpg_jax.deploy.evaluate import evaluate_gymnasium, evaluate_run
    from ddpg_jax.devices.backend import prepare

    prepare()
    run = own.open(folder)
    if gymnasium is None:
        result = evaluate_run(run, episodes, seed, checkpoint)
    else:
        result = evaluate_gymnasium(run, gymnasium, episodes, seed, checkpoint)
    if json:
        print_line(dumps(result))
    else:
        title = f"{result['algorithm']} on {result['environment']}, {episodes} deterministic episodes per seed"
        console().print(evaluation_table(title, result["seeds"]))


def render(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        Doc("a .gif, .mp4 or .html; by default RUN.gif beside the run folder, or SWEEP-best.gif beside the sweep"),
    ] = None,
    seed: Annotated[int | None, Doc("which seed of the run; by default the best by final evaluation")] = None,
    episodes: Annotated[int, Doc("whole episodes, one after the other")] = 1,
    start_seed: Annotated[int, Doc("seed of the initial states, as `evaluate --seed`")] = 0,
    size: Annotated[int, Doc("width and height of a frame in pixels")] = 400,
    fps: Annotated[
        float | None,
        Doc("approximate frames per second, at most one frame per action; by default 25, less for long videos"),
    ] = None,
    max_steps: Annotated[int | None, Doc("maximum number of actions shown per episode")] = None,
    overwrite: Annotated[bool, Doc("replace the file")] = False,
    checkpoint: CheckpointFlag = "latest",
    own: Annotated[OwnCode, tyro.conf.arg(name="your own code")] = OwnCode(),
) -> None:
    """Write a video of a policy of a run: .gif, .mp4 or .html."""
    from ddpg_jax.devices.backend import prepare

    prepare()
    from ddpg_jax.results import render as video

    rendered = video.render(
        own.open(folder),
        out,
        seed=seed,
        checkpoint=checkpoint,
        episodes=episodes,
        start_seed=start_seed,
        size=size,
        fps=fps,
        max_steps=max_steps,
        overwrite=overwrite,
        log=print_line,
    )
    for episode, (total, length) in enumerate(zip(rendered.returns, rendered.lengths, strict=True), 1):
        print_line(f"seed {rendered.seed}, episode {episode}: return {total:,.1f} in {length:,} steps")
    size_of = f"{rendered.out.stat().st_size / 2**20:,.2f} MiB"
    viewer = "; a browser loads its viewer from the network" if rendered.needs_network else ""
    print_line(f"{rendered.out}: {rendered.frames:,} frames, {rendered.seconds:,.1f} s, {size_of}{viewer}")


def export(
    folder: RunFolder,
    format: Annotated[
        Literal["jax", "onnx", "npz"],
        Doc("jax: StableHLO for CPU, CUDA and TPU; onnx: for ONNX runtimes; npz: arrays, for NumPy alone"),
    ],
    out: Annotated[
        Path | None, Doc("file to write; by default policy.stablehlo, .onnx or .npz in the run folder")
    ] = None,
    seed: Annotated[int | None, Doc("which seed of the run; by default the best by final evaluation")] = None,
    overwrite: Annotated[bool, Doc("replace the file")] = False,
    checkpoint: CheckpointFlag = "latest",
    own: Annotated[OwnCode, tyro.conf.arg(name="your own code")] = OwnCode(),
) -> None:
    """Write a policy of a run as one file that needs no ddpg_jax."""
    from ddpg_jax.deploy.export import export
    from ddpg_jax.devices.backend import prepare
    from ddpg_jax.runs.stored_run import read_run

    prepare()
    run = own.open(folder)
    path = export(run, format, out, seed, overwrite, checkpoint)
    spec = read_run(run).spec
    obs, action = (", ".join(map(str, ("batch", *shape))) for shape in (spec.obs_shape, spec.action_low.shape))
    print_line(f"{path}: {path.stat().st_size:,} bytes, obs [{obs}] {spec.obs_dtype} to action [{action}] float32")
