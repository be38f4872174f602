"""`livermriseg evaluate`: compare a folder of segmentations with a folder of references."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.console import ProgressBar, add_common_options, note, say, table
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.file_names import LABELMAP_ENDINGS

if TYPE_CHECKING:
    from LiverMRISegLib.evaluation.cohort import CaseScores

SOME_FAILED = 5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate` to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="compare segmentations with references: DSC, HD, HD95, NSD",
        description="Compare label maps with references of the same name, organ by organ: DSC, HD, HD95 and NSD.",
    )
    parser.add_argument("--predictions", required=True, type=Path, metavar="DIR", help="folder of segmentations")
    parser.add_argument("--references", required=True, type=Path, metavar="DIR", help="folder of reference label maps")
    what = "a model, a JSON file {value: organ}, or a known label set (FLARE, AMOS, BTCV, CHAOS, total_mr, ...)"
    parser.add_argument(
        "--labels", metavar="PACKAGE|FILE", help=f"meaning of the label values: {what}; default: the default model"
    )
    parser.add_argument(
        "--reference-labels", metavar="PACKAGE|FILE", help="the same for the references, if they differ"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="CSV", help="table of all results")
    add_common_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the table, print the means; returns the exit status."""
    from LiverMRISegLib.evaluation.cohort import as_csv, evaluate_cohort, labels_named, pair_cases
    from LiverMRISegLib.extras import require
    from LiverMRISegLib.io.atomic import atomic_write_text, check_writable
    from LiverMRISegLib.resources import DEFAULT_MODEL

    require("evaluation", "evaluate", "torch", "monai")
    if arguments.output.name.lower().endswith(LABELMAP_ENDINGS):  # perhaps one of those that are compared
        raise UsageError(f"-o {arguments.output}: is the name of a label map; let the table's name end with .csv")
    check_writable(arguments.output)
    predicted = labels_named(arguments.labels or DEFAULT_MODEL)
    referred = labels_named(arguments.reference_labels) if arguments.reference_labels else predicted
    total = len(pair_cases(arguments.predictions, arguments.references))
    cases: list[CaseScores] = []
    with ProgressBar() as progress:
        for case in evaluate_cohort(arguments.predictions, arguments.references, predicted, referred):
            cases.append(case)
            progress(f"{case.name} compared", len(cases) / total)
    atomic_write_text(arguments.output, as_csv(cases))
    _tell(cases, arguments.output)
    return SOME_FAILED if any(case.error for case in cases) else 0


def _tell(cases: Sequence[CaseScores], output: Path) -> None:
    from LiverMRISegLib.evaluation.cohort import summarise

    header = ("organ", "cases", "DSC mean", "SD", "lowest", "NSD mean", "SD", "HD95 median, mm")
    rows = []
    for s in summarise(cases):
        figures = (s.dsc_mean, s.dsc_sd, s.dsc_lowest, s.nsd_mean, s.nsd_sd)
        rows.append((s.organ, str(s.cases), *map(_figure, figures), _mm(s.hd95_median)))
    if rows:
        say(table(header, rows))
    say(f"{output} written, {sum(not case.error for case in cases)} of {len(cases)} cases compared")
    for case in cases:
        if case.error:
            note(f"error: {case.error}")


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _mm(value: float) -> str:
    return "inf" if math.isinf(value) else f"{value:.1f}"
