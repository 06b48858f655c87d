"""Shared types: transitions, environments, learners, agents.

What holds arrays is a `flax.struct` dataclass; what holds functions is a `NamedTuple`. Nothing is both.
Letters for shapes: N environments, B minibatch, E ensemble, S seeds, *O one observation, A action dimensions.
All of them are in this file so that a reader finds each without searching.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import struct

Array = jax.Array
Key = jax.Array
Variables = Any  # a flax variable dict: {"params": ...} and, where a module has them, running statistics
Metrics = dict[str, tuple[Array, Array]]  # name -> (sum, count), which add up over steps, seeds and devices


@struct.dataclass
class Transition:
    """One step of an environment; a minibatch or a replay has the same fields with a leading dimension.

    `next_obs` is the true successor of `obs`, before any reset. `discount` is 0 where the episode terminated and 1
    elsewhere, at a time limit too, so that the value of a truncated episode is bootstrapped.
    """

    obs: Array  # [..., *O] not normalized, in the environment's dtype
    action: Array  # [..., A] in [-1, 1]
    reward: Array  # [...] float32
    discount: Array  # [...] float32
    truncated: Array  # [...] bool: ended by a time limit, without termination
    next_obs: Array  # [..., *O]
    next_action: Array | None = None  # [..., A] executed in next_obs; known to on-policy memories only
    weight: Array | None = None  # [...] importance weight in the critic's loss; None: that of all is 1
    index: Array | None = None  # [...] int32: the memory's own name of the transition, where priorities are learned

    @property
    def terminated(self) -> Array:
        """[...] bool: the episode ended, and not by a time limit."""
        return self.discount == 0

    @property
    def ended(self) -> Array:
        """[...] bool: terminated or truncated."""
        return self.terminated | self.truncated


def short_repr(instance: Any, *parts: str) -> str:
    """Returns "Name(part, part)", a repr for objects whose arrays and functions would fill the screen."""
    return f"{type(instance).__name__}({', '.join(parts)})"


def _num_entries(tree: Any) -> str:
    """Returns how many numbers a tree holds, with thousands separators."""
    return f"{sum(np.size(leaf) for leaf in jax.tree.leaves(tree)):,}"


class Spec(NamedTuple):
    """What an agent needs to know about an environment; bounds are in the environment's own units and shape."""

    name: str
    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype
    action_low: np.ndarray
    action_high: np.ndarray
    episode_length: int  # time limit in the environment's own steps
    action_repeat: int = 1  # the environment's own steps per action of the agent
    # Observations are images [H, W, C] of bytes, of which the replay stores each once. That needs a `next_obs` that is
    # the next step's `obs` within an episode, and truncations at least a time limit apart.
    image: bool = False

    @property
    def action_size(self) -> int:
        """Number of action dimensions A."""
        return self.action_low.size

    @property
    def max_decisions(self) -> int:
        """Largest number of actions in one episode."""
        return -(-self.episode_length // self.action_repeat)

    def to_native(self, action: Any) -> Any:
        """Maps [..., A] in [-1, 1] to [..., *shape of the bounds] in the environment's own units, within its bounds."""
        fraction = (action.reshape((*action.shape[:-1], *self.action_low.shape)) + 1) / 2
        native = self.action_low * (1 - fraction) + self.action_high * fraction  # exact at both bounds
        return native.clip(self.action_low, self.action_high)

    def from_native(self, action: Any) -> Any:
        """Maps an action in the environment's own units to [..., A] in [-1, 1]: the inverse of `to_native`."""
        scaled = (action - self.action_low) / (self.action_high - self.action_low) * 2 - 1
        return scaled.reshape((*action.shape[: action.ndim - self.action_low.ndim], self.action_size))


@struct.dataclass
class EnvState:
    """One environment between two steps."""

    inner: Any  # the wrapped environment's own state
    obs: Array  # [*O]
    time: Array  # [] int32: the environment's own steps since the episode began


class Env(NamedTuple):
    """One environment as pure functions. It does not reset automatically; `vectorize` adds that."""

    reset: Callable[[Key], EnvState]
    step: Callable[[Key, EnvState, Array], tuple[EnvState, Transition]]  # (key, state, action [A] in [-1, 1])
    spec: Spec

    def __repr__(self) -> str:
        spec = self.spec
        actions = f"actions {spec.action_low.shape} in {np.min(spec.action_low):g} to {np.max(spec.action_high):g}"
        obs = f"obs {spec.obs_shape} {spec.obs_dtype}"
        return short_repr(self, spec.name, obs, actions, f"{spec.episode_length} steps")


@struct.dataclass
class VecEnvState:
    """N environments between two steps."""

    env: EnvState  # [N, ...]
    pool: EnvState | None  # [P, ...] initial states of new episodes; None where they are computed when needed
    episode_return: Array  # [N] sum of rewards of the running episode
    episode_steps: Array  # [N] int32: number of actions in the running episode


class VecEnv(NamedTuple):
    """N environments that reset automatically."""

    reset: Callable[[Key], VecEnvState]
    refresh: Callable[[Key, VecEnvState], VecEnvState]  # draws the pool of initial states anew
    step: Callable[[Key, VecEnvState, Array], tuple[VecEnvState, Transition, Metrics]]  # (key, state, action [N, A])


class Network(NamedTuple):
    """A flax module as pure functions of its variables."""

    init: Callable[..., Variables]  # (key, *inputs) -> variables
    apply: Callable[..., Any]  # (variables, *inputs) -> outputs; batch norm uses its running statistics
    apply_train: Callable[..., tuple[Any, Variables]]  # likewise -> outputs, updated running statistics


@struct.dataclass
class Learner:
    """Everything that an update reads and writes, by the name of the role ("actor", "critic", ...)."""

    params: dict[str, Variables]
    target_params: dict[str, Variables]  # of the roles that have a target
    opt_state: dict[str, Any]
    normalizer: Any = ()  # running statistics of the observations, where the agent normalizes them

    def __repr__(self) -> str:
        return short_repr(self, *(f"{role} {_num_entries(params)}" for role, params in self.params.items()))


class Explorer(NamedTuple):
    """Chooses the actions while training. `carry` is its own state, such as that of correlated noise."""

    init: Callable[[int], Any]  # (N) -> carry, whose leaves are [N, ...]
    # (learner, carry, obs [N, *O], first [N], vector_step, key) -> action [N, A], carry; `first` says where new noise
    # begins: at the first step of an episode, and at the first one after the warm-up
    act: Callable[[Learner, Any, Array, Array, Array, Key], tuple[Array, Any]]
    scale: Callable[[Array, int], Any] | None = None  # (vector_step, N) -> σ of the noise [] or [N, 1], if it has one


class Memory(NamedTuple):
    """A ring of vector steps, on the device. `num_added`, the number of steps written so far, is not stored in it.

    Its leaves have at least one dimension, of which the first may depend on the capacity, and only that: a ring that is
    not full grows by zeros at its end (`ddpg_jax.runs.replay_size`).
    """

    init: Callable[[], Any]  # () -> ring
    add: Callable[[Any, Array, Transition], Any]  # (ring, num_added, transitions [N, ...]) -> ring
    sample: Callable[[Any, Array, Key], Transition]  # (ring, num_added, key) -> minibatch [B, ...]
    # (ring, the minibatch's `index` [B], its TD errors after the update [B]) -> ring, where the memory asks for them
    prioritize: Callable[[Any, Array, Array], Any] | None = None


def _observe_nothing(learner: Learner, transitions: Transition) -> Learner:
    return learner


class Agent(NamedTuple):
    """An algorithm, bound to its settings and networks."""

    init: Callable[[Key], Learner]
    act: Callable[[Learner, Array], Array]  # the greedy policy: (learner, obs [..., *O]) -> action [..., A]
    value: Callable[[Learner, Array, Array], Array]  # (learner, obs [..., *O], action [..., A]) -> Q [...]
    explorer: Explorer
    update: Callable[[Learner, Transition, Key, Array], tuple[Learner, Metrics]]  # (learner, batch, key, update_step)
    discount: Array | float  # γ, for n-step returns and discounted returns of episodes
    memory: Callable[..., Memory]  # (spec, num_envs, capacity, batch_size, n_step, discount) -> Memory
    observe: Callable[[Learner, Transition], Learner] = _observe_nothing  # (learner, transitions [N, ...]), every step
    reward_scale: Array | float = 1.0  # the factor on rewards in `value`

    def __repr__(self) -> str:
        learner = jax.eval_shape(self.init, jax.random.key(0))
        return short_repr(self, repr(learner), f"discount {self.discount}")


class Algorithm(NamedTuple):
    """What the command line needs of an algorithm: its settings, and the function that makes the agent."""

    config: type  # a `configclass`
    make: Callable[[Any, Spec], Agent]  # (config, spec) -> agent
    about: str = ""  # one line for the list of algorithms; by default the first line of `make`'s docstring

    def summary(self) -> str:
        """Returns one line for the list of algorithms."""
        make = self.make
        while isinstance(make, functools.partial):  # whose own docstring is that of functools
            make = make.func
        return self.about or (make.__doc__ or "").partition("\n")[0]


@struct.dataclass
class TrainState:
    """A training run between two steps. Under `vmap` over seeds every leaf has a leading dimension [S]."""

    keys: Key  # [5]: for acting, environments, sampling, updates, and for the pool of initial states
    env: VecEnvState
    noise: Any  # the explorer's carry
    learner: Learner
    memory: Any
    nonfinite_at: Array  # [Q] int32: the vector step at which each monitored quantity was first not finite
    hyperparams: dict[str, Array] = struct.field(default_factory=dict)  # settings that differ between seeds: name -> []

    def __repr__(self) -> str:
        return short_repr(self, repr(self.learner), f"memory {_num_entries(self.memory)}")


class Trainer(NamedTuple):
    """The training loop for one seed. `vector_step` stays unbatched under `vmap` over seeds."""

    init: Callable[[Key], TrainState]
    prefill: Callable[[TrainState], TrainState]  # uniform random actions, vector steps 0 to warmup - 1
    train: Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]  # (state, vector_step, length)
    refill: Callable[[TrainState, Any], TrainState]  # (state whose memory was not saved, vector_step)
    warmup: int  # vector steps of `prefill`
