"""The first stage of SemiSAM-O1 (paper 002): features of all volumes once, and labels by likeness to one template."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.adaptation.case_lists import case_name, labelmap_of, write_case_lists
from LiverMRISegLib.adaptation.pseudo_labels import RankedCase
from LiverMRISegLib.adaptation.resuming import claim_output
from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.data.pools import Listed, PoolConfig, choose_scans
from LiverMRISegLib.data.prepared import labels_of
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.inference.assembly import labels_on_grid
from LiverMRISegLib.inference.features import FeatureEncoder, Features, encode, load_encoder
from LiverMRISegLib.inference.preparation import prepare
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.models.catalog import DEFAULT_MODEL, load_model
from LiverMRISegLib.training.one_label.prototypes import class_prototypes, nearest_on, similarity
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
WHOLE = "features.npz"


@dataclass(frozen=True)
class FirstLabelsConfig:
    """Config of `scripts/train/first_labels.py`.

    `template`: the patient whose labels are known; labels of others are never read. `encoder`: a package of a STU-Net
    (by default the shipped model's) or of SAM-Med3D, and of a STU-Net the `level` of resolution (0 is the finest).
    `smooth`: likeness is interpolated between the features; the paper repeats the nearest. `cache`: folder of
    features, shared by runs. `output`: gets the label maps, datalist.json, cases.csv, cases.png and features.npz.
    """

    datalists: tuple[Path, ...] = ()
    pool: PoolConfig = field(default_factory=PoolConfig)
    template: str = ""
    organs: tuple[str, ...] = ("liver",)
    encoder: str = DEFAULT_MODEL
    level: int = 3
    smooth: bool = True
    device: str = "cpu"
    cache: Path = Path("runs/cache")
    output: Path = Path("runs/first_labels")


def run(config: FirstLabelsConfig, encoder: FeatureEncoder | None = None) -> list[RankedCase]:
    """Label all scans by the template's prototypes; the cases, all kept, with the liking of their labels as score.

    Args:
        config: of the stage.
        encoder: used instead of `config.encoder`: any callable of that form.

    Raises:
        InputError, UsageError: scans that cannot be used, or no template among them.
        ModelError: no such encoder.
        OutputError: output or cache cannot be written.
    """
    encoder = encoder or load_encoder(load_model(config.encoder), config.device, config.level)
    scans = choose_scans(config.datalists, config.pool, needs_labels=False)
    template = next((listed for listed in scans if listed[1].patient == config.template), None)
    if template is None or template[1].labels is None:
        where = ", ".join(map(str, config.datalists))
        raise UsageError(f"template '{config.template}' is no patient with labels in {where}")
    claim_output(config.output, [encoder.fingerprint, hash_of(template[1].labels), str(config.smooth)])
    started = time.perf_counter()
    found = [_cached(scan, encoder, config.cache) for _, scan in tqdm(scans, "features", disable=None)]
    logger.info("features of %d volumes: %.1f s", len(scans), time.perf_counter() - started)
    prototypes = _prototypes(template, found[scans.index(template)], config.organs)
    cases = []
    for listed, features in zip(scans, found, strict=True):
        scores = similarity(features.array, prototypes)
        labels = _labels(scores, features, smooth=config.smooth)
        truth = labels if listed is not template else _truth(listed, config.organs)
        scan = listed[1]
        write_volume(Volume(truth, read_volume(scan.image).geometry, scan.patient), labelmap_of(scan, config.output))
        cases.append(RankedCase(case_name(scan), float(scores.max(axis=0).mean()), is_kept=True))
    with atomic_path(config.output / WHOLE) as path, path.open("wb") as file:
        wholes: dict[str, Any] = {case_name(scan): f.whole for (_, scan), f in zip(scans, found, strict=True)}
        np.savez(file, **wholes)
    _write(scans, cases, config)
    return cases


def _write(scans: Sequence[Listed], cases: Sequence[RankedCase], config: FirstLabelsConfig) -> None:
    labels = LabelSet.of("one label", [organ_named(organ) for organ in config.organs])
    figures = {case.name: {"likeness": case.score} for case in cases}
    write_case_lists(scans, cases, figures, labels, config.output)


def _prototypes(template: Listed, features: Features, organs: Sequence[str]) -> np.ndarray:
    labels = features.prepared.change.apply(_truth(template, organs))
    prototypes = class_prototypes(features.array, nearest_on(labels, features.array.shape[1:]), len(organs))
    for organ, row in zip(organs, prototypes[1:], strict=True):
        if not np.isfinite(row).all():
            logger.warning("%s is too small in the template for the features' grid and is not found", organ)
    if not np.isfinite(prototypes[1:]).any():
        raise UsageError(f"the template {template[1].patient} shows none of {', '.join(organs)} on the features' grid")
    return prototypes


def _truth(listed: Listed, organs: Sequence[str]) -> np.ndarray:
    """The template's own labels as 1, 2, ... on its own grid."""
    datalist, scan = listed
    if scan.labels is None:
        raise InputError(f"{scan.image}: has no labels")
    return labels_of(datalist, scan.labels, read_volume(scan.image), [organ_named(o).name for o in organs])


def _labels(scores: np.ndarray, features: Features, *, smooth: bool) -> np.ndarray:
    shape = features.prepared.oriented.shape
    if smooth:
        return features.prepared.restore(labels_on_grid(scores, shape))
    return features.prepared.restore(nearest_on(scores.argmax(axis=0).astype(np.uint8), shape))


def _cached(scan: Scan, encoder: FeatureEncoder, cache: Path) -> Features:
    """Features, from disk where the same encoder made them of the same image before."""
    path = cache / "features" / encoder.fingerprint / f"{hash_of(scan.image)[:32]}.npy"
    volume = read_volume(scan.image)
    if path.exists():
        return Features(np.load(path), prepare(volume, encoder.preparation))
    features = encode(volume, encoder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, features.array)
    return features
