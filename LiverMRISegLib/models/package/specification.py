"""The contents of model.json: frozen dataclasses, checked when made, written and read without running any code.

Arrays inside are in [Z, Y, X] order like every array of the library (`spacing`, `patch`, `strides`, `mirror_axes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from LiverMRISegLib.anatomy import LIVER, LabelSet
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.limits import Axis, Limits, Millimetres, PatchSide, Share, Spacing

SCHEMA_VERSION = 1
MOST_MEMBERS = 100
ANY_MODALITY = "any"
Space = Literal["intensity", "anatomy", "smooth anatomy"]
SPACES: tuple[str, ...] = get_args(Space)
NORMALISATIONS = ("z-score", "z-score-nonzero", "z-score-positive", "percentile-z-score", "ct", "none", "unit-range")
OWN, NNUNET = "own", "nnunet"
BODY, ABDOMEN = "body", "abdomen"
SCHEMES = (OWN, NNUNET)
# What `inference.trust` looks at.
TRUST_SIGNS = ("expected dice", "probability", "size")
MOST_IMAGES = 64
# Neighbouring tiles that overlap more take hundreds of times the time of tiles that do not.
Overlap = Annotated[float, Limits(0, 0.95)]
Intensity = Annotated[float, Limits(-1e9, 1e9)]
OutlineOffset = Annotated[float, Limits(-2, 2)]
Millilitres = Annotated[float, Limits(0, 1e6)]
MirrorAxes = tuple[Axis, ...]
TrustWeight = Annotated[float, Limits(-1e4, 1e4)]
_CT_KEYS = {"low", "high", "mean", "std"}


def _check_scheme(part: str, scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ModelError(f"unknown {part}.scheme '{scheme}'; known: {', '.join(SCHEMES)}")


def _check_normalisation(name: str, intensity: Mapping[str, float]) -> None:
    if name not in NORMALISATIONS:
        raise ModelError(f"unknown normalisation '{name}'; known: {', '.join(NORMALISATIONS)}")
    if name == "ct" and not intensity.keys() >= _CT_KEYS:
        raise ModelError(f"normalisation ct needs the intensities {', '.join(sorted(_CT_KEYS))}")
    if name == "ct" and (intensity["low"] > intensity["high"] or intensity["std"] < 0):
        raise ModelError(f"normalisation ct needs low up to high and a std of at least 0, not {dict(intensity)}")


@dataclass(frozen=True)
class NetworkSpec:
    """`build_network(name, **kwargs)` makes the network; kwargs are in_channels, out_channels, strides, ...

    In a package with several `members` (folds, the two networks of cross pseudo supervision) the names of each member's
    tensors begin with "members.0.", "members.1.", ...; inference takes the mean of their logits.
    """

    name: str
    kwargs: Mapping[str, Any]
    members: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.members <= MOST_MEMBERS:
            raise ModelError(f"network.members must be between 1 and {MOST_MEMBERS}, not {self.members}")


@dataclass(frozen=True)
class ChannelSpec:
    """One image of a case: its `name` for people; `normalisation` and `intensity` as in `PreparationSpec`."""

    name: str
    normalisation: str = "z-score"
    intensity: Mapping[str, Intensity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_normalisation(self.normalisation, self.intensity)


@dataclass(frozen=True)
class PreparationSpec:
    """How an image becomes the network's input.

    `orientation`: a code as in `volume.py` ("LPS"), or None to keep the file's own array orientation (nnU-Net).
    `spacing`: target in mm, [Z, Y, X] of the oriented array.
    `normalisation`, applied after resampling: "z-score" over all voxels; "z-score-nonzero" over the voxels that are not
    0, which stay 0; "z-score-positive" over all voxels, with the mean and standard deviation of those above 0;
    "percentile-z-score" clips at the 99.5 percentile of the voxels brighter than air, then z-score over all voxels;
    "ct" clips to `intensity` (low, high) and then applies (mean, std); "unit-range" scales to 0 to 1; "none".
    `image_order`: interpolation of the image, 1 linear or 3 cubic.
    `antialias`: along axes that become coarser, a voxel is the mean of everything it covers instead of the value at its
    centre, which averages noise. Needs `image_order` 1.
    `space`: "anatomy" turns the resampled image into gradient magnitudes (paper 004) before the normalisation;
    "smooth anatomy" smooths it by a voxel before.
    `scheme`: "nnunet" prepares in nnU-Net's order (`preparation.nnunet_scheme`), after putting the array's axes into
    the order `transpose`; `spacing` belongs to the axes in that order.
    `resample_first`: in the scheme nnunet, the image is resampled before it is normalised, as in nnU-Net v1.
    `channels`: the images of a case in the network's order, where it takes several, all on one grid (scheme nnunet
    only); `normalisation` and `intensity` are then those of the first.
    """

    spacing: tuple[Spacing, Spacing, Spacing]
    orientation: str | None = "LPS"
    normalisation: str = "z-score"
    image_order: int = 1
    intensity: Mapping[str, Intensity] = field(default_factory=dict)
    space: str = "intensity"
    scheme: str = OWN
    transpose: tuple[int, ...] = (0, 1, 2)
    channels: tuple[ChannelSpec, ...] = ()
    antialias: bool = False
    resample_first: bool = False

    @property
    def images(self) -> tuple[ChannelSpec, ...]:
        """The images of a case: `channels`, or the one image."""
        return self.channels or (ChannelSpec("image", self.normalisation, self.intensity),)

    def __post_init__(self) -> None:
        _check_scheme("preparation", self.scheme)
        if sorted(self.transpose) != [0, 1, 2]:
            raise ModelError(f"preparation.transpose must order 0, 1, 2, not {self.transpose}")
        if self.scheme == OWN and self.transpose != (0, 1, 2):
            raise ModelError("preparation.transpose belongs to the scheme nnunet; omit it or set the scheme")
        if len(self.channels) > MOST_IMAGES:
            raise ModelError(f"preparation.channels must be at most {MOST_IMAGES}, not {len(self.channels)}")
        if self.channels and (self.scheme == OWN or len(self.channels) == 1):
            raise ModelError(
                "preparation.channels are for two or more images in the scheme nnunet; omit them otherwise"
            )
        if self.space not in SPACES:
            raise ModelError(f"unknown preparation.space '{self.space}'; known: {', '.join(SPACES)}")
        _check_normalisation(self.normalisation, self.intensity)
        if len(self.spacing) != 3 or min(self.spacing) <= 0:
            raise ModelError(f"preparation.spacing must be three positive numbers, not {self.spacing}")
        if self.image_order not in (1, 3):
            raise ModelError(f"preparation.image_order must be 1 or 3, not {self.image_order}")
        if self.resample_first and self.scheme == OWN:
            raise ModelError("preparation.resample_first belongs to the scheme nnunet; omit it or set the scheme")
        if self.antialias and (self.image_order != 1 or self.scheme != OWN):
            raise ModelError(
                "preparation.antialias needs image_order 1 and cannot be used with the scheme nnunet; omit it"
            )


@dataclass(frozen=True)
class InferenceSpec:
    """Tiles and test-time options.

    `patch`: size of a tile in voxels; `overlap` of neighbouring tiles (0 to <1).
    `mirror_axes`: used by --tta (0=Z, 1=Y, 2=X).
    `resample`: what is resampled to the volume's grid, "logits" (smooth outlines) or "labels" (faster, coarser; as
    in the FLARE networks of papers 003 and 004).
    `scheme`: "nnunet" tiles exactly as nnU-Net does.
    `region`: the name of a model that first finds where the organs are, or "body" for everything brighter than air; no
    tile is computed more than `region_margin` mm away from what was found, and all is background there. "abdomen" is
    "body", and where that reaches far beyond the liver a second look at the abdomen alone (`inference.abdomen`); it
    needs orientation LPS and a liver.
    `image_refinement`: outlines are moved to edges of the image before probabilities become labels
    (`inference.image_refinement`).
    `outline_offsets`: of organs, by name, whose refined outlines are then moved; above 0 the organ gets larger. They
    count only with `image_refinement`.
    `unrefined`: organs, by name, whose outlines stay as the network drew them, all the same.
    """

    patch: tuple[PatchSide, PatchSide, PatchSide]
    overlap: Overlap = 0.5
    mirror_axes: MirrorAxes = ()
    precision: str = "auto"
    resample: str = "logits"
    scheme: str = OWN
    region: str = ""
    region_margin: Millimetres = 30.0
    image_refinement: bool = False
    outline_offsets: Mapping[str, OutlineOffset] = field(default_factory=dict)
    unrefined: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_scheme("inference", self.scheme)
        if self.region_margin < 0:
            raise ModelError(f"inference.region_margin must not be negative, not {self.region_margin}")
        if self.resample not in ("logits", "labels"):
            raise ModelError(f"inference.resample must be logits or labels, not '{self.resample}'")
        if len(self.patch) != 3 or min(self.patch) < 1:
            raise ModelError(f"inference.patch must be three positive integers, not {self.patch}")
        if not 0 <= self.overlap < 1:
            raise ModelError(f"inference.overlap must be at least 0 and less than 1, not {self.overlap}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ModelError(f"inference.precision must be auto, float32 or bfloat16, not '{self.precision}'")
        axes = self.mirror_axes
        if any(axis not in (0, 1, 2) for axis in axes) or len(set(axes)) != len(axes):
            raise ModelError(f"inference.mirror_axes must be among 0, 1, 2, each once, not {axes}")


@dataclass(frozen=True)
class OrganRule:
    """Post-processing and plausibility of one organ. Volumes are in mL; without `plausible_ml` they are not checked.

    `near`: the organ must be inside the bounding box of the organ with this name, enlarged by `near_mm` on all sides.
    """

    keep_largest: bool = False
    fill_holes: bool = False
    minimum_ml: Millilitres = 0.0
    near: str = ""
    near_mm: Millimetres = 0.0
    plausible_ml: tuple[Millilitres, Millilitres] | None = None


@dataclass(frozen=True)
class TrustSpec:
    """How the trust in an organ's outline follows from its signs (`inference.trust`).

    The score is the logistic function of `intercept` plus each sign times its weight: the Dice to be expected. A sign
    that has no weight here does not count. Scores below `flag_below` are flagged. `fitted_on` says in words on which
    images the weights were fitted. `scripts/train/fit_trust.py` fits them and writes this part.
    """

    intercept: TrustWeight
    weights: Mapping[str, TrustWeight]
    flag_below: Share
    fitted_on: str = ""

    def __post_init__(self) -> None:
        for name in self.weights:
            if name not in TRUST_SIGNS:
                raise ModelError(f"unknown sign '{name}' in trust.weights; known: {', '.join(TRUST_SIGNS)}")


@dataclass(frozen=True)
class ModelSpec:
    """All of model.json except the schema version and the hashes of the files.

    `labels` maps the network's output channels to organs (0 is background; a channel without an organ becomes
    background). `provenance` lists the stages (config, data, licences), `metrics` the measured results, each with its
    data set and number of cases. `sequences` are those that the model is for, by which it is offered; `trained_on`
    those that it learnt from, where they differ. `trust` is missing where nobody has fitted it.
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
    trained_on: tuple[str, ...] = ()
    trust: TrustSpec | None = None

    def __post_init__(self) -> None:
        taken, given = self.network.kwargs.get("in_channels"), len(self.preparation.channels)
        if given and taken != given:
            raise ModelError(f"there are {given} preparation.channels, but the network takes {taken}")
        if self.inference.region == ABDOMEN and (
            LIVER not in self.labels.organs or self.preparation.orientation != "LPS"
        ):
            raise ModelError("inference.region abdomen needs a liver among the labels and preparation.orientation LPS")
        names = [organ.name for organ in self.labels.organs]
        for key, organs in (
            ("outline_offsets", self.inference.outline_offsets),
            ("unrefined", self.inference.unrefined),
        ):
            for organ in organs:
                if organ not in names:
                    raise ModelError(f"inference.{key}: '{organ}' is not one of the labels: {', '.join(names)}")
        if both := sorted(set(self.inference.unrefined) & set(self.inference.outline_offsets)):
            raise ModelError(f"inference: '{both[0]}' cannot be both unrefined and moved by outline_offsets")

    def rule_for(self, organ_name: str) -> OrganRule:
        """The organ's rule, or a rule that does nothing."""
        return self.postprocessing.get(organ_name, OrganRule())
