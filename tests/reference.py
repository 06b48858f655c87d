"""One update of DDPG in float64 NumPy, forward and backward written by hand: what the JAX code is held against.

A network is a list of layers [kernel [I, O], bias [O]]; ReLU between them, the last one linear.
"""

import numpy as np

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam (Kingma and Ba 2015), as everyone uses it


def layers(variables):
    """A flax variable dict of ddpg_jax's networks, or anything of its structure, as layers."""
    dense = variables["params"]
    inner = [dense[f"Dense_{i}"]["Dense_0"] for i in range(len(dense))]
    return [[np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64)] for layer in inner]


def forward(network, x):
    """Returns the output [B, O] and the input of every layer."""
    inputs = []
    for i, (kernel, bias) in enumerate(network):
        x = np.maximum(x, 0) if i else x
        inputs.append(x)
        x = x @ kernel + bias
    return x, inputs


def backward(network, inputs, grad):
    """From dL/d(output) [B, O]: dL/d(layers) and dL/d(input) [B, I]."""
    grads = []
    for (kernel, _), x in zip(network[::-1], inputs[::-1], strict=True):
        grads.append([x.T @ grad, grad.sum(0)])
        grad = grad @ kernel.T
        if len(grads) < len(network):
            grad = grad * (x > 0)
    return grads[::-1], grad


def flat(obs):
    return np.asarray(obs, np.float64).reshape(len(obs), -1)


def q_value(critic, obs, action):
    return forward(critic, np.concatenate([flat(obs), action], 1))[0][:, 0]


def critic_gradient(critic, targets, batch, discount):
    """Loss and gradient of mean (y - Q(s, a))² with y = r + γ d Q'(s', μ'(s'))."""
    next_action = np.tanh(forward(targets["actor"], flat(batch.next_obs))[0])
    target = batch.reward + discount * batch.discount * q_value(targets["critic"], batch.next_obs, next_action)
    q, inputs = forward(critic, np.concatenate([flat(batch.obs), batch.action], 1))
    error = q[:, 0] - target
    return np.mean(error**2), backward(critic, inputs, 2 * error[:, None] / len(error))[0]


def actor_gradient(actor, critic, batch):
    """Loss and gradient of -mean Q(s, μ(s)), through dQ/da."""
    before, actor_inputs = forward(actor, flat(batch.obs))
    action = np.tanh(before)
    q, inputs = forward(critic, np.concatenate([flat(batch.obs), action], 1))
    _, grad = backward(critic, inputs, np.full_like(q, -1 / len(q)))
    grad_action = grad[:, -action.shape[1] :]
    return -q.mean(), backward(actor, actor_inputs, grad_action * (1 - action**2))[0]


def zip_map(function, *networks):
    return [[function(*leaf) for leaf in zip(*layer, strict=True)] for layer in zip(*networks, strict=True)]


def adam(network, grads, moments, lr):
    """One step; `moments` is (steps taken, first moment, second moment)."""
    count, first, second = moments[0] + 1, *moments[1:]
    first = zip_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, grads)
    second = zip_map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, second, grads)

    def step(p, m, v):
        return p - lr * (m / (1 - BETA1**count)) / (np.sqrt(v / (1 - BETA2**count)) + EPSILON)

    return zip_map(step, network, first, second), (count, first, second)


def update(params, targets, moments, batch, config):
    """Lillicrap et al. 2016, Algorithm 1: critic, then the actor against the new critic, then both targets."""
    losses, params, moments = {}, dict(params), dict(moments)
    losses["critic"], grads = critic_gradient(params["critic"], targets, batch, config.discount)
    params["critic"], moments["critic"] = adam(params["critic"], grads, moments["critic"], config.critic_lr)
    losses["actor"], grads = actor_gradient(params["actor"], params["critic"], batch)
    params["actor"], moments["actor"] = adam(params["actor"], grads, moments["actor"], config.actor_lr)
    tau = config.tau
    targets = {k: zip_map(lambda p, t: tau * p + (1 - tau) * t, params[k], targets[k]) for k in params}
    return params, targets, moments, losses
