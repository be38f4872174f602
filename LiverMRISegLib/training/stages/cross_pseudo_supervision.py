"""The stage of cross pseudo supervision (papers 000 and 001): two networks teach each other on unlabelled volumes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from LiverMRISegLib.training.initial_weights import load_start
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig, CrossPseudoSupervision
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.semi_supervised import refuse_unknown_voxels, semi_supervised_loop
from LiverMRISegLib.training.stages.stage import Needs, run_stage

logger = logging.getLogger(__name__)
# Far from any seed that a person gives: the second network's.
_SECOND_SEED = 7_919


@dataclass(frozen=True)
class CrossPseudoStageConfig(StageConfig):
    """Config of `scripts/train/cross_pseudo_supervision.py`.

    The paper: batches of 4 (2 labelled, 2 unlabelled here), at most 36 epochs, Adam; its learning rate is not given,
    1e-4 is ours. Branches: "first", "second", and "mean", the package of both. With `keep_heads` the first network
    keeps the start's heads and the second has new ones, unless it has a start of its own: two that begin alike would
    stay alike.
    """

    second_start: str = ""
    """A model (name or path) that the second network begins with; the same as the first's if empty. Two models that
    were trained apart can teach each other from the first step on; new heads must be learnt first."""
    cps: CrossPseudoConfig = field(default_factory=CrossPseudoConfig)
    """The settings of cross pseudo supervision."""
    loop: LoopConfig = field(default_factory=lambda: semi_supervised_loop(9_000))
    """How long, how fast, how often."""
    branch: Annotated[Literal["first", "second", "mean"], OF_PACKAGE] = "mean"
    """Which of the method's networks is validated and exported."""

    @property
    def starts(self) -> tuple[str, ...]:
        """As `StageConfig.starts`; of both networks."""
        return (self.start, self.second_start) if self.second_start else (self.start,)

    @property
    def start_of_package(self) -> tuple[str, bool]:
        """As `StageConfig.start_of_package`; of the network that `branch` names."""
        if self.branch != "second":
            return self.start, self.keep_heads
        return self.second_start or self.start, self.keep_heads and bool(self.second_start)


def run_cross_pseudo_supervision(config: CrossPseudoStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    if config.cps.preset == "ssl4mis":
        refuse_unknown_voxels(config, "the loss of preset ssl4mis")
    if not config.start and not config.cps.has_ramp:
        logger.warning(
            "both networks begin at random, and each learns from the other's first labels with their whole weight; "
            "with few labels that was worse than labels alone: take --cps.preset dice, or name a --start"
        )
    seed, other = config.loop.seed, replace(config, keep_heads=False)

    def _make(setup: Setup) -> CrossPseudoSupervision:
        first = config.new_network(seed, deep_supervision=True)
        second = other.new_network(seed + _SECOND_SEED, deep_supervision=True)
        if config.second_start:
            load_start(second, config.second_start, config.data.organs if config.keep_heads else ())
        return CrossPseudoSupervision(first, second, config.cps, setup)

    return run_stage(config, _make, Needs(unlabelled=True))
