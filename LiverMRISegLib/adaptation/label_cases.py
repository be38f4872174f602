"""The stage that labels real MR by the folds' networks and keeps the cases that they agree on (paper 003, eq. 8, 9)."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from LiverMRISegLib.adaptation.case_lists import case_name, labelmap_of, rank_by_sequence, write_case_lists
from LiverMRISegLib.adaptation.pseudo_labels import RankedCase, consistency
from LiverMRISegLib.adaptation.resuming import claim_output
from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.data.pools import PoolConfig, choose_scans
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.assembly import labels_on_grid
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.nnunet_preparation import prepare_by_scheme
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import predict_logits
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package import ModelPackage
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelCasesConfig:
    """Config of `scripts/train/pseudo_label.py`.

    `models`: the packages of the folds, of one label set and preparation. `keep`: how many cases of each sequence are
    kept, the most consistent first. `output`: gets the label maps, datalist.json, cases.csv and cases.png.
    """

    models: tuple[str, ...] = ()
    datalists: tuple[Path, ...] = ()
    pool: PoolConfig = field(default_factory=PoolConfig)
    keep: int = 50
    output: Path = Path("runs/pseudo_labels")
    device: str = "auto"


def run(config: LabelCasesConfig) -> list[RankedCase]:
    """Label every scan, rank by consistency within its sequence, write what is kept; all cases from best to worst.

    Label maps made before by the same models are read again, so that a stopped run goes on.

    Raises:
        InputError, UsageError: scans that cannot be used, or fewer than two models.
        ModelError: a model that cannot be used, or models that do not fit together.
        OutputError: the output cannot be written.
    """
    packages = _fitting(config.models)
    engines = [load_engine(package, config.device) for package in packages]
    scans = choose_scans(config.datalists, config.pool, needs_labels=False)
    claim_output(config.output, [package.fingerprint for package in packages])
    labels = packages[0].spec.labels
    figures, scores = {}, {}
    for _, scan in tqdm(scans, "volumes", disable=None, dynamic_ncols=True):
        found = _labelled_case(scan, packages[0], engines, config.output)
        figures[case_name(scan)] = {labels[v].name: found.get(v, float("nan")) for v in labels}
        # A case in which nothing was found is never kept.
        scores[case_name(scan)] = float(np.mean(list(found.values()))) if found else float("nan")
    ranked = rank_by_sequence(scans, scores, config.keep, highest=True)
    write_case_lists(scans, ranked, figures, labels, config.output)
    return ranked


def fold_labels(
    volume: Volume, package: ModelPackage, engines: Sequence[Engine]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Each fold's labels [Z, Y, X] on the network's grid, and those of highest mean probability on the volume's own."""
    spec = package.spec
    classes = int(spec.network.kwargs["out_channels"])
    prepared = prepare_by_scheme(volume, spec.preparation)
    mean = np.zeros((classes, *prepared.image.shape), np.float32)
    votes = []
    for engine in engines:
        logits = predict_logits(prepared.image, engine, classes, spec.inference, progress=silent, cancel=CancelToken())
        votes.append(logits.argmax(0).astype(np.uint8))
        mean += softmax(logits, axis=0) / len(engines)
    return votes, prepared.restore(labels_on_grid(mean, prepared.shape, prepared.nearest_axis))


def _labelled_case(scan: Scan, package: ModelPackage, engines: Sequence[Engine], output: Path) -> dict[int, float]:
    """Consistency per class; the label map and this are kept beside each other."""
    path, kept = labelmap_of(scan, output), output / f"{case_name(scan)}.csv"
    if path.exists() and kept.exists():
        rows = csv.reader(kept.read_text(encoding="utf-8").splitlines())
        return {int(value): float(score) for value, score in rows}
    volume = read_volume(scan.image)
    votes, labelmap = fold_labels(volume, package, engines)
    labels = package.spec.labels
    labelmap = np.where(np.isin(labelmap, list(labels)), labelmap, 0).astype(np.uint8)
    postprocess(labelmap, labels, package.spec.postprocessing, volume.geometry)
    found = consistency(votes, max(labels))
    write_volume(Volume(labelmap, volume.geometry, scan.patient), path)
    atomic_write_text(kept, "".join(f"{value},{score:.6f}\n" for value, score in found.items()))
    return found


def _fitting(names: Sequence[str]) -> list[ModelPackage]:
    if len(names) < 2:
        raise UsageError("consistency needs the models of at least two folds")
    packages = [load_model(name) for name in names]
    first = packages[0].spec
    if first.preparation.channels:
        raise ModelError(f"{packages[0].path}: takes several images a case; cases are labelled by models of one")
    for package in packages[1:]:
        if (package.spec.labels, package.spec.preparation) != (first.labels, first.preparation):
            raise ModelError(
                f"{package.path}: has other labels or preparation than {packages[0].path}; take folds of one run"
            )
    return packages
