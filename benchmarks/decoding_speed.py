"""Speed of autoregressive forecasts: what the decoder's state saves, and how long the rollouts of a scene take.

    python benchmarks/decoding_speed.py [--threads 2]

Sequences of 12 and of 80 positions are drawn with the decoder's state (keys and values of all positions before, or the
state of recurrent units) and without, in turn (A B A B ...), by the decoders of configs/eth_ucy_recurrent.yaml and
configs/eth_ucy_words.yaml; both draw the same. Then 20 futures of 50 pedestrians over 12 steps are drawn by forecasters
of these configs, of which the weights do not matter. Writes benchmarks/results/decoding_speed.json.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from spread import spread
from torch import Tensor, nn

from embodied_gen import draws, experiment, provenance
from embodied_gen.blocks import ForecastControl
from embodied_gen.commands.console import console, progress
from embodied_gen.events import Walk
from embodied_gen.experiment import Experiment, Sizes
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.learned import AgentForecaster
from embodied_gen.forecasting.windows import OBSERVED
from embodied_gen.heads import AutoregressiveHead
from embodied_gen.heads.decoding import Decodes, Uncached, unroll
from embodied_gen.training import files

CONFIGS = Path(__file__).parents[1] / "configs"
FAMILIES = ("recurrent", "words")
LENGTHS = (12, 80)
PEDESTRIANS, FUTURES = 50, 20
CHANNELS = 2


@dataclass
class Arguments:
    """Speed of autoregressive forecasts."""

    rows: tuple[int, ...] = (200, PEDESTRIANS * FUTURES)
    """Sequences that are drawn together to compare: numbers of them."""
    repeats: int = 9
    """Measurements of each way to draw, after one to warm up."""
    scenes: int = 50
    """Measurements of the rollouts of a scene, after one to warm up."""
    threads: int = 2
    """Threads of torch."""
    out: str = "benchmarks/results/decoding_speed.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(arguments.threads)
    rows, rollouts = [], []
    with progress("decoding", len(FAMILIES) * (len(LENGTHS) * len(arguments.rows) + 1)) as advance:
        for family in FAMILIES:
            for length, count in itertools.product(LENGTHS, arguments.rows):
                rows.append(_compared(family, length, count, arguments.repeats))
                advance(f"{family}, {count} of {length} positions: {rows[-1]['ratio_median']:.1f} times quicker")
            rollouts.append(_rollouts(family, arguments.scenes))
            advance(f"{family}, a scene: {rollouts[-1]['ms_median']:.0f} ms")
    record = {
        "schema": files.SCHEMA,
        "what": "seconds without the decoder's state over those with it; milliseconds of the rollouts of a scene",
        "rows": rows,
        "rollouts": rollouts,
        "threads": arguments.threads,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


@torch.no_grad()
def _compared(family: str, length: int, rows: int, repeats: int) -> dict[str, Any]:
    """Both ways on the same noise, in turn."""
    head = _head(family, length)
    shape = (rows, length, head.decoder.context)
    conditions = draws.normal(shape, generator=draws.generator(0), like=head.places)
    ways: tuple[Decodes, Decodes] = (head.decoder, Uncached(head.decoder))
    pairs = [[_seconds(partial(_unrolled, head, way, conditions)) for way in ways] for _ in range(repeats + 1)][1:]
    return {
        "family": family,
        "positions": length,
        "rows": rows,
        "ms_median": float(np.median([1e3 * kept for kept, _ in pairs])),
        "uncached_ms_median": float(np.median([1e3 * without for _, without in pairs])),
        **spread("ratio", [without / kept for kept, without in pairs]),
    }


def _head(family: str, length: int) -> AutoregressiveHead:
    """The head of a family over walks of a length."""
    config = experiment.read(CONFIGS / f"eth_ucy_{family}.yaml")
    event = Walk(length, [-9.0] * CHANNELS, [9.0] * CHANNELS, [-1.0] * CHANNELS, [1.0] * CHANNELS)
    head = config.head.build(event, partial(_net, config, length))
    assert isinstance(head, AutoregressiveHead)
    return head.eval()


def _net(config: Experiment, length: int, channels_out: int, channels_in: int | None = None) -> nn.Module:
    return config.net.build((length, channels_in or CHANNELS), channels_out, 2 * config.control.horizon)


def _unrolled(head: AutoregressiveHead, decoder: Decodes, conditions: Tensor) -> Tensor:
    generator = draws.generator(1)

    def draw(output: Tensor, position: int) -> tuple[Tensor, Tensor]:
        value = head.emission.draw(output, generator=generator)
        return value, head.emission.embed(value)

    return unroll(decoder, conditions, draw)


def _rollouts(family: str, repeats: int) -> dict[str, Any]:
    """How long a forecaster takes for a scene."""
    config = experiment.read(CONFIGS / f"eth_ucy_{family}.yaml")
    assert isinstance(config.control, ForecastControl)
    predictor = experiment.empty(config, Sizes(*config.control.sizes(0, 0))).eval()
    forecaster = AgentForecaster(predictor, neighbours=config.control.neighbours)
    steps = 0.4 * draws.normal((1, PEDESTRIANS, OBSERVED, 2), generator=draws.generator(0), like=torch.zeros(()))
    seen = Observed(steps.cumsum(2), torch.ones(1, PEDESTRIANS, dtype=torch.bool))
    seconds = [
        _seconds(lambda: forecaster.forecast(seen, FUTURES, generator=draws.generator(1))) for _ in range(repeats + 1)
    ][1:]
    return {
        "family": family,
        "pedestrians": PEDESTRIANS,
        "futures": FUTURES,
        **spread("ms", [1e3 * second for second in seconds]),
    }


def _seconds(work: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
