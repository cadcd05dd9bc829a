"""Scores: one evaluation that answers every protocol's question about a forecaster.

Errors are means over tracks, as published, where not said otherwise. The same draws serve all measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.forecasting import measures
from embodied_gen.forecasting.collisions import colliding
from embodied_gen.forecasting.forecaster import Forecaster, HasDensity, Observed
from embodied_gen.forecasting.windows import OBSERVED, PREDICTED, CrowdWindows, Part

MISSED = 2.0
"""Final error of the best draw from which on a forecast has missed [m]."""
_PAIRS = 2_000_000  # numbers of pairs of pedestrians, draws and steps that are held at once


@final
@dataclass(frozen=True)
class Scores:
    """What a forecaster is worth on some windows; errors in m, shares in [0, 1].

    Attributes:
        windows, tracks, draws: How many were scored, with how many draws each.
        ade, fde: Of a single draw, mean over draws.
        ade_of_mean, fde_of_mean: Of the mean of the draws.
        best_ade, best_fde, best_fde_same: Best of n per agent; FDE from its own best draw, or the one best by ADE.
        scene_ade, scene_fde, scene_fde_same: Best of n per scene, the same draw for all pedestrians of a window.
        joint_ade, joint_fde: Best of n per scene, every window counted once whatever its pedestrians.
        nll: Exact, of whole futures over their 12 steps [nat, per m^2]; None where the forecaster knows no density or
            futures end early.
        kernel_nll: Of single steps, by kernels on the draws [nat, per m^2]; None of a single draw. Steps depend on each
            other, so that it is above the exact one even with many draws.
        miss: Share whose best final error is more than 2 m.
        collision, true_collision: Share that comes within 0.2 m of another from the first predicted position to the
            last, in forecasts and in truth.
        inside_half, inside_most: Share of truths among the nearest 50 and 90 %; None of a single draw.
        spread: Root of the mean squared spread over that of the error of the mean; 1 is calibrated, None of one draw.
    """

    windows: int
    tracks: int
    draws: int
    ade: float
    fde: float
    ade_of_mean: float
    fde_of_mean: float
    best_ade: float
    best_fde: float
    best_fde_same: float
    scene_ade: float
    scene_fde: float
    scene_fde_same: float
    joint_ade: float
    joint_fde: float
    nll: float | None
    kernel_nll: float | None
    miss: float
    collision: float
    true_collision: float
    inside_half: float | None
    inside_most: float | None
    spread: float | None


def evaluate(
    forecaster: Forecaster, windows: CrowdWindows, *, n: int = 20, seed: int = 0, walls: Tensor | None = None
) -> Scores:
    """Scores a forecaster.

    Window w is drawn from the stream (seed, w): a score does not depend on which windows are drawn together.

    Args:
        forecaster: Sees the first 8 positions of each track of a window, and nothing else.
        windows: Under any protocol.
        n: Draws of each window, >= 1.
        seed: Of all draws.
        walls: By which the people of all windows walk, ends [m], shape `(K, 2, 2)`; None where none are known.

    Raises:
        ValueError: If n is not positive, or forecasts are not finite or of another shape.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    found = [_measured(forecaster, part, n, seed, walls) for part in windows.parts(max(1, _PAIRS // (n * PREDICTED)))]
    of_tracks = {name: torch.cat([part[name].flatten() for part in found]) for name in found[0] if name != "nll"}
    of_windows = [torch.cat([part[name].mean(1) for part in found]) for name in ("scene_ade", "scene_fde")]
    means = {name: float(values.mean()) for name, values in of_tracks.items()}
    spread, skill = means.pop("spread", None), means.pop("skill", None)
    return Scores(
        windows=len(windows),
        tracks=len(windows.tracks),
        draws=n,
        joint_ade=float(of_windows[0].mean()),
        joint_fde=float(of_windows[1].mean()),
        nll=_exact(found, windows),
        spread=None if spread is None or not skill else (spread / skill) ** 0.5,
        **({"kernel_nll": None, "inside_half": None, "inside_most": None} | means),  # type: ignore[arg-type]
    )


def _exact(found: Sequence[dict[str, Tensor]], windows: CrowdWindows) -> float | None:
    if "nll" not in found[0] or not bool(windows.valid.all()):
        return None
    return float(torch.cat([part["nll"] for part in found]).sum()) / (len(windows.tracks) * PREDICTED)


def _measured(forecaster: Forecaster, part: Part, n: int, seed: int, walls: Tensor | None) -> dict[str, Tensor]:
    """Measures of each track of windows of A pedestrians, `(B, A)` each; "nll" `(B,)`."""
    observed = observed_of(part, walls)
    future, valid = part.tracks[:, :, OBSERVED:], part.valid[:, :, OBSERVED:]
    streams = [draws.generator(seed, window) for window in part.numbers.tolist()]
    drawn = forecaster.forecast(observed, n, generator=streams)
    _check(drawn, (len(future), n, *future.shape[1:]))
    drawn = drawn.to(future)
    single, mean = measures.errors(drawn, future, valid), measures.errors(drawn.mean(1, keepdim=True), future, valid)
    agent, scene = measures.best_of_agents(single), measures.best_of_scenes(single)
    rows = {
        **{"ade": single.ade.mean(1), "fde": single.fde.mean(1)},
        **{"ade_of_mean": mean.ade.squeeze(1), "fde_of_mean": mean.fde.squeeze(1)},
        **{"best_ade": agent.ade, "best_fde": agent.fde, "best_fde_same": agent.fde_same},
        **{"scene_ade": scene.ade, "scene_fde": scene.fde, "scene_fde_same": scene.fde_same},
        "miss": (agent.fde > MISSED).to(future),
        "collision": _collisions(drawn, valid).mean(1),
        "true_collision": _collisions(future.unsqueeze(1), valid).mean(1),
    }
    if n > 1:
        rows |= _spread(drawn, future, valid)
    if isinstance(forecaster, HasDensity):
        rows["nll"] = -forecaster.log_density(observed, future)
    return rows


def observed_of(part: Part, walls: Tensor | None = None) -> Observed:
    """What a forecaster sees of windows, by walls with ends `(K, 2, 2)` [m]."""
    around = None if walls is None else walls.expand(len(part.tracks), -1, -1, -1)
    return Observed(part.tracks[:, :, :OBSERVED], part.valid[:, :, OBSERVED - 1], around)


def _spread(drawn: Tensor, future: Tensor, valid: Tensor) -> dict[str, Tensor]:
    spread, skill = measures.spread_and_skill(drawn, future, valid)
    return {
        "kernel_nll": -measures.kernel_log_density(drawn, future, valid),
        "inside_half": measures.inside(drawn, future, valid, 0.5),
        "inside_most": measures.inside(drawn, future, valid, 0.9),
        "spread": spread,
        "skill": skill,
    }


def _collisions(paths: Tensor, valid: Tensor) -> Tensor:
    """Whether a track collides, as 0 and 1, `(B, N, A)`; a few windows at a time, as pairs are many."""
    _, n, agents, steps = paths.shape[:4]
    size = max(1, _PAIRS // (n * agents * agents * steps))
    parts = [colliding(p, v) for p, v in zip(paths.split(size), valid.split(size), strict=True)]
    return torch.cat(parts).to(paths)


def _check(drawn: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(drawn.shape) != shape:
        raise ValueError(f"a forecast must have shape (B, n, A, {PREDICTED}, 2) = {shape}; got {tuple(drawn.shape)}.")
    if not bool(drawn.isfinite().all()):
        raise ValueError(
            "a forecast must be finite; got a position that is not. Look for a division by a step of zero."
        )
