"""The Python examples of docs/*.md, run as they stand there.

The blocks of a page run in order and share their names. `<!-- slow -->` above a block makes it a slow test; a block
below `<!-- not run: reason -->` is not run.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from toys import slow

PAGES = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
FENCE = re.compile(r"^(?:<!-- (?P<mark>slow|not run: [^>]+?) -->\n+)?```python\n(?P<code>.*?)^```$", re.M | re.S)
LONGEST = 15  # lines of an example that a reader takes in


class Block(NamedTuple):
    """A fenced block of Python: its first line in the page, what is said of it, and the code."""

    line: int
    mark: str
    code: str


def blocks(text):
    return [Block(text[: m.start("code")].count("\n") + 1, m["mark"] or "", m["code"]) for m in FENCE.finditer(text)]


def test_every_block_is_found():
    """With what is said above it, and the line that an error names."""
    text = "one\n```python\na = 1\n```\n<!-- slow -->\n```python\nb = 2\nc = 3\n```\n<!-- not run: no network -->\n"
    text += "\n```python\nd\n```\n```sh\nls\n```\n"
    assert blocks(text) == [
        Block(3, "", "a = 1\n"),
        Block(7, "slow", "b = 2\nc = 3\n"),
        Block(13, "not run: no network", "d\n"),
    ]
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("```python") == len(blocks(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("with_slow", [False, *slow(True)], ids=["quick", "all"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, with_slow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    found = blocks(page.read_text(encoding="utf-8"))
    if with_slow and not any(block.mark == "slow" for block in found):
        return
    for block in found:
        if block.mark.startswith("not run") or (block.mark == "slow" and not with_slow):
            continue
        exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)


def test_the_pieces_are_short():
    """All but the block of imports, which comes first."""
    page = next(page for page in PAGES if page.stem == "pieces")
    lengths = [len(block.code.splitlines()) for block in blocks(page.read_text(encoding="utf-8"))[1:]]
    assert max(lengths) <= LONGEST, lengths
