"""The benchmarks of programs compiled for accelerators that are not at hand: what is done with their figures."""

import importlib.util
import json
import subprocess
import sys

import pods
import pytest
import targets


def row(case, algorithm, target, steps=1, launches=10):
    counted = dict.fromkeys(("fewest", "copies", "sorting", "submitted", "host_decisions"), 2)
    iteration = {"vector_steps": steps, "updates": steps}
    compiled = {"launches": launches} | counted
    return {"case": case, "algorithm": algorithm, "target": target, "iteration": iteration, "compiled": compiled}


def test_an_iteration_of_two_steps_is_divided_by_two():
    found = targets.per_step(row("classic", "td3", "h100", steps=2, launches=287))
    assert found == {"launches": 143.5, "fewest": 1, "copies": 1, "sorting": 1, "submitted": 1, "host_decisions": 1}


def test_what_is_compiled_again_takes_the_place_of_what_was(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "RESULTS", tmp_path / "targets")
    classic, failed = row("classic", "ddpg", "h100"), {"case": "classic", "algorithm": "sac", "error": "no"}
    targets.keep("rejax", [row("seeds", "ddpg", "h100"), classic, row("classic", "ddpg", "v5e")])
    targets.keep("rejax", [row("classic", "ddpg", "h100", launches=5), failed])
    found = {targets.key(each): each["compiled"]["launches"] for each in targets.read("rejax")}
    expected = {("classic", "h100"): 5, ("classic", "v5e"): 10, ("seeds", "h100"): 10}
    assert found == {(case, "ddpg", target): launches for (case, target), launches in expected.items()}


def test_an_error_takes_the_place_of_what_was_compiled_before(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "RESULTS", tmp_path / "targets")
    targets.keep("rejax", [row("classic", "sac", "h100"), row("classic", "ddpg", "h100")])
    targets.keep("rejax", [{"case": "classic", "algorithm": "sac", "error": "no"}])
    assert [targets.key(each) for each in targets.read("rejax")] == [("classic", "ddpg", "h100")]
    targets.keep("rejax", [row("classic", "sac", "h100")])
    assert "error" not in (tmp_path / "targets" / "rejax.json").read_text()


def test_pods_that_are_compiled_again_leave_those_of_other_algorithms(tmp_path, monkeypatch):
    monkeypatch.setattr(pods, "RESULTS", tmp_path / "targets" / "pods.json")
    old = [{"algorithm": algorithm, "launches": 1} for algorithm in ("ddpg", "td3")]
    pods.keep({"flops_per_transition": {"ddpg": 1.0, "td3": 2.0}, "rows": old})
    pods.keep({"flops_per_transition": {"ddpg": 3.0}, "rows": [{"algorithm": "ddpg", "launches": 2}]})
    found = pods.read()
    assert found["flops_per_transition"] == {"ddpg": 3.0, "td3": 2.0}
    assert {row["algorithm"]: row["launches"] for row in found["rows"]} == {"td3": 1, "ddpg": 2}


def test_a_worker_that_says_nothing_is_an_error():
    (found,) = targets.compiled("no such library", {}, timeout=60)
    assert found == {"error": "no such library's worker has ended with exit code 2 and said nothing"}


def test_only_what_measures_is_imported_into_a_peers_process():
    code = "import sys, compiling; compiling.measuring(); print([n for n in sys.modules if n.startswith('ddpg_jax.')])"
    peers = str(targets.PEERS)
    done = subprocess.run([sys.executable, "-c", code], cwd=peers, check=True, capture_output=True, text=True)
    loaded = {"core", "devices", "core.settings", "devices.targets", "devices.compiled_program"}
    assert set(eval(done.stdout)) == {f"ddpg_jax.{name}" for name in loaded}


RING, TREE = pods.Link("ring", 1.0, 10.0, ring=True), pods.Link("tree", 1.0, 10.0, ring=False)


@pytest.mark.parametrize(
    ("axes", "links", "seconds"),
    [
        ((1,), (TREE,), 3 * 0.5),  # starts alone
        ((8,), (TREE,), 3 * 0.5 + 3 * 2 * 3 + 2 * 7 / 8 * 80 / 10),
        ((4, 2), (RING, RING), 3 * 0.5 + 3 * 2 * 3 + 2 * 3 / 4 * 80 / 10 + 3 * 2 * 1 + 2 * 1 / 2 * 20 / 10),
    ],
)
def test_all_reduces_take_their_start_hops_and_bytes(axes, links, seconds):
    assert pods.all_reduces(3, 80, axes, {"start_s": 0.5, "links": links}) == pytest.approx(seconds)


def result(collectives):
    """Two targets: 100 launches on each, and collectives on the second alone."""
    rows = [
        {"algorithm": "ddpg", "target": target, "devices": devices, "layout": "one agent", "launches": 100}
        | {"repeated_collectives": moved}
        for target, devices, moved in (("h100", 1, {}), ("h100:8", 8, collectives))
    ]
    return {"flops_per_transition": {"ddpg": 8.0}, "rows": rows}


def test_sharing_pays_from_the_minibatch_whose_saved_products_take_as_long_as_its_collectives():
    """A transition takes 8 s alone and 1 s shared; 2 starts of 3,500 s are saved from 1,000 transitions on."""
    free = pods.Link("free", 0.0, float("inf"), ring=False)
    assumed = {"h100": {"flops": 1.0, "launch_s": 0.5, "start_s": 3500.0, "links": (free, free)}}
    found = result({"all-reduce": [2, 400]})
    assert pods.costs(found, "ddpg", "h100:8", 1024, assumed) == (1024.0, 50.0, 7000.0)
    assert pods.pays_from(found, "ddpg", "h100:8", "h100", assumed) == 1024
    assert pods.pays_from(found, "ddpg", "h100", "h100:8", assumed) == 256  # and one device below that


def test_speeds_can_be_replaced():
    changed = pods.with_assumptions({"v5e": {"flops": 1.0, "links": [["slow", 1.0, 2.0, True]]}})
    assert changed["v5e"]["links"] == (pods.Link("slow", 1.0, 2.0, ring=True),)
    assert changed["v5e"]["flops"] == 1.0
    assert changed["h100"] == pods.ASSUMED["h100"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax_cuda12_plugin") is None, reason="the extra targets is not installed")
def test_ours_is_compiled_as_the_command_line_compiles_it():
    config = targets.CLASSIC | {"algorithm": "ddpg", "targets": ["h100"]}
    (found,) = targets.compiled("ours", config, timeout=300)
    words = ["compile", "ddpg", "--target", "h100", "--replay-capacity", "100000", "--only", "chunk", "--json"]
    done = subprocess.run([sys.executable, "-m", "ddpg_jax", *words], check=True, stdout=subprocess.PIPE, text=True)
    expected = json.loads(done.stdout)["programs"]["chunk"]
    assert {**found["compiled"], "compile_seconds": 0} == {**expected, "compile_seconds": 0}


def test_the_operations_of_an_update_are_those_of_its_networks():
    """The actor's: forward twice, backward. The critic's: forward twice, backward, and both again for the actor."""
    hidden = 64
    actor, critic = (2 * (inputs * hidden + hidden**2 + hidden) for inputs in (3, 4))
    wanted = actor * (1 + 1 + 2) + critic * (1 + 1 + 2 + 1 + 1)
    assert pods.flops("ddpg", (hidden, hidden)) == pytest.approx(wanted, rel=0.05)
