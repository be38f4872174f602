"""The stage that trains a translator from labelled CT to one MR sequence."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from lightning_fabric import Fabric

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, PatchSide, Spacing
from LiverMRISegLib.models.package.specification import Space
from LiverMRISegLib.pseudo_labels.output_folder import hash_of_weights
from LiverMRISegLib.training.configuration import MayChange, config_of_run
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.preview import preview
from LiverMRISegLib.training.run_folder import claimed_training, train_on
from LiverMRISegLib.translation.cyclegan import CycleGan, CycleGanConfig
from LiverMRISegLib.translation.slice_segmenter import (
    SliceSegmenterConfig,
    check_no_open_voxels,
    load_slice_segmenter,
    slice_network,
)
from LiverMRISegLib.translation.slices import DomainConfig, SliceStream, bytes_of, fitted, load_domain

logger = logging.getLogger(__name__)
_SHOWN = 4
_Width = Annotated[int, Limits(1, 4096)]


@dataclass(frozen=True)
class TranslatorConfig(Checked):
    """Config of `scripts/train/train_translator.py`.

    The original: 200 epochs, batches of 1, the learning rate falling to 0 over the second half.
    """

    run_folder: Annotated[Path, MayChange.ALWAYS] = Path("runs/translator")
    """Folder of the run."""
    source: DomainConfig = field(default_factory=lambda: DomainConfig(window=(-600.0, 600.0)))
    """The volumes to translate (CT)."""
    target: DomainConfig = field(default_factory=DomainConfig)
    """The volumes that translations should look like (MR of one sequence)."""
    most_targets: Annotated[int, Limits(0, 1_000_000)] = 0
    """How many of the target volumes at most, drawn at random by loop.seed; 0 takes all. Paper 003 takes 50."""
    cache: Annotated[Path, MayChange.ALWAYS] = Path("runs/cache")
    """Folder of prepared volumes, shared by runs."""
    spacing: tuple[Spacing, Spacing, Spacing] = (5.0, 1.5, 1.5)
    """Spacing of both domains in mm, [Z, Y, X]."""
    orientation: str = "LPS"
    """Orientation of both domains; empty keeps that of the files."""
    size: tuple[PatchSide, PatchSide] = (256, 256)
    """Voxels of a slice, [Y, X]."""
    space: Space = "intensity"
    """Intensities, or gradient magnitudes of both domains (paper 004)."""
    segmenter: str = ""
    """Run folder of `train_slice_segmenter.py`; needed where `gan.local` is not 0 (paper 003's organ attention), unless
    gan.attend is joint."""
    organs: tuple[str, ...] = ()
    """Organs that a joint segmenter learns; the source must be labelled then."""
    segmenter_widths: tuple[_Width, _Width, _Width, _Width, _Width, _Width] = (64, 128, 256, 512, 512, 64)
    """Channels of a joint segmenter's levels, and of its last layer; these are the public code's."""
    batch: Annotated[int, Limits(1, 100_000)] = 1
    """Slices of each domain per step."""
    workers: Annotated[int, Limits(-1, 1024), MayChange.ALWAYS] = -1
    """Processes that make the batches; -1: none beside a CPU, up to 8 beside a GPU."""
    gan: CycleGanConfig = field(default_factory=CycleGanConfig)
    """Networks and losses."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=240_000, learning_rate=2e-4, warmup=0, gradient_clip=0.0, schedule="constant then linear"
        )
    )
    """Length, learning rate and devices of the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(n % 4 for n in self.size):
            raise UsageError(f"size must have multiples of 4, not {list(self.size)}")
        if self.gan.attend != "joint":
            return
        if self.segmenter:
            raise UsageError("gan.attend joint trains a segmenter of its own; omit segmenter")
        if not self.organs or not self.source.labelled:
            raise UsageError("gan.attend joint needs organs, and source.labelled: true")
        if any(n % 16 for n in self.size):
            raise UsageError(f"size must have multiples of 16 for gan.attend joint, not {list(self.size)}")


def _check_segmenter(config: TranslatorConfig) -> None:
    """UsageError if it is missing, or learnt from slices that look otherwise: it would attend to nothing."""
    if not config.segmenter:
        if config.gan.local and config.gan.attend != "joint":
            raise UsageError(
                "organ attention needs a segmenter of the source slices: give --segmenter, the run folder of "
                "train_slice_segmenter.py, or set gan.local to 0"
            )
        return
    trained = config_of_run(SliceSegmenterConfig, Path(config.segmenter), "train_slice_segmenter.py")
    for name in ("spacing", "orientation", "space"):
        own, its = getattr(config, name), getattr(trained, name)
        if own != its:
            raise UsageError(f"{config.segmenter}: was trained with {name} {its}, the translator has {own}")
    for name in ("window", *(() if config.source.window else ("percentiles",))):
        own, its = getattr(config.source, name), getattr(trained.source, name)
        if own != its:
            raise UsageError(f"{config.segmenter}: was trained with source.{name} {its}, the translator has {own}")


def run(config: TranslatorConfig) -> RunResult:
    """Train or resume the run in `config.run_folder`; errors as in `run_stage`."""
    _check_segmenter(config)
    fabric = make_fabric(config.loop)
    with claimed_training(config, config.run_folder, fabric):
        return _run(config, fabric)


def _run(config: TranslatorConfig, fabric: Fabric) -> RunResult:
    common = (config.spacing, config.orientation or None, config.space)
    seed = config.loop.seed
    with fabric.rank_zero_first():
        source = load_domain(config.source, config.cache, config.organs, *common)
        target = load_domain(config.target, config.cache, (), *common, most=config.most_targets, seed=seed)
    is_joint = config.gan.attend == "joint"
    if is_joint:
        check_no_open_voxels(source)
    logger.info("%d source and %d target volumes", len(source), len(target))
    torch.manual_seed(seed)
    segmenter = load_slice_segmenter(Path(config.segmenter)) if config.segmenter else None
    if is_joint:
        segmenter = slice_network(len(config.organs) + 1, config.segmenter_widths)
    shown = torch.stack([_middle(case.image, config.size, -1.0) for case in source[:_SHOWN]])[:, None]
    labels = [_middle(case.labels, config.size, 0) for case in source[:_SHOWN] if case.labels is not None]
    gan = CycleGan(config.gan, fabric, shown, segmenter, torch.stack(labels) if is_joint else None)
    streams = {
        "source": SliceStream(source, config.size, config.batch),
        "target": SliceStream(target, config.size, config.batch),
    }
    if config.loop.preview:
        prepared_gb = bytes_of([*source, *target]) / 1e9
        cost = preview(gan, streams, config.loop, fabric, config.run_folder, prepared_gb=prepared_gb)
        return RunResult(config.run_folder, 0, float("nan"), cost.hours)
    facts = [hash_of_weights(segmenter)] if segmenter and not is_joint else []
    return train_on(streams, gan, config.loop, config.run_folder, fabric, config.workers, facts)


def _middle(volume: np.ndarray, size: tuple[int, int], fill: float) -> torch.Tensor:
    return torch.from_numpy(fitted(np.asarray(volume[volume.shape[0] // 2]), size, (0.5, 0.5), fill))
