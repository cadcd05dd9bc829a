"""All paths of small dynamics, one by one."""

import math

import torch


def successors(dynamics, action):
    """Next states of an action with their probabilities, read off `ahead` of one-hot values."""
    count = math.prod(dynamics.states)
    ones = torch.eye(count, dtype=torch.float64).view(count, *dynamics.states)
    reached = dynamics.ahead(ones).flatten(1)[:, action]
    return [(state, float(share)) for state, share in enumerate(reached) if share > 0]


def paths(dynamics, costs, start, steps, goal=None):
    """Lists of actions, with what they cost, of `steps` actions; with a goal, of at most as many that end there.

    Args:
        costs: Of one row, `(*Q,)`.
    """
    flat, found = costs.flatten().tolist(), []
    stack = [(start, [], 0.0)]
    while stack:
        state, actions, cost = stack.pop()
        if state == goal or (goal is None and len(actions) == steps):
            found.append((actions, cost))
        elif len(actions) < steps:
            for action in dynamics.options(torch.tensor(state)).tolist():
                if action >= 0 and flat[action] < math.inf:
                    stack.append((int(dynamics.heads(torch.tensor(action))), [*actions, action], cost + flat[action]))
    return found


def log_sum(found, temperature):
    """The logarithm of the sum over paths of exp(-cost / temperature)."""
    return float(torch.tensor([-cost / temperature for _, cost in found], dtype=torch.float64).logsumexp(0))


def expected_visits(dynamics, found, temperature):
    """How often paths drawn in proportion to exp(-cost / temperature) take each action, `(*Q,)`."""
    shares = torch.tensor([-cost / temperature for _, cost in found], dtype=torch.float64).softmax(0)
    visits = torch.zeros(math.prod(dynamics.actions), dtype=torch.float64)
    for share, (actions, _) in zip(shares, found, strict=True):
        for action in actions:
            visits[action] += share
    return visits.view(dynamics.actions)
