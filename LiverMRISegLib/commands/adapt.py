"""`livermriseg adapt`: a model learns from masks that a user has corrected, is checked, and is installed."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.adapt_words import (
    tell_cases,
    tell_checks,
    tell_doubts,
    tell_held_out,
    tell_ignored,
    time_in_words,
)
from LiverMRISegLib.commands.console import ProgressBar, add_common_options, note, say
from LiverMRISegLib.commands.segment import SOME_FAILED, add_model_options
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.io.streams import flush_results

if TYPE_CHECKING:
    from LiverMRISegLib.adaptation.check import OrganCheck
    from LiverMRISegLib.adaptation.corrections import Corrections, Unlabelled
    from LiverMRISegLib.adaptation.masks import Masks
    from LiverMRISegLib.anatomy import LabelSet
    from LiverMRISegLib.data.datalist import Scan
    from LiverMRISegLib.data.importers import OwnDataOptions
    from LiverMRISegLib.models.package.model_package import ModelPackage

_STEPS = 300
_COMPARED = 5  # volumes without masks that both models segment


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `adapt` to the command line."""
    parser = commands.add_parser(
        "adapt",
        help="teach a model your corrected masks, check it, install it",
        description="Train a model further on masks that you have corrected. Organs that a mask lacks are filled in by "
        "the model itself. Of four patients or more some are held out, and the new model is installed only if it is "
        "not worse on them. The same command resumes a training that was stopped.",
    )
    parser.add_argument(
        "--cases", required=True, type=Path, metavar="DIR",
        help="volumes with masks: NAME with NAME_label, NAME_seg or NAME.seg.nrrd, or images/ and labels/",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", type=Path, metavar="DIR", help="volumes without masks, for cross pseudo supervision (slower)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="NAME", help="name of the new model")
    add_model_options(parser)
    parser.add_argument("--sequence", default="", metavar="NAME", help="sequence of all volumes, if no name says it")
    parser.add_argument(
        "--labels", metavar="NAME|JSON",
        help="meaning of the values of masks that have no names: a label set, a model or a JSON file (default: the "
        "model's values)",
    )  # fmt: skip
    parser.add_argument(
        "--table",
        type=Path,
        metavar="CSV",
        help="for --cases: columns case, patient, sequence, split (not train: held out)",
    )
    parser.add_argument("--steps", type=_steps, default=_STEPS, metavar="N", help=f"steps (default: {_STEPS})")
    parser.add_argument(
        "--run-folder", type=Path, metavar="DIR", help="folder of the training (default: runs/adapt_NAME)"
    )
    parser.add_argument("--keep-anyway", action="store_true", help="install the new model even if it is worse")
    add_common_options(parser)
    parser.set_defaults(run=run)


def _steps(text: str) -> int:
    steps = int(text)
    if not 1 <= steps <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be between 1 and 1000000, not {steps}")
    return steps


def run(arguments: argparse.Namespace) -> int:
    """Adapt, check, install; returns the exit status."""
    from LiverMRISegLib.extras import require

    require("adapting a model", "train", "torch", "monai", "lightning_fabric", "tensorboard", "yaml", "tyro")
    from LiverMRISegLib.adaptation.training import check_can_be_adapted
    from LiverMRISegLib.io.folder_claim import claimed_folder
    from LiverMRISegLib.models.catalog import check_new_name, load_model

    if not arguments.verbose:  # its import sets another level
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    check_new_name(arguments.output)
    start = load_model(arguments.model)
    check_can_be_adapted(start)
    folder = arguments.run_folder or Path("runs") / f"adapt_{arguments.output}"
    _check_apart(folder, arguments)
    with _resumable(folder), claimed_folder(folder):
        return _Adaptation(arguments, start, folder).run()


def _check_apart(folder: Path, arguments: argparse.Namespace) -> None:
    """UsageError if volumes are in the run folder: the same command would take its files for volumes."""
    from LiverMRISegLib.io.file_names import resolved

    for option, source in (("--cases", arguments.cases), ("--unlabelled", arguments.unlabelled)):
        if source and resolved(source).is_relative_to(resolved(folder)):
            raise UsageError(f"--run-folder {folder}: contains the volumes of {option}; choose another folder")


@contextlib.contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        note(f"the same command resumes the work in {folder}")
        raise
    finally:
        with contextlib.suppress(OSError):  # what was refused at once leaves nothing behind
            folder.rmdir()


class _Adaptation:
    """One call: what is asked for, the start, the run folder."""

    def __init__(self, arguments: argparse.Namespace, start: ModelPackage, folder: Path) -> None:
        from LiverMRISegLib.adaptation.masks import numbered

        self.arguments, self.start, self.folder = arguments, start, folder
        self.labels: LabelSet = numbered(start.spec.labels)

    def run(self) -> int:
        """All of it; the exit status."""
        from LiverMRISegLib.adaptation.check import agreement, check_held_out
        from LiverMRISegLib.pseudo_labels.outputs import some_of

        corrections, unlabelled = self._read()
        self._tell(corrections, unlabelled)
        bare, held_out = unlabelled.scans, [case.scan for case in corrections.held_out]
        compared = some_of(bare, _COMPARED) or held_out
        every = [*(case.scan for case in corrections.all), *(compared if bare else ())]
        before = self._masks(self.start, every, "masks_of_the_start")
        tell_doubts(corrections, before, self.start.spec.name)
        trained = self._trained(corrections, before, bare)
        new = self._packaged(trained, corrections, unlabelled, ())
        after = self._masks(new, [*held_out, *(compared if bare else ())], "masks_of_the_new_model")
        checks = check_held_out(corrections.held_out, before, after, self.labels)
        kind = "without masks" if bare else "held out"
        where = f"{_volumes(len(compared))} {kind}"
        tell_checks(checks, agreement(compared, before, after, self.labels), where)
        self._install(self._packaged(trained, corrections, unlabelled, checks), checks)
        return SOME_FAILED if corrections.bad or unlabelled.bad else 0

    def _read(self) -> tuple[Corrections, Unlabelled]:
        from LiverMRISegLib.adaptation.adapted_package import learnt_volumes
        from LiverMRISegLib.adaptation.corrections import Unlabelled, read_corrections, read_unlabelled

        given, learnt = self.arguments, learnt_volumes(self.start.spec)
        options = _options(given, self.start, self.folder)
        corrections = read_corrections(given.cases, self.labels, options, self.folder / "given", learnt)
        if not given.unlabelled:
            return corrections, Unlabelled()
        return corrections, read_unlabelled(given.unlabelled, options, corrections, given.cases)

    def _tell(self, corrections: Corrections, unlabelled: Unlabelled) -> None:
        """What is learnt from, what is held out, what is left out."""
        from LiverMRISegLib.data.importers.summary import in_one_line

        model = self.start.spec.name
        tell_ignored(corrections, unlabelled, self.arguments.cases)
        tell_cases(corrections, self.labels, model)
        tell_held_out(corrections, model)
        if self._are_values_assumed(corrections):
            say(f"values      of masks that do not name their organs: those of {model}")
        if unlabelled.scans:
            say(f"unlabelled  {_volumes(len(unlabelled.scans))}, by cross pseudo supervision")
        for path, reason in (*corrections.bad, *unlabelled.bad):
            note(f"error: {in_one_line(path, reason)}; left out")

    def _are_values_assumed(self, corrections: Corrections) -> bool:
        """Whether there are masks whose values nothing explains."""
        given = self.arguments
        is_said = bool(given.labels) or (given.cases / "labels.json").is_file()
        return not is_said and not all(case.has_names for case in corrections.all)

    def _masks(self, package: ModelPackage, scans: Sequence[Scan], name: str) -> Masks:
        from LiverMRISegLib.adaptation.masks import masks_by
        from LiverMRISegLib.inference.segmenter import Segmenter

        if not scans:
            return {}
        with ProgressBar() as progress:
            progress("loading the model", 0.0)
            segmenter = Segmenter.load(package.path, self.arguments.device)
            return masks_by(segmenter, scans, self.folder / name, progress, self.arguments.stop)

    def _trained(self, corrections: Corrections, before: Masks, unlabelled: Sequence[Scan]) -> ModelPackage:
        from LiverMRISegLib.adaptation.masks import write_training_data
        from LiverMRISegLib.adaptation.training import expected_hours, train_package, training_config

        given = self.arguments
        lists = write_training_data(corrections.training, before, unlabelled, self.labels, self.folder / "filled")
        config = training_config(self.start, lists, self.folder, given.steps, given.device, unlabelled=bool(unlabelled))
        hours = expected_hours(config)
        expected = f"{time_in_words(hours)} on this computer" if hours else "resumed"
        say(f"training    {given.steps} steps, {expected}; Ctrl-C stops it, and the same command resumes it")
        flush_results()
        return train_package(config)

    def _packaged(
        self, trained: ModelPackage, corrections: Corrections, unlabelled: Unlabelled, checks: Sequence[OrganCheck]
    ) -> ModelPackage:
        from LiverMRISegLib.adaptation.adapted_package import write_adapted
        from LiverMRISegLib.models.package.model_package import ModelPackage

        path = self.folder / "model"
        name, start = self.arguments.output, self.start
        return ModelPackage.load(write_adapted(name, start, trained, corrections, unlabelled, checks, path))

    def _install(self, package: ModelPackage, checks: Sequence[OrganCheck]) -> None:
        """ModelError if it is worse than its start, and is not to be kept anyway."""
        from LiverMRISegLib.adaptation.check import means
        from LiverMRISegLib.models.catalog import import_package

        old, new = means(checks) if checks else (0.0, 0.0)
        if new < old and not self.arguments.keep_anyway:
            raise ModelError(
                f"{package.path}: is worse than {self.start.spec.name} on the held-out volumes (mean Dice {new:.3f}, "
                f"before {old:.3f}) and is not installed; correct more volumes, or add --keep-anyway"
            )
        entry = import_package(package.path, self.arguments.output)
        if self.start.spec.trust is not None:
            say(f"trust       none: it was fitted on the scores of {self.start.spec.name}, which have changed")
        say(f"{entry.path} written; use it as --model {entry.name}")


def _volumes(count: int) -> str:
    return f"{count} volume" + ("" if count == 1 else "s")


def _options(arguments: argparse.Namespace, start: ModelPackage, folder: Path) -> OwnDataOptions:
    from LiverMRISegLib.data.importers import OwnDataOptions
    from LiverMRISegLib.data.importers.own_data import read_label_names
    from LiverMRISegLib.evaluation.cohort import labels_named

    given = arguments.labels
    if given and given.lower().endswith(".json"):
        values = read_label_names(Path(given))
    else:
        labels = labels_named(given) if given else start.spec.labels
        values = {value: organ.name for value, organ in labels.items()}
    return OwnDataOptions(
        arguments.sequence, values if given else None, arguments.table, values, takes_results=True, made=folder
    )
