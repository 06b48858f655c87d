"""What `--matmul-precision` brings and costs: speed, and losses after 200 updates beside those of float32."""

from typing import Any

import jax
import numpy as np

from on_device.ceilings import PRECISIONS
from on_device.rows import Rows
from on_device.states import Case, copied, difference, make_case
from on_device.training import chunks, timed

UPDATES = 200
CASES: dict[str, tuple[int, dict[str, Any]]] = {  # (seeds, settings of the loop)
    "1 seed, minibatch 256": (1, {}),
    "64 seeds, minibatch 256": (64, {}),
    "8,192 environments, minibatch 8,192": (1, {"num_envs": 8192, "batch_size": 8192, "warmup_steps": 81_920}),
}


def run(rows: Rows, options: Any) -> None:
    """Compares the precisions in every case; those of a case compile at the same time."""
    for name, (seeds, loop) in list(CASES.items())[: 1 if options.toy else None]:
        seeds = min(seeds, 2) if options.toy else seeds
        learned: dict[str, Any] = {}

        def learn(precision: str, seeds: int = seeds, loop: Any = loop, learned: Any = learned) -> dict[str, Any]:
            case = make_case("ddpg", options.toy, seeds, jax.devices()[0], matmul_precision=precision, **loop)
            learned[precision] = (case, after(case))
            return {"seeds": seeds, "updates": UPDATES}

        rows.attempt_all([(f"{name}, {precision}", learn, precision) for precision in PRECISIONS], options.threads)
        for precision in learned:
            rows.attempt(f"{name}, {precision}", compare, learned, precision, 0.02 if options.toy else 0.4)


def after(case: Case) -> tuple[Any, Any]:
    """Returns the mean losses of the second half of the updates [S], and the parameters after them."""
    half = UPDATES // 2
    state, _ = case.chunk(length=half)
    state, totals = case.chunk(state, case.first + half, half)
    losses = {name: np.asarray(total / count) for name, (total, count) in totals.items() if name.endswith("/loss")}
    return losses, state.learner.params


def compare(learned: dict[str, Any], precision: str, seconds: float) -> dict[str, Any]:
    """Returns how fast a precision trains, and how far it has come from float32."""
    case, (losses, params) = learned[precision]
    exact, exact_params = learned["float32"][1]
    advance = chunks(case.programs, copied(case.state), case.first, case.config, case.loop)
    return timed(advance, seconds) | {
        "losses": {name: float(values.mean()) for name, values in losses.items()},
        "losses_from_float32": difference(losses, exact),
        "parameters_from_float32": difference(params, exact_params),
    }
