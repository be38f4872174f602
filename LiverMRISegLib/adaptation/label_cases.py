"""The stage that labels real MR by the folds' networks and keeps the cases that they agree on (paper 003, eq. 8, 9)."""

from __future__ import annotations

import csv
import io
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.adaptation.pseudo_labels import RankedCase, consistency, keep_best
from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.data.pools import Listed, PoolConfig, choose_scans
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.evaluation.pictures import sheet_png, three_planes_png
from LiverMRISegLib.inference.assembly import labels_on_grid
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import predict_logits
from LiverMRISegLib.inference.preparation import prepare
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_write_bytes, atomic_write_text
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

    Label maps made before are read again, so that a stopped run goes on.

    Raises:
        InputError, UsageError: scans that cannot be used, or fewer than two models.
        ModelError: a model that cannot be used, or models that do not fit together.
        OutputError: the output cannot be written.
    """
    packages = _fitting(config.models)
    engines = [load_engine(package, config.device) for package in packages]
    scans = choose_scans(config.datalists, config.pool, needs_labels=False)
    config.output.mkdir(parents=True, exist_ok=True)
    scores: dict[str, dict[int, float]] = {}
    for listed in tqdm(scans, "volumes", disable=None, dynamic_ncols=True):
        scores[_name(listed)] = _labelled_case(listed[1], packages[0], engines, config.output / _name(listed))
    ranked = _ranked(scans, scores, config.keep)
    labels = packages[0].spec.labels
    write_datalist(_datalist(scans, ranked, labels, config.output), config.output / "datalist.json")
    atomic_write_text(config.output / "cases.csv", _table(ranked, scores, labels))
    atomic_write_bytes(config.output / "cases.png", _sheet(scans, ranked, labels, config.output))
    return ranked


def fold_labels(
    volume: Volume, package: ModelPackage, engines: Sequence[Engine]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Each fold's labels [Z, Y, X] on the network's grid, and those of highest mean probability on the volume's own."""
    spec = package.spec
    classes = int(spec.network.kwargs["out_channels"])
    prepared = prepare(volume, spec.preparation)
    mean = np.zeros((classes, *prepared.image.shape), np.float32)
    votes = []
    for engine in engines:
        logits = predict_logits(prepared.image, engine, classes, spec.inference, progress=silent, cancel=CancelToken())
        votes.append(logits.argmax(0).astype(np.uint8))
        mean += _softmax(logits) / len(engines)
    return votes, prepared.restore(labels_on_grid(mean, prepared.oriented.shape))


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    share: np.ndarray = shifted / shifted.sum(axis=0, keepdims=True)
    return share


def _labelled_case(scan: Scan, package: ModelPackage, engines: Sequence[Engine], stem: Path) -> dict[int, float]:
    """Consistency per class; the label map and this are kept beside each other."""
    path, kept = stem.with_name(f"{stem.name}.nii.gz"), stem.with_name(f"{stem.name}.csv")
    if path.exists() and kept.exists():
        rows = csv.reader(kept.read_text(encoding="utf-8").splitlines())
        return {int(value): float(score) for value, score in rows}
    volume = read_volume(scan.image)
    votes, labelmap = fold_labels(volume, package, engines)
    labels = package.spec.labels
    labelmap = np.where(np.isin(labelmap, list(labels)), labelmap, 0).astype(np.uint8)
    postprocess(labelmap, labels, package.spec.postprocessing, volume.geometry.voxel_volume_ml)
    found = consistency(votes, max(labels))
    write_volume(Volume(labelmap, volume.geometry, scan.patient), path)
    atomic_write_text(kept, "".join(f"{value},{score:.6f}\n" for value, score in found.items()))
    return found


def _fitting(names: Sequence[str]) -> list[ModelPackage]:
    if len(names) < 2:
        raise UsageError("consistency needs the models of at least two folds")
    packages = [load_model(name) for name in names]
    first = packages[0].spec
    for package in packages[1:]:
        if (package.spec.labels, package.spec.preparation) != (first.labels, first.preparation):
            raise ModelError(
                f"{package.path}: has other labels or preparation than {packages[0].path}; take folds of one run"
            )
    return packages


def _name(listed: Listed) -> str:
    return f"{listed[1].patient}_{listed[1].sequence}"


def _ranked(scans: Sequence[Listed], scores: Mapping[str, Mapping[int, float]], keep: int) -> list[RankedCase]:
    """Best first within each sequence; a case in which nothing was found is never kept."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for listed in scans:
        found = scores[_name(listed)]
        groups[listed[1].sequence][_name(listed)] = float(np.mean(list(found.values()))) if found else float("nan")
    return [case for group in groups.values() for case in keep_best(group, keep, highest=True)]


def _datalist(scans: Sequence[Listed], ranked: Sequence[RankedCase], labels: LabelSet, output: Path) -> Datalist:
    kept = {case.name for case in ranked if case.is_kept}
    listed = [
        Scan(
            scan.patient,
            scan.sequence,
            scan.image.absolute(),
            (output / f"{_name((datalist, scan))}.nii.gz").absolute() if _name((datalist, scan)) in kept else None,
            scan.vendor,
            scan.centre,
        )
        for datalist, scan in scans
    ]
    licence = "; ".join(sorted({datalist.licence for datalist, _ in scans}))
    values = {value: organ.name for value, organ in labels.items()}
    return Datalist("pseudo labels", licence, values, listed)


def _table(ranked: Sequence[RankedCase], scores: Mapping[str, Mapping[int, float]], labels: LabelSet) -> str:
    """Every case with its consistency, kept or not, and that of each organ."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "kept", "consistency", *(organ.name for organ in labels.organs)])
    for case in ranked:
        per_organ = [f"{scores[case.name][v]:.4f}" if v in scores[case.name] else "" for v in labels]
        writer.writerow([case.name, "yes" if case.is_kept else "no", f"{case.score:.4f}", *per_organ])
    return text.getvalue()


def _sheet(scans: Sequence[Listed], ranked: Sequence[RankedCase], labels: LabelSet, output: Path) -> bytes:
    """A picture of every case, best first."""
    images = {_name(listed): listed[1].image for listed in scans}
    pictures = []
    for case in ranked:
        labelmap = read_labelmap(output / f"{case.name}.nii.gz").array.astype(np.uint8)
        pictures.append(three_planes_png(read_volume(images[case.name]), labelmap, labels))
    return sheet_png(pictures)
