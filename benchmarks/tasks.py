"""The tables of learning.py: tasks, methods, extra flags for pairs of them, other libraries, and suites."""

from typing import NamedTuple

SMALL = "--hidden 64 64 --batch-size 64"
BRAX = "--evaluations 10 --eval-episodes 16"  # episodes of 1000 steps: evaluation would take most of the time
FEW = "--evaluations 5 --eval-episodes 8"
EIGHT = "--num-envs 8 --updates-per-step 8"  # one update per transition, as with one environment
MANY = "--num-envs 128 --updates-per-step 64 --batch-size 512 --evaluations 20 --eval-episodes 64"

CPU_TASKS = {  # the same flags for every method
    "pendulum": f"--env Pendulum-v1 --steps 30000 {SMALL}",
    "reacher-misc": f"--env Reacher-misc --steps 50000 {SMALL}",
    "mountain-car": f"--env MountainCarContinuous-v0 --steps 100000 {SMALL}",
    "inverted-pendulum": f"--env brax/inverted_pendulum --steps 50000 {BRAX} {SMALL}",
    "inverted-double-pendulum": f"--env brax/inverted_double_pendulum --steps 50000 {BRAX} {SMALL}",
    "reacher": f"--env brax/reacher --backend spring --steps 50000 {BRAX} {SMALL} {EIGHT}",
    "pusher": f"--env brax/pusher --backend spring --steps 50000 {FEW} {SMALL} {EIGHT}",
    "swimmer": f"--env brax/swimmer --steps 50000 {BRAX} {SMALL} {EIGHT}",
    "halfcheetah": f"--env brax/halfcheetah --backend spring --steps 100000 {BRAX} {SMALL} {EIGHT}",
    "lqr": f"--env lqr --episode-length 20 --steps 20000 {SMALL}",
    "cartpole-swingup": f"--env playground/CartpoleSwingup --steps 50000 {FEW} {SMALL} {EIGHT}",
    "reacher-easy": f"--env playground/ReacherEasy --steps 50000 {FEW} {SMALL} {EIGHT}",
}
# The halves of the search for defaults: on the one it chooses, on the other the choice is tried
TUNING = ("reacher", "inverted-double-pendulum", "lqr", "pendulum", "mountain-car")
HELD_OUT = ("reacher-misc", "inverted-pendulum", "pusher", "swimmer", "halfcheetah")
TUNED_BEFORE = "reacher-misc"  # of them, the one on which tune.py had tried layer norm before that search
# Run after the choice, to confirm it; nothing was known of candidates on these tasks before
CONFIRMING = ("swimmer-misc", "cartpole-swingup", "reacher-easy")
CONFIRMING_TASKS = {"swimmer-misc": f"--env Swimmer-misc --steps 50000 {SMALL}"}
GPU_BRAX = {  # 10^6 to 10^7 steps, as the tasks need
    "ant": 5,
    "halfcheetah": 5,
    "hopper": 5,
    "humanoid": 10,
    "humanoidstandup": 5,
    "inverted_double_pendulum": 1,
    "inverted_pendulum": 1,
    "pusher": 5,
    "reacher": 1,
    "swimmer": 2,
    "walker2d": 5,
}
GPU_PLAYGROUND = ("CartpoleSwingup", "CheetahRun", "FingerSpin", "HopperHop", "ReacherEasy", "WalkerWalk")
GPU_TASKS = {
    **{f"gpu-{name}": f"--env brax/{name} --steps {steps}000000 {MANY}" for name, steps in GPU_BRAX.items()},
    "gpu-ant-mjx": f"--env brax/ant --backend mjx --steps 5000000 {MANY}",
    **{f"gpu-{name}": f"--env playground/{name} --steps 5000000 {MANY}" for name in GPU_PLAYGROUND},
}
SMOKE_TASKS = {
    "smoke-pendulum": f"--env Pendulum-v1 --steps 6000 --evaluations 4 {SMALL}",
    "smoke-inverted-pendulum": f"--env brax/inverted_pendulum --steps 3000 --evaluations 2 --eval-episodes 4 {SMALL}",
}
EVEN_TASKS = {  # for comparison with other libraries: the same budget, network and learning rates
    "even-pendulum": f"--env Pendulum-v1 --steps 20000 {SMALL} --replay-capacity 100000",
    "even-reacher-misc": f"--env Reacher-misc --steps 30000 {SMALL} --replay-capacity 100000",
    # Brax resets an environment to its first state, so one environment would have one initial state
    "even-double-pendulum": f"--env brax/inverted_double_pendulum --backend spring --steps 50000 {BRAX} {SMALL} "
    f"{EIGHT} --replay-capacity 100000",
    "even-reacher": f"--env brax/reacher --backend spring --steps 50000 {BRAX} {SMALL} {EIGHT} "
    "--replay-capacity 100000",
    "even-reacher-mjx": f"--env brax/reacher --backend mjx --episode-length 50 --steps 30000 {SMALL} {EIGHT} "
    "--replay-capacity 100000",
}
# For comparison with other libraries as they come: both have their own networks, minibatches, rates and noise
OWN_TASKS = {
    "own-pendulum": "--env Pendulum-v1 --steps 10000",
    "own-reacher-misc": "--env Reacher-misc --steps 20000",
    "own-reacher": f"--env brax/reacher --backend spring --steps 20000 {BRAX} {EIGHT}",
}
# Longer runs, with the default networks of 256-256 and minibatches of 256
LOCOMOTION = f"--steps 300000 --evaluations 15 --eval-episodes 16 {EIGHT}"
LOCOMOTION_TASKS = {
    "locomotion-halfcheetah": f"--env brax/halfcheetah --backend mjx {LOCOMOTION}",
    "locomotion-hopper": f"--env brax/hopper --backend mjx {LOCOMOTION}",
    "locomotion-walker2d": f"--env brax/walker2d --backend mjx {LOCOMOTION}",
}
CROSSING_TASKS = {"crossing-halfcheetah": f"--env brax/halfcheetah --backend mjx --steps 300000 {BRAX} {SMALL} {EIGHT}"}
GYMNASIUM = dict.fromkeys(("crossing-halfcheetah", "locomotion-halfcheetah"), "HalfCheetah-v5")  # the same in MuJoCo
TASKS = CPU_TASKS | GPU_TASKS | SMOKE_TASKS | EVEN_TASKS | OWN_TASKS | LOCOMOTION_TASKS | CROSSING_TASKS
TASKS |= CONFIRMING_TASKS


def option(task: str, flag: str, default: str = "") -> str:
    """Returns the value of one flag of a task."""
    words = TASKS[task].split()
    return words[words.index(flag) + 1] if flag in words else default


OLDER_TASKS = ("pendulum", "reacher-misc", "mountain-car", "inverted-pendulum", "inverted-double-pendulum", "lqr")
LEAGUE = ("ddpg", "td3", "sac")
OLDER = ("dpg-off-policy", "dpg-on-policy", "copdac-q", "copdac-gq")
METHODS = {  # flags of a method on every task; after the colon, a variant of it
    **dict.fromkeys((*LEAGUE, "dpg-off-policy", "dpg-on-policy"), ""),
    **dict.fromkeys(("copdac-q", "copdac-gq"), "--reward-scale 0.1"),
    **{f"{method}:best": "--preset best" for method in LEAGUE},
    "ddpg:before": "--actor-lr 1e-3 --norm none",
    "ddpg:searched": "--actor-lr 3e-4 --tau 0.01 --norm layer --noise pink --noise-scale 0.3",
    "td3:before": "--actor-lr 1e-3 --norm none",
    "td3:searched": "--actor-lr 3e-4 --norm layer --tau 0.01",
    "sac:before": "--norm none --noise gaussian",
    "tqc": "",
    "sac:residual": "--hidden 32 32 --residual --normalize-obs",
    **{f"{method}:own": "" for method in LEAGUE},
    "ddpg:unnormalized": "--norm none",
    "sac:unnormalized": "--norm none",
    "ddpg:slow-critic": "--critic-lr 3e-4",
    "sac:slow-critic": "--critic-lr 3e-4",
    "ddpg:even": "--actor-lr 1e-3 --norm none",
    "td3:even": "--actor-lr 1e-3 --norm none",
    "sac:even": "--actor-lr 1e-3 --norm none --noise gaussian",
}
# Flags of a candidate for an algorithm's defaults, the names of its results and of those of the defaults before
TRIED = (
    ("ddpg", "--actor-lr 3e-4 --norm layer", "ddpg", "ddpg-before"),
    ("ddpg", "--actor-lr 3e-4 --norm layer --tau 0.01 --noise pink --noise-scale 0.3", "ddpg-searched", "ddpg"),
    ("td3", "--actor-lr 3e-4 --norm layer", "td3", "td3-before"),
    ("td3", "--actor-lr 3e-4 --norm layer --tau 0.01", "td3-searched", "td3-before"),
    ("sac", "--norm layer --noise pink", "sac", "sac-before"),
)
PAIRS: dict[tuple[str, str], str] = {  # additional flags of a method on a task
    (method, "mountain-car"): "--noise ou --noise-scale 0.3" for method in OLDER
}
PAIRS |= {("sac:even", task): "--temperature-lr 1e-3" for task in ("even-pendulum", "even-reacher-misc")}
PAIRS |= {  # the values of Brax
    ("sac:even", task): "--temperature-lr 3e-4 --target-entropy -0.5"
    for task in ("even-double-pendulum", "even-reacher")
}
PRESET_RUNS = {  # published settings, and DDPG from pixels
    "lillicrap2016": "ddpg --preset lillicrap2016 --env Pendulum-v1 --steps 30000 --replay-capacity 100000",
    "tutorial": "ddpg --preset tutorial --env Pendulum-v1 --steps 20000 --replay-capacity 100000",
    "lecture": "ddpg --preset lecture --env Pendulum-v1 --steps 20000 --batch-size 64 --replay-capacity 100000",
    # While the critic does not yet know the effect of actions, its drift drives the actor into saturation. Hence a
    # small actor learning rate, values that converge soon (short horizon, large tau) and a large initial noise.
    "pixels": "ddpg --preset lillicrap2016-pixels --steps 5000 --evaluations 10 --eval-episodes 8 --norm layer "
    "--batch-size 32 --final-scale 3e-3 --replay-capacity 5000 --warmup-steps 1000 --discount 0.9 --tau 0.05 "
    "--reward-scale 0.1 --actor-lr 3e-5 --weight-decay None --noise gaussian --noise-scale 1.0 --noise-final 0.1 "
    "--noise-steps 3000",
}
APART = {"pixels"}  # a run per seed: under vmap, these convolutions take twice as long on a CPU


class Peer(NamedTuple):
    """Another library on a task: its folder under benchmarks/peers, and its name of the task."""

    name: str
    env: str
    algorithms: tuple[str, ...]
    backend: str | None = None
    together: bool = False  # all seeds in one process


PEERS = {
    "even-pendulum": (
        Peer("rejax", "Pendulum-v1", LEAGUE, together=True),
        Peer("sbx", "Pendulum-v1", LEAGUE),
    ),
    "even-reacher-misc": (Peer("rejax", "Reacher-misc", LEAGUE, together=True),),
    "even-double-pendulum": (Peer("brax", "inverted_double_pendulum", ("sac",), "spring"),),
    "even-reacher": (Peer("brax", "reacher", ("sac",), "spring"),),
    "even-reacher-mjx": (Peer("sbx", "BraxReacher-v5", ("ddpg", "td3")),),
    "own-pendulum": (
        Peer("rejax", "Pendulum-v1", ("td3", "sac"), together=True),
        Peer("sbx", "Pendulum-v1", LEAGUE),
    ),
    "own-reacher-misc": (Peer("rejax", "Reacher-misc", ("td3", "sac"), together=True),),
    "own-reacher": (Peer("brax", "reacher", ("sac",), "spring"),),
}
EVEN = {"hidden": [64, 64], "batch_size": 64, "replay_capacity": 100_000, "warmup_steps": 1000}
EVEN |= {"actor_lr": 1e-3, "critic_lr": 1e-3, "tau": 0.005, "discount": 0.99, "noise": 0.1}


class Suite(NamedTuple):
    """Tasks and methods, and the number of seeds of each pair."""

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int = 6  # even, for two devices


# What costs return or keeps it with networks of 256-256, which the search for defaults did not have
WIDE = ("ddpg:unnormalized", "sac:unnormalized", "td3:before", "ddpg:slow-critic", "sac:slow-critic")
SUITES = {
    "smoke": Suite(tuple(SMOKE_TASKS), ("ddpg",), 2),
    "cpu": Suite(tuple(CPU_TASKS), (*LEAGUE, *(f"{method}:best" for method in LEAGUE))),
    "defaults": Suite(HELD_OUT, ("ddpg:before", "ddpg:searched", "td3:before", "td3:searched", "sac:before")),
    "confirm": Suite(CONFIRMING, (*LEAGUE, "ddpg:before", "td3:before", "sac:before")),
    "networks": Suite(("reacher-misc", "inverted-double-pendulum", "reacher", "halfcheetah"), ("sac:residual", "tqc")),
    "locomotion": Suite(tuple(LOCOMOTION_TASKS), ("ddpg", "td3", "td3:before", "sac"), 4),
    "crossing": Suite(tuple(CROSSING_TASKS), ("td3:before", "sac"), 4),
    "older": Suite(OLDER_TASKS, OLDER),
    "even": Suite(tuple(EVEN_TASKS), tuple(f"{method}:even" for method in LEAGUE)),
    "own": Suite(tuple(OWN_TASKS), (*(f"{method}:own" for method in LEAGUE), *WIDE)),
    "gpu": Suite(tuple(GPU_TASKS), LEAGUE, 10),
}
