"""DDPG for rejax, which dropped its own in 2024: its TD3 with one critic and no target noise."""

from typing import Any

import jax
import jax.numpy as jnp
from rejax.algos.td3 import TD3


class DDPG(TD3):
    """rejax's TD3 as DDPG; create it with `num_critics=1` and `policy_delay=1`."""

    def update_critic(self, ts: Any, minibatch: Any) -> Any:
        next_action = self.actor.apply(ts.actor_target_params, minibatch.next_obs)
        next_q = self.vmap_critic(ts.critic_target_params, minibatch.next_obs, next_action)[0]
        target = minibatch.reward + self.gamma * (1.0 - minibatch.done) * next_q

        def loss(params: Any) -> Any:
            q = self.vmap_critic(params, minibatch.obs, minibatch.action)[0]
            return 0.5 * jnp.square(q - target).mean()

        return ts.replace(critic_ts=ts.critic_ts.apply_gradients(grads=jax.grad(loss)(ts.critic_ts.params)))
