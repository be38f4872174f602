"""Two folders of label maps compared case by case, with a failure kept to its own case, and the table of it all."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from LiverMRISegLib.anatomy import LABEL_SETS, LabelSet, organ_named
from LiverMRISegLib.errors import InputError, LiverMRISegError, UsageError
from LiverMRISegLib.evaluation.metrics import OrganScores, evaluate_case, wrong_side_shares
from LiverMRISegLib.evaluation.pair import read_pair
from LiverMRISegLib.io.channels import FIRST_IMAGE
from LiverMRISegLib.io.dicom.elements import is_dicom_file
from LiverMRISegLib.io.dicom.folders import is_dicom_seg
from LiverMRISegLib.io.file_names import LABELMAP_ENDINGS, resolved
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.io.tables import csv_table, markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
METRICS = ("dsc", "nsd", "hd", "hd95", "hd95_pooled", "predicted_ml", "reference_ml")
_DICOM = ".dcm"
_SUFFIXES = ("_seg", "_label", "_segmentation", "")
# The share of an organ called the other side's from which on the sides must be swapped, not an outline wrong.
_SWAPPED = 0.5


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case, or why there are none; `wrong_side` as `metrics.wrong_side_shares`."""

    name: str
    scores: tuple[OrganScores, ...] = ()
    error: str = ""
    wrong_side: Mapping[str, float] = field(default_factory=dict)


def labels_named(name: str) -> LabelSet:
    """The label set that a name of `anatomy.LABEL_SETS`, a JSON file {"1": "liver"} or a model package means."""
    for known, labels in LABEL_SETS.items():
        if name.lower() == known.lower():
            return labels
    path = Path(name)
    if path.suffix.lower() != ".json":
        return load_model(name).spec.labels
    try:
        document = parse_json(path.read_bytes())
        return LabelSet(path.stem, {int(value): organ_named(organ) for value, organ in document.items()})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f'{path}: is not a label file such as {{"1": "liver", "2": "spleen"}} ({error})') from error


def pair_cases(predictions: Path, references: Path) -> list[tuple[str, Path | None, Path]]:
    """(name, prediction or None, reference) for every reference, by name; NAME_seg.* or NAME.* fits NAME(_label).*.

    So does NAME_0000_seg.*: nnU-Net calls the image NAME_0000 whose label map it calls NAME. Where a folder has NAME.*
    beside NAME_label.*, the first is the image and is ignored.

    Raises:
        UsageError: the two are one folder.
        InputError: a folder is missing or contains no label map, or two label maps have the same name.
    """
    predicted, referred = _by_name(predictions), _by_name(references)
    if resolved(predictions) == resolved(references):
        raise UsageError(f"{references}: is the folder of the predictions too; give the references that are compared")
    return [(name, predicted.get(name, predicted.get(name + FIRST_IMAGE)), path) for name, path in referred.items()]


def evaluate_cohort(
    predictions: Path, references: Path, predicted_labels: LabelSet, reference_labels: LabelSet
) -> Iterator[CaseScores]:
    """The scores of every case, in order; what is wrong with a case is reported in its place.

    The label sets say what values mean in files that do not name their segments (`read_pair`).
    """
    pairs = pair_cases(predictions, references)
    spare = sorted(set(_by_name(predictions).values()) - {predicted for _, predicted, _ in pairs})
    if spare:
        others = f" and {len(spare) - 1} more" if len(spare) > 1 else ""
        logger.warning("%s%s: no reference has this name; ignored", spare[0], others)
    for name, predicted, referred in pairs:
        if predicted is None:
            yield CaseScores(name, error=f"{referred}: there is no prediction of this name in {predictions}")
            continue
        try:
            yield score_case(name, *read_pair(predicted, referred, predicted_labels, reference_labels))
        except Exception as error:  # of any library; the other cases may still succeed
            logger.info("%s failed", name, exc_info=True)
            yield CaseScores(name, error=reason_of(error))


def reason_of(error: Exception) -> str:
    """Why a case has no scores, in one line."""
    return str(error) if isinstance(error, LiverMRISegError) else f"{type(error).__name__}: {error}"


def score_case(
    name: str,
    prediction: Volume,
    reference: Volume,
    predicted_labels: LabelSet,
    reference_labels: LabelSet,
    *,
    flare_parity: bool = False,
) -> CaseScores:
    """Scores of one pair of label maps, with a warning where the sides of a paired organ are swapped.

    Raises:
        InputError: as `metrics.evaluate_case`.
    """
    scores = evaluate_case(prediction, reference, predicted_labels, reference_labels, flare_parity=flare_parity)
    wrong = wrong_side_shares(prediction, reference, predicted_labels, reference_labels)
    for organ, share in wrong.items():
        if share > _SWAPPED:
            logger.warning(
                "%s: %.0f %% of the %s is called the other side's; check which side each label means, and the "
                "orientation in the headers", name, 100 * share, organ,
            )  # fmt: skip
    return CaseScores(name, tuple(scores), wrong_side=wrong)


def as_csv(cases: Sequence[CaseScores]) -> str:
    """A line per case and organ; a case that failed has one line with its error."""
    rows = []
    for case in cases:
        if case.error:
            rows.append([case.name, "", *("" for _ in METRICS), case.error])
        for scores in case.scores:
            rows.append([case.name, scores.organ, *(f"{getattr(scores, m):.4f}" for m in METRICS), ""])
    return csv_table(("case", "organ", *METRICS, "error"), rows)


def as_markdown(cases: Sequence[CaseScores]) -> str:
    """DSC of every case and organ, then mean, lowest, mean NSD, mean HD95 in mm, and the most on the wrong side."""
    cases = [case for case in cases if case.scores]
    found = summarise(cases)
    return markdown_table(
        ["case", *(s.organ for s in found)],
        [
            *([case.name, *(_dsc_of(case, s.organ) for s in found)] for case in cases),
            ["**mean**", *(f"**{s.dsc_mean:.3f}**" for s in found)],
            ["lowest", *(f"{s.dsc_lowest:.3f}" for s in found)],
            ["NSD, mean", *(f"{s.nsd_mean:.3f}" for s in found)],
            ["HD95, mean, mm", *(f"{s.hd95_mean:.1f}" for s in found)],
            ["called the other side, most", *(_wrong_side_of(cases, s.organ) for s in found)],
        ],
    )


def _dsc_of(case: CaseScores, organ: str) -> str:
    return next((f"{s.dsc:.3f}" for s in case.scores if s.organ == organ), "-")


def _wrong_side_of(cases: Sequence[CaseScores], organ: str) -> str:
    shares = [case.wrong_side[organ] for case in cases if organ in case.wrong_side]
    return f"{100 * max(shares):.2f} %" if shares else "-"


@dataclass(frozen=True)
class Summary:
    """One organ over all cases: mean and SD of DSC and NSD, HD95 in mm (it may be infinite), number of cases."""

    organ: str
    cases: int
    dsc_mean: float
    dsc_sd: float
    dsc_lowest: float
    nsd_mean: float
    nsd_sd: float
    hd95_mean: float
    hd95_median: float


def summarise(cases: Sequence[CaseScores]) -> list[Summary]:
    """A summary per organ, in the order of the first case."""
    organs = list(dict.fromkeys(scores.organ for case in cases for scores in case.scores))
    return [_summary(organ, [s for case in cases for s in case.scores if s.organ == organ]) for organ in organs]


def _summary(organ: str, scores: Sequence[OrganScores]) -> Summary:
    dsc, nsd, hd95 = [s.dsc for s in scores], [s.nsd for s in scores], [s.hd95 for s in scores]
    return Summary(
        organ, len(scores), statistics.mean(dsc), _deviation(dsc), min(dsc), statistics.mean(nsd), _deviation(nsd),
        statistics.mean(hd95), statistics.median(hd95),
    )  # fmt: skip


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan


def _by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    found: dict[str, dict[Path, bool]] = {}
    for path in sorted(folder.iterdir()):
        if (case := _case_of(path)) is not None:
            found.setdefault(case[0], {})[path] = case[1]
    if not found:
        raise InputError(f"{folder}: contains no label map ({', '.join(LABELMAP_ENDINGS)}, DICOM SEG); check the path")
    return {name: _label_map(name, files) for name, files in found.items()}


def _label_map(name: str, files: Mapping[Path, bool]) -> Path:
    """Of the files of a case the one whose name says that it is a label map, or the only one."""
    label_maps = [path for path, says_so in files.items() if says_so] or list(files)
    if len(label_maps) > 1:
        first, second = label_maps[0], label_maps[1]
        raise InputError(f"{first.parent}: {first.name} and {second.name} are both of case '{name}'; keep one")
    return label_maps[0]


def _case_of(path: Path) -> tuple[str, bool] | None:
    """The NAME of NAME.nii.gz, NAME_seg.dcm and the like, and whether the file says that it is a label map; None for
    what is not one.
    """
    if path.name.startswith("."):
        return None
    ending = next((e for e in (*LABELMAP_ENDINGS, _DICOM) if path.name.lower().endswith(e)), None)
    if ending is None or (ending == _DICOM and is_dicom_file(path) and not is_dicom_seg(path)):
        return None
    name = path.name[: -len(ending)]
    suffix = next(s for s in _SUFFIXES if name.endswith(s))
    return name[: len(name) - len(suffix)], bool(suffix) or ending in (".seg.nrrd", _DICOM)
