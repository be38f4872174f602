"""An abdominal phantom made on the fly: any MR sequence of one made-up patient, with the true labels.

The embedded sample of `livermriseg demo` and of the tests; no model is trained on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from LiverMRISegLib.anatomy import Organ, Sequence, organ_named
from LiverMRISegLib.data import phantom_anatomy as body
from LiverMRISegLib.data.phantom_anatomy import LABELS
from LiverMRISegLib.inference.interpolation import resize_linear
from LiverMRISegLib.volume import Geometry, Volume

_SUBSLICES = 3
_FLUID = ("gallbladder", "stomach", "duodenum")


@dataclass(frozen=True)
class Contrast:
    """Intensity of every tissue, air 0 to brightest 1. `organs` overrides `vessel`, `fluid` or `bowel` of an organ."""

    liver: float
    spleen: float
    kidney: float
    pancreas: float
    vessel: float
    fluid: float
    fat: float
    muscle: float
    bone: float
    bowel: float
    organs: Mapping[str, float] = field(default_factory=dict)

    def table(self) -> np.ndarray:
        """Intensity by structure value."""
        table = np.zeros(body.STRUCTURES, np.float32)
        for value, organ in LABELS.items():
            table[value] = self._of(organ)
        for value, level in (
            (body.FAT, self.fat), (body.MUSCLE, self.muscle), (body.BONE, self.bone), (body.BOWEL, self.bowel),
            (body.GAS, 0.02), (body.LUNG, 0.03), (body.HEART, 0.5 * (self.muscle + self.vessel)),
            (body.FLUID, self.fluid), (body.RENAL_SINUS, self.fat), (body.HEPATIC_VESSEL, self.vessel),
        ):  # fmt: skip
            table[value] = level
        return table

    def _of(self, organ: Organ) -> float:
        own = {
            "liver": self.liver, "spleen": self.spleen, "right kidney": self.kidney, "left kidney": self.kidney,
            "pancreas": self.pancreas, "aorta": self.vessel, "inferior vena cava": self.vessel,
            "portal and splenic vein": self.vessel, "oesophagus": self.muscle + 0.08,
            "right adrenal gland": self.pancreas, "left adrenal gland": self.pancreas,
            **dict.fromkeys(_FLUID, self.fluid), **self.organs,
        }  # fmt: skip
        return own[organ.name]


_ARTERIAL = Contrast(
    0.42, 0.70, 0.80, 0.66, 0.45, 0.16, 0.15, 0.30, 0.25, 0.40, {"aorta": 0.97, "stomach": 0.25, "duodenum": 0.40}
)
_VENOUS = Contrast(0.62, 0.66, 0.82, 0.58, 0.88, 0.15, 0.15, 0.33, 0.28, 0.42, {"stomach": 0.24, "duodenum": 0.42})
_DELAYED = Contrast(0.60, 0.54, 0.74, 0.52, 0.70, 0.16, 0.15, 0.36, 0.28, 0.42, {"stomach": 0.24, "duodenum": 0.42})
_HEPATOBILIARY = Contrast(
    0.86, 0.38, 0.52, 0.42, 0.24, 0.18, 0.14, 0.32, 0.24, 0.34, {"gallbladder": 0.60, "duodenum": 0.45}
)
_T1 = Contrast(0.58, 0.42, 0.40, 0.60, 0.24, 0.20, 0.95, 0.40, 0.62, 0.42)
_T1_FAT_SATURATED = Contrast(0.55, 0.38, 0.42, 0.64, 0.25, 0.18, 0.14, 0.36, 0.22, 0.40)
_OPPOSED = Contrast(0.50, 0.42, 0.40, 0.56, 0.24, 0.20, 0.72, 0.42, 0.40, 0.42)
CONTRASTS: Mapping[Sequence, Contrast] = {
    Sequence.T1WI: _T1,
    Sequence.T2WI: Contrast(0.24, 0.50, 0.66, 0.40, 0.10, 0.92, 0.55, 0.15, 0.32, 0.50),
    Sequence.DWI: Contrast(0.26, 0.80, 0.72, 0.40, 0.05, 0.32, 0.10, 0.13, 0.18, 0.42),
    Sequence.GED1: _ARTERIAL,
    Sequence.GED2: _VENOUS,
    Sequence.GED3: _DELAYED,
    Sequence.GED4: _HEPATOBILIARY,
    Sequence.IN_PHASE: _T1,
    Sequence.OUT_PHASE: _OPPOSED,
    Sequence.C_PRE: _T1_FAT_SATURATED,
    Sequence.C_ARTERIAL: _ARTERIAL,
    Sequence.C_VENOUS: _VENOUS,
    Sequence.C_DELAY: _DELAYED,
}


@dataclass(frozen=True)
class PhantomConfig:
    """How a study is scanned: mm, and shares of the brightest intensity.

    DWI is scanned with twice the in-plane spacing and bent along y, as echo-planar images are.
    """

    spacing: tuple[float, float, float] = (1.6, 1.6, 6.0)
    field_of_view: tuple[float, float, float] = (380.0, 270.0, 216.0)
    noise: float = 0.02
    bias: float = 0.25
    texture: float = 0.03
    breathing: float = 8.0
    shift: float = 4.0
    dwi_distortion: float = 6.0


@dataclass(frozen=True)
class PhantomScan:
    """One sequence: the image (int16) and the true labels (values of LABELS) on the same grid."""

    volume: Volume
    labelmap: Volume


def make_study(
    sequences: Iterable[Sequence] = (Sequence.T2WI,), seed: int = 0, config: PhantomConfig | None = None
) -> dict[Sequence, PhantomScan]:
    """Scans of one made-up patient, each breathed and shifted a little otherwise. Same arguments, same study."""
    config = config or PhantomConfig()
    return {sequence: make_scan(sequence, seed, config) for sequence in sequences}


def make_scan(sequence: Sequence, seed: int, config: PhantomConfig) -> PhantomScan:
    """One scan of the patient `seed`."""
    random = np.random.default_rng((seed, list(Sequence).index(sequence)))
    grid = _grid(sequence, config)
    structures = _structures(grid, sequence, seed, config, random)
    image = _image(structures, CONTRASTS[sequence], config, random)
    thick = image.reshape(grid.size[2], _SUBSLICES, *image.shape[1:]).mean(1)
    noisy = np.hypot(
        thick + random.normal(0, config.noise, thick.shape), random.normal(0, config.noise, thick.shape)
    )
    centre = structures[_SUBSLICES // 2 :: _SUBSLICES]
    labels = np.where(centre <= max(LABELS), centre, 0).astype(np.uint8)
    labels[centre == body.HEPATIC_VESSEL] = LABELS.value_of(organ_named("liver"))
    name = f"phantom_{seed}_{sequence.value}"
    volume = Volume((noisy * 1000).astype(np.int16), grid, name, {"modality": "MR", "series description": sequence.value})
    return PhantomScan(volume, Volume(labels, grid, name))


def _grid(sequence: Sequence, config: PhantomConfig) -> Geometry:
    factor = 2.0 if sequence is Sequence.DWI else 1.0
    spacing = (config.spacing[0] * factor, config.spacing[1] * factor, config.spacing[2])
    size = tuple(max(2, round(f / s)) for f, s in zip(config.field_of_view, spacing, strict=True))
    origin = tuple(-0.5 * (n - 1) * s for n, s in zip(size, spacing, strict=True))
    return Geometry(size, spacing, (origin[0], origin[1], origin[2] + 10.0))  # type: ignore[arg-type]


def _structures(
    grid: Geometry, sequence: Sequence, seed: int, config: PhantomConfig, random: np.random.Generator
) -> np.ndarray:
    """What lies at every point of the grid with `_SUBSLICES` planes a slice, after this scan's motion."""
    shape = (grid.size[2] * _SUBSLICES, grid.size[1], grid.size[0])
    axes = [
        np.linspace(-0.5 * (n * s - s / d), 0.5 * (n * s - s / d), n * d, dtype=np.float32)
        for n, s, d in zip(grid.size, grid.spacing, (1, 1, _SUBSLICES), strict=True)
    ]
    x = np.broadcast_to(axes[0][None, None, :], shape).copy()
    y = np.broadcast_to(axes[1][None, :, None], shape).copy()
    z = np.broadcast_to(axes[2][:, None, None] + np.float32(10.0), shape).copy()
    shift = random.normal(0, config.shift, 3).astype(np.float32)
    breath = np.float32(random.normal(0, config.breathing))
    still = np.random.default_rng(seed)
    for array, moved in zip((x, y, z), _bends(shape, still, 5.0), strict=True):
        array += moved
    if sequence is Sequence.DWI:
        y += config.dwi_distortion * resize_linear(random.normal(size=(3, 4, 4)), shape)
    x += shift[0]
    y += shift[1]
    # The upper abdomen follows the diaphragm, the lower hardly.
    z += shift[2] + breath / (1 + np.exp(-(z + 20) / 40))
    return body.structures(x, y, z, still)


def _bends(shape: tuple[int, int, int], random: np.random.Generator, amplitude: float) -> list[np.ndarray]:
    """Smooth displacements (mm) that make every patient's shapes his own."""
    return [amplitude * resize_linear(random.normal(size=(5, 6, 6)), shape) for _ in range(3)]


def _image(
    structures: np.ndarray, contrast: Contrast, config: PhantomConfig, random: np.random.Generator
) -> np.ndarray:
    image = contrast.table()[structures]
    grain = resize_linear(random.normal(size=tuple(max(2, n // 3) for n in structures.shape)), structures.shape)
    image += config.texture * grain * (image > 0.05)
    shading = resize_linear(random.normal(size=(3, 3, 3)), structures.shape)
    result: np.ndarray = np.clip(image, 0, None) * np.exp(config.bias * shading)
    return result
