"""Scenes of a few agents that move by smooth laws: what the tests of scenes share."""

import torch

from embodied_gen.demos.episodes import Episodes

POINTS = 4  # around each agent


def moving(seed, agents=3, steps=8, rows=2, dtype=torch.float64):
    """Scenes `(rows, agents, steps, 7)` of agents on arcs, all there."""
    g = torch.Generator().manual_seed(seed)
    shape = (rows, agents, 1)
    place = 30 * torch.randn(*shape, 2, generator=g, dtype=dtype)
    heading = 6.3 * torch.rand(shape, generator=g, dtype=dtype) - 3.1
    speed = 1 + 8 * torch.rand(shape, generator=g, dtype=dtype)
    turn = 0.4 * torch.randn(shape, generator=g, dtype=dtype)
    t = 0.2 * torch.arange(steps, dtype=dtype)
    along = heading + turn * t
    step = 0.2 * speed.unsqueeze(-1) * torch.stack([along.cos(), along.sin()], -1)
    position = place + step.cumsum(-2) - step
    size = torch.tensor([4.5, 1.9, 1.0], dtype=dtype).expand(*along.shape, 3)
    along = torch.remainder(along + torch.pi, 2 * torch.pi) - torch.pi
    return torch.cat([position, along.unsqueeze(-1), speed.expand_as(along).unsqueeze(-1), size], -1)


def moved(scenes, angle, shift):
    """Scenes turned about the origin, then shifted."""
    cos, sin = (f(torch.tensor(angle, dtype=torch.float64)) for f in (torch.cos, torch.sin))
    turn = torch.stack([torch.stack([cos, sin]), torch.stack([-sin, cos])]).to(scenes)
    place = scenes[..., :2] @ turn + torch.tensor(shift).to(scenes)
    return torch.cat([place, scenes[..., 2:3] + angle, scenes[..., 3:]], -1)


def observations_of(scenes):
    """Flat observations `(rows, steps, O)`: states of all agents, then points ahead of each."""
    ahead = torch.arange(1, POINTS + 1).to(scenes) * 5
    heading = torch.stack([scenes[..., 2].cos(), scenes[..., 2].sin()], -1).unsqueeze(-2)
    points = scenes[..., None, :2] + ahead[:, None] * heading
    parts = [scenes.transpose(1, 2).flatten(2), points.transpose(1, 2).flatten(2)]
    return torch.cat(parts, -1)


def episodes(lengths=(30, 25), agents=3):
    """Simulations as episodes."""
    seen = [observations_of(moving(seed, agents, length, 1))[0].float() for seed, length in enumerate(lengths)]
    steps = torch.cat(seen)
    starts = torch.tensor([0, *lengths]).cumsum(0)
    return Episodes(steps, torch.zeros(len(steps), 2), starts, "dataset simulated")
