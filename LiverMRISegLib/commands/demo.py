"""`livermriseg demo`: draws a phantom study and segments it: masks, pictures and a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.console import ProgressBar, add_common_options, say, table
from LiverMRISegLib.commands.segment import add_model_options
from LiverMRISegLib.errors import OutputError, UsageError

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmenter import Segmentation, Segmenter
    from LiverMRISegLib.phantom.study import PhantomScan

SEQUENCES = ("T2WI", "T1WI", "GED4")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the command line."""
    parser = commands.add_parser(
        "demo",
        help="draw a phantom study, segment it, write masks, pictures and a report",
        description="Segment a phantom to check that everything works on this computer. The phantom is drawn, not "
        "scanned: its results say nothing about patients.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo_output"),
        metavar="DIR",
        help="output folder (default: demo_output)",
    )
    add_model_options(parser)
    add_common_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw, segment, write and print; returns the exit status."""
    from LiverMRISegLib.commands.report_option import require_report_libraries
    from LiverMRISegLib.evaluation.report import ReportCase, write_report
    from LiverMRISegLib.inference.segmenter import Segmenter
    from LiverMRISegLib.io.atomic import atomic_write_bytes

    require_report_libraries()
    folder = _made(arguments.output)
    rows, cases = [], []
    with ProgressBar() as progress:
        progress("loading the model", 0.0)
        segmenter = Segmenter.load(arguments.model, arguments.device)
        for number, name in enumerate(SEQUENCES):
            progress(f"{name}: drawing the phantom", number / len(SEQUENCES))
            scan, result = _segmented(name, segmenter, folder)
            case = ReportCase.of(scan.volume.name, scan.volume, result)
            atomic_write_bytes(folder / f"{scan.volume.name}.png", case.picture)
            cases.append(case)
            rows.append((name, result, _dice(scan, result)))
        write_report(folder / "report.html", cases)
    _tell(rows, folder, segmenter)
    return 0


def _made(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: is a file; give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make this folder ({error.strerror}); choose another") from error
    return folder


def _segmented(name: str, segmenter: Segmenter, folder: Path) -> tuple[PhantomScan, Segmentation]:
    from LiverMRISegLib.anatomy import Sequence
    from LiverMRISegLib.io import read_volume, write_volume
    from LiverMRISegLib.phantom.study import make_study

    sequence = Sequence(name)
    scan = make_study([sequence], seed=1)[sequence]
    file = folder / f"{scan.volume.name}.nii.gz"
    write_volume(scan.volume, file)
    result = segmenter.segment(read_volume(file))
    result.save(folder / f"{scan.volume.name}_seg.nii.gz")
    result.save(folder / f"{scan.volume.name}.seg.nrrd")
    return scan, result


def _dice(scan: PhantomScan, result: Segmentation) -> dict[str, float]:
    """Dice against the drawn organs, for the organs that both the model and the phantom have."""
    from LiverMRISegLib.measurement.agreement import dice
    from LiverMRISegLib.phantom.study import LABELS

    return {
        organ.name: dice(result.labelmap == value, scan.labelmap.array == LABELS.value_of(organ))
        for value, organ in result.labels.items()
        if organ in LABELS.organs
    }


def _tell(rows: list[tuple[str, Any, dict[str, float]]], folder: Path, segmenter: Segmenter) -> None:
    organs = segmenter.organs
    header = ("organ", *(f"{name} mL" for name, _, _ in rows), *(f"{name} Dice" for name, _, _ in rows))
    lines = [
        (organ, *(f"{r.volumes_ml[organ]:.0f}" for _, r, _ in rows), *(_figure(dice.get(organ)) for _, _, dice in rows))
        for organ in organs
    ]
    say(f"A phantom in {len(rows)} sequences, segmented by {segmenter.package.spec.name} on {segmenter.engine.name}:")
    say(table(header, lines))
    say(f"\nMasks, pictures and {folder / 'report.html'} were written. Now segment your own volume:")
    say("  livermriseg segment t2.nii.gz -o t2.seg.nrrd --report t2.html")
    say("For research use only.")


def _figure(dice: float | None) -> str:
    return "-" if dice is None else f"{dice:.2f}"
