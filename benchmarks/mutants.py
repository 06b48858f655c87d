"""Single faults planted in the package, one at a time: does a test notice?

    python benchmarks/mutants.py                     # all of mutants.toml; updates results/mutants.json
    python benchmarks/mutants.py --only "tau is swapped with 1 - tau"
    python benchmarks/mutants.py --check             # whether the table fits the code, in a second

Each fault is planted in a copy of the tracked files, where the test files most likely to notice run: first their quick
tests, which are those of `make test`, then their slow ones, which only `make test-all` runs. With --whole, what those
quick tests did not notice meets the quick tests of all other files, too. In the end, every test that has noticed one
must pass without a fault.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
CACHE = ROOT / ".pytest_cache"  # where the tests keep compiled programs: those that a fault leaves as they are
LONGEST = 1800  # seconds of one run of pytest; a fault that takes it longer is noticed, since make test would hang
FAILED = re.compile(r"(?:FAILED|ERROR) tests/(\S+\.py(?:::\w+)*(?:\[.*?\])?)(?: - |$)", re.MULTILINE)


class Mutant(NamedTuple):
    """A fault: in `file`, the text `old` becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]  # files of tests/ most likely to notice

    def planted(self) -> str:
        """Returns the text of the file with the fault.

        Raises:
          ValueError: a file is missing, or `old` does not occur exactly once.
          SyntaxError: the text is no Python.
        """
        for path in (self.file, *(f"tests/{test}" for test in self.tests)):
            if not (ROOT / path).exists():
                raise ValueError(f"there is no {path}")
        text = (ROOT / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {text.count(self.old)} times, not once")
        compile(text.replace(self.old, self.new), self.file, "exec")
        return text.replace(self.old, self.new)


def table() -> list[Mutant]:
    """Returns the faults of mutants.toml, all of which can be planted.

    Raises:
      SystemExit: with a line for each fault that cannot be, or whose name is there twice.
    """
    with (ROOT / "benchmarks" / "mutants.toml").open("rb") as file:
        mutants = [Mutant(**entry) for entry in tomllib.load(file)["mutant"]]
    wrong = [f"{name}: is there twice" for name, times in Counter(one.name for one in mutants).items() if times > 1]
    for mutant in mutants:
        try:
            mutant.planted()
        except (ValueError, SyntaxError) as error:
            wrong.append(f"{mutant.name}: {error}")
    if wrong:
        raise SystemExit("\n".join(["mutants.toml does not fit the code.", *wrong]))
    return mutants


def failing(mutant: Mutant | None, tests: list[str], marks: str) -> str:
    """Returns the first of these tests that fails in a copy of the tree with this fault; "" where none does."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-m", marks, *(f"tests/{test}" for test in tests)]
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as place:
        for path in [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, place / path)
        CACHE.mkdir(exist_ok=True)
        Path(place, CACHE.name).symlink_to(CACHE)
        if mutant:
            Path(place, mutant.file).write_text(mutant.planted(), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=place,
            env=os.environ | {"PYTHONPATH": place},
            start_new_session=True,  # so that a test that hangs is ended with all that it has started
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"nothing within {LONGEST} s"
    if process.returncode in (0, 5):  # all passed, or there was none
        return ""
    found = FAILED.search(output)
    return found[1] if found else f"exit code {process.returncode}"


def measured(mutant: Mutant, whole: bool) -> dict[str, Any]:
    """Returns the row of a fault: which tests notice it, the first of them, and how long that took."""
    began, caught = time.perf_counter(), "nothing"
    if test := failing(mutant, mutant.tests, "not slow"):
        caught = "test"
    elif test := failing(mutant, mutant.tests, "slow"):
        caught = "test-all"
    if whole and caught != "test":
        others = sorted({path.name for path in (ROOT / "tests").glob("test_*.py")} - set(mutant.tests))
        if elsewhere := failing(mutant, others, "not slow"):
            caught, test = "test", elsewhere
    seconds = round(time.perf_counter() - began, 1)
    return {"name": mutant.name, "file": mutant.file, "caught by": caught, "test": test, "seconds": seconds}


def write(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Writes rows into mutants.json, beside those measured before of faults that are still in the table."""
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["mutants"] if RESULTS.exists() else []
    by_name = {row["name"]: row for row in known + rows}
    kept = [by_name[name] for name in names if name in by_name]
    counts = dict(Counter(row["caught by"] for row in kept))
    RESULTS.write_text(json.dumps({"caught by": counts, "mutants": kept}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measures the faults that are asked for and writes what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these faults alone")
    parser.add_argument("--jobs", type=int, default=1, help="faults to measure at the same time")
    parser.add_argument("--whole", action="store_true", help="show what is not noticed to the quick tests of all files")
    parser.add_argument("--check", action="store_true", help="only check that the table fits the code")
    options = parser.parse_args()
    mutants, rows = table(), []
    names = [mutant.name for mutant in mutants]
    if unknown := set(options.only or ()) - set(names):
        raise SystemExit(f"mutants.toml has no {sorted(unknown)[0]!r}.")
    if options.check:
        print(f"{len(mutants)} faults fit the code")
        return
    chosen = [mutant for mutant in mutants if mutant.name in (options.only or names)]
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda mutant: measured(mutant, options.whole), chosen):
            rows.append(row)
            write(rows, names)
            print(f"{row['caught by']:>8} {row['seconds']:6.1f} s  {row['name']}: {row['test']}", flush=True)
    print(dict(Counter(row["caught by"] for row in rows)), flush=True)
    noticed = sorted({row["test"] for row in rows if ".py" in row["test"]})
    if noticed and (test := failing(None, noticed, "")):
        raise SystemExit(f"{test} fails without a fault, too.")


if __name__ == "__main__":
    main()
