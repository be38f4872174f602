"""The stage of MiDSS: labels of one domain, unlabelled volumes of many, mixed into intermediate domains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.intermediate_domains import IntermediateDomains, IntermediateDomainsConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.semi_supervised import StudentOrTeacher, refuse_unknown_voxels
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class IntermediateDomainsStageConfig(StageConfig):
    """Config of `scripts/train/intermediate_domains.py`, with the optimiser, rate and steps of the authors' code.

    Their views are `configs/parts/midss_views.yaml`. Branches: "student" and "teacher".
    """

    domains: IntermediateDomainsConfig = field(default_factory=IntermediateDomainsConfig)
    """The settings of MiDSS."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False))
    """The optimizer."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=30_000, learning_rate=3e-2, warmup=0, gradient_clip=12.0)
    )
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


def run_intermediate_domains(config: IntermediateDomainsStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    refuse_unknown_voxels(config)
    seed, domains = config.loop.seed, config.domains
    return run_stage(
        config,
        lambda setup: IntermediateDomains(config.new_network(seed, deep_supervision=False), domains, setup),
        Needs(unlabelled=True),
    )
