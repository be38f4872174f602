"""The stage that labels real MR by the folds' networks and keeps the cases that they agree on (paper 003, eq. 8, 9).

Ours in addition: one network may vote several times, of the same image at several gammas, so that a single model can
teach itself; and voxels that the votes are not sure of can be left open.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.case_selection import PoolConfig, choose_scans
from LiverMRISegLib.data.datalist import Scan, case_name
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import as_probabilities, labels_by, prepared_by, restored, score_slabs
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.limits import Count, Limits
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.codec import to_json
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.preparation.intensity import with_gamma
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output, files_of, keep_rows, kept_rows
from LiverMRISegLib.pseudo_labels.outputs import (
    check_case_names,
    labelmap_of,
    rank_by_sequence,
    write_case_lists,
)
from LiverMRISegLib.pseudo_labels.ranking import RankedCase, case_scores, consistency
from LiverMRISegLib.training.preview_volumes import previewed_of, say_cost, timed
from LiverMRISegLib.volume import Box, Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PseudoLabelConfig(Checked):
    """Config of `scripts/train/pseudo_label.py`."""

    models: tuple[str, ...] = ()
    """The packages of the folds, of one label set and preparation."""
    datalists: tuple[Path, ...] = ()
    """Datalists of the volumes to label."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Which of their scans are labelled."""
    gammas: tuple[Annotated[float, Limits(above=0, most=100)], ...] = (1.0,)
    """Every model labels each image at these gammas (1 is the image itself), each a vote."""
    certainty: Annotated[float, Limits(least=0, below=1)] = 0.0
    """Voxels where no class, background included, has this mean probability are left open ("ignore" of the datalist);
    0 leaves none open."""
    keep: Count = 50
    """How many cases of each sequence are kept, the most consistent first."""
    output: Path = Path("runs/pseudo_labels")
    """Folder for the label maps, datalist.json, cases.csv and cases.png."""
    device: str = "auto"
    """Device that computes: auto, cuda, mps or cpu."""
    preview: bool = False
    """Whether only to label a few volumes, in `output`/preview, and to say by them what all will cost (hours, disk,
    memory); an error if memory or disk will not do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gammas:
            raise UsageError("gammas must have at least one number; 1 is the image itself")

    @property
    def written(self) -> Path:
        """The folder that the files are in: `output`, or of a preview a folder in it."""
        return self.output / "preview" if self.preview else self.output


def run(config: PseudoLabelConfig) -> list[RankedCase]:
    """Label every scan, rank by consistency within its sequence, write what is kept; all cases, the best first.

    Label maps made before by the same models of the same images are read again, so that a stopped run continues.

    Raises:
        InputError, UsageError: scans that cannot be used, or fewer than two votes.
        ModelError: a model that cannot be used, or models that do not belong together.
        OutputError: the output cannot be written.
    """
    packages = _fitting(config.models, config.gammas)
    folds = [Segmenter(package, load_engine(package, config.device)) for package in packages]
    scans = choose_scans(config.datalists, config.pool, needs_labels=False)
    check_case_names([scan for _, scan in scans])
    count, seconds = len(scans), list[float]()
    settings = [f"gammas {config.gammas}, certainty {config.certainty}"]
    if config.preview:
        scans, config = previewed_of(scans), replace(config, output=config.written)
        settings.append(f"preview {time.time_ns()}")  # what was made before is made again, and timed
    # Labels depend on what model.json says as well, not on the weights alone.
    models = [hashlib.sha256(to_json(package.spec, package.hashes).encode()).hexdigest() for package in packages]
    sources = [*config.datalists, *files_of(scan for _, scan in scans)]
    with claimed_output(config.output, [*models, *settings], sources):
        labels = packages[0].spec.labels
        figures: dict[str, dict[str, float]] = {}
        consistencies: dict[str, dict[str, dict[int, float]]] = defaultdict(dict)
        unusable = UnusableVolumes()
        for _, scan in timed(tqdm(scans, "volumes", disable=None, dynamic_ncols=True), seconds):
            with unusable.noted():
                found = _labelled_case(scan, folds, config)
                figures[case_name(scan)] = {labels[v].name: found.get(v, float("nan")) for v in labels}
                consistencies[scan.sequence][case_name(scan)] = found
        unusable.raise_any(len(scans))
        scores = {name: score for cases in consistencies.values() for name, score in case_scores(cases).items()}
        ranked = rank_by_sequence(scans, scores, config.keep, highest=True)
        write_case_lists(scans, ranked, figures, labels, config.output, IGNORE if config.certainty else 0)
        if config.preview:
            say_cost(count, seconds, config.output)
        return ranked


def fold_labels(
    volume: Volume, folds: Sequence[Segmenter], gammas: Sequence[float] = (1.0,), certainty: float = 0.0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Labels by several folds, of the image at several gammas; prepared and tiled as the first fold's package says.

    A single vote gives exactly the labels that the model gives when it segments.

    Returns:
        Each vote's labels [Z, Y, X] on the network's grid, and those of highest mean probability on the volume's own;
        IGNORE where that is below `certainty`.
    """
    spec = folds[0].package.spec
    prepared = prepared_by(spec, volume)
    votes: list[np.ndarray] = []

    def scores(region: Box | None) -> list[np.ndarray]:
        """The mean of the votes, plus a class with the probability `certainty`: where it wins, no class is certain."""
        votes.clear()
        total: np.ndarray | float = 0.0
        are_logits = certainty == 0 and len(folds) * len(gammas) == 1
        for gamma in gammas:
            image = prepared if gamma == 1 else prepared_by(spec, with_gamma(volume, gamma))
            for fold in folds:
                found = np.concatenate(list(score_slabs(image, spec, fold.engine, region=region)), axis=1)
                votes.append(found.argmax(0).astype(np.uint8))
                total = total + (found if are_logits else as_probabilities(found, spec.inference))
        mean = np.asarray(total, np.float32) / len(votes)
        return [np.concatenate([mean, np.full_like(mean[:1], certainty)])] if certainty else [mean]

    region = folds[0].region(volume, prepared)
    found = labels_by(scores, prepared, spec, region, volume.name)
    classes = int(spec.network.kwargs["out_channels"])
    labels = np.where(found.channels == classes, IGNORE, found.channels).astype(np.uint8)
    return votes, restored(labels, prepared, [*spec.labels, IGNORE])


def _labelled_case(scan: Scan, folds: Sequence[Segmenter], config: PseudoLabelConfig) -> dict[int, float]:
    """Consistency per class; it is written next to the label map."""
    output = config.output
    path, kept = labelmap_of(scan, output), output / f"{case_name(scan)}.csv"
    image = hash_of(scan.image)
    rows = kept_rows(kept, image)
    if path.exists() and rows is not None:
        return {int(value): float(score) for value, score in rows}
    volume = read_volume(scan.image)
    votes, labelmap = fold_labels(volume, folds, config.gammas, config.certainty)
    spec = folds[0].package.spec
    sure = labelmap > 0
    postprocess(labelmap, spec.labels, spec.postprocessing, volume.geometry)
    if config.certainty:
        # Nobody is sure that a part of an organ that unsure voxels cut off is background.
        labelmap[sure & (labelmap == 0)] = IGNORE
    # What the network was trained on, but does not offer, is no label and says nothing of those that are.
    found = {value: score for value, score in consistency(votes, max(spec.labels)).items() if value in spec.labels}
    write_volume(Volume(labelmap, volume.geometry, scan.patient), path)
    keep_rows(kept, image, [(str(value), f"{score:.6f}") for value, score in found.items()])
    return found


def _fitting(names: Sequence[str], gammas: Sequence[float]) -> list[ModelPackage]:
    if not names or len(names) * len(gammas) < 2:
        raise UsageError("consistency needs the models of at least two folds, or one model and several gammas")
    packages = [load_model(name) for name in names]
    first = packages[0].spec
    if first.preparation.channels:
        raise ModelError(f"{packages[0].path}: takes several images a case; cases are labelled by models of one")
    if first.preparation.scheme == "nnunet" and tuple(gammas) != (1.0,):
        raise ModelError(
            f"{packages[0].path}: crops to what is not 0, which differs between gammas; take several folds"
        )
    for package in packages[1:]:
        if (package.spec.labels, package.spec.preparation) != (first.labels, first.preparation):
            raise ModelError(
                f"{package.path}: has other labels or preparation than {packages[0].path}; take folds of one run"
            )
    if len({package.fingerprint for package in packages}) < len(packages):
        raise UsageError("models has the same one twice, which always agrees with itself; name each fold once")
    return packages
