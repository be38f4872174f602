"""The stage that plans a training from its data by nnU-Net's rules: a config file that any training stage reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.case_cache import labels_of
from LiverMRISegLib.data.case_selection import Listed, PoolConfig, choose_scans
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.networks.sizes import PLAIN
from LiverMRISegLib.preparation.nnunet_scheme import nonzero_box
from LiverMRISegLib.training.configuration import read_settings
from LiverMRISegLib.training.plan_rules import TrainingPlan, make_plan
from LiverMRISegLib.volume import reorient

logger = logging.getLogger(__name__)
_SAMPLES = 10_000_000  # voxels of organs over all cases
_CUT_MUCH = 0.75  # of the volume: below, only what is not 0 is normalised
_ARRAY_AXES = "SPL"  # of an array in orientation LPS: [Z, Y, X]


@dataclass(frozen=True)
class PlanTrainingConfig(Checked):
    """Config of `scripts/train/plan_training.py`."""

    base: str = ""
    """The config that the plan is for, as scripts/train/configs/finetune.yaml: its other keys are kept, and where it
    takes unlabelled volumes too, its batches, which belong to its method."""
    datalists: tuple[Path, ...] = ()
    """Datalists of the volumes."""
    labelled: PoolConfig = field(default_factory=PoolConfig)
    """Which of their labelled scans are trained on."""
    organs: tuple[str, ...] = ("liver",)
    """The organs that are trained."""
    network: Literal["plain-unet", "residual-encoder-unet", "stunet"] = "plain-unet"
    """nnU-Net's default network, that of its preset ResEncM, or a STU-Net: then size and widths are the base's, and
    five of the strides are taken, as STU-Net's own trainers do."""
    memory_gb: Annotated[float, Limits(above=0, most=1000)] = 8.0
    """Memory of the GPU in GB that patch and batch are made for."""
    normalisation: Literal["auto", "z-score", "ct"] = "auto"
    """auto: as nnU-Net does by the modality, ct for CT, else z-score. ct: clipped at the percentiles 0.5 and 99.5 of
    the organs' voxels over all cases, then their mean and deviation (nnU-Net's CTNormalization, as in paper 003)."""
    output: Path = Path("runs/plan.yaml")
    """The config file that is written."""


@dataclass(frozen=True)
class Fingerprint:
    """What the plan depends on: spacings in mm and shapes in voxels [Z, Y, X] in orientation LPS, cut to what is not 0.

    `kept` is the share of each volume that the cut left, `intensities` some voxels of organs.
    """

    spacings: list[tuple[float, ...]]
    shapes: list[tuple[int, ...]]
    kept: list[float]
    intensities: np.ndarray


def run(config: PlanTrainingConfig) -> TrainingPlan:
    """Look at every labelled volume, and write the plan.

    Raises:
        InputError, UsageError: volumes that cannot be used, none at all, or no organ in any of them.
        OutputError: the file cannot be written.
    """
    import yaml

    if config.base and not Path(config.base).is_file():
        raise UsageError(f"base: {config.base}: no such file; name a config of scripts/train/configs")
    of_base = (read_settings(Path(config.base)).get("data") or {}) if config.base else {}
    scans = choose_scans(config.datalists, config.labelled, needs_labels=True)
    found = fingerprint_of(scans, config.organs)
    kind = PLAIN if config.network == "stunet" else config.network
    plan = make_plan(found.spacings, found.shapes, len(config.organs) + 1, kind=kind, memory_gb=config.memory_gb)
    is_ct = config.normalisation == "ct" or (
        config.normalisation == "auto" and all(scan.sequence == "CT" for _, scan in scans)
    )
    data = _data(config, plan, found, is_ct=is_ct)
    if "unlabelled_batch" in of_base:
        del data["labelled_batch"]
    document = {"data": data, **_network(config, plan)}
    if config.base:
        document = {"base": str(Path(config.base).absolute()), **document}
    atomic_write_text(config.output, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return plan


def fingerprint_of(scans: list[Listed], organs: tuple[str, ...]) -> Fingerprint:
    """Of labelled scans; UsageError if none of the organs is in any of them."""
    spacings: list[tuple[float, ...]] = []
    shapes: list[tuple[int, ...]] = []
    kept: list[float] = []
    drawn: list[np.ndarray] = []
    count, unusable = max(1, _SAMPLES // len(scans)), UnusableVolumes()
    for number, (datalist, scan) in enumerate(tqdm(scans, "volumes", disable=None, dynamic_ncols=True)):
        with unusable.noted():
            volume = read_volume(scan.image)
            if scan.labels is None:
                raise UsageError(f"{scan.image}: has no labels")
            labels = labels_of(datalist, scan.labels, volume, organs)
            organ_voxels = volume.array[(labels > 0) & (labels != IGNORE)]
            if organ_voxels.size:  # with replacement, so that small organs count as much
                drawn.append(np.random.default_rng(number).choice(organ_voxels, count).astype(np.float32))
            turned = reorient(volume, "LPS")
            box = nonzero_box(turned.array)
            shape = tuple(part.stop - part.start for part in box)
            spacings.append(turned.geometry.spacing[::-1])
            shapes.append(shape)
            kept.append(float(np.prod(shape)) / turned.array.size)
    unusable.raise_any(len(scans))
    if not drawn:
        raise UsageError(f"none of the {len(scans)} label maps shows {', '.join(organs)}; check organs and datalists")
    return Fingerprint(spacings, shapes, kept, np.concatenate(drawn))


def orientation_of(axes: tuple[int, int, int]) -> str:
    """The code of the orientation whose arrays have the axes of an LPS array in this order.

    >>> orientation_of((0, 1, 2)), orientation_of((1, 0, 2))
    ('LPS', 'LSP')
    """
    return "".join(_ARRAY_AXES[axis] for axis in reversed(axes))


def _data(config: PlanTrainingConfig, plan: TrainingPlan, found: Fingerprint, *, is_ct: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "datalists": [str(path.absolute()) for path in config.datalists],
        "organs": list(config.organs),
        "spacing": [round(s, 5) for s in plan.spacing],
        "orientation": orientation_of(plan.axes),
        "patch": list(plan.topology.patch),
        "labelled_batch": plan.batch,
        "image_order": 3,
        "normalisation": "z-score" if np.median(found.kept) >= _CUT_MUCH else "z-score-nonzero",
    }
    if is_ct:
        low, high = np.percentile(found.intensities, (0.5, 99.5))
        figures = (low, high, found.intensities.mean(dtype=np.float64), found.intensities.std(dtype=np.float64))
        data |= {"normalisation": "ct", "intensity": [round(float(figure), 4) for figure in figures]}
    return data


def _network(config: PlanTrainingConfig, plan: TrainingPlan) -> dict[str, Any]:
    strides = [list(stride) for stride in plan.topology.strides]
    if config.network == "stunet":
        return {"strides": [*strides[1:], *([[1, 1, 1]] * 5)][:5]}
    return {
        "network": config.network,
        "widths": list(plan.features),
        "blocks": list(plan.blocks),
        "strides": strides,
        "kernels": [list(kernel) for kernel in plan.topology.kernels],
    }


def summary(config: PlanTrainingConfig, plan: TrainingPlan) -> str:
    """One line about a plan."""
    spacing, patch = (" x ".join(f"{n:g}" for n in triple) for triple in (plan.spacing, plan.topology.patch))
    return f"{config.output}: {spacing} mm, patch {patch}, batch {plan.batch}, {len(plan.topology.strides)} levels"
