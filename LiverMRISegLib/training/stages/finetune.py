"""The supervised stage: labelled volumes, synthetic images or both, from a start (papers 000/001) or random weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from LiverMRISegLib.anatomy import structure_named
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class FinetuneConfig(StageConfig):
    """Config of `scripts/train/finetune.py`. Branches: "average" and "last".

    STU-Net on ATLAS: 100 epochs (25,000 steps, as nnU-Net counts 250 to an epoch), Adam, batches of 2. The paper does
    not give a learning rate; 1e-4 is ours.
    """

    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=25_000, learning_rate=1e-4, gradient_clip=12.0))
    """How long, how fast, how often."""
    consistency: Annotated[float, Limits(least=0)] = 0.0
    """Weight of how far the network's answers to two images of a patient differ (`losses.ViewDivergence`), and both are
    learnt from; 0 makes one image of each. Ouyang et al. have 2 (10 over the five classes)."""
    emphasis: dict[str, Annotated[float, Limits(0, 100)]] = field(default_factory=dict)
    """How many times the Dice of an organ, by name, counts in the loss; once for organs without an entry. New heads of
    a trained network, and organs of few voxels, learn slowly beside large ones that are learnt already."""
    branch: Annotated[Literal["average", "last", "mean"], OF_PACKAGE] = "average"
    """Which of the method's networks is validated and exported."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_trained("emphasis", self.emphasis)

    @property
    def class_emphasis(self) -> list[float] | None:
        """`emphasis` of background and `data.organs`, as the loss takes it; None if all count once."""
        times = {structure_named(organ).name: value for organ, value in self.emphasis.items()}
        return [1.0, *(times.get(structure_named(organ).name, 1.0) for organ in self.data.organs)] if times else None


def run(config: FinetuneConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    seed = config.loop.seed
    return run_stage(
        config,
        lambda setup: Supervised(
            config.new_network(seed, deep_supervision=True), setup, config.consistency, config.class_emphasis
        ),
        Needs(views=config.consistency > 0),
    )
