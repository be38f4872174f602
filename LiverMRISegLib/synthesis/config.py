"""The one config tree of synthetic images: their geometry, contrast and noise, and three groups of additions.

An addition is off (0) unless a config gives it a probability; how far it goes is a constant beside the function that
makes it, unless recipes differ in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, NotNegative, PatchSide, Probability, Share, Spacing

_Millimetres = Annotated[float, Limits(0, 1000)]
_Factor = Annotated[float, Limits(0.1, 10)]


@dataclass(frozen=True)
class AnatomyConfig(Checked):
    """How patients differ from the one that a structure map comes from. Additions by probability."""

    ascites: Probability = 0.0
    """Fluid around liver and spleen."""
    ascites_depth: _Millimetres = 10.0
    """Depth of that fluid in mm; 3 voxels at most."""
    resection: Probability = 0.0
    """A part of the liver is gone."""
    growth: Probability = 0.0
    """The liver reaches further in one direction."""
    borders: Probability = 0.0
    """The border of each large organ is moved in or out."""
    nodular: Probability = 0.0
    """The liver's surface is uneven."""
    nodule_depth: _Millimetres = 4.0
    """By how many mm it is uneven."""
    bowel_gas: Probability = 0.0
    """Gas and content of the bowel change places."""
    background: Probability = 0.0
    """Fat, muscle, content and gas in the soft tissue about which a map without CT says nothing."""
    filling: Probability = 0.0
    """Bowel and fat between the organs come from another structure map."""
    outer_layers: Probability = 0.0
    """More fat, and arms, around the body."""
    spine: Probability = 0.0
    """Vertebral bodies, discs and spinal canal."""
    chest: Probability = 0.0
    """Heart, lungs and effusions above the dome of the liver."""
    taller: Probability = 0.0
    """A structure map that ends above its organs continues there as its last slice."""
    breath: Probability = 0.0
    """Groups of slices are shifted in-plane, as in scans of several breath-holds."""
    breath_shift: _Millimetres = 5.0
    """By how many mm at most they are shifted."""


@dataclass(frozen=True)
class LookConfig(Checked):
    """How organs and diseases look; labels stay as they are. Additions by probability."""

    iron: Probability = 0.0
    """A very dark liver, often with dark spleen and marrow."""
    isointense: Probability = 0.0
    """The liver is as bright as muscle or fat."""
    liver_like: Probability = 0.0
    """What is beside the liver (bowel, its fat, stomach, heart, spleen) is nearly as bright as the liver."""
    calm_bowel: Probability = 0.0
    """Bowel, its content and fat differ from their means by a factor, so they stay dark in dark sequences."""
    vessel_trees: Probability = 0.0
    """Branching vessels and bile ducts in the liver."""
    focal_lesions: Probability = 0.0
    """Lesions with a rim, in clusters, or large."""
    organ_texture: Probability = 0.0
    """Fine and coarse patterns within organs, as in fatty or cirrhotic livers."""
    kidney_pattern: Probability = 0.0
    """Cortex, medulla and pelvis of the kidneys."""
    stomach_level: Probability = 0.0
    """Gas above a level of content in the stomach."""
    lung_vessels: Probability = 0.0
    """Bright spots and threads in the lungs."""
    ct_view: Probability = 0.0
    """Where a map has a CT: that CT through random convolutions, instead of painted structures."""
    ct_clusters: Probability = 0.0
    """Where a map has a CT: its grey levels, instead of random lumps, divide bowel, mesentery and other tissue that is
    painted in parcels."""


@dataclass(frozen=True)
class ScannerConfig(Checked):
    """What is scanned, and what goes wrong. Additions by probability."""

    fat_failure: Probability = 0.0
    """Fat suppression fails on a part of the image."""
    coil: Probability = 0.0
    """Brightness falls off away from a surface coil, and towards the first and last slices."""
    motion: Probability = 0.0
    """Edges are doubled or blurred by breathing."""
    ghosting: Probability = 0.0
    """Copies of the image, shifted along the phase axis."""
    ghost_strength: Share = 0.25
    """Brightness of these copies, at most, as a share of the image's."""
    truncation: Probability = 0.0
    """Only the middle of k-space along an axis, so that edges ring."""
    wrap: Probability = 0.0
    """The field of view is narrower than the body, which folds over."""
    slab: Probability = 0.0
    """Only a slab along z was scanned."""
    slice_gaps: Probability = 0.0
    """Thin slices with gaps between them, along any axis."""
    nearest_return: Probability = 0.0
    """Such an image is brought back to the training grid without interpolation."""
    oblique: Probability = 0.0
    """Slices are tilted about one axis, besides the common rotation."""
    coil_end: Probability = 0.0
    """Slices above the liver's dome, or below its tip, are beyond the coil and dark."""
    heavy_noise: Probability = 0.0
    """More noise than `noise`."""
    clean: Probability = 0.0
    """As in most archives: air is 0, and there is little noise."""
    margins: Probability = 0.0
    """The patch is normalised as part of a volume with more air around the body."""
    soft: Probability = 0.0
    """Edges are wider than one mean over neighbours makes them."""
    jumps: Probability = 0.0
    """Axial slices, each taken in a breath of its own and thus up or down by a few mm."""


@dataclass(frozen=True)
class RandomizationConfig(Checked):
    """How far synthetic images stray; intensities where such an image spans 0 to 1."""

    patch: tuple[PatchSide, PatchSide, PatchSide] = (80, 96, 96)
    """Voxels of an image, [Z, Y, X]. In a training stage that of `data` counts."""
    spacing: Spacing = 3.0
    """Isotropic spacing in mm. In a training stage that of `data` counts."""
    rotation: Annotated[float, Limits(0, 180)] = 15.0
    """Rotation about each axis, at most, in degrees."""
    scale: tuple[_Factor, _Factor] = (0.8, 1.2)
    """Least and largest factor by which each axis is scaled."""
    shear: Annotated[float, Limits(0, 1)] = 0.1
    """Shear, at most."""
    deformation: _Millimetres = 12.0
    """Elastic deformation, at most, in mm (standard deviation of the control points)."""
    texture: NotNegative = 0.5
    """How much of the CT's texture is seen, at most."""
    lesion_probability: Probability = 0.3
    """How often organs have plain round lesions."""
    vessel_probability: Probability = 0.6
    """How often organs have plain vessels."""
    family_spread: NotNegative = 0.1
    """How far contrasts stray from a family of MR sequences (standard deviation)."""
    family_relative_spread: NotNegative = 0.0
    """The same, as a share of each structure's mean."""
    bias: NotNegative = 0.6
    """Strength of the smooth shading, at most (exponent)."""
    slice_thickness: tuple[_Millimetres, _Millimetres] = (3.0, 10.0)
    """Least and largest thickness of thick slices in mm."""
    thick_probability: Probability = 0.8
    """How often slices are thick."""
    noise: NotNegative = 0.08
    """Standard deviation of the noise, at most."""
    crop_probability: Probability = 0.6
    """How often the field of view along z is smaller than the patch."""
    in_plane_crop_probability: Probability = 0.25
    """The same along y, and along x."""
    anatomy: AnatomyConfig = field(default_factory=AnatomyConfig)
    """How patients differ."""
    look: LookConfig = field(default_factory=LookConfig)
    """How organs and diseases look."""
    scanner: ScannerConfig = field(default_factory=ScannerConfig)
    """What is scanned, and what goes wrong."""
