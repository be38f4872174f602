"""`livermriseg segment`: volumes in, label maps out; one model for all, and a failed case does not stop the others."""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.case_images import CaseImages
from LiverMRISegLib.commands.case_result import DONE, FAILED, SKIPPED, CaseResult
from LiverMRISegLib.commands.console import (
    ProgressBar,
    add_common_options,
    comma_separated,
    note,
    printable,
    say,
    say_json,
    table,
)
from LiverMRISegLib.commands.earlier_results import Asked, left_there, written_at
from LiverMRISegLib.commands.frame_table import write_tables
from LiverMRISegLib.commands.frames import frame_option
from LiverMRISegLib.commands.one_study import OneStudy
from LiverMRISegLib.commands.plan import SegmentCase, SegmentPlan, plan_cases
from LiverMRISegLib.commands.read_ahead import ReadAhead
from LiverMRISegLib.commands.report_option import Report
from LiverMRISegLib.commands.sr_option import SrOption
from LiverMRISegLib.errors import InputError, LiverMRISegError, OutputError, UsageError
from LiverMRISegLib.io.file_names import SEGMENTATION_FORMATS as FORMATS
from LiverMRISegLib.resources import DEFAULT_MODEL

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmenter import Segmenter

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cuda", "mps", "cpu")
SOME_FAILED = 5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `segment` to the command line."""
    parser = commands.add_parser(
        "segment",
        help="segment volumes: files, folders of volumes, DICOM folders",
        description="Segment MR volumes. The result of one volume goes to a file or a folder, those of several volumes "
        "to a folder. For a model that takes several images a case (see 'models show'), name the files "
        "CASE_0000.nii.gz, CASE_0001.nii.gz, ... and give one of them.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="volume, folder of volumes, DICOM folder")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT",
        help="a file (" + " ".join(f".{ending}" for ending in FORMATS) + "), or a folder for NAME_seg.nii.gz",
    )  # fmt: skip
    parser.add_argument("--format", choices=FORMATS, help="format of the files in the output folder (default: nii.gz)")
    parser.add_argument("--series", metavar="UID|all", help="series of a DICOM folder, or all, each as a case")
    parser.add_argument(
        "--organs", type=comma_separated, metavar="A,B", help="only these organs, e.g. liver,right_kidney"
    )
    parser.add_argument(
        "--frame", type=frame_option, metavar="N|all",
        help="frame of a 4D file or DICOM series, from 1, or all of them, each as a case, with a table over time",
    )  # fmt: skip
    add_model_options(parser)
    parser.add_argument(
        "--tta", action="store_true", help="average over mirrored copies (slower), if the model was trained for it"
    )
    parser.add_argument("--report", type=Path, metavar="HTML", help="write a report with pictures to this file")
    parser.add_argument(
        "--sr", action="store_true", help="beside each DICOM SEG write what was measured as a DICOM SR, NAME_sr.dcm"
    )
    parser.add_argument(
        "--one-study", action="store_true",
        help="the inputs are volumes of one study: flag both where two of them disagree on an organ (with --series all "
        "this is done anyway)",
    )  # fmt: skip
    parser.add_argument(
        "--skip-existing", action="store_true", help="skip cases whose output exists; told if it is of another model"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout instead of tables")
    add_common_options(parser)
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --device."""
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help=f"model to use (default: {DEFAULT_MODEL})"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES, help="where to compute (default: auto)")


def run(arguments: argparse.Namespace) -> int:
    """Segment every input; returns the exit status. The error of a single volume is raised."""
    from LiverMRISegLib.models.catalog import find_model
    from LiverMRISegLib.models.package.model_package import load_spec

    spec = load_spec(find_model(arguments.model))
    images = [image.name for image in spec.preparation.images]
    plan = plan_cases(
        arguments.inputs, arguments.output, arguments.format, len(images), arguments.frame, arguments.series
    )
    if arguments.series and not any(case.source.is_dir() for case in plan.cases):
        raise UsageError(f"--series {arguments.series}: only a DICOM folder has series to choose from; omit --series")
    report, reports, study = Report(arguments.report, plan), SrOption(arguments.sr, plan), OneStudy.of(arguments)
    organs = [spec.labels.named(name).name for name in arguments.organs] if arguments.organs else None
    is_part = organs is not None and set(organs) != {organ.name for organ in spec.labels.organs}
    asked = Asked(arguments.model, organs if organs and is_part else (), arguments.tta)
    plan.prepare_output([*report.files, *reports.files])
    try:
        results = study.flagged(_Cohort(plan, arguments, images, organs, asked, (report, reports, study)).results())
        # Told first: whatever becomes of the files below, these results are there.
        if arguments.json:
            say_json([result.as_json() for result in results])
        else:
            _tell(results, plan)
        for failed in (result for result in results if result.status == FAILED):
            note(f"error: {failed.error}")
        tables = write_tables(results)
        report.add_flags(study.said)
        report.write(results)
    finally:
        plan.remove_empty_folders()
    if not arguments.json:
        for path in tables:
            say(f"table: {path}")
        if report.is_written:
            say(f"report: {report.path}")
    return SOME_FAILED if any(result.status == FAILED for result in results) else 0


class _Cohort:
    """Segments the cases of one call one after another with one loaded model."""

    def __init__(
        self,
        plan: SegmentPlan,
        arguments: argparse.Namespace,
        images: Sequence[str],
        organs: list[str] | None,
        asked: Asked,
        takers: Sequence[Report | SrOption | OneStudy],
    ) -> None:
        self.plan = plan
        self.arguments = arguments
        self.images = images
        self.organs = organs
        self.asked = asked
        self.takers = takers
        self._segmenter: Segmenter | None = None

    def results(self) -> Iterator[CaseResult]:
        """The result of each case; in a cohort an error that concerns only one case becomes a failed case."""
        cases = self.plan.cases
        with ProgressBar(enabled=False if self.arguments.json else None) as progress, ReadAhead(self._read) as reader:
            for number, (case, following) in enumerate(zip(cases, [*cases[1:], None], strict=True), start=1):
                progress.prefix = f"[{number}/{len(cases)}] {case.name}: " if self.plan.is_cohort else ""
                start, before = time.perf_counter(), written_at(case.output)
                try:
                    result = self._result(case, following, reader, progress)
                except Exception as error:
                    self.arguments.stop.check()  # e.g. an import interrupted by Ctrl-C raises an error of its own
                    if not self.plan.is_cohort or not concerns_one_case(error):
                        raise
                    logger.info("%s failed", case.name, exc_info=True)
                    result = CaseResult(case, FAILED, error=describe(error, case.source) + left_there(case, before))
                yield replace(result, seconds=time.perf_counter() - start)

    def _read(self, case: SegmentCase) -> CaseImages:
        return CaseImages.read(case, self.images)

    def _is_skipped(self, case: SegmentCase) -> bool:
        return self.arguments.skip_existing and case.output.exists()

    def _result(
        self,
        case: SegmentCase,
        following: SegmentCase | None,
        reader: ReadAhead[SegmentCase, CaseImages],
        progress: ProgressBar,
    ) -> CaseResult:
        from LiverMRISegLib.io import check_segmentation_target

        if self._is_skipped(case):
            return CaseResult(case, SKIPPED, flags=self.asked.differences(case))
        progress("reading", 0.0)
        # The model is loaded only when there is something to segment, so a bad input is reported at once.
        start = time.perf_counter()
        images = reader.get(case, None if following and self._is_skipped(following) else following)
        volume, *further = images.volumes
        read = time.perf_counter()
        check_segmentation_target(case.output, volume)
        segmenter = self._model(progress)
        loaded = time.perf_counter()
        segmentation = segmenter.segment(
            volume,
            further=further,
            organs=self.organs,
            tta=self.arguments.tta,
            progress=progress,
            cancel=self.arguments.stop,
        )
        self.arguments.stop.check()
        progress("writing", 1.0)
        before = time.perf_counter()
        segmentation.save(case.output, self.asked.made_by(case, segmentation.provenance, images.digits))
        seconds = {"read": read - start, "load": loaded - read, "write": time.perf_counter() - before}
        for taker in self.takers:
            taker.add(case, volume, segmentation)
        provenance = dict(segmentation.provenance)
        provenance["seconds"] = {**provenance["seconds"], **{part: round(s, 3) for part, s in seconds.items()}}
        volumes, trust = dict(segmentation.volumes_ml), dict(segmentation.trust)
        return CaseResult(case, DONE, 0.0, "", volumes, list(segmentation.flags), provenance, trust)

    def _model(self, progress: ProgressBar) -> Segmenter:
        if self._segmenter is None:
            progress("loading the model", 0.0)
            from LiverMRISegLib.inference.segmenter import Segmenter

            self._segmenter = Segmenter.load(self.arguments.model, device=self.arguments.device)
        return self._segmenter


def concerns_one_case(error: Exception) -> bool:
    """Whether the other cases may still succeed; not if the model, the device or the call itself is wrong."""
    return isinstance(error, (InputError, OutputError)) or not isinstance(error, LiverMRISegError)


def describe(error: Exception, source: Path) -> str:
    """The error of a case in one line."""
    if isinstance(error, LiverMRISegError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"{source}: not enough memory for this volume"
    return " ".join(f"{source}: unexpected {type(error).__name__}: {error}".split())


def _tell(results: Sequence[CaseResult], plan: SegmentPlan) -> None:
    if plan.is_cohort:
        say(_cohort_table(results))
    else:
        _tell_one(results[0])


def _tell_one(result: CaseResult) -> None:
    if result.status == SKIPPED:
        say(f"{result.case.output} exists and was skipped")
        for flag in result.flags:
            say(f"note: {flag}")
        return
    has_trust = bool(result.trust)
    rows = [
        (organ, f"{volume:.1f}", *([_trust(result, organ)] if has_trust else []))
        for organ, volume in result.volumes_ml.items()
    ]
    say(table(("organ", "mL", *(["trust"] if has_trust else [])), rows))
    if not has_trust:
        say(f"trust: {result.provenance['trust']}")
    elif len(result.volumes_ml) > 1:
        say(f"look at this organ first: {_lowest_trust(result)}")
    for flag in result.flags:
        say(f"note: {flag}")
    say(f"{result.case.output} written in {result.seconds:.1f} s")


def _trust(result: CaseResult, organ: str) -> str:
    return f"{result.trust[organ]:.2f}" if organ in result.trust else "-"


def _lowest_trust(result: CaseResult) -> str:
    """The organ to look at first, and its trust."""
    organ = min(result.trust, key=result.trust.__getitem__, default="")
    return f"{organ} {_trust(result, organ)}" if organ else "-"


def _cohort_table(results: Sequence[CaseResult]) -> str:
    """Notes of each case, then a line per case: what a reader needs last is at the end of a long output."""
    organs = list(dict.fromkeys(organ for result in results for organ in result.volumes_ml))
    notes = [printable(f"note: {each.case.name}: {'; '.join(each.flags)}") for each in results if each.flags]
    header = ("case", "status", *organs, "lowest trust", "seconds")
    rows = []
    for result in results:
        volumes = (f"{result.volumes_ml[organ]:.1f}" if organ in result.volumes_ml else "-" for organ in organs)
        rows.append((result.case.name, result.status, *volumes, _lowest_trust(result), f"{result.seconds:.1f}"))
    counts = Counter(result.status for result in results)
    title = ["volumes in mL:"] if organs else []
    return "\n".join([*notes, *title, table(header, rows), ", ".join(f"{n} {status}" for status, n in counts.items())])
