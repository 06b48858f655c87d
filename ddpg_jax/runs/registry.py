"""The algorithms by name: for each its settings and the function that makes the agent.

An algorithm of another package is found by its entry point in the group `ddpg_jax.algorithms`, whose name is the
command-line name and whose object is an `Algorithm`; CONTRIBUTING.md has an example. `register_algorithm` adds one for
this process.
"""

import functools
import re
import warnings
from importlib.metadata import entry_points

from ddpg_jax.algorithms.copdac import COPDACConfig, copdac_gq, copdac_q
from ddpg_jax.algorithms.d4pg import D4PGConfig, d4pg
from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.dpg import DPGConfig, dpg_off_policy, dpg_on_policy
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.algorithms.tqc import TQCConfig, tqc
from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.core.types import Algorithm

OWN = {
    "ddpg": Algorithm(DDPGConfig, ddpg, "Deep deterministic policy gradient (Lillicrap et al. 2016)."),
    "td3": Algorithm(TD3Config, td3, "Twin delayed DDPG (Fujimoto et al. 2018)."),
    "sac": Algorithm(SACConfig, sac, "Soft actor-critic (Haarnoja et al. 2018)."),
    "tqc": Algorithm(TQCConfig, tqc, "SAC with truncated quantile critics (Kuznetsov et al. 2020)."),
    "d4pg": Algorithm(D4PGConfig, d4pg, "DDPG with a categorical critic (Barth-Maron et al. 2018)."),
    "dpg-on-policy": Algorithm(DPGConfig, dpg_on_policy, "On-policy DPG, Sarsa critic (Silver et al. 2014)."),
    "dpg-off-policy": Algorithm(DPGConfig, dpg_off_policy, "Off-policy DPG, Q-learning critic (Silver et al. 2014)."),
    "copdac-q": Algorithm(COPDACConfig, copdac_q, "Compatible critic, Q-learning (Silver et al. 2014)."),
    "copdac-gq": Algorithm(COPDACConfig, copdac_gq, "Compatible critic, gradient Q-learning (Silver et al. 2014)."),
}


_added: dict[str, Algorithm] = {}


def register_algorithm(name: str, algorithm: Algorithm) -> None:
    """Makes an algorithm known by a name, for the rest of this process; a later one of the same name replaces it.

    Raises:
      SettingError: it is no `Algorithm`, or the name is taken by ddpg_jax or has the form of a reference.
    """
    if not isinstance(algorithm, Algorithm):
        raise SettingError(f"algorithm must be an Algorithm, not {shown(algorithm)}.")
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z]\w*(-\w+)*", name) or name in OWN:
        raise SettingError(f"name must be words joined by -, none that ddpg_jax has itself, not {shown(name)}.")
    _added[name] = algorithm


def algorithms() -> dict[str, Algorithm]:
    """Returns all algorithms by name: those of this package, of other installed packages, and those registered."""
    return _installed() | _added


@functools.cache
def _installed() -> dict[str, Algorithm]:
    """Returns the algorithms of this package, then those of other installed packages.

    An entry point that cannot be loaded, is no `Algorithm` or has a name that is taken is left out with a warning, so
    that a broken package does not stop the others.
    """
    found = dict(OWN)
    for point in entry_points(group="ddpg_jax.algorithms"):
        try:
            loaded = point.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            reason = "it is no Algorithm, or its name is taken"
            if isinstance(loaded, Algorithm) and point.name not in found:
                found[point.name] = loaded
                continue
        warnings.warn(f"The algorithm {point.name!r} of {point.value} is left out ({reason}).", stacklevel=2)
    return found


def installed_algorithm(name: str) -> Algorithm:
    """Returns the algorithm of this name.

    Raises:
      SettingError: it is not installed.
    """
    if name not in algorithms():
        raise SettingError(f"algorithm must be one that is installed ({', '.join(algorithms())}), not {name!r}.")
    return algorithms()[name]
