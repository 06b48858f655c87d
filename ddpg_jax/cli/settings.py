"""The settings of a run on the command line: in groups with titles, with the defaults that a preset sets."""

import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple, get_type_hints

import tyro
from typing_extensions import Doc

from ddpg_jax.cli.parse import RULES, flags_of, parse
from ddpg_jax.cli.suggestions import did_you_mean, nearest
from ddpg_jax.core.exploration import NoiseConfig
from ddpg_jax.core.learning import LearningConfig, TargetConfig
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.networks import NetworkConfig
from ddpg_jax.core.settings import SettingError, check_count, shown
from ddpg_jax.devices import multihost
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.named import Named
from ddpg_jax.runs.presets import BEST, PRESETS, Preset, presets_for, searched, tuned_settings
from ddpg_jax.runs.registry import algorithms

# The groups of settings that algorithms share, in the order of the help; an underscore is a space in the title.
SHARED: dict[type, str] = {
    NetworkConfig: "network",
    NoiseConfig: "exploration",
    LearningConfig: "learning",
    TargetConfig: "target_network",
}
MOST_PROCESSES = 2**16
# What the help says of a group, where the first line of its class is meant for readers of code.
ABOUT = {"loop": "How data is gathered and how much is learned from it."}


@dataclasses.dataclass(frozen=True)
class Processes:
    """Which process this is, where several train one run with the same command, and whether it prints."""

    distributed: Annotated[
        bool,
        Doc(
            "join a run of several processes (each CPU process is one device); by default detected under srun, mpirun "
            "and on TPU pods"
        ),
    ] = dataclasses.field(default_factory=multihost.launched_by_cluster)
    coordinator: Annotated[str | None, Doc("HOST:PORT of process 0; by default detected from the cluster")] = None
    processes: Annotated[int | None, Doc("number of processes; by default detected from the cluster")] = None
    process: Annotated[int | None, Doc("which of them this is, from 0; by default detected from the cluster")] = None
    quiet: Annotated[bool, Doc("print nothing but errors")] = False

    def join(self) -> bool:
        """Connects to the other processes, if there are any; returns whether this one prints and writes.

        Raises:
          SettingError: there is no distributed run to connect to.
        """
        if not self.distributed:
            if (self.coordinator, self.processes, self.process) != (None, None, None):
                raise SettingError("distributed must be given with coordinator, processes and process.")
            return True
        self._check()
        multihost.initialize(self.coordinator, self.processes, self.process)
        return multihost.is_main()

    def _check(self) -> None:
        """Checks the options before any connection is tried, for which JAX would wait for minutes."""
        host, _, port = (self.coordinator or "a:1").rpartition(":")
        if not (host and port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 2**16):
            raise SettingError(f"coordinator must be HOST:PORT, not {shown(self.coordinator)}.")
        if self.processes is not None:
            check_count("processes", self.processes)
        most = (self.processes or MOST_PROCESSES) - 1
        if self.process is not None and not 0 <= self.process <= most:
            raise SettingError(f"process must be from 0 to {most:,} (processes), not {shown(self.process)}.")


class Settings(NamedTuple):
    """What `train` and `sweep` were asked for."""

    algorithm: Named
    config: Any  # the algorithm's
    loop: LoopConfig
    run: RunConfig
    processes: Processes
    more: Any = None  # what the command asks for beside them: of a sweep what to try, of `compile` the target


@dataclasses.dataclass(frozen=True)
class _Choice:
    """The options on which the defaults of all others depend."""

    preset: str | None = None
    env: str = RunConfig.env


def read_settings(prog: str, named: Named, args: Sequence[str], more: type | None = None) -> Settings:
    """Reads the settings of a run twice: first preset and environment, then everything, with the defaults of these two.

    Args:
      prog: what the user has typed up to here, such as "ddpg-jax train ddpg".
      named: the algorithm.
      more: a group of options of the command's own, which comes first.

    Raises:
      SettingError: the arguments cannot be read, or there is no such preset.
    """
    algorithm, choice, kind = named.name, _choice(args), named.value.config
    presets = presets_for(algorithm, choice.env)
    preset = _preset(algorithm, choice.preset, presets)
    own = config_groups(kind(**preset.config))
    groups = {
        "more": more and more(),
        "own": None,
        "run": RunConfig(**preset.run),
        "loop": LoopConfig(**preset.loop),
    }
    groups |= own | {"process": Processes()}  # in which "own" keeps its place
    fields = [("preset", Annotated[str | None, Doc(_about_presets(algorithm, presets))], None)]
    fields += _fields(groups, algorithm)
    about = {"__doc__": named.value.summary()}
    read = parse(dataclasses.make_dataclass("CommandLine", fields, namespace=about), prog, args)
    config = kind(**{name: value for group in own for name, value in vars(getattr(read, group)).items()})
    return Settings(named, config, read.loop, read.run, read.process, getattr(read, "more", None))


def options_of(algorithm: str, more: type | None = None) -> list[str]:
    """The options, without their dashes, of a command that trains with an algorithm; `more` as for `read_settings`."""
    kinds = [_Choice, algorithms()[algorithm].config, RunConfig, LoopConfig, Processes, *([more] if more else [])]
    return [flag for kind in kinds for flag in flags_of(kind)]


def config_groups(config: Any) -> dict[str, Any]:
    """The settings of an algorithm in groups, as instances of dataclasses; "own" is what it does not share."""
    kind, hints = type(config), get_type_hints(type(config), include_extras=True)
    grouped: dict[str, list[Any]] = {"own": [], **{name: [] for name in SHARED.values()}}
    for field in dataclasses.fields(kind):
        home = [base for base in kind.__mro__ if field.name in inspect.get_annotations(base)][-1]
        default = dataclasses.field(default=getattr(config, field.name))
        grouped[SHARED.get(home, "own")].append((field.name, hints[field.name], default))
    return {name: dataclasses.make_dataclass(name, fields, frozen=True)() for name, fields in grouped.items() if fields}


def _fields(groups: dict[str, Any], algorithm: str) -> Iterator[tuple[str, Any, Any]]:
    """A field for each group that there is, as tyro shows it."""
    for name, group in groups.items():
        title = {"own": algorithm, "more": type(group).__name__.lower()}.get(name, name.replace("_", " "))
        about = [Doc(ABOUT[name])] if name in ABOUT else []
        if group is not None:
            yield name, Annotated[(type(group), tyro.conf.arg(name=title), *about)], group


def _choice(args: Sequence[str]) -> _Choice:
    try:
        return tyro.cli(
            _Choice, args=args, return_unknown_args=True, add_help=False, console_outputs=False, registry=RULES
        )[0]
    except SystemExit:
        return _Choice()  # what is wrong with these two is said when everything is read


def _about_presets(algorithm: str, named: dict[str, Preset]) -> str:
    """The help of --preset: the names for the chosen environment, and where else there are tuned settings."""
    names = ", ".join(named) or "none"
    tuned = "" if BEST in named or algorithm not in tuned_settings() else f" (`{BEST}`: for {searched(algorithm)})"
    return f"published or tuned settings as defaults; for this environment: {names}{tuned}"


def _preset(algorithm: str, name: str | None, named: dict[str, Preset]) -> Preset:
    if name is None:
        return Preset("", algorithm, {}, {}, {})
    if name == BEST and BEST not in named:
        raise SettingError(f"preset {BEST} of {algorithm} needs a task that was searched ({searched(algorithm)}).")
    if name not in named:
        known = ", ".join(named) or "none yet"
        if name in PRESETS:
            hint = f"; it is one of {PRESETS[name].algorithm}."
        else:
            hint = f"; {did_you_mean(name, list(named))}" if nearest(name, list(named)) else "."
        raise SettingError(f"preset must be one of those of {algorithm} ({known}), not {shown(name)}{hint}")
    return named[name]
