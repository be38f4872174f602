"""A model judged as FLARE judges: every case segmented by a process of its own, its time and GPU memory, DSC, NSD."""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE, LabelSet, structure_named
from LiverMRISegLib.data.case_cache import labels_of
from LiverMRISegLib.data.case_selection import Listed, PoolConfig, choose_scans
from LiverMRISegLib.data.datalist import Scan, case_name
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation.cohort import CaseScores, as_csv, reason_of, score_case, summarise
from LiverMRISegLib.evaluation.efficiency import RunCost, gpu_memory_reader, measure_cost, visible_gpu
from LiverMRISegLib.evaluation.groups import grouped_table
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.io.atomic import atomic_write_text, make_folder
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.resources import DEFAULT_MODEL

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChallengeConfig(Checked):
    """Config of `scripts/evaluate_challenge.py`."""

    model: str = DEFAULT_MODEL
    """The model to judge: a name, or the path of a package."""
    datalists: tuple[Path, ...] = ()
    """Datalists of the cases."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Which of their labelled scans are judged."""
    split: Literal["train", "validation", "test"] = "test"
    """Of which split."""
    device: str = "auto"
    """Device that computes: auto, cuda, mps or cpu."""
    gpu: Annotated[int, Limits(0, 1023)] = 0
    """Number of the GPU, of those that this process may use, that computes and whose memory is measured."""
    output: Path = Path("runs/evaluation")
    """Folder for the label maps, scores.csv, efficiency.csv, summary.csv and groups.csv, which grow with every case."""
    seen_vendors: tuple[str, ...] = ()
    """Vendors whose volumes the model was trained on, as in the datalist; groups.csv then tells cases in distribution
    from those out of it."""


@dataclass(frozen=True)
class JudgedCase:
    """Agreement and cost of one case."""

    case: CaseScores
    cost: RunCost
    scan: Scan


def run(config: ChallengeConfig) -> list[JudgedCase]:
    """Judge every case, one after another; one that fails keeps its error and the others go on.

    What was judged is judged again by another run: its time has to be measured in one piece.

    Raises:
        InputError, UsageError: a datalist that cannot be used, no labelled scan, or a GPU that is not there.
        ModelError: no such model.
        OutputError: the output cannot be written.
    """
    labels = load_model(config.model).spec.labels
    scans = choose_scans(config.datalists, config.pool, needs_labels=True, splits=[config.split])
    make_folder(config.output)
    if config.device.startswith("cuda:"):
        raise UsageError(f"device '{config.device}': give cuda, and the number as gpu")
    gpu = visible_gpu(config.gpu) if config.device != "cpu" else ""
    read_mb = gpu_memory_reader(gpu) if gpu else None
    # CUDA numbers GPUs by their speed otherwise, NVML by their place: another one would be polled.
    only = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu} if read_mb else {}
    named = zip(_names([scan for _, scan in scans]), scans, strict=True)
    shown = tqdm(named, "volumes", total=len(scans), dynamic_ncols=True)
    judged: list[JudgedCase] = []
    for name, listed in shown:
        judged.append(_judge(name, listed, labels, config, lambda words: measure_cost(words, read_mb, only)))
        pairs = [(each.scan, each.case) for each in judged]
        atomic_write_text(config.output / "scores.csv", as_csv([each.case for each in judged]))
        atomic_write_text(config.output / "groups.csv", grouped_table(pairs, config.seen_vendors))
        atomic_write_text(config.output / "efficiency.csv", _costs(judged))
        atomic_write_text(config.output / "summary.csv", summary(judged))
    return judged


def summary(judged: Sequence[JudgedCase]) -> str:
    """Mean DSC and NSD per organ, their means, mean seconds and mean memory-time area, as CSV.

    A case that failed has neither scores nor cost; the last line says how many failed.
    """
    rows = [[s.organ, f"{s.dsc_mean:.4f}", f"{s.nsd_mean:.4f}"] for s in summarise([each.case for each in judged])]
    if rows:
        rows.append(["mean", *(f"{statistics.mean(float(row[n]) for row in rows):.4f}" for n in (1, 2))])
    done = [each.cost for each in judged if not each.case.error]
    areas = [cost.area_mb for cost in done if cost.area_mb is not None]
    area = f"{statistics.mean(areas):.0f}" if areas else "not measured"
    seconds = f"{statistics.mean(cost.seconds for cost in done):.2f}" if done else "not measured"
    rows.append(["seconds per case", seconds, ""])
    rows.append(["GPU memory-time area per case, MB", area, ""])
    rows.append(["failed cases", str(sum(bool(each.case.error) for each in judged)), ""])
    return csv_table(["organ", "DSC", "NSD"], rows)


def _names(scans: Sequence[Scan]) -> list[str]:
    """Patient and sequence of each; where several datalists use one, the later ones are numbered."""
    names: list[str] = []
    for scan in scans:
        first = name = case_name(scan)
        number = 1
        while name in names:
            number += 1
            name = f"{first}_{number}"
        names.append(name)
    return names


def _judge(
    name: str, listed: Listed, labels: LabelSet, config: ChallengeConfig, measured: Callable[[list[str]], RunCost]
) -> JudgedCase:
    scan = listed[1]
    made = config.output / f"{name}.nii.gz"
    made.unlink(missing_ok=True)
    words = [sys.executable, "-m", "LiverMRISegLib", "segment", str(scan.image.absolute()), "-o", str(made.absolute())]
    cost = measured([*words, "--model", config.model, "--device", config.device])
    if cost.status:
        last = cost.messages.strip().splitlines()[-1:] or ["no message"]
        return JudgedCase(CaseScores(name, error=f"{scan.image.name}: {last[0]}"), cost, scan)
    try:
        return JudgedCase(_scored(name, listed, made, labels), cost, scan)
    except Exception as error:  # of any library; the other cases may still succeed
        logger.info("%s failed", name, exc_info=True)
        return JudgedCase(CaseScores(name, error=reason_of(error)), cost, scan)


def _scored(name: str, listed: Listed, made: Path, labels: LabelSet) -> CaseScores:
    """The scores of the label map `made`; several values may be one organ, and where nobody knows, nothing counts."""
    datalist, scan = listed
    if scan.labels is None:
        raise UsageError(f"{scan.image}: has no labels")
    prediction = read_labelmap(made)
    meant = [structure_named(organ, value) for value, organ in sorted(datalist.values.items())]
    meaning = LabelSet.of(datalist.name, dict.fromkeys(meant))
    truth = labels_of(datalist, scan.labels, prediction, [organ.name for organ in meaning.organs])
    known = truth != IGNORE
    made_known, reference = (replace(prediction, array=np.where(known, a, 0)) for a in (prediction.array, truth))
    return score_case(name, made_known, reference, labels, meaning, flare_parity=True)


def _costs(judged: Sequence[JudgedCase]) -> str:
    rows = []
    for each in judged:
        memory = [f"{value:.0f}" if value is not None else "" for value in (each.cost.area_mb, each.cost.peak_mb)]
        rows.append([each.case.name, f"{each.cost.seconds:.2f}", *memory])
    return csv_table(["case", "seconds", "area MB", "peak MB"], rows)
