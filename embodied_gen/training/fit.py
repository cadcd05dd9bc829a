"""The training loop: one for every head.

    minimise  E_{windows, draws}  mean_b loss_b,      AdamW, warm-up and cosine, clipped gradients, averaged weights

Step k's windows are a function of (seed, k) and its draws of (seed, k, process), so that a run which is killed and
resumed ends with the same weights as one that was not, bit for bit on a CPU. What a head carries from one step to the
next, such as Markov chains, are buffers that move between steps: they are part of the state that is saved.
"""

import copy
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.heads.base import HasChains
from embodied_gen.predictor import Predictor
from embodied_gen.training import checkpoint
from embodied_gen.training.average import Average
from embodied_gen.training.checkpoint import Course
from embodied_gen.training.interrupt import interruptions
from embodied_gen.training.metrics_log import MetricsLog
from embodied_gen.training.order import Order
from embodied_gen.training.precision import autocast, resolve
from embodied_gen.training.processes import Processes
from embodied_gen.training.progress import listeners
from embodied_gen.training.settings import TrainSettings

Report = Callable[[int, dict[str, float]], None]

_DATA, _NOISE, _HELD_OUT, _CHAINS = 1, 2, 3, 4  # branches of the seed
_CHECKED = 16_384  # held-out examples at most, evenly spread


class Interrupted(Exception):
    """Training was asked to stop and has saved its state."""


def fit(
    predictor: Predictor,
    windows: Examples,
    held_out: Examples | None,
    settings: TrainSettings,
    *,
    run: Path,
    course: Course,
    resume: bool,
    processes: Processes,
    report: Report,
) -> Predictor:
    """Trains a predictor and keeps its run folder.

    Args:
        predictor: On the device of `processes`; trained in place.
        windows: To train on, on the same device.
        held_out: To measure the loss on with averaged weights.
        settings: Of the loop.
        run: Folder of the run.
        course: Seed and fingerprint.
        resume: Continues from the folder's state where there is one.
        processes: This process and its peers.
        report: Called after every step with its number and, where logged, its values.

    Returns:
        The predictor with averaged weights.

    Raises:
        FileExistsError: If the folder holds a state and `resume` is false, or weights alone.
        FloatingPointError: If a loss is not finite; names the window and the step.
        Interrupted: If a signal asked to stop; the state is saved.
    """
    if not resume and checkpoint.state_path(run).exists():
        raise FileExistsError(
            f"{run} holds a training run already. Pass --resume to continue it, or name another folder with --out."
        )
    if checkpoint.model_path(run).exists() and not checkpoint.state_path(run).exists():
        raise FileExistsError(
            f"{run} holds weights without the training state {checkpoint.state_path(run)}, so it cannot go on. "
            "Name another folder with --out."
        )
    loop = _Loop(predictor, windows, held_out, settings, run, course, processes, report)
    if checkpoint.state_path(run).exists():
        loop.restore()
    loop.run_to_the_end()
    averaged = loop.average.module
    assert isinstance(averaged, Predictor)
    return averaged


@final
class _Loop:
    def __init__(
        self,
        predictor: Predictor,
        windows: Examples,
        held_out: Examples | None,
        settings: TrainSettings,
        run: Path,
        course: Course,
        processes: Processes,
        report: Report,
    ):
        if settings.batch % processes.count:
            raise ValueError(
                f"train.batch must be a multiple of the {processes.count} processes; got {settings.batch}."
            )
        self.settings, self.run, self.course, self.processes = settings, run, course, processes
        self.windows, self.held_out, self.report = windows, held_out, report
        self.predictor = predictor
        self.average = Average(predictor, settings.average)
        self.listeners = listeners(predictor, self.average.module)
        self.precision = resolve(settings.precision, processes.device)
        self.optimizer = torch.optim.AdamW(
            predictor.parameters(),
            lr=settings.rate,
            betas=(settings.momentum, 0.999),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.order = Order(len(windows), settings.batch, draws.generator(course.seed, _DATA).initial_seed())
        self.noise = torch.Generator(processes.device)
        # Before the model is distributed, as buffers are then, and after it was copied: no draw needs chains.
        if self._chained:
            self._carry_on(self._batch(0)[1], 0)
        unused = processes.count > 1 and processes.any(self._leaves_out())
        self.model: nn.Module = _distributed(_compiled(predictor, settings.compile), processes, unused)
        self.step = 0
        # First window whose loss was not finite (-1: none of this process's, but the gradient) and its step, or -1;
        # read only now and then, and before every checkpoint.
        self.broken = torch.full((2,), -1, dtype=torch.long, device=processes.device)

    def restore(self) -> None:
        models = self.predictor, self.average.module
        self.step = checkpoint.load(self.run, self.course, *models, self.optimizer, self.precision)
        if self.processes.first:  # killed between the two files of a checkpoint, the weights are older than the state
            checkpoint.save_model(self.run, self.step, self.average.module)

    def run_to_the_end(self) -> None:
        log = MetricsLog(self.run, self.step) if self.processes.first else None
        try:
            with interruptions() as interruption:
                while self.step < self.settings.steps:
                    self._advance(log)
                    if self.processes.any(interruption.requested):
                        self._save()
                        raise Interrupted(f"stopped after step {self.step} and saved in {self.run}")
        finally:
            if log is not None:
                log.close()

    def _advance(self, log: MetricsLog | None) -> None:
        settings, started = self.settings, time.perf_counter()
        rate = learning_rate(self.step, settings)
        loss, norm = self._update(rate)
        self.step += 1
        values: dict[str, float] = {}
        last = self.step == settings.steps
        if self.step % settings.log_every == 0 or last or self.processes.device.type == "cpu":
            self._stop_if_broken()
        if self.step % settings.log_every == 0 or last:
            seconds = time.perf_counter() - started
            values |= {
                "loss": float(loss),
                "rate": rate,
                "gradient_norm": float(norm),
                "step_seconds": seconds,
            }
        if self.held_out is not None and (self.step % settings.validate_every == 0 or last):
            values["held_out_loss"] = self._validate(self.held_out)
        if log is not None and values:
            log.add(self.step, values)
        if self.step % settings.checkpoint_every == 0 or last:
            self._save()
        self.report(self.step, values)

    def _update(self, rate: float) -> tuple[Tensor, Tensor]:
        index, batch = self._batch(self.step)
        draws.reseed(self.noise, self.course.seed, _NOISE, self.step, self.processes.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for part in self.listeners:
            part.progress(self.step / self.settings.steps)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.precision, self.processes.device):
            losses = self.model(batch.observations, batch.value, batch.valid, self.noise)
        loss = losses.mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.predictor.parameters(), self.settings.clip_norm)
        self._watch(losses.detach(), index, norm)
        self.optimizer.step()
        self.average.update(self.step)
        if self._chained:
            self._carry_on(batch, self.step + 1)
        return loss.detach(), norm

    def _batch(self, step: int) -> tuple[Tensor, Batch]:
        """This process's share of the windows of a step."""
        index = self.order.step(step)[self.processes.rank :: self.processes.count]
        index = index.to(self.windows.device, non_blocking=True)
        return index, self.windows.batch(index)

    @property
    def _chained(self) -> bool:
        head = self.predictor.head
        return isinstance(head, HasChains) and head.chains is not None

    def _leaves_out(self) -> bool:
        """Whether the loss leaves parameters out, as scores do with the last bias of an energy."""
        _, batch = self._batch(0)
        draws.reseed(self.noise, self.course.seed, _NOISE, 0, self.processes.rank)
        model = copy.deepcopy(self.predictor)  # a loss may change buffers
        with autocast(self.precision, self.processes.device):
            losses = model(batch.observations, batch.value, batch.valid, self.noise)
        losses.mean().backward()
        return any(part.grad is None for part in model.parameters() if part.requires_grad)

    def _carry_on(self, batch: Batch, step: int) -> None:
        """Chains as they are before a step; several processes read those of the first."""
        draws.reseed(self.noise, self.course.seed, _CHAINS, step, self.processes.rank)
        with autocast(self.precision, self.processes.device):
            self.predictor.advance(batch.observations, generator=self.noise)

    def _watch(self, losses: Tensor, index: Tensor, norm: Tensor) -> None:
        wrong = ~losses.isfinite()
        window = torch.where(wrong.any(), index[wrong.int().argmax()], -1)
        found = torch.stack([window, torch.full_like(window, self.step)])
        # The gradient is shared by all processes: it stops those whose own losses are finite.
        broken = wrong.any() | ~norm.isfinite()
        self.broken = torch.where(broken & (self.broken[1] < 0), found, self.broken)

    def _stop_if_broken(self) -> None:
        window, step = self.broken.tolist()
        if step < 0:
            return
        remedy = "The last checkpoint is kept; lower train.rate or train.clip_norm, or look at the data there."
        if window < 0:
            raise FloatingPointError(f"the gradient of step {step} is not finite. {remedy}")
        episode, within = self.windows.place(window)
        raise FloatingPointError(
            f"the loss of step {step} is not finite at window {window} (episode {episode}, step {within} of "
            f"{self.windows.source}). {remedy}"
        )

    @torch.no_grad()
    def _validate(self, windows: Examples) -> float:
        """Mean loss of the averaged weights over held-out windows, the same ones and with the same draws each time."""
        total, size, count = 0.0, 4 * self.settings.batch, min(len(windows), _CHECKED)
        noise = draws.generator(self.course.seed, _HELD_OUT, device=self.processes.device)
        chosen = torch.arange(count, device=windows.device) * len(windows) // count
        for index in chosen.split(size):
            batch = windows.batch(index)
            with autocast(self.precision, self.processes.device):
                losses = self.average.module(batch.observations, batch.value, batch.valid, noise)
            total += float(losses.sum())
        return total / count

    def _save(self) -> None:
        self._stop_if_broken()
        if self.processes.first:
            models = self.predictor, self.average.module
            checkpoint.save(self.run, self.step, self.course, *models, self.optimizer, self.precision)


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up from 0, then half a cosine to 0 at the last step."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _distributed(model: nn.Module, processes: Processes, unused: bool) -> nn.Module:
    """The model with shared gradients; to look for parameters that are not used costs time, and a warning of torch."""
    if processes.count == 1:
        return model
    ids = [processes.device.index] if processes.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=unused)


def _compiled(predictor: Predictor, wanted: bool) -> nn.Module:
    """The predictor with a compiled network; where compilation fails it says so and runs as it is."""
    if not wanted:
        return predictor
    net: Any = getattr(predictor.head, "net", None)
    if not isinstance(net, nn.Module):
        warnings.warn("train.compile: this head has no single network to compile; going on without.", stacklevel=3)
        return predictor
    eager = net.forward

    def forward(*args: Any) -> Tensor:
        try:
            return fast(*args)
        except Exception as error:
            _say_why(error)
            net.forward = eager
            return eager(*args)

    try:
        fast = torch.compile(eager)  # refused at once on a Python that it does not know, else at the first call
    except Exception as error:
        _say_why(error)
        return predictor
    net.forward = forward
    return predictor


def _say_why(error: Exception) -> None:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    warnings.warn(f"train.compile failed ({reason}); going on without.", stacklevel=3)
