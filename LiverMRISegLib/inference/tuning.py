"""How fast a model can be on this CPU before its labels change: measured on the user's own volumes.

Numbers of 16 bits, tiles that overlap less, and tiles only where the body is, or where a small model finds organs, make
a network some times faster, and change its labels a little. How much depends on network and images, so it is measured
against the model in full (32 bits, tiles that overlap by a half, everywhere), and only then kept (`keep`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.progress import Progress, silent
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.measurement.agreement import dice_per_label
from LiverMRISegLib.models.package.model_package import ModelPackage, rewrite
from LiverMRISegLib.models.package.specification import BODY, InferenceSpec
from LiverMRISegLib.resources import DEFAULT_MODEL, resource_folder
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
LEAST_DICE = 0.999
_OVERLAPS = (0.5, 0.25)
_OWN_VOLUMES = "the user's volumes"


@dataclass(frozen=True)
class Setting:
    """A way to run a model: `precision`, `overlap` of the tiles and `region` as in `InferenceSpec`.

    On a CPU "auto" is float32; on a GPU a package that keeps it still computes as GPUs do.
    """

    precision: str
    overlap: float
    region: str = ""

    def __str__(self) -> str:
        where = f", within {self.region}" if self.region else ""
        precision = "float32" if self.precision == "auto" else self.precision
        return f"{precision}, overlap {self.overlap:g}{where}"

    def of(self, spec: InferenceSpec) -> InferenceSpec:
        """`spec` with this setting."""
        return replace(spec, precision=self.precision, overlap=self.overlap, region=self.region)


@dataclass(frozen=True)
class Measured:
    """What a setting gave: seconds a volume without reading and writing, Dice of the labels against the first's.

    `mean_dice` and `lowest_dice` are over all labels of all volumes; a label that is in neither does not count.
    """

    setting: Setting
    engine: str
    seconds: float
    mean_dice: float
    lowest_dice: float


def settings_of(spec: InferenceSpec) -> list[Setting]:
    """What can be tried, the model in full first; the same whatever was kept before."""
    return [
        Setting(precision, overlap, region)
        for region in dict.fromkeys(("", BODY, DEFAULT_MODEL, spec.region))
        for overlap in _OVERLAPS
        for precision in ("auto", "bfloat16")
    ]


def compare_settings(
    package: ModelPackage,
    cases: Sequence[Sequence[Volume]],
    *,
    progress: Progress = silent,
) -> list[Measured]:
    """Segment `cases`, each of as many volumes as the model takes, with every setting on the CPU.

    The others are compared with the first setting. A precision that this CPU does not compute in is skipped.
    """
    found: list[Measured] = []
    reference: list[np.ndarray] = []
    settings = settings_of(package.spec.inference)
    for number, setting in enumerate(settings):
        segmenter = _loaded(package, setting)
        engine = segmenter.engine.name
        if any(m.engine == engine and replace(m.setting, precision=setting.precision) == setting for m in found):
            logger.info("%s: this CPU does not compute in this precision", setting.precision)
            continue
        report = partial(progress, str(setting), number / len(settings))
        labels, seconds = _segmented(segmenter, cases, report)
        del segmenter  # before the next is loaded: a large model fits only once
        reference = reference or labels
        values = list(package.spec.labels)
        dice = [
            value for pair in zip(reference, labels, strict=True) for value in dice_per_label(*pair, values).values()
        ]
        mean, lowest = (float(np.mean(dice)), min(dice)) if dice else (1.0, 1.0)
        found.append(Measured(setting, engine, seconds / len(cases), mean, lowest))
    return found


def fastest(found: Sequence[Measured], least_dice: float = LEAST_DICE) -> Measured:
    """The fastest whose lowest Dice is not below `least_dice`; the first always qualifies."""
    return min((m for m in found if m is found[0] or m.lowest_dice >= least_dice), key=lambda m: m.seconds)


def keep(package: ModelPackage, chosen: Measured, cases: int) -> ModelPackage:
    """Write a setting, and what was measured of it, into the package's model.json; the package as it is now.

    Raises:
        OutputError: it cannot be written.
        UsageError: as `check_can_be_kept`.
    """
    check_can_be_kept(package)
    spec = package.spec
    figures = {
        "data set": _OWN_VOLUMES,
        "cases": cases,
        "figure": "Dice against float32, overlap 0.5",
        "mean": round(chosen.mean_dice, 5),
        "lowest": round(chosen.lowest_dice, 5),
        "setting": str(chosen.setting),
    }
    others = [metric for metric in spec.metrics if metric.get("data set") != _OWN_VOLUMES]
    return rewrite(package, replace(spec, inference=chosen.setting.of(spec.inference), metrics=(*others, figures)))


def check_can_be_kept(package: ModelPackage) -> None:
    """UsageError if a setting cannot be written into this package: it comes with livermriseg, or is a .zip."""
    if package.path.resolve().is_relative_to(resource_folder().resolve()):
        raise UsageError(f"{package.spec.name} comes with livermriseg and cannot be changed; tune an imported model")
    if not package.path.is_dir():
        raise UsageError(f"{package.path}: a .zip cannot be changed; 'livermriseg models import package' unpacks it")


def _loaded(package: ModelPackage, setting: Setting) -> Segmenter:
    own = package.run_by(setting.of(package.spec.inference))
    return Segmenter(own, load_engine(own, "cpu"))


def _segmented(
    segmenter: Segmenter, cases: Sequence[Sequence[Volume]], report: Callable[[], None]
) -> tuple[list[np.ndarray], float]:
    """The label maps, and the seconds that they took."""
    labels, seconds = [], 0.0
    for volume, *further in cases:
        report()
        start = time.perf_counter()
        labels.append(segmenter.segment(volume, further=further).labelmap)
        seconds += time.perf_counter() - start
    return labels, seconds
