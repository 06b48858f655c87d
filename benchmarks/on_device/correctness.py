"""Whether the device computes what the CPU of the same process does, and whether it does so reproducibly.

Differences are ‖device - CPU‖ / ‖CPU‖, the largest of any array. Both compute in float32, in different orders of
addition, so a single update differs by about 1e-6 and each later one starts from what the earlier ones have left.
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ddpg_jax.core.types import Transition
from ddpg_jax.devices.backend import nbytes
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.checkpoint import load_state, save_state
from ddpg_jax.runs.checksum import bit_sum
from on_device.rows import Rows
from on_device.states import ALGORITHMS, STEPS, Case, copied, difference, host, make_case, plain, same_bits

SEEDS = 8
BOUND = 1e-4  # of the losses and gradients of one update: a hundred times the rounding of a product of 256 terms


def run(rows: Rows, options: Any) -> None:
    """Compares the algorithms, then looks at seeds, checkpoints and the replay with DDPG."""
    jax.config.update("jax_default_matmul_precision", "float32")

    def compare(name: str) -> dict[str, Any]:
        case = make_case(name, options.toy)
        return one_update(case) | one_chunk(case)

    cases: list[Any] = [(name, compare, name) for name in (("ddpg", "sac") if options.toy else ALGORITHMS)]
    cases += [("seeds", seeds_alone, options.toy), ("checkpoint", resumed, options.toy)]
    cases += [("replay", replay, options.toy)]
    rows.attempt_all(cases, options.threads)


def one_update(case: Case) -> dict[str, Any]:
    """Returns how far losses, gradients and parameters of one update differ, from the same minibatch."""
    learner = jax.tree.map(lambda leaf: leaf[0], case.state.learner)
    inputs = (learner, minibatch(case), jax.random.key(1), jnp.int32(29))  # with one of every role, also a delayed
    update = jax.jit(case.agent.update)
    (there, losses), (here, expected) = (update(*copied(inputs, device)) for device in (jax.devices()[0], host()))
    # Adam's first moment after the first update is a tenth of the gradient
    moments = [optax.tree.get_all_with_path(one.opt_state, "mu") for one in (there, here)]
    found = {
        "losses": difference(losses, expected),
        "gradients": difference(*([moment for _, moment in one] for one in moments)),
        "parameters": difference(there.params, here.params),
        "targets": difference(there.target_params, here.target_params),
    }
    return {"update": found, "within_bound": max(found["losses"], found["gradients"]) < BOUND, "bound": BOUND}


def minibatch(case: Case) -> Transition:
    """Returns random transitions, of which one in ten terminates."""
    rng, size, spec = np.random.default_rng(0), case.loop.batch_size, case.env.spec
    obs, next_obs = rng.normal(size=(2, size, *spec.obs_shape)).astype(np.float32)
    action = rng.uniform(-1, 1, (size, spec.action_size)).astype(np.float32)
    reward = rng.normal(size=size).astype(np.float32)
    goes_on = (rng.random(size) > 0.1).astype(np.float32)
    fields = (obs, action, reward, goes_on, np.zeros(size, bool), next_obs)
    return Transition(*map(jnp.asarray, fields))


def one_chunk(case: Case) -> dict[str, Any]:
    """Returns how far a chunk differs from the CPU's, and whether the device repeats it to the bit."""
    device = case.on(jax.devices()[0])
    (there, losses), (again, _), (here, expected) = (one.chunk() for one in (device, device, case))
    found = {
        "losses": difference(losses, expected),
        "parameters": difference(there.learner.params, here.learner.params),
        "replay": difference(there.memory, here.memory),
    }
    return {"chunk": found | {"steps": STEPS}, "repeats_to_the_bit": same_bits(there, again)} | checksum(there)


def checksum(state: Any) -> dict[str, int]:
    """Returns a checksum over the bits of a learner, to compare with that of another process."""
    return {"learner_checksum": int(bit_sum(state.learner))}


def seeds_alone(toy: bool) -> dict[str, Any]:
    """Returns how far seeds under `vmap` differ from each seed alone after a chunk, all on the device."""
    together, alone = (make_case("ddpg", toy, seeds).on(jax.devices()[0]) for seeds in (SEEDS, 1))
    state, _ = together.chunk()
    apart = []
    for seed in range(SEEDS):
        begin = jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], together.state)
        other, _ = alone.chunk(begin)
        of_seed = jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], state.learner.params)
        apart.append(difference(of_seed, other.learner.params))
    return {"seeds": SEEDS, "parameters": max(apart), "of_each": apart, "steps": STEPS}


def resumed(toy: bool) -> dict[str, Any]:
    """Returns whether a run that goes on from a checkpoint is the run without one, to the bit."""
    case = make_case("ddpg", toy).on(jax.devices()[0])
    middle, _ = case.chunk()
    later = case.first + STEPS
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder), later, middle, {"made": "here"})
        shapes = jax.eval_shape(lambda: middle)
        stored = load_state(Path(folder), later, shapes, Layout()).state
    (whole, _), (parts, _) = (case.chunk(state, later) for state in (middle, stored))
    return {"restored_to_the_bit": same_bits(middle, stored), "goes_on_to_the_bit": same_bits(whole, parts)}


def replay(toy: bool) -> dict[str, Any]:
    """Returns the bytes of the replay, as arrays and as the device holds them, and how it differs from the CPU's."""
    case, there = make_case("ddpg", toy), make_case("ddpg", toy, device=jax.devices()[0]).state.memory
    here, capacity = case.state.memory, case.loop.replay_capacity
    held = [leaf.on_device_size_in_bytes() for leaf in jax.tree.leaves(there)]
    equal = [np.mean(a == b) for a, b in zip(plain(there), plain(here), strict=True)]
    return {
        "capacity": capacity,
        "array_bytes": nbytes(there),
        "held_bytes": sum(held),
        "bytes_per_transition": sum(held) / capacity,
        "equal_numbers": float(np.mean(equal)),
        "difference": difference(there, here),
    }
