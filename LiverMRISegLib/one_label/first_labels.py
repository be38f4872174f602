"""The first stage of SemiSAM-O1 (paper 002): features of all volumes once, and labels by likeness to one template."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE, LabelSet, organ_named
from LiverMRISegLib.data.case_cache import labels_of
from LiverMRISegLib.data.case_selection import Listed, PoolConfig, choose_scans
from LiverMRISegLib.data.datalist import Scan, case_name, read_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_path, make_folder
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.limits import Limits, Probability
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.one_label.features import LEVELS, FeatureEncoder, Features, encode, load_encoder
from LiverMRISegLib.one_label.prototypes import (
    Calibration,
    calibrate,
    class_prototypes,
    margin,
    nearest_on,
    similarity,
)
from LiverMRISegLib.preparation.interpolation import resize_linear
from LiverMRISegLib.preparation.label_grid import labels_on_grid
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output, files_of
from LiverMRISegLib.pseudo_labels.outputs import check_case_names, labelmap_of, organ_figures, write_case_lists
from LiverMRISegLib.pseudo_labels.ranking import RankedCase
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.preview_volumes import previewed_of, say_cost, timed
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
WHOLE = "features.npz"


@dataclass(frozen=True)
class FirstLabelsConfig(Checked):
    """Config of `scripts/train/first_labels.py`."""

    datalists: tuple[Path, ...] = ()
    """Datalists of the template and the volumes to label."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Which of their scans are used."""
    template: str = ""
    """The patient whose first labelled scan teaches; no other labels are ever read."""
    organs: tuple[str, ...] = ("liver",)
    """Organs to label; they get the values 1, 2, ..."""
    encoder: str = DEFAULT_MODEL
    """A package of a STU-Net (by default the shipped model's) or of SAM-Med3D."""
    levels: tuple[Annotated[int, Limits(0, 20)], ...] = LEVELS
    """Of a STU-Net: the levels of resolution whose features are taken; 0 is the finest."""
    smooth: bool = True
    """Likeness is interpolated between the features; the paper repeats the nearest."""
    calibrate: bool = True
    """Scores are shifted so that the template's organs come out best (ours)."""
    certainty: Probability = 0.95
    """Labels that are less certain than this on the template are left open; 0 leaves none open, as in the paper."""
    device: str = "auto"
    """Device that computes: auto, cuda, mps or cpu."""
    cache: Path = Path("runs/cache")
    """Folder of features, shared by runs."""
    output: Path = Path("runs/first_labels")
    """Folder for the label maps, datalist.json, cases.csv, cases.png and features.npz."""
    preview: bool = False
    """Whether only to label the template and a few volumes, in `output`/preview, and to say by them what all will cost
    (hours, disk, memory); an error if memory or disk will not do."""


def run(config: FirstLabelsConfig, encoder: FeatureEncoder | None = None) -> Path:
    """Label all scans by the template's prototypes, unless these labels are in the output already.

    Returns:
        Their datalist; its first scan is the template with its true labels.

    Args:
        config: of the stage.
        encoder: used instead of `config.encoder`: any callable of that form.

    Raises:
        InputError, UsageError: scans that cannot be used, or no template among them.
        ModelError: no such encoder.
        OutputError: output or cache cannot be written.
    """
    encoder = encoder or load_encoder(load_model(config.encoder), config.device, config.levels)
    scans = choose_scans(config.datalists, config.pool, needs_labels=False)
    check_case_names([scan for _, scan in scans])
    template = _template(scans, config)
    if len(scans) == 1:
        raise UsageError(
            f"there is only the template {config.template} and nothing to label; give datalists of more scans"
        )
    scans.sort(key=lambda each: each is not template)
    count, seconds = len(scans), list[float]()
    settings = [f"smooth {config.smooth}", f"calibrate {config.calibrate} {config.certainty}", *config.organs]
    if config.preview:
        scans = previewed_of(scans)
        config = _anew(config)
        settings.append(f"preview {time.time_ns()}")
    images = [f"{case_name(scan)} {hash_of(scan.image)}" for _, scan in scans]
    truth = _truth(template, config.organs)
    content = hashlib.sha256(truth.tobytes()).hexdigest()
    sources = [*config.datalists, *files_of(scan for _, scan in scans)]
    with claimed_output(config.output, [encoder.fingerprint, content, *settings, *images], sources):
        made = _write_labels(config, encoder, scans, template, truth, seconds)
        if config.preview:
            say_cost(count, seconds, config.output)
            shutil.rmtree(config.cache)  # the rounds' preview needs the labels alone
        return made


def _anew(config: FirstLabelsConfig) -> FirstLabelsConfig:
    """In a folder of the preview's own, with a new cache of features, so that these are timed too."""
    output = config.output / "preview"
    shutil.rmtree(output / "cache", ignore_errors=True)
    return replace(config, output=output, cache=output / "cache")


def _write_labels(
    config: FirstLabelsConfig,
    encoder: FeatureEncoder,
    scans: Sequence[Listed],
    template: Listed,
    truth: np.ndarray,
    seconds: list[float],
) -> Path:
    made = config.output / "datalist.json"
    if all((config.output / name).exists() for name in (WHOLE, "cases.csv", "cases.png")) and _is_whole(made):
        logger.info("%s: these labels are made already", config.output)
        return made
    store = _Store(encoder, config.cache)
    likeness = _learn(template[1], truth, store.features_of(template[1]), config)
    organs = LabelSet.of("one label", [organ_named(organ) for organ in config.organs])
    cases: list[RankedCase] = []
    figures, whole = {}, {}
    unusable = UnusableVolumes()
    for listed in timed(tqdm(scans, "volumes", disable=None, dynamic_ncols=True), seconds):
        with unusable.noted():
            scan, features = listed[1], store.features_of(listed[1])
            labels, score = likeness.label(features)
            labels = truth if listed is template else labels
            geometry = read_volume(scan.image).geometry
            write_volume(Volume(labels, geometry, scan.patient), labelmap_of(scan, config.output))
            cases.append(RankedCase(case_name(scan), score, is_kept=True))
            figures[case_name(scan)] = {"likeness": score, **organ_figures(labels, organs, geometry)}
            whole[case_name(scan)] = features.whole
    unusable.raise_any(len(scans))
    logger.info("features of %d volumes were made in %.1f s", store.made, store.seconds)
    with atomic_path(config.output / WHOLE) as path, path.open("wb") as file:
        np.savez(file, **whole)  # type: ignore[arg-type]
    cases.sort(key=lambda case: -case.score)
    write_case_lists(scans, cases, figures, organs, config.output, IGNORE)
    return made


def _is_whole(made: Path) -> bool:
    """Whether the datalist is there and so are its files: images that were moved are elsewhere now."""
    if not made.exists():
        return False
    try:
        read_datalist(made)
    except InputError as error:
        logger.warning("%s: these labels are made again", error)
        return False
    return True


def _template(scans: Sequence[Listed], config: FirstLabelsConfig) -> Listed:
    for listed in scans:
        if listed[1].patient == config.template and listed[1].labels is not None:
            return listed
    where = ", ".join(map(str, config.datalists))
    raise UsageError(f"template '{config.template}' is not a patient with labels in {where}")


@dataclass(frozen=True)
class _Likeness:
    """What the template teaches: prototypes [classes, C], and how scores become labels."""

    prototypes: np.ndarray
    calibration: Calibration
    smooth: bool

    def scores(self, features: Features) -> np.ndarray:
        """float32 [classes, z, y, x]."""
        offsets = self.calibration.offsets[:, None, None, None]
        scores: np.ndarray = similarity(features.array, self.prototypes) + offsets
        return scores

    def label(self, features: Features) -> tuple[np.ndarray, float]:
        """Labels uint8 on the volume's own grid, and how much the volume is like the classes in the mean."""
        scores, shape = self.scores(features), features.prepared.oriented.shape
        if self.smooth:
            labels = labels_on_grid(scores, shape)
        else:
            labels = nearest_on(scores.argmax(axis=0).astype(np.uint8), shape)
        for value in np.flatnonzero(self.calibration.above - self.calibration.below).tolist():
            fine = resize_linear(margin(scores, value), shape)
            labels[(labels == value) & (fine < self.calibration.above[value])] = IGNORE
            labels[(labels == 0) & (fine > self.calibration.below[value])] = IGNORE
        return features.prepared.restore(labels), float(scores.max(axis=0).mean())


def _learn(scan: Scan, truth: np.ndarray, features: Features, config: FirstLabelsConfig) -> _Likeness:
    labels = features.prepared.change.apply(truth)
    prototypes = class_prototypes(features.array, nearest_on(labels, features.array.shape[1:]), len(config.organs))
    for organ, row in zip(config.organs, prototypes[1:], strict=True):
        if not np.isfinite(row).all():
            logger.warning("%s is too small in the template for the features' grid and is not found", organ)
    if not np.isfinite(prototypes[1:]).any():
        wanted = ", ".join(config.organs)
        raise UsageError(f"the template {scan.patient} shows none of {wanted} on the features' grid")
    nothing = Calibration(*np.zeros((3, len(prototypes)), np.float32))
    likeness = _Likeness(prototypes, nothing, config.smooth)
    if not config.calibrate:
        return likeness
    fine = np.stack([resize_linear(channel, labels.shape) for channel in likeness.scores(features)])
    return replace(likeness, calibration=calibrate(fine, labels, config.certainty))


def _truth(listed: Listed, organs: Sequence[str]) -> np.ndarray:
    """The template's own labels as 1, 2, ... on its own grid."""
    datalist, scan = listed
    if scan.labels is None:
        raise InputError(f"{scan.image}: has no labels")
    return labels_of(datalist, scan.labels, read_volume(scan.image), [organ_named(o).name for o in organs])


class _Store:
    """Features on disk by encoder and image, so that no volume is encoded twice; `made` and `seconds` of this run."""

    def __init__(self, encoder: FeatureEncoder, cache: Path) -> None:
        self.encoder, self.folder = encoder, cache / "features" / encoder.fingerprint
        self.made, self.seconds = 0, 0.0

    def features_of(self, scan: Scan) -> Features:
        """Of its image, rounded to 16 bits as on disk."""
        path = self.folder / f"{hash_of(scan.image)[:32]}.npy"
        volume = read_volume(scan.image)
        array = _kept(path) if path.exists() else None
        if array is None:
            started = time.perf_counter()
            array = encode(volume, self.encoder).array.astype(np.float16)
            self.seconds += time.perf_counter() - started
            self.made += 1
            make_folder(path.parent)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, array)
        return Features(array.astype(np.float32), prepare(volume, self.encoder.preparation))


def _kept(path: Path) -> np.ndarray | None:
    """The features that were kept, or None where the file is damaged: they are then made again."""
    try:
        array: np.ndarray = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        logger.warning("%s: is damaged (%s); the features are made again", path, error)
        return None
    return array
