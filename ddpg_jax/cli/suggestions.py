"""What was meant by an unknown word of the command line: an option of another library, or a typo."""

import difflib
from collections.abc import Sequence

from ddpg_jax.core.settings import SHOWN

# What options are called in CleanRL, Stable-Baselines3, Brax and papers, and what they are called here.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "alpha": ("temperature",),
    "buffer-size": ("replay-capacity",),
    "ent-coef": ("temperature",),
    "env-id": ("env",),
    "env-name": ("env",),
    "environment": ("env",),
    "eval-frequency": ("evaluations",),
    "exploration-noise": ("noise-scale",),
    "gamma": ("discount",),
    "gradient-steps": ("updates-per-step",),
    "hidden-sizes": ("hidden",),
    "learning-rate": ("actor-lr", "critic-lr"),
    "learning-starts": ("warmup-steps",),
    "logdir": ("out",),
    "lr": ("actor-lr", "critic-lr"),
    "max-grad-norm": ("clip-norm",),
    "n-envs": ("num-envs",),
    "n-seeds": ("seeds",),
    "net-arch": ("hidden",),
    "noise-clip": ("target-noise-clip",),
    "num-environments": ("num-envs",),
    "num-evals": ("evaluations",),
    "num-seeds": ("seeds",),
    "num-timesteps": ("steps",),
    "policy-frequency": ("policy-delay",),
    "policy-lr": ("actor-lr",),
    "policy-noise": ("target-noise",),
    "polyak": ("tau",),
    "q-lr": ("critic-lr",),
    "replay-size": ("replay-capacity",),
    "start-steps": ("warmup-steps",),
    "timesteps": ("steps",),
    "total-timesteps": ("steps",),
    "track": ("wandb",),
}
NEAR = 0.72  # how alike two words must be, as difflib counts it: `dppg` is near ddpg, and `a2c` is not near sac


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of a refusal: the known words that are near and, where there are none, all of them."""
    near = nearest(word.lower(), known)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."


def name_of(flag: str) -> str:
    """The option that a word of the command line names: "replay-capacity" of `--replay_capacity=3`."""
    return flag.partition("=")[0].removeprefix("--").replace("_", "-")


def unknown_option(args: Sequence[str], known: Sequence[str], prog: str) -> str:
    """A refusal of the first option that the command at hand does not have; nothing where it has all of them."""
    for flag in (arg.partition("=")[0] for arg in args if arg.startswith("--")):
        name, typed = name_of(flag), flag if len(flag) <= SHOWN else f"{flag[:SHOWN]}..."
        if name in known or name.removeprefix("no-") in known:
            continue
        here = [f"--{option}" for option in ELSEWHERE.get(name, ()) if option in known]
        near = " and ".join(here) or " or ".join(f"--{option}" for option in nearest(name, known))
        return f"`{prog}` has no option {typed}; " + (
            f"did you mean {near}?" if near else f"`{prog} --help` lists all."
        )
    return ""


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """The known words that begin with a word or, where there are none, the one that is most like it, if one is."""
    if not word or len(word) > SHOWN:
        return []
    alike = [name for name in known if name.startswith(word)] or [
        name for name in known if sorted(name) == sorted(word)
    ]
    return alike or difflib.get_close_matches(word, known, 1, NEAR)
