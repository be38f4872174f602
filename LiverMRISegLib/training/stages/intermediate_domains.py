"""The stage of MiDSS: labels of one domain, unlabelled volumes of many, mixed into intermediate domains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.intermediate_domains import IntermediateDomains, IntermediateDomainsConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.semi_supervised import StudentOrTeacher, refuse_unknown_voxels, semi_supervised_loop
from LiverMRISegLib.training.stages.stage import run_stage


@dataclass(frozen=True)
class IntermediateDomainsStageConfig(StageConfig):
    """Config of `scripts/train/intermediate_domains.py`; Adam at 1e-4 is ours. Branches: "student" and "teacher"."""

    domains: IntermediateDomainsConfig = field(default_factory=IntermediateDomainsConfig)
    """The settings of MiDSS."""
    loop: LoopConfig = field(default_factory=lambda: semi_supervised_loop(30_000))
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
        unlabelled=True,
    )
