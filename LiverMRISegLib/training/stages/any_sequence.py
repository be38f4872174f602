"""The stage that trains the default model: images of no sequence in particular, made from label maps alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from LiverMRISegLib.data.batches import PaintedStream
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec, PreparationSpec
from LiverMRISegLib.networks.factory import build_network
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.generator import SampleMaker
from LiverMRISegLib.synthesis.structure_map_sources import BodySource, load_bodies
from LiverMRISegLib.synthesis.structure_maps import Body
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.initial_weights import content_of, load_start
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.run_folder import claim_run_folder, train_on
from LiverMRISegLib.training.validation import LabelledImage, Validation

logger = logging.getLogger(__name__)
_VALIDATION_SEED = 1_000_000


@dataclass(frozen=True)
class AnySequenceConfig:
    """Config of `scripts/train/any_sequence.py`.

    `data` is the folder that `sources` are looked for in. `organs` get the values 1, 2, ...
    `validation_bodies` take no part in training; `validation_patches` are made of each, always the same.
    `strides` and `patch` are [Z, Y, X]; `workers` processes make samples beside the training. `start`: a package of
    the same network, by name or path, whose weights the training begins with; it may have fewer organs.
    """

    data: Path = Path("../shared/data")
    run_folder: Path = Path("runs/any_sequence")
    sources: tuple[BodySource, ...] = ()
    organs: tuple[str, ...] = ("liver", "right kidney", "left kidney", "spleen")
    network: str = "stunet-xxs"
    strides: tuple[tuple[int, int, int], ...] = ((2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    randomization: RandomizationConfig = field(default_factory=RandomizationConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("adamw", 1e-2, averaging=0.999))
    batch: int = 2
    workers: int = 1
    validation_bodies: tuple[str, ...] = ()
    validation_patches: int = 2
    start: str = ""

    @property
    def preparation(self) -> PreparationSpec:
        """How images are prepared in training and, by the model package, in inference."""
        # Painted voxels hold the mean of what they cover, so do those that the network will see.
        return PreparationSpec((self.randomization.spacing,) * 3, "LPS", "percentile-z-score", antialias=True)

    @property
    def network_kwargs(self) -> dict[str, Any]:
        """Arguments of the network but deep supervision, as the model package holds them."""
        strides = [list(s) for s in self.strides]
        return {"in_channels": 1, "out_channels": len(self.organs) + 1, "strides": strides}


def run(config: AnySequenceConfig) -> RunResult:
    """Train, or go on with, the run in `config.run_folder`.

    Raises:
        InputError, UsageError: data or names in the config that are not there.
        TrainingError: the loss is not finite.
    """
    fabric = loop.make_fabric(config.loop)
    claim_run_folder(config, config.run_folder, fabric, ("workers",))
    bodies = load_bodies(config.data, config.sources, config.randomization.spacing, config.organs)
    training, held_out = _split(bodies, config.validation_bodies)
    maker = SampleMaker(config.organs, config.randomization, config.preparation, training)
    torch.manual_seed(config.loop.seed)
    network = build_network(config.network, deep_supervision=True, **config.network_kwargs)
    if config.start:
        load_start(network, config.start, config.organs)
    images = _validation_patches(maker, held_out, config.validation_patches)
    inference = InferenceSpec(config.randomization.patch)
    validation = Validation(images, config.organs, inference)
    method = Supervised(network, Setup(config.optimizer, validation, fabric, "average", config.loop.steps))
    streams = {"labelled": PaintedStream(training, maker, config.batch)}
    logger.info("%d bodies to train on, %d held out", len(training), len(held_out))
    facts = [content_of(config.start)]
    return train_on(streams, method, config.loop, config.run_folder, fabric, config.workers, facts)


def _split(bodies: Sequence[Body], held_out: Sequence[str]) -> tuple[list[Body], list[Body]]:
    names = {body.name for body in bodies}
    for name in held_out:
        if name not in names:
            raise UsageError(f"validation_bodies: there is no body '{name}'; known are: {', '.join(sorted(names))}")
    if not held_out or len(names) == len(held_out):
        raise UsageError("validation_bodies must name some of the bodies, and leave some to train on")
    return [b for b in bodies if b.name not in held_out], [b for b in bodies if b.name in held_out]


def _validation_patches(maker: SampleMaker, bodies: Sequence[Body], count: int) -> list[LabelledImage]:
    seen = [body for body in bodies for _ in range(count)]
    samples = [maker.make(body, _VALIDATION_SEED + number) for number, body in enumerate(seen)]
    return [LabelledImage(sample.image, sample.labels) for sample in samples]
