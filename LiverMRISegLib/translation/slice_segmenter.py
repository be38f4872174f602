"""A small 2D U-Net on labelled CT slices: where organ attention (paper 003) gets its attention from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from monai.networks.nets import BasicUNet
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.case_cache import PreparedCase
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, PatchSide, Spacing
from LiverMRISegLib.models.package.specification import Space
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import MayChange, config_of_run
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.preview import preview
from LiverMRISegLib.training.run_folder import claimed_training, train_on
from LiverMRISegLib.translation.slices import DomainConfig, SliceStream, bytes_of, load_domain

_Width = Annotated[int, Limits(1, 4096)]


@dataclass(frozen=True)
class SliceSegmenterConfig(Checked):
    """Config of `scripts/train/train_slice_segmenter.py`; spacing, size and space must be those of the translator."""

    run_folder: Annotated[Path, MayChange.ALWAYS] = Path("runs/slice_segmenter")
    """Folder of the run."""
    source: DomainConfig = field(default_factory=lambda: DomainConfig(window=(-600.0, 600.0), labelled=True))
    """The labelled CT."""
    organs: tuple[str, ...] = ("liver", "right kidney", "left kidney", "spleen")
    """Organs to learn."""
    cache: Annotated[Path, MayChange.ALWAYS] = Path("runs/cache")
    """Folder of prepared volumes, shared by runs."""
    spacing: tuple[Spacing, Spacing, Spacing] = (5.0, 1.5, 1.5)
    """Spacing of the slices in mm, [Z, Y, X]."""
    orientation: str = "LPS"
    """Orientation of the slices; empty keeps that of the files."""
    size: tuple[PatchSide, PatchSide] = (256, 256)
    """Voxels of a slice, [Y, X]."""
    space: Space = "intensity"
    """Intensities, or gradient magnitudes (paper 004)."""
    widths: tuple[_Width, _Width, _Width, _Width, _Width, _Width] = (16, 16, 32, 64, 128, 16)
    """Channels of the network's levels, and of its last layer."""
    held_out: Annotated[int, Limits(0, 1_000_000)] = 2
    """How many of the volumes, the last ones, are validated on."""
    batch: Annotated[int, Limits(1, 100_000)] = 8
    """Slices per step."""
    workers: Annotated[int, Limits(-1, 1024), MayChange.ALWAYS] = -1
    """Processes that make the batches; -1: none beside a CPU, up to 8 beside a GPU."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4000, learning_rate=1e-3))
    """Length, learning rate and devices of the training."""


class _SliceSegmentation:
    """The method of `loop.Method`: Dice and cross entropy, Adam."""

    def __init__(
        self, network: torch.nn.Module, held_out: Mapping[str, torch.Tensor], classes: int, fabric: Fabric
    ) -> None:
        moved = network.to(fabric.device)
        self.module, self.held_out, self.classes, self.fabric = moved, held_out, classes, fabric
        self.model, self.optimizer = fabric.setup(moved, torch.optim.Adam(moved.parameters()))
        self._loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The loss of the labelled slices."""
        images, labels = (batch["source"][key].to(self.fabric.device) for key in ("image", "labels"))
        return {"loss": self._loss(self.model(images).float(), labels[:, None].long())}

    def after_step(self, step: int) -> None:
        """Nothing follows the network."""

    @torch.no_grad()
    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Mean Dice over the held-out slices as one volume."""
        if not self.held_out:
            return {}
        self.module.eval()
        images = self.held_out["image"].to(self.fabric.device)
        predicted = torch.cat([self.module(part).argmax(1, keepdim=True).cpu() for part in images.split(8)])
        self.module.train()
        # One case of all slices, [1, 1, Z, Y, X]: slices without an organ have no Dice of their own.
        maps = (predicted.transpose(0, 1)[None], self.held_out["labels"][None, None].long())
        dice = compute_dice(maps[0], maps[1], include_background=False, num_classes=self.classes)
        return {"score": float(np.nanmean(dice.numpy()))}

    def state_dict(self) -> dict[str, Any]:
        """Network and optimizer."""
        return {"networks": {"segmenter": self.module.state_dict()}, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.module.load_state_dict(state["networks"]["segmenter"])
        self.optimizer.load_state_dict(state["optimizer"])


def run(config: SliceSegmenterConfig) -> RunResult:
    """Train or resume the run in `config.run_folder`; errors as in `run_stage`."""
    fabric = make_fabric(config.loop)
    with claimed_training(config, config.run_folder, fabric):
        return _run(config, fabric)


def _run(config: SliceSegmenterConfig, fabric: Fabric) -> RunResult:
    orientation = config.orientation or None
    with fabric.rank_zero_first():
        cases = load_domain(config.source, config.cache, config.organs, config.spacing, orientation, config.space)
    check_no_open_voxels(cases)
    torch.manual_seed(config.loop.seed)
    if not 0 <= config.held_out < len(cases):
        raise UsageError(f"held_out must leave some of the {len(cases)} volumes to train on, not be {config.held_out}")
    training, held_out = cases[: len(cases) - config.held_out], cases[len(cases) - config.held_out :]
    fixed = _slices(SliceStream(held_out, config.size, 32)) if held_out else {}
    method = _SliceSegmentation(_network(config), fixed, len(config.organs) + 1, fabric)
    streams = {"source": SliceStream(training, config.size, config.batch)}
    if config.loop.preview:
        cost = preview(method, streams, config.loop, fabric, config.run_folder, prepared_gb=bytes_of(cases) / 1e9)
        return RunResult(config.run_folder, 0, float("nan"), cost.hours)
    return train_on(streams, method, config.loop, config.run_folder, fabric, config.workers)


def load_slice_segmenter(run_folder: Path) -> torch.nn.Module:
    """The trained network of a run folder; ModelError if there is none."""
    config = config_of_run(SliceSegmenterConfig, run_folder, "train_slice_segmenter.py")
    folder = run_folder / "checkpoints"
    best = folder / checkpoints.BEST
    state = checkpoints.load(best) if best.exists() else checkpoints.load_newest(folder)
    if state is None:
        raise ModelError(f"{run_folder}: contains no trained segmenter; run train_slice_segmenter first")
    checkpoints.warn_unfinished(folder, config.loop.steps)
    network = _network(config)
    network.load_state_dict(state["method"]["networks"]["segmenter"])
    return network


def check_no_open_voxels(cases: Sequence[PreparedCase]) -> None:
    """UsageError if labels leave voxels open (IGNORE): a segmenter of slices cannot skip these."""
    if any(case.labels is not None and IGNORE in case.labels for case in cases):
        raise UsageError(
            "the slice segmenter needs labels without open voxels; label with certainty 0, or leave them out"
        )


def slice_network(classes: int, widths: tuple[int, int, int, int, int, int]) -> torch.nn.Module:
    """A 2D U-Net with instance norm: slices [B, 1, Y, X] to logits [B, `classes`, Y, X]; Y, X are multiples of 16."""
    return BasicUNet(2, 1, classes, widths, norm=("instance", {"affine": True}))


def _network(config: SliceSegmenterConfig) -> torch.nn.Module:
    return slice_network(len(config.organs) + 1, config.widths)


def _slices(stream: SliceStream) -> dict[str, torch.Tensor]:
    samples = [stream.sample(index, (0, 0, index)) for index in range(stream.batch)]
    return {key: torch.stack([sample[key] for sample in samples]) for key in ("image", "labels")}
