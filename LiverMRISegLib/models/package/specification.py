"""What model.json says: plain frozen dataclasses, checked when made, written and read without running any code.

Arrays inside are in [Z, Y, X] order like every array of the library (`spacing`, `patch`, `strides`, `mirror_axes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import ModelError

SCHEMA_VERSION = 1
MOST_MEMBERS = 100
ANY_MODALITY = "any"
SPACES = ("intensity", "anatomy")
NORMALISATIONS = ("z-score", "z-score-nonzero", "z-score-positive", "percentile-z-score", "ct", "none", "unit-range")
OWN, NNUNET = "own", "nnunet"
BODY = "body"
SCHEMES = (OWN, NNUNET)


def _check_scheme(part: str, scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ModelError(f"unknown {part}.scheme '{scheme}'; known: {', '.join(SCHEMES)}")


def _check_normalisation(name: str) -> None:
    if name not in NORMALISATIONS:
        raise ModelError(f"unknown normalisation '{name}'; known: {', '.join(NORMALISATIONS)}")


@dataclass(frozen=True)
class NetworkSpec:
    """`build_network(name, **kwargs)` makes the network; kwargs hold in_channels, out_channels, strides, ...

    A package of several `members` (folds, the two networks of cross pseudo supervision) holds the tensors of each with
    "members.0." and so on before their names; inference takes the mean of their logits.
    """

    name: str
    kwargs: Mapping[str, Any]
    members: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.members <= MOST_MEMBERS:
            raise ModelError(f"network.members must lie between 1 and {MOST_MEMBERS}, not {self.members}")


@dataclass(frozen=True)
class ChannelSpec:
    """One image of a case: its `name` for people, `normalisation` and `intensity` as of `PreparationSpec`."""

    name: str
    normalisation: str = "z-score"
    intensity: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_normalisation(self.normalisation)


@dataclass(frozen=True)
class PreparationSpec:
    """How an image becomes the network's input.

    `orientation`: code as in `volume.py` ("LPS"), or None to keep the file's own array orientation (nnU-Net).
    `spacing`: target in mm, [Z, Y, X] of the oriented array. `normalisation`, applied after resampling:
    "z-score" over all voxels; "z-score-nonzero" over voxels that are not 0, which stay 0;
    "z-score-positive" by mean and deviation of voxels above 0, of all voxels; "percentile-z-score" clips at
    the 99.5 percentile of the voxels brighter than air, then z-score of the whole; "ct" clips to
    `intensity` (low, high) and then applies (mean, std); "none"; "unit-range" from 0 to 1.
    `image_order`: 1 linear or 3 cubic for the image. `antialias`: along axes that become coarser, voxels hold the mean
    of all that they cover, not what is interpolated at their centres; noise is averaged. Needs `image_order` 1.
    `space`: "anatomy" turns the resampled image into gradient magnitudes (paper 004) in front of the normalisation.
    `scheme`: "nnunet" prepares in nnU-Net's order (`inference.nnunet_preparation`), after it put the array's axes in
    the order `transpose`; `spacing` is that of the axes so ordered.
    `channels`: the images of a case in the network's order, where it takes several, all on one grid (scheme nnunet
    only); `normalisation` and `intensity` are then those of the first.
    """

    spacing: tuple[float, float, float]
    orientation: str | None = "LPS"
    normalisation: str = "z-score"
    image_order: int = 1
    intensity: Mapping[str, float] = field(default_factory=dict)
    space: str = "intensity"
    scheme: str = OWN
    transpose: tuple[int, ...] = (0, 1, 2)
    channels: tuple[ChannelSpec, ...] = ()
    antialias: bool = False

    @property
    def images(self) -> tuple[ChannelSpec, ...]:
        """What a case consists of: `channels`, or the one image."""
        return self.channels or (ChannelSpec("image", self.normalisation, self.intensity),)

    def __post_init__(self) -> None:
        _check_scheme("preparation", self.scheme)
        if sorted(self.transpose) != [0, 1, 2]:
            raise ModelError(f"preparation.transpose must order 0, 1, 2, not {self.transpose}")
        if self.scheme == OWN and self.transpose != (0, 1, 2):
            raise ModelError("preparation.transpose belongs to the scheme nnunet; leave it away or set the scheme")
        if self.channels and (self.scheme == OWN or len(self.channels) == 1):
            raise ModelError("preparation.channels are two or more, of the scheme nnunet; leave them away otherwise")
        if self.space not in SPACES:
            raise ModelError(f"unknown preparation.space '{self.space}'; known: {', '.join(SPACES)}")
        _check_normalisation(self.normalisation)
        if len(self.spacing) != 3 or min(self.spacing) <= 0:
            raise ModelError(f"preparation.spacing must be three positive numbers, not {self.spacing}")
        if self.image_order not in (1, 3):
            raise ModelError(f"preparation.image_order must be 1 or 3, not {self.image_order}")
        if self.antialias and (self.image_order != 1 or self.scheme != OWN):
            raise ModelError("preparation.antialias needs image_order 1 and not the scheme nnunet; leave it away")


@dataclass(frozen=True)
class InferenceSpec:
    """Tiles and test-time options: `patch` voxels, `overlap` (0 to <1), `mirror_axes` used by --tta (0=Z, 1=Y, 2=X).

    `resample`: what goes back to the volume's grid, "logits" (smooth outlines) or "labels" (papers 003/004's FLARE
    networks: the threshold comes first, faster and coarser). `scheme`: "nnunet" tiles exactly as nnU-Net does.
    `region`: the name of a model that looks first where the organs are, or "body" for what is brighter than air;
    beyond `region_margin` mm around what is found all is background, and no tile is computed. `image_refinement`:
    probabilities are drawn to what the image shows before they become labels (`inference.image_refinement`).
    """

    patch: tuple[int, int, int]
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    precision: str = "auto"
    resample: str = "logits"
    scheme: str = OWN
    region: str = ""
    region_margin: float = 30.0
    image_refinement: bool = False

    def __post_init__(self) -> None:
        _check_scheme("inference", self.scheme)
        if self.region_margin < 0:
            raise ModelError(f"inference.region_margin must not be negative, not {self.region_margin}")
        if self.resample not in ("logits", "labels"):
            raise ModelError(f"inference.resample must be logits or labels, not '{self.resample}'")
        if len(self.patch) != 3 or min(self.patch) < 1:
            raise ModelError(f"inference.patch must be three positive integers, not {self.patch}")
        if not 0 <= self.overlap < 1:
            raise ModelError(f"inference.overlap must lie in [0, 1), not {self.overlap}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ModelError(f"inference.precision must be auto, float32 or bfloat16, not '{self.precision}'")
        if any(axis not in (0, 1, 2) for axis in self.mirror_axes):
            raise ModelError(f"inference.mirror_axes must be among 0, 1, 2, not {self.mirror_axes}")


@dataclass(frozen=True)
class OrganRule:
    """Post-processing and plausibility of one organ; volumes in mL, a bound of None is not checked.

    `near`: the name of an organ in whose box, grown by `near_mm` to all sides, this one has to lie.
    """

    keep_largest: bool = False
    fill_holes: bool = False
    minimum_ml: float = 0.0
    near: str = ""
    near_mm: float = 0.0
    plausible_ml: tuple[float, float] | None = None


@dataclass(frozen=True)
class ModelSpec:
    """All of model.json but the schema version and the files' hashes.

    `labels` maps the network's output channel to an organ (0 is background; a channel without organ becomes
    background). `provenance` is a list of stages (config, data, licences); `metrics` a list of measured results,
    each with data set and number of cases.
    """

    name: str
    version: str
    task: str
    modality: str
    sequences: tuple[str, ...]
    labels: LabelSet
    network: NetworkSpec
    preparation: PreparationSpec
    inference: InferenceSpec
    postprocessing: Mapping[str, OrganRule] = field(default_factory=dict)
    provenance: tuple[Mapping[str, Any], ...] = ()
    metrics: tuple[Mapping[str, Any], ...] = ()
    intended_use: str = "For research use only; not a medical device."
    weights_license: str = "unknown"

    def __post_init__(self) -> None:
        taken, given = self.network.kwargs.get("in_channels"), len(self.preparation.channels)
        if given and taken != given:
            raise ModelError(f"preparation.channels are {given}, the network takes {taken}")

    def rule_for(self, organ_name: str) -> OrganRule:
        """The organ's rule, or the rule that does nothing."""
        return self.postprocessing.get(organ_name, OrganRule())
