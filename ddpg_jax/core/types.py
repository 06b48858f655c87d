"""The plain data and the records of functions that everything else is made of.

What holds arrays is a `flax.struct` dataclass; what holds functions is a `NamedTuple`. Nothing is both.
Shape letters used throughout: N environments, B minibatch, U updates per step, E ensemble, S seeds,
*O one observation, A action dimensions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import struct

Array = jax.Array
Key = jax.Array
Variables = Any  # a flax variable dict: {"params": ...} and, where a module keeps them, running statistics
Metrics = dict[str, tuple[Array, Array]]  # name -> (sum, count): adds up over steps, seeds and devices


@struct.dataclass
class Transition:
    """One step of an environment; the replay holds the same fields behind one leading dimension.

    `next_obs` is the true successor, before any restart. `discount` is 0 where the episode `terminated` and
    1 elsewhere, a time limit included, so that a truncated episode bootstraps.
    """

    obs: Array  # [..., *O] raw, in the environment's dtype
    action: Array  # [..., A] in [-1, 1]
    reward: Array  # [...] float32
    discount: Array  # [...] float32
    truncated: Array  # [...] bool: ended by a time limit alone
    next_obs: Array  # [..., *O]
    next_action: Array | None = None  # [..., A] really num_added in next_obs; only a memory of the last steps knows it

    @property
    def terminated(self) -> Array:
        """[...] bool: the episode came to an end of its own."""
        return self.discount == 0

    @property
    def ended(self) -> Array:
        """[...] bool: terminated or truncated."""
        return self.terminated | self.truncated


def shown(what: Any, *parts: str) -> str:
    """A repr that says what is in an object, where printing its arrays and functions would say nothing."""
    return f"{type(what).__name__}({', '.join(parts)})"


def entries(tree: Any) -> str:
    """Returns how many numbers a tree holds."""
    return f"{sum(np.size(leaf) for leaf in jax.tree.leaves(tree)):,}"


class Spec(NamedTuple):
    """What an agent has to know of an environment. Bounds are in the environment's own units and shape."""

    name: str
    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype
    action_low: np.ndarray
    action_high: np.ndarray
    episode_length: int  # time limit in the environment's own steps
    action_repeat: int = 1
    # Observations are images [H, W, C] of bytes. Episodes end only by a time limit or by termination, and `next_obs` is
    # the next `obs` until they do, so a replay may keep each image once.
    image: bool = False

    @property
    def action_size(self) -> int:
        """Number of action dimensions A: the bounds, flattened."""
        return self.action_low.size

    @property
    def max_decisions(self) -> int:
        """The most actions an agent takes in one episode."""
        return -(-self.episode_length // self.action_repeat)

    def to_native(self, action: Any) -> Any:
        """[..., A] in [-1, 1] -> [..., *shape of the bounds] in the environment's own units, never outside them."""
        share = (action.reshape(*action.shape[:-1], *self.action_low.shape) + 1) / 2
        native = self.action_low * (1 - share) + self.action_high * share  # exact at both bounds
        return native.clip(self.action_low, self.action_high)

    def from_native(self, action: Any) -> Any:
        """The inverse of `to_native`."""
        scaled = (action - self.action_low) / (self.action_high - self.action_low) * 2 - 1
        return scaled.reshape(*action.shape[: action.ndim - self.action_low.ndim], self.action_size)


@struct.dataclass
class EnvState:
    """One environment between two steps."""

    inner: Any  # the wrapped environment's own state
    obs: Array  # [*O]
    time: Array  # [] int32: the environment's own steps since the episode began


class Env(NamedTuple):
    """One environment, pure. It does not restart by itself: `vectorize` in envs/door.py does that."""

    reset: Callable[[Key], EnvState]
    step: Callable[[Key, EnvState, Array], tuple[EnvState, Transition]]
    spec: Spec

    def __repr__(self) -> str:
        spec = self.spec
        bounds = f"{np.min(spec.action_low):g} to {np.max(spec.action_high):g}"
        actions = f"actions {spec.action_low.shape} in {bounds}"
        return shown(self, spec.name, f"obs {spec.obs_shape} {spec.obs_dtype}", actions, f"{spec.episode_length} steps")


@struct.dataclass
class VecEnvState:
    """N environments, the states they may restart from, and their running episodes so far."""

    env: EnvState  # [N, ...]
    pool: EnvState | None  # [P, ...]; None where every restart is computed
    episode_return: Array  # [N] sum of rewards so far
    episode_steps: Array  # [N] int32 decisions so far


class VecEnv(NamedTuple):
    """N environments that restart by themselves."""

    reset: Callable[[Key], VecEnvState]
    refresh: Callable[[Key, VecEnvState], VecEnvState]
    step: Callable[[Key, VecEnvState, Array], tuple[VecEnvState, Transition, Metrics]]


class Network(NamedTuple):
    """A flax module as pure functions: `apply` evaluates; `apply_train` also returns the updated running statistics."""

    init: Callable[..., Variables]
    apply: Callable[..., Any]
    apply_train: Callable[..., tuple[Any, Variables]]


@struct.dataclass
class Learner:
    """All that an update reads and writes, keyed by role ("actor", "critic", ...)."""

    params: dict[str, Variables]
    target_params: dict[str, Variables]
    opt_state: dict[str, Any]
    normalizer: Any = ()  # statistics of the observations, where the agent normalizes them

    def __repr__(self) -> str:
        return shown(self, *(f"{role} {entries(params)}" for role, params in self.params.items()))


class Explorer(NamedTuple):
    """Chooses the actions that are tried. `first` [N] marks the first step of an episode."""

    init: Callable[[int], Any]  # init(N) -> carry
    act: Callable[
        [Learner, Any, Array, Array, Array, Key], tuple[Array, Any]
    ]  # (learner, carry, obs, first, vector_step, key)
    scale: Callable[[Array, int], Any] | None = None  # (vector_step, N) -> σ [] or [N, 1], of those that have one


class Memory(NamedTuple):
    """A ring of vector steps. `vector_step` counts those already num_added; nothing else is remembered."""

    init: Callable[[], Any]
    add: Callable[[Any, Array, Transition], Any]  # (ring, vector_step, step [N, ...]) -> ring
    sample: Callable[[Any, Array, Key], Transition]  # (ring, steps num_added, key) -> [B, ...]


class Agent(NamedTuple):
    """An algorithm, bound to its settings and networks.

    Several devices can share one that averages what it learns by `mean` of axis.py, as every table of roles does.
    """

    init: Callable[[Key], Learner]
    act: Callable[[Learner, Array], Array]  # the greedy policy: (learner, obs [..., *O]) -> action [..., A]
    value: Callable[[Learner, Array, Array], Array]  # (learner, obs [..., *O], action [..., A]) -> Q [...]
    explorer: Explorer
    update: Callable[[Learner, Transition, Key, Array], tuple[Learner, Metrics]]  # (learner, batch, key, update_step)
    discount: Array | float  # γ, for returns over several steps
    memory: Callable[..., Memory]  # (spec, num_envs, capacity, batch_size, n_step, γ)
    observe: Callable[[Learner, Transition], Learner] = lambda learner, step: learner  # a fresh step [N, ...]

    def __repr__(self) -> str:
        learner = jax.eval_shape(self.init, jax.random.key(0))
        return shown(self, repr(learner), f"discount {self.discount}")


@struct.dataclass
class TrainState:
    """A whole training run between two steps. Under `vmap` over seeds every leaf leads with [S].

    `nonfinite_at` holds the vector step at which each monitored quantity was first not finite (divergence.py).
    `hyperparams` are the settings that differ from trial to trial of a sweep: name -> [].
    """

    keys: Key  # [5] for acting, the environments, sampling, updating, and for renewing the pool of starts
    env: VecEnvState
    noise: Any
    learner: Learner
    memory: Any
    nonfinite_at: Array  # [Q] int32
    hyperparams: dict[str, Array] = struct.field(default_factory=dict)

    def __repr__(self) -> str:
        return shown(self, repr(self.learner), f"memory {entries(self.memory)}")


class Trainer(NamedTuple):
    """The loop for one seed. `vector_step` counts vector steps and stays unbatched under `vmap` over seeds."""

    init: Callable[[Key], TrainState]
    prefill: Callable[[TrainState], TrainState]  # uniform random actions, vector_steps 0 to warmup - 1
    train: Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]  # (state, vector_step, length)
    refill: Callable[[TrainState, Any], TrainState]  # (state without its memory, vector_step)
    warmup: int  # vector steps of `prefill`
