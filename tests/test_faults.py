"""A run survives all but the loss of its disk: benchmarks/faults.py at a size that fits here."""

import json

import faults
import pytest
from toys import slow

# (kills, chunks of the run)
FEW = pytest.param((2, 40), marks=pytest.mark.quick_twin("few", "many"), id="few")
MANY = pytest.param((4, 40), marks=pytest.mark.slow, id="many")
again_and_again = pytest.mark.parametrize("killed", [FEW, MANY], indirect=True)


@pytest.fixture(scope="module")
def killed(request, tmp_path_factory):
    """(the figures, the place with the runs, how many kills were wanted)."""
    kills, chunks = request.param
    place = tmp_path_factory.mktemp("faults")
    return faults.kills(kills, chunks, place, longest=1.5), place, kills


@again_and_again
def test_a_run_that_is_killed_again_and_again_ends_like_one_left_in_peace(killed):
    """Every line and every bit; what is lost is less than what lies between two checkpoints."""
    figures, _, wanted = killed
    assert figures["kills"] >= wanted // 2
    assert (figures["lines wrong"], figures["parts of the state wrong"]) == (0, 0)
    assert set(figures["chunks lost"]) <= {0, 1}


@again_and_again
@pytest.mark.parametrize("kinds", [("flip", "missing"), *slow(("half", "empty"))])
def test_no_damage_to_any_file_of_a_checkpoint_goes_unnoticed(killed, kinds):
    _, place, _ = killed
    counts = faults.flips(place / "killed", place, kinds=kinds)
    assert counts["wrong"] == 0
    assert counts["needed and found"] == counts["needed"] >= 5 * len(set(kinds) - {"flip"})


@again_and_again
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(killed):
    """And the end is the same; where all are damaged, that is said."""
    _, place, _ = killed
    folder = place / "killed"
    before = faults.sums(folder)
    kept = faults.saved_steps(folder)
    for path in (folder / "checkpoints" / str(kept[-1])).rglob("d/*"):
        path.write_bytes(path.read_bytes()[:-1])
    code, said, _ = faults.finish(faults.again(folder))
    assert code == 0
    said = said.replace("\n", " ")
    assert f"{kept[-1]} is damaged" in said or f"{kept[-1]}/" in said
    assert f"resuming at {kept[-2]:,} steps" in said
    assert faults.sums(folder) == before
    assert [path.name for path in (folder / "checkpoints-damaged").iterdir()] == [f"{kept[-1]}-1"]
    for clock in faults.saved_steps(folder):
        (folder / "checkpoints" / str(clock) / "metadata" / "metadata").write_text("{}")
    steps = json.loads((folder / "config.json").read_text())["run"]["steps"] + 100
    code, _, errors = faults.finish([*faults.again(folder), "--steps", str(steps)])
    assert code == 2
    assert "holds no checkpoint that can be read" in errors


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_a_sentence_and_it_can_go_on_elsewhere(tmp_path):
    figures = faults.full_disk(tmp_path, 80, 1_000_000)
    assert figures["exit code"] == 2, figures
    *before, sentence = figures["errors"]
    assert [line[:20] for line in before] in ([], ["warning: TensorBoard"])  # which the last bytes were not enough for
    assert sentence.startswith("error: out must be a folder that can be written")
    assert (" train --resume " in sentence) == bool(figures["kept"])
    assert figures.get("resumes elsewhere", True) is True, figures


def test_a_signal_ends_a_compilation_at_once_and_training_after_its_chunk(tmp_path):
    """And a second one ends training at once."""
    figures = faults.terminated(tmp_path, 50)
    codes = {name: found["exit code"] for name, found in figures.items()}
    assert codes == {"compiling": 143, "training": 75, "twice": 143}
    assert figures["twice"]["seconds"] < figures["training"]["seconds"]
    assert {name: found["folder"] for name, found in figures.items()} == {
        "compiling": False,
        "training": True,
        "twice": True,
    }
    assert figures["training"]["names --resume"]
    assert figures["compiling"]["seconds"] < 2


@pytest.mark.slow
def test_rivals_are_turned_away(tmp_path):
    """A run in its folder is neither replaced nor gone on with by another one."""
    assert faults.rivals(tmp_path, 60) == {"exit codes of the rivals": [2, 2], "of the first": 0}
