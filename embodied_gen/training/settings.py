"""Settings of the training loop."""

from typing import Annotated, Literal, final

from pydantic import Field

from embodied_gen.config import Block

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@final
class TrainSettings(Block):
    """How a predictor is trained."""

    steps: Count = Field(3000, description="Optimiser steps.")
    batch: Count = Field(256, description="Windows a step, over all processes.")
    rate: Positive = Field(1e-3, description="Peak learning rate of AdamW.")
    momentum: float = Field(0.9, ge=0, lt=1, description="AdamW's first decay; players of a game learn without, at 0.")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's decoupled weight decay.")
    warmup: int = Field(100, ge=0, description="Steps of linear warm-up, before a cosine to zero.")
    clip_norm: Positive = Field(1.0, description="Largest norm of the gradient.")
    average: float = Field(0.999, ge=0, lt=1, description="Decay of the averaged weights that are evaluated.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Of matrix products; auto takes bf16 where the processor has it."
    )
    compile: bool = Field(False, description="Compile the network; says so and goes on without if it cannot.")
    log_every: Count = Field(50, description="Steps between lines of metrics.jsonl.")
    validate_every: Count = Field(500, description="Steps between losses on held-out episodes.")
    checkpoint_every: Count = Field(500, description="Steps between checkpoints.")
