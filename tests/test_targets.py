"""Programs compiled for accelerators that are not here: what is read from XLA's dumps, and what the programs take."""

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from forking import forking

from ddpg_jax import SettingError
from ddpg_jax.cli.main import main
from ddpg_jax.devices import compiled_program, targets

# A chunk as XLA dumps it: what is around the loop, the loop, in it a branch, a loop within and a CUDA graph.
THUNKS = """
000: kCommandBuffer [source]
    001: kCopy [source]
    002: kCustomKernel [prev=001] loop_add_fusion
003: kWhile
    condition:
        004: kCustomKernel compare
    body:
        005: kKernel one
        006: kCopy two
        007: kConditional
            branch_0:
                008: kCopy three
            branch_1:
        009: kCommandBuffer
            010: kGemm four
            011: kWhile
                condition:
                    012: kKernel five
                body:
                    013: kCublasLtMatmul six
014: kKernel seven
"""
HLO = """
%inner (x: f32[4,256]) -> f32[4,256] {
  ROOT %a = f32[4,256]{1,0} all-reduce(f32[4,256] %x), replica_groups={}
}

%step.2 (y: f32[8], z: bf16[2,2]) -> (f32[8], bf16[2,2]) {
  %e = f32[4,256]{1,0} call(%y), to_apply=%inner
  %b = (f32[8], bf16[2,2]) all-reduce-start(%y, %z), to_apply=%add
  ROOT %c = (f32[8], bf16[2,2]) all-reduce-done(%b)
}

ENTRY %main (n: s32[]) -> s32[] {
  %w = (f32[8], bf16[2,2]) while(%n), condition=%more, body=%step.2
  ROOT %d = s32[] all-gather(%n), dimensions={0}
}
"""


def test_launches_copies_and_decisions_of_the_host_are_counted(tmp_path):
    """Of an iteration: 4, 5, 6, 8, 10, 12, 13; around it 1, 2, 14; the host decides 3 and 7, not what is in a graph."""
    (tmp_path / "module.thunk_sequence.txt").write_text(THUNKS.replace("kCommandBuffer", "kSequential"))
    (tmp_path / "module.thunk_sequence_after_thunk_passes.txt").write_text(THUNKS)
    expected = {
        "launches": 7,
        "fewest": 5,
        "copies": 2,
        "sorting": 0,
        "submitted": 4 + 1,
        "host_decisions": 2,
        "around": 3,
    }
    assert compiled_program.launches(tmp_path)._asdict() == expected


def test_nothing_is_decided_by_the_host_in_a_loop_that_a_graph_holds(tmp_path):
    """The first thunk is the graph, and its 4 spaces hold all others; it is launched once, and not by an iteration."""
    held = "\n".join(line and f"    {line}" for line in THUNKS.splitlines()[2:])
    (tmp_path / "module.thunk_sequence_after_thunk_passes.txt").write_text(f"000: kCommandBuffer [source]\n{held}\n")
    expected = {"launches": 7, "fewest": 5, "copies": 2, "sorting": 0, "submitted": 0, "host_decisions": 0, "around": 3}
    assert compiled_program.launches(tmp_path)._asdict() == expected


@pytest.mark.parametrize("last", ["kCopy three", "kCustomKernel [source | sink] sort_3_1__2 grid: [25, 1, 1]"])
def test_of_a_branch_only_the_side_with_more_launches_counts(last, tmp_path):
    sides = f"branch_1:\n                015: kCopy more\n                016: {last}\n"
    (tmp_path / "module.thunk_sequence.txt").write_text(THUNKS.replace("branch_1:\n", sides))
    found = compiled_program.launches(tmp_path)
    assert (found.launches, found.copies, found.sorting) == (8, 2 + ("kCopy" in last), "sort" in last)


def test_a_loop_of_known_length_counts_as_often_as_it_runs_and_asks_nobody(tmp_path):
    """Thunk 11 runs 10 times without its condition, 12: 4, 5, 6, 8, 10 and 10 times 13."""
    (tmp_path / "module.thunk_sequence_after_thunk_passes.txt").write_text(THUNKS)
    metadata = 'thunk_info {\n profile_annotation: "while.7"\n thunk_id: 11\n }\n thunk_kind: "kWhile"\n'
    (tmp_path / "module.thunk_metadata.txt").write_text(metadata)
    loop = '%while.7 = (s32[], f32[2]{0}) while(%tuple), backend_config={"known_trip_count":{"n":"10"}}\n'
    (tmp_path / "module.sm_9.0a_gpu_after_optimizations.txt").write_text(f"  %b = f32[] while(%t)\n  {loop}")
    assert compiled_program.launches(tmp_path)[:3] == (5 + 10, 4 + 10, 2)
    (tmp_path / "module.thunk_metadata.txt").write_text(metadata.replace("11", "3"))  # the main one: of one iteration
    found = compiled_program.launches(tmp_path)
    assert (found.launches, found.around, found.host_decisions) == (6, 3, 1)


def test_the_part_after_an_empty_one_begins_on_its_line(tmp_path):
    """Empty are the condition and a side of the branch: 1, 2 and 4 are launched, or with the other side 1 and 2."""
    branch = "    003: kConditional\n      false_branch:\n        No thunks.      true_branch:\n        004: kKernel\n"
    body = f"    001: kKernel\n    002: kKernel\n{branch}"
    (tmp_path / "module.thunk_sequence.txt").write_text(f"000: kWhile\ncondition:\n    No thunks.  body:\n{body}")
    found = compiled_program.launches(tmp_path)
    assert (found.launches, found.fewest, found.host_decisions) == (3, 2, 2)


def test_the_main_loop_is_the_one_that_launches_most(tmp_path):
    short = "000: kWhile\ncondition:\n    001: kKernel\n  body:\n    002: kKernel\n"
    (tmp_path / "module.thunk_sequence.txt").write_text(short + THUNKS)
    found = compiled_program.launches(tmp_path)
    assert (found.launches, found.around, found.host_decisions) == (7, 3 + 2, 2)


def test_a_program_without_a_loop_is_all_launches(tmp_path):
    (tmp_path / "module.thunk_sequence_after_thunk_passes.txt").write_text("000: kCopy a\n001: kKernel b\n")
    assert compiled_program.launches(tmp_path) == (2, 2, 1, 0, 2, 0, 0)


def test_collectives_are_counted_with_their_bytes():
    both = 4 * 256 * 4 + 8 * 4 + 4 * 2
    assert compiled_program.collectives(HLO) == {"all-reduce": (2, both), "all-gather": (1, 4)}
    assert compiled_program.collectives(HLO, loops_only=True) == {"all-reduce": (2, both)}


def test_a_gpu_is_described_with_its_own_numbers():
    text = targets._gpu_config("a100")
    assert "core_count: 108\n" in text
    assert "cuda_compute_capability { major: 8 }" in text


REFUSED = {
    "--target tpu": "target must be cpu or begin with one of h100, a100, v4, v5e, v5p, v6e, not 'tpu'.",
    "": "target must be given, as in `ddpg-jax compile ddpg --target h100`.",
    "--target h100 --only train": "only must name some of init, prefill, refill, chunk, evaluate, not train.",
    "--target h100 --tau 2": "tau must be at most 1, not 2.0.",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_compiled_is_refused_in_a_sentence(words, capsys, monkeypatch):
    monkeypatch.setattr(targets, "prepare_targets", lambda: None)
    assert main(["compile", "ddpg", *words.split()]) == 2
    assert capsys.readouterr().err == f"error: {REFUSED[words]}\n"


@pytest.mark.parametrize(("name", "wheels"), [("h100", "jax-cuda12-plugin=="), ("v5e:2x4", "libtpu")])
def test_missing_packages_are_named_with_the_line_that_installs_them(name, wheels, monkeypatch):
    monkeypatch.setattr(targets, "_missing", lambda module: True)
    sentence = f"target {name} needs packages that are not installed; `pip install .*{wheels}"
    with pytest.raises(SettingError, match=sentence):
        targets.find_target(name)


@pytest.mark.parametrize("name", ["h100:0", "h100:2x", "h100:-1", "h100:99999", "a100:1x2x3"])
def test_a_count_of_gpus_that_cannot_be_is_refused(name, monkeypatch):
    monkeypatch.setattr(targets, "_missing", lambda module: False)
    with pytest.raises(SettingError, match="target must be GPUS or HOSTSxGPUS after the colon"):
        targets.find_target(name)


def own_environment():
    """That of a user, without the settings of the test run."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("XLA_", "JAX_"))}


def compiled_alone(words):
    """What `ddpg-jax compile` says in a process of its own, since the packages speak when JAX is imported."""
    command = [sys.executable, "-m", "ddpg_jax", "compile", *words.split(), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own_environment())
    return json.loads(done.stdout)


COMMAND = "import sys; from ddpg_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def compiled():
    """The same as `compiled_alone`, in a process that need not import JAX."""
    with forking("ddpg_jax.cli.main", "ddpg_jax.runs.compilation", env=own_environment()) as run:

        def ask(words):
            done = run(COMMAND, "compile", *words.split(), "--json")
            done.check_returncode()
            return json.loads(done.stdout)

        yield ask


def needs(module):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"the extra targets is not installed ({module})"
    )


CLASSIC = "--replay-capacity 100000 --only chunk"
SEEDS = "--seeds 64 --hidden 64 64 --batch-size 64 --replay-capacity 10000 --only chunk"
# Launches of a step, copies among them, and launches around the loop, as they are now: no later change may add to them
# unnoticed. The host decides nothing.
BOUNDS = {
    f"ddpg --norm none {CLASSIC}": (67, 2, 25),
    f"ddpg {CLASSIC}": (115, 2, 25),
    f"td3 --norm none {CLASSIC}": (86, 8, 28),
    f"td3 {CLASSIC}": (138, 8, 28),
    f"sac --norm none --noise gaussian {CLASSIC}": (86, 4, 29),
    f"sac {CLASSIC}": (137, 4, 30),
    f"d4pg {CLASSIC}": (81, 2, 28),
    f"ddpg --norm none {CLASSIC} --n-step 3 --normalize-obs --noise ou": (71, 2, 26),
    f"ddpg --norm none {SEEDS}": (57, 2, 57),
}


@pytest.mark.slow
@needs("jax_cuda12_plugin")
@pytest.mark.parametrize("words", BOUNDS)
def test_a_step_on_an_h100_launches_no_more_than_it_did(words, compiled):
    found = compiled(f"{words} --target h100")
    chunk = found["programs"]["chunk"]
    assert found["fits"]
    measured = (chunk["launches"], chunk["copies"], chunk["around"])
    assert all(now <= bound for now, bound in zip(measured, BOUNDS[words], strict=True)), measured
    assert chunk["host_decisions"] == 0
    assert found["chunk_launches"] == chunk["around"] + found["chunk_steps"] * chunk["launches"]
    assert 0.9 < found["planned_bytes"] / found["peak_bytes"] < 1.1


@pytest.mark.slow
@needs("jax_cuda12_plugin")
def test_without_a_graph_the_host_decides_loops(compiled):
    chunk = compiled(f"td3 --norm none --target h100 --no-cuda-graph {CLASSIC}")["programs"]["chunk"]
    assert chunk["host_decisions"] == 2  # that of the chunk and the delayed update


TPU = {
    "one seed": "--replay-capacity 1000000 --steps 1000000 --only chunk",
    "seeds": "--seeds 64 --hidden 64 64 --batch-size 64 --replay-capacity 100000 --only chunk",
    "environments": "--env brax/inverted_pendulum --num-envs 64 --replay-capacity 1000000 --steps 1000000 --only chunk",
}


@pytest.mark.slow
@needs("libtpu")
@pytest.mark.parametrize("case", TPU)
def test_a_tpu_needs_no_second_replay(case, compiled):
    found = compiled(f"ddpg --target v5e --norm none {TPU[case]}")
    assert 0.9 < found["planned_bytes"] / found["peak_bytes"] < 1.1
    assert found["peak_bytes"] < 2.2 * found["programs"]["chunk"]["argument_bytes"]


@pytest.mark.slow
@needs("jax_cuda12_plugin")
def test_agents_shared_by_gpus_reduce_their_gradients_and_seeds_apart_do_not(compiled):
    shared = compiled(f"ddpg --target h100:8 --devices 8 --num-envs 8 {CLASSIC}")["programs"]["chunk"]
    apart = compiled(f"ddpg --target h100:8 --seeds 8 {CLASSIC}")["programs"]["chunk"]
    assert set(shared["collectives"]) == {"all-reduce"}
    assert apart["collectives"] == {}


@pytest.mark.slow
@needs("libtpu")
def test_two_processes_compile_at_the_same_time():
    """Although libtpu lets only one process have a TPU."""
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(compiled_alone, ["ddpg --target v5e --only init"] * 2))
    assert all(one["fits"] for one in found)


@pytest.mark.slow
@needs("libtpu")
@needs("jax_cuda12_plugin")
def test_a_small_run_fits_a_tpu_and_a_large_one_does_not(compiled):
    assert compiled(f"ddpg --target v5e {CLASSIC}")["fits"]
    many = "--seeds 512 --seed-mapping vmap --replay-capacity 1000000 --steps 1000000"
    large = compiled(f"ddpg --target v5e {many} --only chunk")
    assert not large["fits"]
    assert "Ran out of memory" in large["too_large"]["chunk"]
    assert not compiled(f"ddpg --target h100 {many.replace('512', '4096')} --only chunk")["fits"]
