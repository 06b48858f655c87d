"""The file of results of benchmarks/accelerator.py. Standard library only."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any


class Report:
    """The file of results, written whole after every row.

    Args:
      folder: where it is; the device names it.
      order: the names of all stages.
      toy: whether the results are of toy size.
    """

    def __init__(self, folder: Path, order: list[str], toy: bool = False) -> None:
        self.folder, self.order, self.name = folder, order, "unknown"
        self.stages: dict[str, dict[str, Any]] = {}
        command = " ".join(["python", "benchmarks/accelerator.py", *_relative(sys.argv[1:])])
        self.head = {"command": command, "date": time.strftime("%Y-%m-%d"), "toy": toy}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        """The file of this device."""
        return self.folder / f"{self.name}.json"

    def add(self, stage: str, row: dict[str, Any]) -> None:
        """Adds a row, or values to the row of this name; the first one of `facts` names the file."""
        rows = self.stages[stage]["rows"]
        same = next((old for old in rows if old["name"] == row["name"]), None)
        if same is None:
            rows.append(row)
        else:
            same.update(row)
        if "device" in row and stage == "facts":
            self.name = re.sub(r"[^a-z0-9]+", "-", row["device"].lower()).strip("-")
            earlier = json.loads(self.path.read_text(encoding="utf-8"))["stages"] if self.path.exists() else {}
            self.stages = earlier | self.stages
        self.write()

    def write(self) -> None:
        """Writes the file, the stages in their order."""
        ordered = {name: self.stages[name] for name in self.order if name in self.stages}
        text = json.dumps(self.head | {"stages": ordered}, indent=1) + "\n"
        self.path.with_suffix(".part").write_text(text, encoding="utf-8")
        self.path.with_suffix(".part").replace(self.path)


def outcome(code: int, late: bool, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the status of a stage that has ended, and why it is not "done"."""
    if late:
        return {"status": "out of time"}
    failed = [f"{row['name']}: {row['error']}" for row in rows if "error" in row]
    skipped = [row["skipped"] for row in rows if "skipped" in row]
    if code and not failed:
        failed = [f"the process ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"]
    if failed:
        return {"status": "failed", "error": failed[0]}
    return {"status": "skipped", "reason": skipped[0]} if len(skipped) == len(rows) else {"status": "done"}


def _relative(arguments: list[str]) -> list[str]:
    """Returns the arguments without folders of this machine."""
    return [Path(argument).name if os.path.isabs(argument) else argument for argument in arguments]
