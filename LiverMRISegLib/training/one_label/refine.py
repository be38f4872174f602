"""The refinement between two rounds of SemiSAM-O1 (paper 002): new labels, and a vote where the network is unsure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import entr, softmax
from tqdm import tqdm

from LiverMRISegLib.adaptation.case_lists import case_name, labelmap_of, write_case_lists
from LiverMRISegLib.adaptation.domain_matching import register_affine, warp_labels
from LiverMRISegLib.adaptation.pseudo_labels import RankedCase
from LiverMRISegLib.adaptation.resuming import claim_output
from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.inference.assembly import labels_on_grid
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.interpolation import resize_linear
from LiverMRISegLib.inference.prediction import predict_logits
from LiverMRISegLib.inference.preparation import prepare
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package import ModelPackage
from LiverMRISegLib.training.one_label.neighbours import nearest_certain, refined, uncertain_cases, vote
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
MODES = ("case", "voxel", "none")


@dataclass(frozen=True)
class RefineConfig:
    """How uncertain labels are mended.

    `mode`: "case" replaces the labels of the cases whose mean entropy is above the `quantile` (the authors' code),
    "voxel" only their voxels above that quantile of the case's own entropy, in every case (the paper's text), "none"
    leaves them. `neighbours`: how many of the most similar confident cases vote. `register`: warp their labels to the
    case by an affine registration first (ours); otherwise they are stretched to its grid.
    """

    mode: str = "case"
    neighbours: int = 5
    quantile: float = 0.9
    register: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"unknown refinement '{self.mode}'; known are: {', '.join(MODES)}")
        if not 0 < self.quantile < 1 or self.neighbours < 1:
            raise UsageError(f"quantile must lie between 0 and 1 and neighbours be positive, not {self}")


@dataclass(frozen=True)
class Predicted:
    """What a network says of a case, on the volume's own grid: `labels` uint8, `entropy` float32 [Z, Y, X]."""

    labels: np.ndarray
    entropy: np.ndarray


def refine(
    model: Path, before: Path, template: str, whole: Mapping[str, np.ndarray], config: RefineConfig, output: Path,
    device: str = "auto",
) -> float:  # fmt: skip
    """Label the scans of datalist `before` by `model`, mend what is uncertain, write the next datalist to `output`.

    Args:
        model: the package that a round trained.
        before: the datalist of the round before.
        template: the patient whose labels are true and stay.
        whole: the feature of every case as a whole, by `case_name`.
        config: the refinement.
        output: gets label maps, datalist.json, cases.csv, cases.png.
        device: of the network.

    Returns:
        The share of the foreground that changed against `before` (either's foreground), averaged over the cases.

    Raises:
        InputError: a case without feature.
    """
    listed = read_datalist(before)
    scans = sorted(listed.scans, key=lambda scan: scan.patient != template)
    missing = [case_name(scan) for scan in scans if case_name(scan) not in whole]
    if missing:
        raise InputError(f"{before}: no features of {missing[0]}; make the first labels of these scans")
    package = load_model(str(model))
    claim_output(output, [package.fingerprint, str(config)])
    organs = [organ.name for organ in package.spec.labels.organs]
    engine = load_engine(package, device)
    found = [_predict(scan, package, engine) for scan in tqdm(scans, "volumes", disable=None, dynamic_ncols=True)]
    if scans[0].labels is None:
        raise UsageError(f"{before}: the template {template} has no labels")
    found[0] = Predicted(read_labelmap(scans[0].labels).array.astype(np.uint8), np.zeros_like(found[0].entropy))
    mended = _mended(scans, found, np.stack([whole[case_name(scan)] for scan in scans]), config, len(organs))
    return _write(scans, found, mended, LabelSet.of(listed.name, [organ_named(o) for o in organs]), listed, output)


def _predict(scan: Scan, package: ModelPackage, engine: Engine) -> Predicted:
    spec = package.spec
    prepared = prepare(read_volume(scan.image), spec.preparation)
    classes = int(spec.network.kwargs["out_channels"])
    logits = predict_logits(prepared.image, engine, classes, spec.inference, progress=silent, cancel=CancelToken())
    entropy = entr(softmax(logits, axis=0)).sum(axis=0)
    shape = prepared.oriented.shape
    fine = prepared.change.inverse.apply(resize_linear(entropy, shape))
    return Predicted(prepared.restore(labels_on_grid(logits, shape)), np.ascontiguousarray(fine))


def _mended(
    scans: Sequence[Scan], found: Sequence[Predicted], whole: np.ndarray, config: RefineConfig, classes: int
) -> list[np.ndarray]:
    labels = [each.labels for each in found]
    uncertain, threshold = uncertain_cases(np.array([each.entropy.mean() for each in found]), 1, config.quantile)
    if config.mode == "none" or (~uncertain).sum() < config.neighbours:
        return labels
    logger.info("%d uncertain cases, mean entropy from %.4f on", int(uncertain.sum()), threshold)
    chosen: list[int] = np.flatnonzero(uncertain).tolist() if config.mode == "case" else list(range(1, len(scans)))
    mended = list(labels)
    for case in chosen:
        near, weights = nearest_certain(whole, case, uncertain, config.neighbours)
        theirs = [_brought(scans[n], labels[n], scans[case], register=config.register) for n in near]
        voted = vote(theirs, weights, labels[case].shape, classes)
        keeps = config.mode == "voxel"
        mended[case] = refined(labels[case], voted, found[case].entropy, config.quantile) if keeps else voted
    return mended


def _brought(scan: Scan, labels: np.ndarray, target: Scan, *, register: bool) -> np.ndarray:
    """The labels of `scan` on the grid of `target`, if they are to be registered."""
    if not register:
        return labels
    moving, fixed = read_volume(scan.image), read_volume(target.image)
    labelmap = Volume(labels, moving.geometry, scan.patient)
    warped: np.ndarray = warp_labels(labelmap, register_affine(moving, fixed), fixed).array.astype(np.uint8)
    return warped


def _write(
    scans: Sequence[Scan], found: Sequence[Predicted], mended: Sequence[np.ndarray], labels: LabelSet, listed: Datalist,
    output: Path,
) -> float:  # fmt: skip
    ranked, figures, changes = [], {}, []
    for scan, predicted, labelmap in zip(scans, found, mended, strict=True):
        geometry, name = read_volume(scan.image).geometry, case_name(scan)
        before = read_labelmap(scan.labels).array if scan.labels else np.zeros_like(labelmap)
        foreground = int(((labelmap > 0) | (before > 0)).sum())
        changed = float((labelmap != before).sum()) / foreground if foreground else 0.0
        write_volume(Volume(labelmap, geometry, scan.patient), labelmap_of(scan, output))
        entropy = float(predicted.entropy.mean())
        figures[name] = {"mean entropy": entropy, "changed": changed}
        ranked.append(RankedCase(name, entropy, is_kept=True))
        changes.append(changed)
    ranked.sort(key=lambda case: case.score)
    write_case_lists([(listed, scan) for scan in scans], ranked, figures, labels, output)
    return float(np.mean(changes[1:])) if len(changes) > 1 else 0.0
