"""`ddpg-jax new`: a file to begin one's own environment or algorithm with, which runs as it is."""

import importlib.resources
import shlex
from pathlib import Path
from typing import Annotated, Literal

import tyro
from typing_extensions import Doc

from ddpg_jax.cli.console import print_line
from ddpg_jax.cli.printable import printable
from ddpg_jax.runs.files import atomic_write, new_output

# What is written -> the command that uses it.
USES = {"env": "ddpg-jax train ddpg --env {file}:Tank --steps 20000", "algorithm": "ddpg-jax train {file}:ALGORITHM"}


def new(
    kind: Annotated[Literal["env", "algorithm"], tyro.conf.Positional, Doc("what to begin")],
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.py"), Doc("file to write")],
    overwrite: Annotated[bool, Doc("replace the file")] = False,
) -> None:
    """Write a file to begin your own environment or algorithm."""
    out = new_output(path, (".py",), overwrite)
    text = importlib.resources.files("ddpg_jax.cli").joinpath("templates", f"{kind}.txt").read_text(encoding="utf-8")
    atomic_write(out, text.replace("{file}", printable(out.name)).encode("utf-8"))
    print_line(f"{out}: `{USES[kind].format(file=shlex.quote(str(out)))}` trains with it")
