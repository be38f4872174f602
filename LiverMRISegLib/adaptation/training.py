"""The training of an adaptation: the stage, its config from the model that it starts from, its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import OWN
from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES
from LiverMRISegLib.training.checkpoints import newest_step
from LiverMRISegLib.training.fabric import has_bfloat16
from LiverMRISegLib.training.loop import LoopConfig, Precision, RunResult
from LiverMRISegLib.training.stages.config import StageConfig
from LiverMRISegLib.training.stages.cross_pseudo_supervision import (
    CrossPseudoStageConfig,
    run_cross_pseudo_supervision,
)
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig, run

LEARNING_RATE = 1e-4
# Half of the start's weights: what it knows of other images is kept (docs/how_to/adapt.md).
START_SHARE = 0.5
_CLIP, _CHECKPOINT_EVERY = 12.0, 20
# bfloat16 spoils gradients of feature maps that are 2 voxels deep (`LoopConfig.precision`).
_LEAST_DEPTH = 3


def check_can_be_adapted(package: ModelPackage) -> None:
    """ModelError unless its one network can be trained further on images prepared as it prepares them."""
    spec = package.spec
    if not spec.labels:
        raise ModelError(f"model {spec.name} segments nothing: {spec.task}")
    if spec.network.members > 1:
        raise ModelError(f"model {spec.name} has {spec.network.members} networks; only a model of one can be adapted")
    if spec.preparation.scheme != OWN or spec.preparation.channels:
        raise ModelError(f"model {spec.name} comes from nnU-Net; train it further there, or adapt another model")


def training_config(
    package: ModelPackage, datalists: Sequence[Path], folder: Path, steps: int, device: str, *, unlabelled: bool
) -> StageConfig:
    """The stage that goes on from `package`: cross pseudo supervision where there are `unlabelled` volumes."""
    spec = package.spec
    prepared = spec.preparation
    data = DataConfig(
        datalists=tuple(path.absolute() for path in datalists),
        organs=tuple(organ.name for organ in spec.labels.organs),
        cache=folder.absolute() / "cache",
        spacing=prepared.spacing,
        orientation=prepared.orientation or "",
        normalisation=prepared.normalisation,  # type: ignore[arg-type]
        intensity=tuple(prepared.intensity[key] for key in ("low", "high", "mean", "std") if key in prepared.intensity),
        image_order=prepared.image_order,  # type: ignore[arg-type]
        antialias=prepared.antialias,
        space=prepared.space,  # type: ignore[arg-type]
        patch=spec.inference.patch,
        augmentation=AugmentationConfig(mirror_axes=spec.inference.mirror_axes),
    )
    loop = LoopConfig(
        steps=steps,
        learning_rate=LEARNING_RATE,
        warmup=max(1, steps // 10),
        gradient_clip=_CLIP,
        checkpoint_every=_CHECKPOINT_EVERY,
        validate_every=steps,
        precision=_precision(package, device),
        accelerator=device,  # type: ignore[arg-type]
    )
    kind, branch = (CrossPseudoStageConfig, "first") if unlabelled else (FinetuneConfig, "last")
    return kind(
        run_folder=folder / "training",
        data=data,
        network="start",
        start=str(package.path),
        keep_heads=True,
        loop=loop,
        branch=branch,  # type: ignore[arg-type]
        checkpoint="last",
        start_share=START_SHARE,
    )


def expected_hours(config: StageConfig) -> float:
    """Of the whole training, by a few of its steps; 0 if it has begun already.

    Raises:
        UsageError: memory or disk will not do; and as `train_package`.
    """
    if newest_step(config.run_folder / "checkpoints") is not None:
        return 0.0
    return _run(replace(config, loop=replace(config.loop, preview=True))).hours


def train_package(config: StageConfig) -> ModelPackage:
    """Train, or go on with a training that was stopped; the package of its weights. Errors as of `run_stage`."""
    _run(config)
    return ModelPackage.load(config.run_folder / "model")


def _run(config: StageConfig) -> RunResult:
    if isinstance(config, CrossPseudoStageConfig):
        return run_cross_pseudo_supervision(config)
    return run(cast(FinetuneConfig, config))


def _precision(package: ModelPackage, device: str) -> Precision:
    spec = package.spec
    strides = spec.network.kwargs.get("strides", DEFAULT_STRIDES)
    deepest = [side // math.prod(stride[axis] for stride in strides) for axis, side in enumerate(spec.inference.patch)]
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        return "bf16-mixed"
    is_cpu = device == "cpu" or not torch.backends.mps.is_available()
    return "bf16-mixed" if is_cpu and has_bfloat16() and min(deepest) >= _LEAST_DEPTH else "32-true"
