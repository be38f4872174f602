"""What the configs of all training stages have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from LiverMRISegLib.anatomy import Sequence, organ_named, structure_named
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.models.package.specification import NetworkSpec, OutlineOffset
from LiverMRISegLib.networks.registry import build_network
from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES, GENERIC, NNUNETS, STUNET_SIZES, check_input
from LiverMRISegLib.training.configuration import MayChange
from LiverMRISegLib.training.initial_weights import SAME_AS_START, load_start, network_of
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.packaging import MEAN
from LiverMRISegLib.training.stages.data_config import DataConfig

BEST = "best"
OF_PACKAGE = MayChange.IN_ONE_TRAINING
_Stride = Annotated[int, Limits(1, 16)]
_Kernel = Annotated[int, Limits(1, 15)]


@dataclass(frozen=True)
class StageConfig(Checked):
    """What all training stages have in common: data, network, loop, and the package `run_folder`/model at the end."""

    run_folder: Annotated[Path, MayChange.ALWAYS] = Path("runs/training")
    """The folder of the run: its config, checkpoints, logs and model package."""
    data: DataConfig = field(default_factory=DataConfig)
    """The images that are learnt from."""
    network: str = "stunet-s"
    """A size of STU-Net from "stunet-xxs" to "stunet-h", "stunet" with six `widths`, or nnU-Net's "plain-unet" and
    "residual-encoder-unet" with `widths`, `blocks` and `strides` of every level; or "start": the network of `start`,
    whatever these three say."""
    widths: tuple[Annotated[int, Limits(1, 4096)], ...] = ()
    """Channels of the network's levels, where `network` needs them."""
    strides: tuple[tuple[_Stride, _Stride, _Stride], ...] = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1))
    """Strides [Z, Y, X] of the network's levels; the first one of nnU-Net's networks must be 1."""
    blocks: tuple[Annotated[int, Limits(1, 100)], ...] = ()
    """Convolutions or residual blocks of each level of nnU-Net's networks."""
    kernels: tuple[tuple[_Kernel, _Kernel, _Kernel], ...] = ()
    """Kernels [Z, Y, X] of each level of nnU-Net's networks, odd numbers; 3 x 3 x 3 everywhere if empty. Where slices
    are thick, nnU-Net's first is 1 x 3 x 3 (paper 003)."""
    start: str = ""
    """A model (name or path) or a STU-Net checkpoint whose weights the training begins with; empty for random ones."""
    keep_heads: bool = False
    """Whether the heads of `start` are taken too, of the organs that it has; otherwise they begin at random."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """How long, how fast, how often."""
    branch: Annotated[str, OF_PACKAGE] = "average"
    """Which of the method's networks is validated and exported."""
    checkpoint: Annotated[Literal["best", "last"], OF_PACKAGE] = "best"
    """Which weights are exported: the "best" by validation (without one the last), or the "last"."""
    name: Annotated[str, MayChange.ALWAYS] = "liver"
    """Name of the model package."""
    version: Annotated[str, MayChange.ALWAYS] = "1.0"
    """Version of the model package."""
    sequences: Annotated[tuple[str, ...], MayChange.ALWAYS] = ()
    """The MR sequences that the package is for, by which it is chosen for a volume; all that it was trained on if
    empty. A model for sequences without labels is also trained on those with labels, but not for them."""
    offered: Annotated[tuple[str, ...], OF_PACKAGE] = ()
    """The organs that the package offers, all if empty; those that are trained but not offered become background."""
    background_offset: Annotated[float, Limits(-100, 100), OF_PACKAGE] = 0.0
    """Taken off the background's logit in the package: above 0 the organs get larger. The labels that maximise the
    expected Dice take a voxel as organ from half the reachable Dice on, not from 0.5 on (Lipton et al. 2014)."""
    start_share: Annotated[float, Limits(least=0, below=1), OF_PACKAGE] = 0.0
    """Share of the initial weights in those of the package, below 1. The mean of both often keeps the strengths of both
    (Wortsman et al. 2022, "Robust fine-tuning"). It needs a `start`, and a `branch` of one network."""
    resample: Annotated[Literal["logits", "labels"], OF_PACKAGE] = "logits"
    """What the package brings back to a volume's grid: "logits" or "labels" (faster)."""
    image_refinement: Annotated[bool, OF_PACKAGE] = False
    """Whether the package follows the image's edges when it brings labels back to a finer grid."""
    outline_offsets: Annotated[dict[str, OutlineOffset], OF_PACKAGE] = field(default_factory=dict)
    """Organs, by name, whose outlines are moved after they were drawn to the image; above 0 the organ gets larger.
    Those that the package does not offer are left out."""
    unrefined: Annotated[tuple[str, ...], OF_PACKAGE] = ()
    """Organs, by name, whose outlines are not drawn to the image, as the aorta: blood that flows is not equally bright
    along it. Those that the package does not offer are left out."""
    region: Annotated[Literal["", "body", "abdomen"], OF_PACKAGE] = ""
    """Where the package looks: empty for everywhere, "body" for the body alone (faster), "abdomen" for the body
    and, in a long field of view, the abdomen apart."""
    region_margin: Annotated[float, Limits(0, 1000), OF_PACKAGE] = 30.0
    """Around the region, in mm."""
    metrics: Annotated[str, OF_PACKAGE] = ""
    """A JSON file of figures to put into the package, as `evaluate_any_sequence.py` writes it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        trained = {structure_named(organ).name for organ in self.data.organs}
        for organ in self.offered:
            if structure_named(organ).name not in trained:
                raise UsageError(f"offered: '{organ}' is not one of data.organs")
        for organ in (*self.outline_offsets, *self.unrefined):
            if structure_named(organ).name not in trained:
                organ_named(organ)  # a config may name more organs than are trained, but none that does not exist
        moved, unrefined = (
            {structure_named(o).name for o in organs} for organs in (self.outline_offsets, self.unrefined)
        )
        if both := sorted(moved & unrefined):
            raise UsageError(f"'{both[0]}' cannot be both in outline_offsets and in unrefined")
        known = [sequence.value for sequence in Sequence]
        for name in self.sequences:
            if name not in known:
                raise UsageError(f"sequences: unknown sequence '{name}'; known: {', '.join(known)}")
        if self.start_share and not self.start:
            raise UsageError(f"start_share {self.start_share} needs a start")
        if self.start_share and self.branch == MEAN:
            raise UsageError(f"start_share is for a package of one network; branch '{MEAN}' has several")

    @property
    def starts(self) -> tuple[str, ...]:
        """All models that the training begins with."""
        return (self.start,)

    @property
    def start_of_package(self) -> tuple[str, bool]:
        """What the exported network began with, and whether it took the heads of that."""
        return self.start, self.keep_heads

    def network_spec(self, members: int = 1) -> NetworkSpec:
        """The network as the model package holds it: all arguments but deep supervision."""
        ends = {"in_channels": 1, "out_channels": len(self.data.organs) + 1}
        if self.network == SAME_AS_START:
            spec = network_of(self.start)
            return replace(spec, kwargs={**spec.kwargs, **ends}, members=members)
        kwargs: dict[str, Any] = {**ends, "strides": [list(s) for s in self.strides]}
        if self.network in NNUNETS:
            kwargs |= {"features": list(self.widths), "blocks": list(self.blocks)}
            if self.kernels:
                kwargs["kernels"] = [list(kernel) for kernel in self.kernels]
        elif self.kernels:
            raise UsageError(f"network {self.network} has kernels of its own; omit kernels")
        elif self.widths and self.network in STUNET_SIZES:
            raise UsageError(f"network {self.network} has widths of its own; omit widths, or set network to {GENERIC}")
        elif self.widths:
            kwargs["widths"] = list(self.widths)
        return NetworkSpec(self.network, kwargs, members)

    def check_patch(self) -> None:
        """UsageError unless the network takes patches of `data.patch`: said before hours of preparation."""
        try:
            check_input(self.network_spec().kwargs.get("strides", DEFAULT_STRIDES), self.data.patch)
        except UsageError as error:
            raise UsageError(f"data.patch: {error}") from error

    def new_network(self, seed: int, *, deep_supervision: bool) -> torch.nn.Module:
        """The network with random weights of `seed`, and then those of `start`."""
        torch.manual_seed(seed)
        spec = self.network_spec()
        network = build_network(spec.name, deep_supervision=deep_supervision, **spec.kwargs)
        if self.start:
            load_start(network, self.start, self.data.organs if self.keep_heads else ())
        return network
