"""`livermriseg segment`: volumes in, label maps out, the model loaded once, a failure kept to its own case."""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.console import Progress, add_common_options, names, note, say, say_json, table
from LiverMRISegLib.commands.plan import Case, Plan, plan_cases
from LiverMRISegLib.commands.read_ahead import ReadAhead
from LiverMRISegLib.errors import InputError, LiverMRISegError, OutputError, UsageError
from LiverMRISegLib.io.file_names import SEGMENTATION_FORMATS as FORMATS
from LiverMRISegLib.resources import DEFAULT_MODEL

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmenter import Segmentation, Segmenter
    from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cuda", "mps", "cpu")
SOME_FAILED = 5
DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass(frozen=True)
class CaseResult:
    """What became of one case; `error` is empty unless it failed. Without the label map, so that many fit in memory."""

    case: Case
    status: str
    seconds: float = 0.0
    error: str = ""
    volumes_ml: dict[str, float] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The entry of this case in the document that --json prints."""
        return {
            "input": str(self.case.source),
            **({"further inputs": [str(file) for file in self.case.further]} if self.case.further else {}),
            "output": None if self.status == FAILED else str(self.case.output),
            "status": self.status,
            "error": self.error or None,
            "volumes_ml": {organ: round(volume, 3) for organ, volume in self.volumes_ml.items()},
            "flags": self.flags,
            "seconds": round(self.seconds, 3),
            "provenance": self.provenance,
        }


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `segment` to the command line."""
    parser = commands.add_parser(
        "segment",
        help="segment volumes: files, folders of volumes, DICOM folders",
        description="Segment MR volumes. One volume goes to a file or a folder, several go to a folder. For a model of "
        "several images a case (models show), name them CASE_0000.nii.gz, CASE_0001.nii.gz, ... and give one of them.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="volume, folder of volumes, DICOM folder")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT",
        help="a file (" + " ".join(f".{ending}" for ending in FORMATS) + "), or a folder for NAME_seg.nii.gz",
    )  # fmt: skip
    parser.add_argument("--format", choices=FORMATS, help="format of the files in the output folder (nii.gz)")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder, where it holds several")
    parser.add_argument("--organs", type=names, metavar="A,B", help="only these organs, e.g. liver,right_kidney")
    add_model_options(parser)
    parser.add_argument(
        "--tta", action="store_true", help="average over mirrored copies, if the model was trained on such: slower"
    )
    parser.add_argument("--report", type=Path, metavar="HTML", help="write a report with pictures to this file")
    parser.add_argument("--skip-existing", action="store_true", help="leave cases alone whose output exists")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout instead of tables")
    add_common_options(parser)
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --device."""
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help=f"model package ({DEFAULT_MODEL})")
    parser.add_argument("--device", default="auto", choices=DEVICES, help="where to compute (auto)")


def run(arguments: argparse.Namespace) -> int:
    """Segment every input; returns the exit status. A single volume's error is raised."""
    from LiverMRISegLib.models.catalog import find_model
    from LiverMRISegLib.models.package.model_package import load_spec

    spec = load_spec(find_model(arguments.model))
    images = [image.name for image in spec.preparation.images]
    plan = plan_cases(arguments.inputs, arguments.output, arguments.format, len(images))
    if arguments.series and not any(case.source.is_dir() for case in plan.cases):
        raise UsageError(f"--series {arguments.series}: a series can only be chosen in a DICOM folder")
    report = Report(arguments.report, plan)
    organs = [spec.labels.named(name).name for name in arguments.organs] if arguments.organs else None
    plan.prepare_output(report.files)
    try:
        results = list(_Cohort(plan, arguments, images, organs, report).results())
        report.write()
    finally:
        plan.remove_empty_folders()
    if arguments.json:
        say_json([result.as_json() for result in results])
    else:
        _tell(results, plan, report)
    return SOME_FAILED if any(result.status == FAILED for result in results) else 0


class Report:
    """The cases of --report, kept until the end; does nothing without the option."""

    def __init__(self, path: Path | None, plan: Plan) -> None:
        self.path = path
        self._cases: list[Any] = []
        if path is None:
            return
        if path.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"--report {path}: a report is an HTML file; let its name end with .html")
        if path.resolve() in {p.resolve() for case in plan.cases for p in case.files}:
            raise UsageError(f"--report {path} is also an input or an output; choose another name")
        require_report_libraries()

    @property
    def files(self) -> list[Path]:
        """The file to be written, if any."""
        return [self.path] if self.path else []

    @property
    def is_written(self) -> bool:
        """Whether there was a case to show."""
        return self.path is not None and bool(self._cases)

    def add(self, case: Case, volume: Volume, segmentation: Segmentation) -> None:
        """Keep a case for the report."""
        if self.path is not None:
            from LiverMRISegLib.evaluation.report import ReportCase

            self._cases.append(ReportCase.of(case.name, volume, segmentation))

    def write(self) -> None:
        """Write the report if there is a case to show."""
        if self.path is not None and self._cases:
            from LiverMRISegLib.evaluation.report import write_report

            write_report(self.path, self._cases)


def require_report_libraries() -> None:
    """UsageError if the libraries of the `report` extra are not installed."""
    from LiverMRISegLib.extras import require

    require("a report", "report", "matplotlib", "jinja2")


class _Cohort:
    """The cases of one call, segmented in turn with one loaded model."""

    def __init__(
        self,
        plan: Plan,
        arguments: argparse.Namespace,
        images: Sequence[str],
        organs: list[str] | None,
        report: Report,
    ) -> None:
        self.plan = plan
        self.arguments = arguments
        self.images = images
        self.organs = organs
        self.report = report
        self._segmenter: Segmenter | None = None

    def results(self) -> Iterator[CaseResult]:
        """The result of each case; in a cohort an error that concerns one case alone becomes a failed case."""
        cases = self.plan.cases
        with Progress(enabled=False if self.arguments.json else None) as progress, ReadAhead(self._read) as reader:
            for number, (case, following) in enumerate(zip(cases, [*cases[1:], None], strict=True), start=1):
                progress.prefix = f"[{number}/{len(cases)}] {case.name}: " if self.plan.is_cohort else ""
                start = time.perf_counter()
                try:
                    result = self._result(case, following, reader, progress)
                except Exception as error:
                    self.arguments.stop.check()  # an import that Ctrl-C interrupts, for one, fails in its own words
                    if not self.plan.is_cohort or not _concerns_one_case(error):
                        raise
                    logger.info("%s failed", case.name, exc_info=True)
                    result = CaseResult(case, FAILED, error=describe(error, case.source))
                yield replace(result, seconds=time.perf_counter() - start)

    def _read(self, case: Case) -> list[Volume]:
        from LiverMRISegLib.io import read_channels

        return read_channels(case.source, self.images, series=self.arguments.series if case.source.is_dir() else None)

    def _is_skipped(self, case: Case) -> bool:
        return self.arguments.skip_existing and case.output.exists()

    def _result(
        self, case: Case, following: Case | None, reader: ReadAhead[Case, list[Volume]], progress: Progress
    ) -> CaseResult:
        from LiverMRISegLib.io import check_segmentation_target

        if self._is_skipped(case):
            return CaseResult(case, SKIPPED)
        progress("reading", 0.0)
        # A model is only loaded once there is something to segment: a bad input answers at once.
        start = time.perf_counter()
        volume, *further = reader.get(case, None if following and self._is_skipped(following) else following)
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
        segmentation.save(case.output)
        seconds = {"read": read - start, "load": loaded - read, "write": time.perf_counter() - before}
        self.report.add(case, volume, segmentation)
        provenance = dict(segmentation.provenance)
        provenance["seconds"] = {**provenance["seconds"], **{part: round(s, 3) for part, s in seconds.items()}}
        return CaseResult(case, DONE, 0.0, "", dict(segmentation.volumes_ml), list(segmentation.flags), provenance)

    def _model(self, progress: Progress) -> Segmenter:
        if self._segmenter is None:
            progress("loading the model", 0.0)
            from LiverMRISegLib.inference.segmenter import Segmenter

            self._segmenter = Segmenter.load(self.arguments.model, device=self.arguments.device)
        return self._segmenter


def _concerns_one_case(error: Exception) -> bool:
    """Whether the other cases may still succeed: not if the model, the device or the call itself is wrong."""
    return isinstance(error, (InputError, OutputError)) or not isinstance(error, LiverMRISegError)


def describe(error: Exception, source: Path) -> str:
    """One line for an error of a case."""
    if isinstance(error, LiverMRISegError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"{source}: not enough memory for this volume"
    return " ".join(f"{source}: unexpected {type(error).__name__}: {error}".split())


def _tell(results: Sequence[CaseResult], plan: Plan, report: Report) -> None:
    if plan.is_cohort:
        say(_cohort_table(results))
    else:
        _tell_one(results[0])
    if report.is_written:
        say(f"report: {report.path}")
    for result in results:
        if result.status == FAILED:
            note(f"error: {result.error}")


def _tell_one(result: CaseResult) -> None:
    if result.status == SKIPPED:
        say(f"{result.case.output} exists and was left alone")
        return
    say(table(("organ", "mL"), [(organ, f"{volume:.1f}") for organ, volume in result.volumes_ml.items()]))
    for flag in result.flags:
        say(f"note: {flag}")
    say(f"{result.case.output} written in {result.seconds:.1f} s")


def _cohort_table(results: Sequence[CaseResult]) -> str:
    organs = list(dict.fromkeys(organ for result in results for organ in result.volumes_ml))
    header = ("case", "status", *(f"{organ} mL" for organ in organs), "seconds", "flags")
    rows = []
    for result in results:
        volumes = (f"{result.volumes_ml[organ]:.1f}" if organ in result.volumes_ml else "-" for organ in organs)
        rows.append((result.case.name, result.status, *volumes, f"{result.seconds:.1f}", "; ".join(result.flags)))
    counts = Counter(result.status for result in results)
    return table(header, rows) + "\n" + ", ".join(f"{n} {status}" for status, n in counts.items())
