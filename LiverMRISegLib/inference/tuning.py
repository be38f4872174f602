"""How fast a model can be on this CPU before its labels change: measured on the user's own volumes.

Numbers of 16 bits, tiles that overlap less, and tiles only where a small model finds organs make a network some times
faster, and change its labels a little. How much depends on network and images, so it is measured against the model as
it came, and only then kept (`keep`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.catalog import DEFAULT_MODEL
from LiverMRISegLib.models.package import ModelPackage, rewrite
from LiverMRISegLib.models.specification import InferenceSpec
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
LEAST_DICE = 0.999
_LESS_OVERLAP = 0.25


@dataclass(frozen=True)
class Setting:
    """A way to run a model: `precision`, `overlap` of the tiles and `region` as of `InferenceSpec`."""

    precision: str
    overlap: float
    region: str = ""

    def __str__(self) -> str:
        where = f", within {self.region}" if self.region else ""
        return f"{self.precision}, overlap {self.overlap:g}{where}"

    def of(self, spec: InferenceSpec) -> InferenceSpec:
        """`spec` with this setting."""
        return replace(spec, precision=self.precision, overlap=self.overlap, region=self.region)


@dataclass(frozen=True)
class Measured:
    """What a setting gave: seconds a volume without reading and writing, Dice of the labels against the first's.

    `mean_dice` and `lowest_dice` are over all labels of all volumes; a label that both lack does not count.
    """

    setting: Setting
    engine: str
    seconds: float
    mean_dice: float
    lowest_dice: float


def settings_of(spec: InferenceSpec) -> list[Setting]:
    """What there is to try, the model in 32 bits with its own tiles first."""
    overlaps = [spec.overlap, *([_LESS_OVERLAP] if spec.overlap > _LESS_OVERLAP else [])]
    return [
        Setting(precision, overlap, region)
        for region in (spec.region, *([] if spec.region else [DEFAULT_MODEL]))
        for overlap in overlaps
        for precision in ("float32", "bfloat16")
    ]


def measure(
    package: ModelPackage,
    volumes: Sequence[Volume],
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> list[Measured]:
    """Segment `volumes` with every setting on the CPU; the first is what the others are compared with.

    A precision in which this CPU does not compute is left out. CancelledError if `cancel` was used.
    """
    found: list[Measured] = []
    reference: list[np.ndarray] = []
    settings = settings_of(package.spec.inference)
    for number, setting in enumerate(settings):
        own = replace(package, spec=replace(package.spec, inference=setting.of(package.spec.inference)))
        segmenter = Segmenter(own, load_engine(own, "cpu"))
        if any(
            m.engine == segmenter.engine.name and replace(m.setting, precision=setting.precision) == setting
            for m in found
        ):
            logger.info("%s: this CPU does not compute in it", setting.precision)
            continue
        labels, seconds = _segmented(
            segmenter, setting, volumes, number / len(settings), progress, cancel or CancelToken()
        )
        reference = reference or labels
        dice = [value for pair in zip(reference, labels, strict=True) for value in _dice(*pair, list(own.spec.labels))]
        mean, lowest = (float(np.mean(dice)), min(dice)) if dice else (1.0, 1.0)
        found.append(Measured(setting, segmenter.engine.name, seconds / len(volumes), mean, lowest))
    return found


def fastest(found: Sequence[Measured], least_dice: float = LEAST_DICE) -> Measured:
    """The fastest whose lowest Dice is not below `least_dice`; the first always qualifies."""
    return min((m for m in found if m is found[0] or m.lowest_dice >= least_dice), key=lambda m: m.seconds)


def keep(package: ModelPackage, chosen: Measured, volumes: int) -> ModelPackage:
    """Write a setting, and what was measured of it, into the package's model.json; the package as it is now.

    Raises:
        OutputError: it cannot be written.
        UsageError: the package is a .zip.
    """
    figures = {
        "data set": "the user's volumes",
        "cases": volumes,
        "figure": "Dice against float32 with the model's own tiles",
        "mean": round(chosen.mean_dice, 5),
        "lowest": round(chosen.lowest_dice, 5),
        "setting": str(chosen.setting),
    }
    spec = package.spec
    return rewrite(
        package, replace(spec, inference=chosen.setting.of(spec.inference), metrics=(*spec.metrics, figures))
    )


def _segmented(
    segmenter: Segmenter,
    setting: Setting,
    volumes: Sequence[Volume],
    done: float,
    progress: Progress,
    cancel: CancelToken,
) -> tuple[list[np.ndarray], float]:
    """The label maps, and the network's seconds."""
    labels, seconds = [], 0.0
    for volume in volumes:
        progress(f"{setting}: {volume.name}", done)
        start = time.perf_counter()
        labels.append(segmenter.segment(volume, cancel=cancel).labelmap)
        seconds += time.perf_counter() - start
    return labels, seconds


def _dice(first: np.ndarray, second: np.ndarray, values: Sequence[int]) -> list[float]:
    """The Dice of every value that either map holds."""
    sizes = np.bincount(first.ravel(), minlength=256) + np.bincount(second.ravel(), minlength=256)
    both = np.bincount(first[first == second], minlength=256)
    return [float(2 * both[value] / sizes[value]) for value in values if sizes[value]]
