"""`livermriseg measure`: volumes of organs, and what maps say in them, as a table or a DICOM report."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.console import ProgressBar, note, say, say_json, table
from LiverMRISegLib.commands.inputs import ALL
from LiverMRISegLib.commands.measure_cases import (
    MeasureCase,
    Pairing,
    case_of_mask,
    find_cases,
    ignored_segmentations,
)
from LiverMRISegLib.commands.measure_options import add_options, map_places, units_of
from LiverMRISegLib.commands.segment import SOME_FAILED, concerns_one_case, describe
from LiverMRISegLib.errors import InputError, UsageError

if TYPE_CHECKING:
    from LiverMRISegLib.anatomy import LabelSet, Organ
    from LiverMRISegLib.commands.inputs import Source
    from LiverMRISegLib.inference.segmenter import Segmenter
    from LiverMRISegLib.measurement.organs import Measurements
    from LiverMRISegLib.measurement.study import Place
    from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `measure` to the command line."""
    parser = commands.add_parser(
        "measure",
        help="measure organs: volumes, and maps such as PDFF, R2*, T1, ADC in them",
        description="Measure every organ of segmentations, or of volumes, which are segmented first. Several cases "
        "need a folder or a pattern with {case} for each map.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure every case and write the table; returns the exit status. The error of a single case is raised."""
    from LiverMRISegLib.io.atomic import atomic_write_text, check_writable
    from LiverMRISegLib.io.tables import csv_table
    from LiverMRISegLib.measurement.table import HEADER, error_row, rows

    work = _Measuring(arguments)
    is_report = _is_report(arguments.output)
    if is_report:
        _check_report(arguments, work.cases)
    changes = arguments.output.with_name(f"{arguments.output.stem}_over_time.csv")
    for path in [arguments.output, *([changes] if arguments.over_time else [])]:
        work.check_is_no_input(path)
        check_writable(path)
    found, failed = work.results()
    if is_report:
        from LiverMRISegLib.measurement.dicom_report import write_dicom_report

        write_dicom_report(arguments.output, found[0], work.cases[0].source.files[0])
    else:
        lines = [row for case in found for row in rows(case)]
        lines += [error_row(name, error) for name, error in failed.items()]
        atomic_write_text(arguments.output, csv_table(HEADER, lines))
    if arguments.over_time and found:
        from LiverMRISegLib.measurement.over_time import study_table

        atomic_write_text(changes, csv_table(*study_table(found)))
    _tell(arguments, found, failed, changes)
    for error in failed.values():
        note(f"error: {error}")
    return SOME_FAILED if failed else 0


def _is_report(output: Path) -> bool:
    if output.suffix.lower() not in (".csv", ".dcm"):
        raise UsageError(f"-o {output}: let the name end with .csv for a table, or with .dcm for a DICOM SR")
    return output.suffix.lower() == ".dcm"


def _check_report(arguments: argparse.Namespace, cases: Sequence[MeasureCase]) -> None:
    from LiverMRISegLib.io.dicom.folders import is_dicom_seg

    if len(cases) != 1 or not cases[0].is_segmentation or not is_dicom_seg(cases[0].source.files[0]):
        raise UsageError(
            f"-o {arguments.output}: a DICOM SR reports on one DICOM SEG; give that as the only input "
            "('segment DICOM -o organs.dcm --sr' writes both)"
        )


class _Measuring:
    """Measures the cases of one call; a model is loaded when the first volume is to be segmented."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from LiverMRISegLib.commands.measure_files import Segmentations
        from LiverMRISegLib.measurement.organs import Rules

        self.arguments = arguments
        self.rules = Rules(arguments.erode, arguments.outliers)
        self.images = _images_of_model(arguments)
        self.cases, self.is_cohort = find_cases(
            arguments.inputs, arguments.series, arguments.frame, _labels_of_inputs(arguments), len(self.images)
        )
        if not arguments.segmentations and not arguments.labels:
            _note_ignored(arguments.inputs)
        self.maps = Pairing(map_places(arguments), self.is_cohort)
        self.masks = Pairing({"seg": arguments.segmentations} if arguments.segmentations else {}, self.is_cohort)
        self.maps.check()
        self.masks.check()
        self.units = units_of(arguments)
        self.segmentations = Segmentations(arguments.labels)
        self._segmenter: Segmenter | None = None

    def check_is_no_input(self, output: Path) -> None:
        """Refuse to overwrite what is measured: UsageError."""
        places = [*self.maps.places.values(), *self.masks.places.values()]
        inputs = [*(file for case in self.cases for file in case.source.files), *map(Path, places)]
        if output.resolve() in {path.resolve() for path in inputs}:
            raise UsageError(f"-o {output} is also an input; choose another name")

    def results(self) -> tuple[list[Measurements], dict[str, str]]:
        """What was measured, and the errors of cases that failed, by name."""
        found: list[Measurements] = []
        failed: dict[str, str] = {}
        places: list[Place] = []
        with ProgressBar(enabled=False if self.arguments.json else None) as progress:
            for number, case in enumerate(self.cases, start=1):
                progress.prefix = f"[{number}/{len(self.cases)}] {case.name}: " if self.is_cohort else ""
                try:
                    found.append(self._measured(case, progress, places))
                except Exception as error:
                    self.arguments.stop.check()
                    if not self.is_cohort or not concerns_one_case(error):
                        raise
                    logger.info("%s failed", case.name, exc_info=True)
                    failed[case.name] = describe(error, case.source.files[0])
        return _with_disagreements(found, places), failed

    def _measured(self, case: MeasureCase, progress: ProgressBar, places: list[Place]) -> Measurements:
        from LiverMRISegLib.commands.measure_files import read_maps
        from LiverMRISegLib.io.read import named_segments
        from LiverMRISegLib.io.segment_codes import SEGMENTS
        from LiverMRISegLib.measurement.maps import IMAGE, QuantityMap
        from LiverMRISegLib.measurement.organs import measure
        from LiverMRISegLib.measurement.study import Place

        progress("reading", 0.0)
        maps = read_maps(case.name, self.maps, self.units)
        labelmap, labels, volume = self._labelmap(case, progress)
        if volume is not None and IMAGE not in maps:
            maps = {IMAGE: QuantityMap(volume, self.units.get(IMAGE, "")), **maps}
        is_unnamed = self.arguments.labels is not None and not named_segments(labelmap)
        has_names = SEGMENTS in labelmap.metadata and not is_unnamed
        labels = _chosen(labels, self.arguments.organs, may_lack=has_names)
        progress("measuring", 1.0)
        if self.arguments.one_study or self.arguments.series == ALL:
            places.append(Place.of(case.name, labelmap, labels))
        return measure(labelmap, labels, maps, self.rules, case.name)

    def _labelmap(self, case: MeasureCase, progress: ProgressBar) -> tuple[Volume, LabelSet, Volume | None]:
        """The label map of a case, what it means, and the image, if it is known."""
        if case.is_segmentation:
            return (*self.segmentations.read(case.source.files[0]), None)
        volume, *further = self._read(case.source)
        if self.masks.places:
            return (*self.segmentations.read(self.masks.file_of("seg", case.name)), volume)
        result = self._model(progress).segment(
            volume, further=further, organs=self.arguments.organs, progress=progress, cancel=self.arguments.stop
        )
        return result.labelmap_volume, result.labels, volume

    def _read(self, source: Source) -> list[Volume]:
        from LiverMRISegLib.io import read_channels
        from LiverMRISegLib.io.read import MaskGivenError

        if source.problem:
            raise InputError(source.problem)
        try:
            return read_channels(source.files[0], self.images, series=source.series, frame=source.frame)
        except MaskGivenError as error:
            raise InputError(f"{error}, or say with --labels what its values mean") from error

    def _model(self, progress: ProgressBar) -> Segmenter:
        if self._segmenter is None:
            progress("loading the model", 0.0)
            from LiverMRISegLib.inference.segmenter import Segmenter

            self._segmenter = Segmenter.load(self.arguments.model, device=self.arguments.device)
        return self._segmenter


def _note_ignored(inputs: Sequence[Path]) -> None:
    """Say that masks beside the volumes of a folder are not what is measured."""
    for given in inputs:
        ignored = ignored_segmentations(given)
        if ignored:
            pattern = "{case}" + ignored[0].name.removeprefix(case_of_mask(ignored[0]))
            others = f" and {len(ignored) - 1} more" if len(ignored) > 1 else ""
            note(
                f"{given}: its volumes are segmented anew, {ignored[0].name}{others} beside them ignored; to measure "
                f"these masks give --segmentations '{given / pattern}'"
            )


def _labels_of_inputs(arguments: argparse.Namespace) -> str | None:
    """With --segmentations, --labels is about those, and the inputs are volumes."""
    return None if arguments.segmentations else arguments.labels


def _images_of_model(arguments: argparse.Namespace) -> list[str]:
    from LiverMRISegLib.models.catalog import find_model
    from LiverMRISegLib.models.package.model_package import load_spec

    if arguments.segmentations:
        return ["image"]
    return [image.name for image in load_spec(find_model(arguments.model)).preparation.images]


def _chosen(labels: LabelSet, organs: Sequence[str] | None, may_lack: bool) -> LabelSet:
    """Only these organs. A file that names its segments may lack one that was not found: it is looked for, in vain."""
    from LiverMRISegLib.anatomy import LabelSet, organ_named

    if organs is None:
        return labels
    wanted: dict[int, Organ] = {}
    for name in dict.fromkeys(organs):
        try:
            organ = labels.named(name)
        except UsageError:
            if not may_lack:
                raise
            organ = organ_named(name)
        value = labels.value_of(organ) if organ in labels.organs else max(labels, default=0) + 1 + len(wanted)
        wanted[value] = organ
    return LabelSet(labels.name, wanted)


def _with_disagreements(found: Sequence[Measurements], places: Sequence[Place]) -> list[Measurements]:
    from LiverMRISegLib.measurement.study import disagreements

    said = disagreements(places)
    return [case.with_remarks(said.get(case.name, {})) for case in found]


def _tell(arguments: argparse.Namespace, found: Sequence[Measurements], failed: dict[str, str], changes: Path) -> None:
    from LiverMRISegLib.measurement.table import as_document

    if arguments.json:
        errors: list[dict[str, Any]] = [{"case": name, "error": error} for name, error in failed.items()]
        say_json([*map(as_document, found), *errors])
        return
    if len(found) == 1 and not failed:
        _tell_one(found[0])
    else:
        say(f"{len(found)} of {len(found) + len(failed)} cases measured")
    say(f"{arguments.output} written")
    if arguments.over_time and found:
        say(f"{changes} written")


def _tell_one(case: Measurements) -> None:
    header = ("organ", "mL", *(f"{title} mean (SD){', ' + unit if unit else ''}" for title, unit in case.units.items()))
    rows = []
    for organ in case.organs:
        cells = [_figures(organ.statistics[title].mean, organ.statistics[title].sd) for title in case.units]
        rows.append((organ.organ.name, "-" if organ.volume_ml is None else f"{organ.volume_ml:.1f}", *cells))
    for figure in case.derived:
        rows.append((figure.name, "-" if figure.value is None else f"{figure.value:.1f}", *["-"] * len(case.units)))
    say(table(header, rows))
    of_maps = list(dict.fromkeys(case.notes.values()))
    for organ in case.organs:
        for remark in [*organ.remarks, *dict.fromkeys(text for s in organ.statistics.values() for text in s.remarks)]:
            if remark not in of_maps:  # those are the same for every organ
                say(f"note: {remark if organ.organ.name in remark else f'{organ.organ.name}: {remark}'}")
    for remark in [*of_maps, *case.remarks]:
        say(f"note: {remark}")


def _figures(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.4g}" + ("" if sd is None else f" ({sd:.3g})")
