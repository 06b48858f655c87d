"""Environment ids of Gymnasium and dm_control, and what is nearest to them here."""

import re
from typing import NamedTuple

from ddpg_jax.core.settings import SHOWN


class Meant(NamedTuple):
    """What is said of an id from elsewhere."""

    known: str | None  # the id that is nearest here, if one is
    about: str  # half a sentence on what differs, without a full stop


PHYSICS = "the same task with Brax's own physics, so returns are not those in MuJoCo"
PORTED = "the same task in MJX"
MISSING = "MuJoCo Playground, which has many of dm_control's tasks, does not have it; `ddpg-jax envs` lists those here"
DISCRETE = "it has discrete actions, and a deterministic policy gradient needs a continuous box"
BOX2D = "it needs Box2D, which does not run in JAX; `ddpg-jax envs` lists what does"
# The tasks of Gymnasium's MuJoCo suite that Brax has, as they are written without capitals and underscores.
BRAX = {
    "ant": "ant",
    "halfcheetah": "halfcheetah",
    "hopper": "hopper",
    "humanoid": "humanoid",
    "humanoidstandup": "humanoidstandup",
    "inverteddoublependulum": "inverted_double_pendulum",
    "invertedpendulum": "inverted_pendulum",
    "pusher": "pusher",
    "reacher": "reacher",
    "swimmer": "swimmer",
    "walker": "walker2d",
    "walker2d": "walker2d",
}
OTHERS = {
    "bipedalwalker": BOX2D,
    "bipedalwalkerhardcore": BOX2D,
    "blackjack": DISCRETE,
    "carracing": BOX2D,
    "cliffwalking": DISCRETE,
    "frozenlake": DISCRETE,
    "lunarlander": DISCRETE,
    "lunarlandercontinuous": BOX2D,
    "taxi": DISCRETE,
}
# The dm_control tasks that Playground has; it need not be installed to say so.
PLAYGROUND = {
    "AcrobotSwingup",
    "AcrobotSwingupSparse",
    "BallInCup",
    "CartpoleBalance",
    "CartpoleBalanceSparse",
    "CartpoleSwingup",
    "CartpoleSwingupSparse",
    "CheetahRun",
    "FingerSpin",
    "FingerTurnEasy",
    "FingerTurnHard",
    "FishSwim",
    "HopperHop",
    "HopperStand",
    "HumanoidRun",
    "HumanoidStand",
    "HumanoidWalk",
    "PendulumSwingup",
    "PointMass",
    "ReacherEasy",
    "ReacherHard",
    "SwimmerSwimmer6",
    "WalkerRun",
    "WalkerStand",
    "WalkerWalk",
}
# Words that Playground does not write as the others: dm_control/ball_in_cup-catch is playground/BallInCup.
UNLIKE = {"BallInCupCatch": "BallInCup", "PointMassEasy": "PointMass"}
VERSIONED = re.compile(r"-v\d+$")


def meant(name: str) -> Meant | None:
    """Returns what an id of Gymnasium (`HalfCheetah-v4`) or dm_control (`dm_control/cheetah-run`) is here, if known."""
    if len(name) > SHOWN:
        return None
    base = VERSIONED.sub("", name)
    space, _, task = base.rpartition("/")
    if space.lower() in ("dm_control", "dm-control", "dmc"):
        words = "".join(word.capitalize() for word in re.split(r"[-_]", task))
        port = UNLIKE.get(words, words)
        return Meant(f"playground/{port}", PORTED) if port in PLAYGROUND else Meant(None, MISSING)
    if space.lower() == "ale":
        return Meant(None, DISCRETE)
    key = task.lower().replace("_", "")
    if key in OTHERS:
        return Meant(None, OTHERS[key])
    if key in BRAX and name != base and space.lower() in ("", "gym", "gymnasium", "mujoco"):
        return Meant(f"brax/{BRAX[key]}", PHYSICS)
    return None
