"""Which images a stage learns from, and how they are prepared."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from LiverMRISegLib.anatomy import IGNORE, has_side, structure_named
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.data.case_selection import FoldConfig, PoolConfig
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, PatchSide, Share, Spacing
from LiverMRISegLib.models.package.specification import PreparationSpec, Space
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource
from LiverMRISegLib.training.configuration import MayChange

Normalisation = Literal[
    "z-score", "z-score-nonzero", "z-score-positive", "percentile-z-score", "none", "unit-range", "ct"
]
_Batch = Annotated[int, Limits(0, 10_000)]
_MOST_VOXELS = 512**3
_CT_FIGURES = 4
_MOST_ORGANS = IGNORE - 1


@dataclass(frozen=True)
class SyntheticConfig(Checked):
    """Synthetic images, made from label maps by domain randomisation, beside the labelled volumes or instead of them.

    They have the patch, the spacing and the organs of the stage.
    """

    batch: _Batch = 0
    """Synthetic images per step, over all processes; 0 for none."""
    folder: Path = Path()
    """The folder that the patterns of `sources` are looked for in."""
    sources: tuple[StructureMapSource, ...] = ()
    """The label maps. Those without labels of one of the organs are left out, with a warning; see `partial`."""
    partial: bool = False
    """Whether label maps without some of the organs are used too: what they call background may be one of these, and
    the loss does not count which (marginal loss, Shi et al. 2021). For training without unlabelled volumes only."""
    randomization: RandomizationConfig = field(default_factory=RandomizationConfig)
    """How far the generator strays from the label maps."""
    validation_bodies: tuple[str, ...] = ()
    """Names of label maps that are not trained on; the images made from them are validated on."""
    validation_images: Annotated[int, Limits(1, 10_000)] = 2
    """How many images are made from each of the validation bodies; they are the same ones in every run."""


@dataclass(frozen=True)
class DataConfig(Checked):
    """Which images, how they are prepared and how patches of them are drawn. Triples are [Z, Y, X]."""

    datalists: tuple[Path, ...] = ()
    """Lists of the volumes, as `scripts/import_dataset.py` writes them."""
    organs: tuple[str, ...] = ("liver",)
    """The organs to segment; they get the values 1, 2, ... in this order."""
    labelled: PoolConfig = field(default_factory=PoolConfig)
    """The volumes whose labels are trained on."""
    unlabelled: PoolConfig = field(default_factory=PoolConfig)
    """The volumes that are trained on without their labels, by the stages that can."""
    fold: FoldConfig = field(default_factory=FoldConfig)
    """The fold of a cross-validation; none by default."""
    validation_cases: Annotated[int, Limits(0, 1_000_000), MayChange.UNTIL_THE_END] = 20
    """How many of the volumes to validate on are scored each time, spread evenly over them; 0 for all. After the last
    step all of them are scored, whole."""
    validation_patches: Annotated[int, Limits(0, 10_000), MayChange.UNTIL_THE_END] = 0
    """How many patches of each of these volumes are scored, around its organs in turn; 0 for whole volumes."""
    cache: Annotated[Path, MayChange.ALWAYS] = Path("runs/cache")
    """The folder of the case cache (prepared volumes); several runs may share it."""
    spacing: tuple[Spacing, Spacing, Spacing] = (3.0, 1.5, 1.5)
    """Of the prepared volumes, in mm."""
    orientation: str = "LPS"
    """Of the prepared volumes, as a code; empty to keep that of the files."""
    normalisation: Normalisation = "z-score"
    """How intensities are normalised, as `PreparationSpec` explains."""
    intensity: tuple[float, ...] = ()
    """Of normalisation ct: low, high, mean and standard deviation, as plan_training.py finds them; volumes are clipped
    to low and high, then the mean is taken off and the deviation divided by."""
    image_order: Literal[1, 3] = 1
    """Interpolation of the volumes on the way to the prepared grid: 1 linear, 3 cubic (nnU-Net)."""
    antialias: bool = False
    """Whether voxels of the prepared grid hold the mean of what they cover, where that grid is coarser."""
    space: Space = "intensity"
    """What the network sees: "intensity", "anatomy" for gradient magnitudes (paper 004), or "smooth anatomy" for those
    of the smoothed volume."""
    patch: tuple[PatchSide, PatchSide, PatchSide] = (64, 128, 128)
    """Size of the patches, in voxels."""
    labelled_batch: _Batch = 2
    """Patches of labelled volumes per step, over all processes; at 0 the synthetic images alone teach."""
    unlabelled_batch: _Batch = 2
    """Patches of unlabelled volumes per step, over all processes."""
    foreground: Share = 0.33
    """Share of the patches that are centred on an organ."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How patches of real volumes are changed."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    """Images made from label maps."""
    pseudo_labels: bool = False
    """Whether the labels that the datalists give to unlabelled volumes are read, whoever made them: as pseudo labels,
    for methods that trust these a little."""
    workers: Annotated[int, Limits(-1, 1024), MayChange.ALWAYS] = -1
    """Processes that make the batches; 0 for none, -1 for none on a CPU and up to 8 beside a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_organs()
        if math.prod(self.patch) > _MOST_VOXELS:
            raise UsageError(f"data.patch must have at most {_MOST_VOXELS} voxels, not {math.prod(self.patch)}")
        paired = [organ for organ in self.organs if has_side(organ)]
        # Codes name the axes x, y, z, arrays hold them as z, y, x; without a code left and right may be any axis.
        sides = {2 - i for i, letter in enumerate(self.orientation) if letter in "LR"} or {0, 1, 2}
        for axis in sides & set(self.augmentation.mirror_axes if paired else ()):
            raise UsageError(
                f"mirror_axes must not contain {axis} (left and right) when '{paired[0]}' is to be told apart"
            )
        if (self.normalisation == "ct") != (len(self.intensity) == _CT_FIGURES):
            raise UsageError(
                f"data.normalisation ct and data.intensity (low, high, mean, deviation) need each other, not "
                f"{self.normalisation} and {list(self.intensity)}"
            )
        if not self.labelled_batch and not self.synthetic.batch:
            raise UsageError("labelled_batch and synthetic.batch are both 0: there is nothing to learn labels from")

    def _check_organs(self) -> None:
        names = [structure_named(organ).name for organ in self.organs]
        if not names:
            raise UsageError("data.organs must name at least one organ")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"data.organs names '{twice[0]}' twice")
        if len(names) > _MOST_ORGANS:
            raise UsageError(f"data.organs must be at most {_MOST_ORGANS}, not {len(names)}: label maps have 8 bits")

    @property
    def preparation(self) -> PreparationSpec:
        """The preparation in training and, by the model package, in inference."""
        figures = dict(zip(("low", "high", "mean", "std"), self.intensity, strict=False))
        return PreparationSpec(
            self.spacing,
            self.orientation or None,
            self.normalisation,
            self.image_order,
            figures,
            antialias=self.antialias,
            space=self.space,
        )
