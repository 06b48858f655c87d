"""The examples of README.md and docs/*.md, run as they stand there, but for fewer steps.

The blocks of a page run in order, in one folder, and share their names; `runs/demo` of the quickstart is there. What is
slow or not run, and why, is said here and nowhere else.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from ddpg_jax import SettingError
from ddpg_jax.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<language>python|bash|text)\n(?P<code>.*?)^```$", re.M | re.S)
QUICK = {"pieces", "port_an_environment"}  # pages whose Python examples run in `make test`; all others are slow
SLOW_BLOCKS = {
    "pieces": ("huber_loss)", "def log_cosh", "quantile_huber_loss)", "def held_noise")
}  # blocks that are not
# Lines of a shell that are not run -> why.
NOT_RUN = {
    "make ": "they are the tests and the training themselves",
    "pip install": "the package is installed",
    "python -m venv": "it makes an environment of its own",
    "targets/bin/": "it needs an environment of its own, where test_targets.py runs such commands",
    "srun": "there is no cluster",
    "gcloud": "there is no cluster",
    "$ ": "it shows what is printed",
    "error:": "it shows what is printed",
    "returns are": "it shows what is printed",
    "ddpg-jax bench": "it measures, as test_bench.py does",
    "ddpg-jax envs": "it makes every environment, as test_envs.py does",
}
NOT_TRAINED = ("lillicrap2016-pixels", "brax/ant", "--help")  # in commands that would take minutes
LONGEST = 15  # lines of an example that a reader takes in
FEWER = "--steps 1200 --evaluations 2 --eval-episodes 2 --no-tensorboard"
FEWER += " --hidden 8 8 --batch-size 8 --episode-length 20"  # which pages draw frame by frame
# What several pages begin with: it is run once, and each of them gets a copy of the folder.
DEMO = "ddpg-jax train ddpg --env Pendulum-v1 --seeds 4 --steps 20000 --hidden 64 64 --batch-size 64 --out runs/demo"
# The functions that do the work of a command.
WORK = ("runs.experiment.run_experiment", "sweeps.sweep.sweep", "runs.resume.resume_experiment")
WORK += ("deploy.evaluate.evaluate_run", "deploy.evaluate.evaluate_gymnasium", "results.render.render")
WORK += ("deploy.export.export", "results.plot.plot", "results.report.report", "runs.compilation.compile_run")
WORK += ("runs.bench.table", "runs.measure.measurements")
DONE = ("--help", "ddpg-jax new ")  # what is in a command that is done at once


class Block(NamedTuple):
    """A fenced block: the line of the page that it begins in, its language and its text."""

    line: int
    language: str
    code: str


def blocks(text):
    return [Block(text[: m.start("code")].count("\n") + 1, *m.groups()) for m in FENCE.finditer(text)]


def commands(block):
    """The commands of a shell, without comments, their continued lines joined."""
    lines = block.code.replace("\\\n", " ").splitlines() if block.language != "python" else []
    return [line for line in lines if line.strip() and not line.startswith("#")]


def is_not_run(line):
    return line.startswith(tuple(NOT_RUN))


EVERY = [(page, block) for page in PAGES for block in blocks(page.read_text(encoding="utf-8"))]


def test_every_block_is_found():
    """And nothing else is fenced but what Sphinx reads."""
    text = "one\n```python\na = 1\n```\n```bash\nls \\\n  -l  # c\n```\n"
    assert blocks(text) == [Block(3, "python", "a = 1\n"), Block(6, "bash", "ls \\\n  -l  # c\n")]
    assert commands(blocks(text)[1]) == ["ls    -l  # c"]
    for page in PAGES:
        fences = re.findall(r"(?m)^```(\w+|\{\w)", page.read_text(encoding="utf-8"))
        assert set(fences) <= {"python", "bash", "text", "toml", "{t", "{l", "{e", "{i"}, page


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The run of the quickstart, with fewer steps.

    It has the program of the runs that go on from it, as its replay does not grow.
    """
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_line(DEMO, f"{FEWER} --replay-capacity 1200") == 0
    return folder / "runs"


def run_line(line, fewer=FEWER):
    """Runs a command as the shell would; a training with fewer steps."""
    words = shlex.split(line, comments=True)
    assert words[0] == "ddpg-jax", line
    shorter = fewer.split() if words[1] in ("train", "sweep") and "--resume" not in words else []
    if fewer:  # nor as many as a resumed run or an evaluation is to have
        for flag, number in (("--steps", "1600"), ("--more", "200"), ("--episodes", "4")):
            words = [number if before == flag else word for before, word in zip(["", *words], words, strict=False)]
    return main([*words[1:], *shorter])


COMMANDS = [
    pytest.param(line, id=f"{page.stem} {block.line}: {line[:60]}")
    for page, block in EVERY
    for line in commands(block)
    if not is_not_run(line)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line, tmp_path, monkeypatch, capsys):
    """Up to where its work would begin."""
    from trained import make_run

    monkeypatch.chdir(tmp_path)
    for name in ("demo", "shared"):
        make_run(tmp_path / "runs" / name, "ddpg", seeds=4)
    for name in () if "ddpg-jax new " in line else ("tank.py", "cart.py", "heater.py", "my_algo.py"):
        kind = "algorithm" if "algo" in name else "env"
        shutil.copy(ROOT / "ddpg_jax" / "cli" / "templates" / f"{kind}.txt", tmp_path / name)

    def enough(*args, **options):
        raise SettingError("That is far enough.")

    for path in WORK:
        monkeypatch.setattr(f"ddpg_jax.{path}", enough)
    done = any(words in line for words in DONE)
    assert run_line(line, fewer="") == (0 if done else 2), line
    assert done or capsys.readouterr().err == "error: That is far enough.\n", line


def run_page(page, folder, monkeypatch, chosen):
    """Runs the chosen blocks of a page."""
    monkeypatch.chdir(folder)
    names = {"__name__": page.stem}
    for block in blocks(page.read_text(encoding="utf-8")):
        if not chosen(block):
            continue
        if block.language == "python":
            code = re.sub(r"steps=(\d{2,}_\d{3}|[2-9]_\d{3})", "steps=1_200", block.code)
            code = code.replace("seeds=[1, 8]", "seeds=[1]").replace("seconds=1.0", "seconds=0.1")
            exec(compile("\n" * (block.line - 1) + code, str(page), "exec"), names)
        for line in commands(block):
            if line != DEMO and not is_not_run(line) and not any(words in line for words in NOT_TRAINED):
                assert run_line(line) == 0, line


def is_quick(page):
    slow = SLOW_BLOCKS.get(page.stem, ())
    return lambda block: block.language == "python" and not any(words in block.code for words in slow)


@pytest.mark.quick_twin("the_quick_examples", "the_examples")
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in QUICK], ids=lambda page: page.stem)
def test_the_quick_examples_of_a_page_run(page, tmp_path, monkeypatch):
    run_page(page, tmp_path, monkeypatch, is_quick(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, demo, tmp_path, monkeypatch):
    text = page.read_text(encoding="utf-8")
    shutil.copytree(demo, tmp_path / "runs")
    made = [line for block in blocks(text) for line in commands(block) if "--resume" not in line and line != DEMO]
    if any(line.startswith("ddpg-jax train") and "--out runs/demo" in line for line in made):
        shutil.rmtree(tmp_path / "runs" / "demo")
    for name, code in re.findall(r"(?s)`(\w+\.py)`[^`]*?```python\n(.*?)```", text):
        (tmp_path / name).write_text(code, encoding="utf-8")
    run_page(page, tmp_path, monkeypatch, lambda block: True)


def test_the_pieces_are_short():
    """All but the block of imports, which comes first."""
    page = next(page for page in PAGES if page.stem == "pieces")
    lengths = [len(block.code.splitlines()) for block in blocks(page.read_text(encoding="utf-8"))[1:]]
    assert max(lengths) <= LONGEST, lengths


def test_the_readme_is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 250
