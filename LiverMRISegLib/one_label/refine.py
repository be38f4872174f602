"""The refinement between two rounds of SemiSAM-O1 (paper 002): new labels, and a vote where the network is unsure."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from scipy.special import entr
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE, LabelSet, organ_named
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, read_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import as_probabilities, labels_by, prepared_by, restored, score_slabs
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_path, make_folder
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.one_label.prototypes import nearest_on
from LiverMRISegLib.preparation.interpolation import resize_linear
from LiverMRISegLib.preparation.scheme import AnyPrepared
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output
from LiverMRISegLib.pseudo_labels.outputs import labelmap_of, organ_figures, write_case_lists
from LiverMRISegLib.pseudo_labels.ranking import RankedCase
from LiverMRISegLib.pseudo_labels.registration import register_affine, warp_labels
from LiverMRISegLib.volume import AxisChange, Box, Geometry, Volume

logger = logging.getLogger(__name__)
_OWN = "predicted"


@dataclass(frozen=True)
class RefineConfig(Checked):
    """How uncertain labels are mended between two rounds."""

    mode: Literal["ignore", "case", "voxel", "none"] = "ignore"
    """case: replace the labels of the most uncertain cases (the authors' code); voxel: only the most uncertain voxels,
    in every case (the paper's text); ignore: leave those voxels open (ours); none: keep all labels."""
    neighbours: Annotated[int, Limits(1, 1000)] = 5
    """How many of the most similar certain cases vote."""
    quantile: Annotated[float, Limits(above=0, below=1)] = 0.9
    """Quantile of the entropy above which a case, or a voxel, is uncertain."""
    register: bool = False
    """Warp the voters' labels to the case by an affine registration first (ours); else they are stretched to it."""


@dataclass(frozen=True)
class Predicted:
    """What a network says of a case, in files: a cohort would not fit into memory.

    `labels` on the volume's grid, which is `geometry`; `entropy` (.npy, float16) on the network's, of this `mean`;
    `prepared`: the way back from there, without the image.
    """

    labels: Path
    entropy: Path
    mean: float
    prepared: AnyPrepared
    geometry: Geometry

    def read_labels(self) -> np.ndarray:
        """uint8 [Z, Y, X]."""
        return read_labelmap(self.labels).array.astype(np.uint8)

    def fine_entropy(self) -> np.ndarray:
        """float32 [Z, Y, X] on the volume's grid."""
        return self.prepared.restore(resize_linear(np.load(self.entropy).astype(np.float32), self.prepared.shape))


def refine(
    model: Path, before: Path, whole: Mapping[str, np.ndarray], config: RefineConfig, output: Path,
    device: str,
) -> float:  # fmt: skip
    """Label the scans of datalist `before` by `model`, mend what is uncertain, write the next datalist to `output`.

    Args:
        model: the package that a round trained.
        before: the datalist of the round before; the labels of its first scan, the template, are true and stay.
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
    scans = list(listed.scans)
    missing = [case_name(scan) for scan in scans if case_name(scan) not in whole]
    if missing:
        raise InputError(f"{before}: no features of {missing[0]}; make the first labels of these scans")
    package = load_model(str(model))
    with claimed_output(output, [package.fingerprint, str(config)]):
        organs = [organ.name for organ in package.spec.labels.organs]
        segmenter = Segmenter(package, load_engine(package, device))
        if scans[0].labels is None:
            raise UsageError(f"{before}: the first scan, the template, has no labels")
        make_folder(output / _OWN)
        found = [
            _predict(scan, segmenter, labelmap_of(scan, output / _OWN))
            for scan in tqdm(scans, "volumes", disable=None, dynamic_ncols=True)
        ]
        found[0] = replace(found[0], labels=scans[0].labels, mean=0.0)
        vectors = np.stack([whole[case_name(scan)] for scan in scans])
        mend = Mending(scans, found, vectors, config, len(organs))
        return _write(mend, LabelSet.of(listed.name, [organ_named(o) for o in organs]), listed, output)


def _predict(scan: Scan, segmenter: Segmenter, path: Path) -> Predicted:
    """Labels as the segmenter gives them, written to `path`, and beside it where the network is unsure."""
    spec, volume = segmenter.package.spec, read_volume(scan.image)
    prepared = prepared_by(spec, volume)
    entropy: list[np.ndarray] = []

    def scores(region: Box | None) -> Iterator[np.ndarray]:
        """The scores of the network; their entropy is noted on the way."""
        entropy.clear()
        for slab in score_slabs(prepared, spec, segmenter.engine, region=region):
            entropy.append(entr(as_probabilities(slab, spec.inference)).sum(axis=0).astype(np.float16))
            yield slab

    found = labels_by(scores, prepared, spec, segmenter.region(volume, prepared), volume.name)
    labelmap = restored(found.channels, prepared, spec.labels)
    postprocess(labelmap, spec.labels, spec.postprocessing, volume.geometry)
    write_volume(Volume(labelmap, volume.geometry, scan.patient), path)
    unsure, file = np.concatenate(entropy), path.with_name(f"{case_name(scan)}.npy")
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, unsure)
    way_back = replace(prepared, image=np.zeros((0, 0, 0), np.float32))
    return Predicted(path, file, float(unsure.mean(dtype=np.float64)), way_back, volume.geometry)


class Mending:
    """Gives the mended labels of one case after another; who votes is read from disk."""

    def __init__(
        self, scans: Sequence[Scan], found: Sequence[Predicted], whole: np.ndarray, config: RefineConfig, classes: int
    ) -> None:
        self.scans, self.found, self.whole, self.config, self.classes = scans, found, whole, config, classes
        self.uncertain, threshold = uncertain_cases(np.array([p.mean for p in found]), 1, config.quantile)
        enough = (~self.uncertain).sum() >= config.neighbours
        chosen = {"case": np.flatnonzero(self.uncertain), "voxel": np.arange(1, len(scans))}
        self.voted = set(chosen[config.mode].tolist()) if enough and config.mode in chosen else set()
        logger.info("%d uncertain cases, of a mean entropy of %.4f or more", int(self.uncertain.sum()), threshold)
        if config.mode in chosen and not enough:
            logger.warning(
                "no labels are mended: %d certain cases are fewer than the %d that are to vote (refinement.neighbours)",
                int((~self.uncertain).sum()),
                config.neighbours,
            )

    def mended_labels(self, case: int) -> np.ndarray:
        """uint8 [Z, Y, X]."""
        own = self.found[case].read_labels()
        if self.config.mode == "ignore" and case:
            return replaced_where_unsure(
                own, np.full_like(own, IGNORE), self.found[case].fine_entropy(), self.config.quantile
            )
        if case not in self.voted:
            return own
        voters = list(self._voters(case))
        if not voters:
            return own
        theirs, weights = zip(*voters, strict=True)
        voted = vote(theirs, weights, own.shape, self.classes)
        if self.config.mode == "case":
            return voted
        return replaced_where_unsure(own, voted, self.found[case].fine_entropy(), self.config.quantile)

    def _voters(self, case: int) -> Iterator[tuple[np.ndarray, float]]:
        """The labels of the case's neighbours, brought to it, and their weights; who cannot be registered is silent."""
        near, weights = nearest_certain(self.whole, case, self.uncertain, self.config.neighbours)
        for neighbour, weight in zip(near.tolist(), weights.tolist(), strict=True):
            try:
                yield self._brought(neighbour, case), weight
            except InputError as error:
                names = (case_name(self.scans[number]) for number in (neighbour, case))
                logger.warning("%s does not vote on %s: %s", *names, error)

    def _brought(self, neighbour: int, case: int) -> np.ndarray:
        """A neighbour's labels in the case's orientation, or registered on its grid."""
        labels, (own, target) = self.found[neighbour].read_labels(), (self.found[n].geometry for n in (neighbour, case))
        if not self.config.register:
            return AxisChange.between(own.orientation, target.orientation).apply(labels)
        moving, fixed = (read_volume(self.scans[n].image) for n in (neighbour, case))
        labelmap = Volume(labels, own, moving.name)
        warped: np.ndarray = warp_labels(labelmap, register_affine(moving, fixed), fixed).array.astype(np.uint8)
        return warped


def changed_share(labelmap: np.ndarray, before: np.ndarray) -> float:
    """The share of the organs of either that the other does not have: it has another, none, or leaves it open."""
    organs = ((labelmap > 0) & (labelmap != IGNORE)) | ((before > 0) & (before != IGNORE))
    foreground = int(organs.sum())
    return float((organs & (labelmap != before)).sum()) / foreground if foreground else 0.0


def _write(mend: Mending, labels: LabelSet, listed: Datalist, output: Path) -> float:
    """The next datalist and what shows it; the mean share of the foreground that changed."""
    ranked, figures, changes = [], {}, []
    for case, (scan, predicted) in enumerate(zip(mend.scans, mend.found, strict=True)):
        labelmap, name = mend.mended_labels(case), case_name(scan)
        before = read_labelmap(scan.labels).array if scan.labels else np.zeros_like(labelmap)
        changed = changed_share(labelmap, before)
        geometry = read_volume(scan.image).geometry
        write_volume(Volume(labelmap, geometry, scan.patient), labelmap_of(scan, output))
        volumes = organ_figures(labelmap, labels, geometry)
        figures[name] = {"mean entropy": predicted.mean, "changed": changed, **volumes}
        ranked.append(RankedCase(name, predicted.mean, is_kept=True))
        changes.append(changed)
    shutil.rmtree(output / _OWN)
    ranked.sort(key=lambda each: each.score)
    write_case_lists([(listed, scan) for scan in mend.scans], ranked, figures, labels, output, IGNORE)
    return float(np.mean(changes[1:])) if len(changes) > 1 else 0.0


def uncertain_cases(uncertainty: np.ndarray, labelled: int, quantile: float) -> tuple[np.ndarray, float]:
    """Which cases are uncertain (bool [N]), and the threshold: the quantile over the unlabelled ones.

    The first `labelled` cases are certain whatever their figure.
    """
    threshold = float(np.quantile(uncertainty[labelled:], quantile))
    found = uncertainty >= threshold
    found[:labelled] = False
    return found, threshold


def nearest_certain(whole: np.ndarray, case: int, uncertain: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` certain cases most like `case`, and their weights: cosines of `whole` [N, C], none below 0."""
    cosines = whole @ whole[case]
    candidates = np.flatnonzero(~uncertain & (np.arange(len(whole)) != case))
    best = candidates[np.argsort(-cosines[candidates], kind="stable")][:count]
    return best, np.clip(cosines[best], 0, None)


def vote(labels: Sequence[np.ndarray], weights: Sequence[float], shape: tuple[int, ...], classes: int) -> np.ndarray:
    """The class with most weight at every voxel, uint8 of `shape`; label maps of other shapes are stretched to it."""
    totals = np.zeros((classes + 1, *shape), np.float32)
    for labelmap, weight in zip(labels, weights, strict=True):
        fitted = labelmap if labelmap.shape == shape else nearest_on(labelmap, shape)
        for value in range(classes + 1):
            totals[value] += weight * (fitted == value)
    return totals.argmax(axis=0).astype(np.uint8)


def replaced_where_unsure(own: np.ndarray, voted: np.ndarray, entropy: np.ndarray, quantile: float) -> np.ndarray:
    """`own` with `voted` in its place where `entropy` [Z, Y, X] is above its quantile (the paper's text)."""
    chosen: np.ndarray = np.where(entropy > np.quantile(entropy, quantile), voted, own).astype(np.uint8)
    return chosen
