"""Injects faults into a run: kills at random instants, a full disk, flipped bits, a second run in its folder.

    python benchmarks/faults.py --kills 100        # about ten minutes; writes benchmarks/results/faults.json

A run is killed (SIGKILL) again and again, while it trains and while it saves, and each time is resumed from its newest
checkpoint. At the end, every line of its metrics and the checksums of its final state are compared with those of an
uninterrupted run.
"""

import argparse
import json
import os
import platform
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from ddpg_jax.runs.checkpoint import Damaged, load_state, newest_first, read_metadata, saved_steps
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys
from ddpg_jax.runs.stored_run import read_run

RESULTS = Path(__file__).parent / "results"
DAMAGE = ("flip", "half", "empty", "missing")  # to a file
TIMES = ("seconds", "compile_seconds")  # of a row, which two runs do not share
CHUNK = 10  # environment steps, a checkpoint after each
FLAGS = (
    "td3 --env lqr --episode-length 7 --seeds 2 --hidden 8 --batch-size 8 --replay-capacity 2000 --warmup-steps 20 "
    "--pool-size 2 --eval-episodes 1 --checkpoint-seconds 0 --normalize-obs"
)


def command(folder: Path, chunks: int) -> list[str]:
    """Returns the command that starts the run from the beginning."""
    steps = f"--steps {20 + CHUNK * chunks} --evaluations {chunks}"
    words = f"train {FLAGS} {steps} --overwrite --out {folder}"
    return [sys.executable, "-m", "ddpg_jax", *shlex.split(words)]


def again(folder: Path) -> list[str]:
    """Returns the command that resumes the run."""
    return [sys.executable, "-m", "ddpg_jax", "train", "--resume", str(folder)]


def start(words: list[str], **options: Any) -> subprocess.Popen[str]:
    """Starts a process whose output can be read line by line."""
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(words: list[str], **options: Any) -> tuple[int, str, str]:
    """Runs a process to its end and returns (exit code, output, errors)."""
    process = start(words, **options)
    output, errors = process.communicate()
    return process.returncode, output, errors


def lines(folder: Path) -> list[dict[str, Any]]:
    """Returns metrics.jsonl without the wall-clock times and without an incomplete last line."""
    path = folder / "metrics.jsonl"
    whole = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in whole]


def sums(folder: Path) -> dict[str, int]:
    """Returns the checksums of the newest checkpoint."""
    return read_metadata(folder, newest_first(folder)[0]).checksums


def live(words: list[str], longest: float, chance: random.Random) -> bool:
    """Starts a process and kills it at a random instant of the `longest` seconds after its first chunk.

    Returns:
      Whether it was killed before it ended.
    """
    process = start(words)
    assert process.stdout
    for line in process.stdout:
        if " return " in line:
            break
    try:
        process.communicate(timeout=chance.uniform(0, longest))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def kills(count: int, chunks: int, place: Path, seed: int = 0, longest: float = 1.0) -> dict[str, Any]:
    """Kills a run up to `count` times and compares it with an uninterrupted one."""
    chance, peaceful, folder = random.Random(seed), place / "peaceful", place / "killed"
    code, _, errors = finish(command(peaceful, chunks))
    assert code == 0, errors
    survived, lost, saving = 0, Counter[int](), 0
    while survived < count:
        if not live(again(folder) if saved_steps(folder) else command(folder, chunks), longest, chance):
            break
        survived += 1
        checkpoints = folder / "checkpoints"
        saving += any(not path.name.isdigit() for path in checkpoints.glob("*"))
        rows = lines(folder)
        if rows and saved_steps(folder):
            lost[(rows[-1]["steps"] - newest_first(folder)[0]) // CHUNK] += 1
    if not saved_steps(folder) or newest_first(folder)[0] < newest_first(peaceful)[0]:
        code, _, errors = finish(again(folder) if saved_steps(folder) else command(folder, chunks))
        assert code == 0, errors
    result = {"kills": survived, "while saving": saving, "chunks lost": dict(sorted(lost.items()))}
    result["lines wrong"] = sum(mine != theirs for mine, theirs in zip(lines(folder), lines(peaceful), strict=True))
    result["parts of the state wrong"] = sum(sums(folder)[name] != value for name, value in sums(peaceful).items())
    return result


def flips(folder: Path, place: Path, seed: int = 0, kinds: Sequence[str] = DAMAGE) -> dict[str, int]:
    """Damages each file of the newest checkpoint: a flipped bit, truncated to half, emptied, deleted.

    Returns:
      How often the damage was detected ("found"), harmless (the restored state is bitwise identical), and wrong; and
      how often a file that every restored state depends on was missing or cut ("needed"), and that was found.
    """
    chance, stored = random.Random(seed), read_run(folder)
    run, loop, env = stored.run, stored.loop, stored.make_env()
    layout = choose_layout(stored.config, loop, run, env)
    programs = make_programs(env, stored.algorithm, loop, run.eval_episodes, layout)
    shapes = programs.shapes(jax.eval_shape(lambda: seed_keys(run)), stored.config)
    clock = newest_first(folder)[0]

    def bits(where: Path) -> list[bytes]:
        state = load_state(where, clock, shapes, layout).state
        is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
        plain = [jax.random.key_data(leaf) if is_key(leaf) else leaf for leaf in jax.tree.leaves(state)]
        return [jax.device_get(leaf).tobytes() for leaf in plain]

    right, found = bits(folder), Counter({"found": 0, "harmless": 0, "wrong": 0, "needed": 0, "needed and found": 0})
    files = [path for path in (folder / "checkpoints" / str(clock)).rglob("*") if path.is_file()]
    broken = place / "broken"
    shutil.copytree(folder, broken)
    for path in files:
        for fault in kinds:
            damaged = broken / path.relative_to(folder)
            _spoil(damaged, fault, chance)
            needed = fault != "flip" and _is_needed(path)  # a flipped bit may be one that stands for nothing
            found["needed"] += needed
            try:
                found["harmless" if bits(broken) == right else "wrong"] += 1
            except Damaged:
                found["found"] += 1
                found["needed and found"] += needed
            shutil.copyfile(path, damaged)
    shutil.rmtree(broken)
    return {"files": len(files), **found}


def _is_needed(path: Path) -> bool:
    """Whether a file holds arrays or metadata; Orbax also leaves markers, and copies from before it joined them."""
    return (
        path.parts[-2:] == ("metadata", "metadata")
        or (path.parts[-2] in ("learner", "loop") and path.name == "manifest.ocdbt")
        or (path.parts[-2] == "d" and path.parts[-3] in ("learner", "loop"))
    )


def _spoil(path: Path, fault: str, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if fault == "missing":
        path.unlink()
        return
    if fault == "flip" and content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    kept = {"flip": len(content), "half": len(content) // 2, "empty": 0}[fault]
    path.write_bytes(content[:kept])


def full_disk(place: Path, chunks: int, room: int) -> dict[str, Any]:
    """Runs on a disk of `room` bytes: a tmpfs where it may be mounted, else with a limit on file sizes."""
    disk = place / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))

    folder = disk / "run"
    words = [*command(folder, chunks), "--keep-checkpoints", "100000", "--checkpoint-steps", "1"]
    try:
        code, _, errors = finish(words, preexec_fn=None if mounted else limit)
        kept = saved_steps(folder) if folder.exists() else []
        elsewhere = place / "freed"
        shutil.copytree(folder, elsewhere) if kept else None
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)
    result = {
        "how": "tmpfs" if mounted else "RLIMIT_FSIZE",
        "exit code": code,
        "errors": errors.splitlines(),
        "kept": len(kept),
    }
    if kept:
        stored = json.loads((elsewhere / "config.json").read_text(encoding="utf-8"))
        steps = max(kept) + 5 * CHUNK
        code, _, errors = finish([*again(elsewhere), "--steps", str(min(steps, stored["run"]["steps"]))])
        result["resumes elsewhere"] = code == 0 or errors
    return result


def terminated(place: Path, chunks: int) -> dict[str, Any]:
    """Sends SIGTERM while compiling, while training, and twice while training."""
    results = {}
    for name, awaited, times in (
        ("compiling", "compiling", 1),
        ("training", "updates/s", 1),
        ("twice", "updates/s", 2),
    ):
        folder = place / f"terminated-{name}"
        process = start(command(folder, chunks * 1000))
        assert process.stdout
        for line in process.stdout:
            if awaited in line:
                break
        began = time.perf_counter()
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # else the two would be one
        output, _ = process.communicate()
        results[name] = {
            "exit code": process.returncode,
            "seconds": round(time.perf_counter() - began, 1),
            "names --resume": "--resume" in output.replace("\n", " "),
            "folder": folder.exists(),
        }
    return results


SWEEP = (
    "sweep ddpg --env lqr --episode-length 7 --seeds 2 --hidden 8 --batch-size 8 --replay-capacity 500 --warmup-steps "
    "20 --pool-size 2 --eval-episodes 1 --checkpoint-seconds 0 --grid norm none layer --range actor_lr log 1e-4 1e-2 "
    "--sample 4 --halving 2 --pbt"
)


def swept(folder: Path) -> tuple[Any, ...]:
    """Returns all that a sweep leaves, but for the time that it took."""
    curves = [json.loads(line) for line in (folder / "curves.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [{name: value for name, value in row.items() if name not in TIMES} for row in curves]
    return (folder / "sweep.csv").read_text(encoding="utf-8"), rows, sums(folder / "best")


def sweep_kills(count: int, place: Path, chunks: int = 60, longest: float = 4.0, seed: int = 0) -> dict[str, Any]:
    """Kills a sweep of two parts, with successive halving and copies, up to `count` times; compares as `kills` does."""
    chance, peaceful, folder = random.Random(seed), place / "peaceful-sweep", place / "killed-sweep"
    words = [sys.executable, "-m", "ddpg_jax", *shlex.split(SWEEP)]
    words += ["--steps", str(20 + CHUNK * chunks), "--evaluations", str(chunks), "--overwrite", "--out"]
    code, _, errors = finish([*words, str(peaceful)])
    assert code == 0, errors
    survived = 0
    while survived < count and not (folder / "sweep.csv").exists():
        saved = (folder / "progress.json").exists() or saved_steps(folder)
        survived += live(again(folder) if saved else [*words, str(folder)], longest, chance)
    if not (folder / "sweep.csv").exists():
        code, _, errors = finish(again(folder))
        assert code == 0, errors
    mine, theirs = swept(folder), swept(peaceful)
    return {"kills": survived, "same": mine == theirs}


def deleted(place: Path, chunks: int) -> dict[str, Any]:
    """Deletes the folder of a run in training."""
    folder = place / "deleted"
    process = start(command(folder, chunks * 1000))
    while not saved_steps(folder):
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    _, errors = process.communicate()
    messages = errors.strip().splitlines()
    return {"exit code": process.returncode, "messages": messages, "folder left": folder.exists()}


def streams(place: Path, chunks: int) -> dict[str, Any]:
    """Trains with a standard output that is closed, full, or a pipe that nobody reads after its first line."""
    results = {}
    for name, redirection in {"closed": ">&-", "full": ">/dev/full", "a pipe": "| head -1 >/dev/null"}.items():
        folder = place / f"output-{name.replace(' ', '-')}"
        line = f"set -o pipefail; {shlex.join(command(folder, chunks))} {redirection}"
        code, _, errors = finish(["bash", "-c", line])
        messages = errors.strip().splitlines()
        results[name] = {"exit code": code, "messages": messages, "whole": (folder / "evaluation.json").exists()}
    return results


def rivals(place: Path, chunks: int) -> dict[str, Any]:
    """Starts a second run, and resumes, in the folder of a run in progress."""
    folder = place / "rivals"
    first = start(command(folder, chunks))
    while not saved_steps(folder):
        time.sleep(0.05)
        assert first.poll() is None
    codes = [finish(words)[0] for words in (command(folder, chunks), again(folder))]
    first.communicate()
    return {"exit codes of the rivals": codes, "of the first": first.returncode}


def main() -> None:
    """Injects all faults and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how many times to kill the run")
    parser.add_argument("--sweep-kills", type=int, default=30, help="how many times to kill the sweep")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    began = time.perf_counter()
    results: dict[str, Any] = {"kills": kills(options.kills, 12 * options.kills, place)}
    print(results, flush=True)
    results["damaged files"] = flips(place / "killed", place)
    results["full disk"] = full_disk(place, 200, 3_000_000)
    results["SIGTERM"] = terminated(place, 50)
    results["rivals"] = rivals(place, 60)
    results["kills of a sweep"] = sweep_kills(options.sweep_kills, place)
    results["deleted folder"] = deleted(place, 60)
    results["standard output"] = streams(place, 60)
    results["seconds"] = round(time.perf_counter() - began)
    results["device"] = f"{platform.machine()}, {os.cpu_count()} virtual cores, no accelerator"
    results["command"] = f"python benchmarks/faults.py --kills {options.kills}"
    text = json.dumps(results, indent=1).replace(f"{place}/", "runs/")
    print(text)
    (RESULTS / "faults.json").write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
