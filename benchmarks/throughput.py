"""Measures the training speed of ddpg_jax and its peers in one run, and the limit set by the matrix products.

    python benchmarks/throughput.py --make-environments       # a virtual environment per peer, from its pinned versions
    python benchmarks/throughput.py                           # every case, on one core and on two
    python benchmarks/throughput.py --cases classic --cores 1 --repeats 5 --seconds 3
    python benchmarks/throughput.py --starts 3                # seconds from a cold process to the first update
    python benchmarks/throughput.py --toy                     # everything very briefly, to see that it runs

It needs Linux, since it pins processes to cores.

All workers are first started, compiled and warmed up, one at a time. Then they are measured one after the other in
`--repeats` interleaved rounds, while the others wait without using the processor. Each case and number of cores gets a
file in benchmarks/results/throughput/ with all samples, medians, settings and versions, or the error of a peer.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PEERS = HERE / "peers"
RESULTS = HERE / "results" / "throughput"
CLASSIC = {"hidden": [256, 256], "batch_size": 256, "replay_capacity": 100_000, "warmup_steps": 1000, "chunk": 300}
SMALL = CLASSIC | {"hidden": [64, 64], "batch_size": 64, "chunk": 2000}
MASSIVE = CLASSIC | {"num_envs": 1024, "batch_size": 1024, "replay_capacity": 1_000_000, "warmup_steps": 10_240}
SAC = CLASSIC | {"algorithm": "sac", "backend": "spring", "replay_capacity": 1_000_000, "chunk": 10}
ANT = SAC | {"env": "ant", "num_envs": 1024, "batch_size": 1024, "warmup_steps": 2048}


class Member(NamedTuple):
    """One member of a case: a worker, or several that run at the same time on one core each."""

    name: str
    peer: str
    config: Mapping[str, Any] = MappingProxyType({})
    processes: int = 1


def eight_seeds(other: str) -> list[Member]:
    """Returns ours with the automatic and with the other seed mapping, rejax, and two independent processes."""
    return [
        Member("ddpg_jax", "ours"),
        Member(f"ddpg_jax, {other}", "ours", {"seed_mapping": other}),
        Member("rejax", "rejax"),
        Member("ddpg_jax, two processes of 4 seeds", "ours", {"seeds": 4}, processes=2),
    ]


DDPG = [Member("ddpg_jax", "ours"), Member("rejax", "rejax"), Member("SBX", "sbx"), Member("Stable-Baselines3", "sb3")]
DOPAMAX = Member("dopamax", "dopamax")
BOTH_SAC = [Member("ddpg_jax SAC", "ours"), Member("Brax SAC", "brax")]
CASES: dict[str, tuple[dict[str, Any], list[Member]]] = {
    "classic": (CLASSIC, [*DDPG, DOPAMAX]),
    "small": (SMALL, [*DDPG, DOPAMAX]),
    "massive": (MASSIVE | {"chunk": 50}, DDPG[:3]),
    "massive-8192": (MASSIVE | {"num_envs": 8192, "batch_size": 8192, "warmup_steps": 81_920, "chunk": 5}, DDPG[:2]),
    "seeds": (CLASSIC | {"seeds": 8, "chunk": 50}, eight_seeds("vmap")),
    "small-seeds": (SMALL | {"seeds": 8, "chunk": 500}, eight_seeds("sequential")),
    "ant": (ANT, BOTH_SAC),
    "ant-mjx": (ANT | {"backend": "mjx", "chunk": 2}, BOTH_SAC),
    "inverted-pendulum": (
        SAC | {"env": "inverted_pendulum", "num_envs": 256, "warmup_steps": 2560, "chunk": 50},
        BOTH_SAC,
    ),
}


class Worker:
    """A process that speaks the protocol of benchmarks/peers/protocol.py."""

    def __init__(self, member: Member, config: dict[str, Any], cores: list[int], cache: str) -> None:
        ours = member.peer == "ours"
        python = sys.executable if ours else str(PEERS / ".venv" / member.peer / "bin" / "python")
        config = config | dict(member.config)
        if ours and config.get("env", "Pendulum-v1") != "Pendulum-v1":
            config = config | {"env": f"brax/{config['env']}"}
        pin = ["taskset", "-c", ",".join(map(str, cores))]
        command = [*pin, python, str(PEERS / member.peer / "worker.py"), json.dumps(config)]
        home = os.environ | {"STARTED_AT": str(time.time()), "XDG_CACHE_HOME": cache}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=home
        )
        self.hello: dict[str, Any] = {}

    def answer(self, timeout: float) -> dict[str, Any]:
        """Returns the next message, or an error once `timeout` seconds have passed or the process has ended."""
        alarm = threading.Timer(timeout, self.process.kill)
        alarm.start()
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        alarm.cancel()
        return json.loads(line) if line.strip() else {"error": f"no answer within {timeout:.0f} s, or the process died"}

    def request(self, seconds: float) -> None:
        """Requests a measurement of so many seconds."""
        self.process.stdin.write(f"{seconds}\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


def started(member: Member, config: dict[str, Any], cores: list[int], stack: ExitStack, cache: str) -> list[Worker]:
    """Starts the workers of a member one after the other, so that they do not slow each other's first update."""
    workers = []
    for index in range(member.processes):
        worker = Worker(member, config, cores if member.processes == 1 else [cores[index]], cache)
        stack.callback(worker.close)
        worker.hello = worker.answer(timeout=400)
        workers.append(worker)
    return workers


def sample(workers: list[Worker], seconds: float) -> dict[str, float]:
    """Measures all workers of a member at the same time and adds up their rates."""
    for worker in workers:
        worker.request(seconds)
    answers = [worker.answer(timeout=60 + 20 * seconds) for worker in workers]
    wrong = [answer["error"] for answer in answers if "error" in answer]
    if wrong:
        raise RuntimeError(wrong[0])
    return {key: sum(answer[key] / answer["seconds"] for answer in answers) for key in ("updates", "env_steps")}


def run_case(name: str, cores: list[int], repeats: int, seconds: float) -> dict[str, Any]:
    """Measures all members of a case in interleaved rounds."""
    config, members = CASES[name]
    seeds, parts = config.get("seeds", 1), len(cores) if "seeds" in config else 1  # seeds are split over cores
    members = [*members, Member("limit", "ours", {"limit": True, "seeds": seeds // parts}, processes=parts)]
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        ready = {}
        for member in members:
            if member.processes > len(cores):
                continue
            workers = started(member, config, cores, stack, cache)
            hello = next((worker.hello for worker in workers if "error" in worker.hello), workers[0].hello)
            results[member.name] = {"peer": member.peer, **hello, "updates_per_s": [], "env_steps_per_s": []}
            print(f"  {member.name}: {hello.get('error') or hello['first_step_s']}", flush=True)
            if "error" not in hello:
                ready[member.name] = workers
        for round_ in range(repeats + 1):  # the first one warms up
            for member_name, workers in list(ready.items()):
                try:
                    rates = sample(workers, seconds if round_ else seconds / 3)
                except (RuntimeError, OSError) as error:  # the worker's own error, or a process that has ended
                    results[member_name]["error"] = str(error)
                    del ready[member_name]
                    continue
                if round_:
                    results[member_name]["updates_per_s"].append(rates["updates"])
                    results[member_name]["env_steps_per_s"].append(rates["env_steps"])
    for result in results.values():
        result.pop("ready", None)
        rates = result["updates_per_s"]
        if rates:
            result["median"], result["spread"] = statistics.median(rates), [min(rates), max(rates)]
            print(f"    {result['peer']:8s} {result['median']:10,.1f} updates/s", flush=True)
    return {"case": name, "cores": len(cores), "config": config, "members": results}


def run_starts(repeats: int, cores: list[int]) -> dict[str, Any]:
    """Measures the seconds from the start of a process to its first update of the classic case."""
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            members = [*DDPG[:1], Member("ddpg_jax, second run", "ours"), *DDPG[1:], DOPAMAX]
            for member in members:
                with ExitStack() as stack:
                    hello = started(member, CLASSIC, cores, stack, cache)[0].hello
                times.setdefault(member.name, []).append(hello.get("first_step_s", float("nan")))
                print(f"  {member.name}: {times[member.name][-1]:.1f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"cores": len(cores), "seconds": times, "median": medians}


def make_environments() -> None:
    """Makes a virtual environment per peer, from its pinned versions."""
    for pins in sorted(PEERS.glob("*/requirements.txt")):
        venv = PEERS / ".venv" / pins.parent.name
        subprocess.check_call([sys.executable, "-m", "venv", str(venv)])
        subprocess.check_call([str(venv / "bin" / "pip"), "install", "-q", "-r", str(pins)])


def machine() -> Iterator[tuple[str, Any]]:
    """Yields the device, the command and the date of the results."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    yield "device", f"{model[0] if model else platform.processor()}, {os.cpu_count()} virtual cores, no accelerator"
    yield "command", " ".join(["python", "benchmarks/throughput.py", *sys.argv[1:]])
    yield "date", time.strftime("%Y-%m-%d")


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="only these cases")
    parser.add_argument("--cores", nargs="*", type=int, choices=(1, 2), default=[1, 2], help="numbers of cores")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--starts", type=int, help="only measure the time to the first update, so many times")
    parser.add_argument("--make-environments", action="store_true", help="make the peers' virtual environments")
    parser.add_argument("--toy", action="store_true", help="everything very briefly, not kept")
    options = parser.parse_args()
    if options.make_environments:
        return make_environments()
    folder = Path(tempfile.mkdtemp()) if options.toy else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    repeats, seconds = (1, 0.1) if options.toy else (options.repeats, options.seconds)
    allowed = sorted(os.sched_getaffinity(0))
    for count in options.cores:
        cores = allowed[:count]
        names = options.cases if options.starts is None else ["starts"]
        for name in names:
            print(f"{name}, {count} core(s)", flush=True)
            result = run_starts(options.starts, cores) if name == "starts" else run_case(name, cores, repeats, seconds)
            path = folder / f"{name}--{count}.json"
            path.write_text(json.dumps(dict(machine()) | result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
