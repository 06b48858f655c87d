"""Memory by the setting that takes it, and the refusal where there is not enough; run_memory.py counts a run's."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from ddpg_jax.core.layers import EXPANSION
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, EnvState, Spec
from ddpg_jax.devices.backend import memory_limit, nbytes

NUMBER = 4  # bytes of a float32 or an int32
MANY = 100  # where so many seeds would fit, it is their number that is too large
SUMMARY = 4 * NUMBER + 1  # bytes that an episode is summed up in, beside two observations


class Share(NamedTuple):
    """Memory that one setting takes."""

    setting: str
    amount: str  # what the setting asks for, "1,000,000 transitions"
    bytes: int  # of all seeds


class Memory(NamedTuple):
    """Memory of a run: shares that are there all the time, and those of its phases, of which one runs at a time."""

    always: list[Share]
    phases: list[list[Share]]

    @property
    def shares(self) -> list[Share]:
        """The shares at the moment at which most memory is taken, one per setting, the largest first."""
        largest = max(self.phases, key=_total, default=[])
        sums: dict[tuple[str, str], int] = {}
        for name, amount, size in [*self.always, *largest]:
            sums[name, amount] = sums.get((name, amount), 0) + size
        return sorted((Share(*key, size) for key, size in sums.items()), key=lambda share: -share.bytes)

    @property
    def bytes(self) -> int:
        """The most memory that is taken at any moment."""
        return _total(self.always) + max(map(_total, self.phases), default=0)


def _total(shares: Iterable[Share]) -> int:
    return sum(share.bytes for share in shares)


def layer_widths(config: Any, spec: Spec) -> list[int]:
    """Returns the numbers of features of the hidden layers, those of the convolutions for images included."""
    widths = list(getattr(config, "hidden", ()))
    if getattr(config, "residual", False):
        widths = [*widths[:1], *(features for width in widths for features in (width, EXPANSION * width))]
    return [outputs for _, outputs in _convolutions(spec)] + widths


def patches(spec: Spec) -> int:
    """Returns how many numbers all the patches of an image have that the convolutions multiply."""
    return sum(inputs for inputs, _ in _convolutions(spec))


def _convolutions(spec: Spec) -> list[tuple[int, int]]:
    """Returns of each convolution the numbers in its patches of 3 x 3, and those in its output."""
    sizes = []
    height, width, channels = spec.obs_shape if spec.image else (0, 0, 0)
    for _ in range(3 if spec.image else 0):
        height, width = (height - 3) // 2 + 1, (width - 3) // 2 + 1
        sizes.append((height * width * 9 * channels, height * width * 32))
        channels = 32
    return sizes


def obs_bytes(spec: Spec) -> int:
    """Returns the bytes of an observation."""
    return nbytes(jax.ShapeDtypeStruct(spec.obs_shape, spec.obs_dtype))


def transition_bytes(spec: Spec) -> int:
    """Returns the bytes of a transition in a minibatch."""
    return 2 * obs_bytes(spec) + NUMBER * (spec.action_size + 2) + 1


def check_fits(memory: Memory, seeds: int, devices: int = 1) -> None:
    """Checks that a run fits in the memory of its devices.

    Raises:
      SettingError: it does not; the message names the setting that takes most.
    """
    limit = memory_limit(devices)
    if memory.bytes <= limit:
        return
    name, amount, size = memory.shares[0]
    taken, total, available = (f"{number / 2**30:,.2f} GiB" for number in (size, memory.bytes, limit))
    if seeds > MANY and memory.bytes // seeds * MANY <= limit:
        raise SettingError(
            f"seeds must fit in memory: {seeds:,} seeds take {total}, most of it for {name} ({amount}), and there are "
            f"{available}."
        )
    raise SettingError(
        f"{name} must fit in memory: {amount} for {seeds:,} seed{'s' * (seeds != 1)} take {taken} of {total} in all, "
        f"and there are {available}."
    )


def check_episodes(
    env: Env,
    config: Any,
    episodes: int,
    seeds: int = 1,
    steps: int = 0,
    select: Callable[[EnvState], Any] = lambda state: (),
) -> None:
    """Checks that so many episodes in parallel fit in memory.

    Args:
      env, config: the environment and the algorithm's settings.
      episodes: per seed.
      seeds: how many play at the same time.
      steps: how many steps of an episode are kept; 0: episodes are only summed up.
      select: what is kept of a state.

    Raises:
      SettingError: they do not fit.
    """
    state: EnvState = jax.eval_shape(env.reset, jax.random.key(0))
    widths = layer_widths(config, env.spec)
    one = SUMMARY + 2 * obs_bytes(env.spec) + NUMBER * max([0, *widths])
    kept = nbytes(jax.eval_shape(select, state)) + 2 * NUMBER
    size = episodes * seeds * (one + nbytes(state) + steps * kept)
    check_fits(Memory([Share("episodes", f"{episodes:,} whole episodes", size)], []), seeds)
