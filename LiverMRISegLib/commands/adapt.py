"""`livermriseg adapt`: a model learns from masks that a user has corrected, is checked, and is installed."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.console import ProgressBar, add_common_options, note, say, table
from LiverMRISegLib.commands.segment import SOME_FAILED, add_model_options
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.streams import flush_results

if TYPE_CHECKING:
    from LiverMRISegLib.adaptation.check import OrganCheck
    from LiverMRISegLib.adaptation.corrections import Corrections
    from LiverMRISegLib.adaptation.masks import Masks
    from LiverMRISegLib.anatomy import LabelSet
    from LiverMRISegLib.data.datalist import Scan
    from LiverMRISegLib.data.importers import OwnDataOptions
    from LiverMRISegLib.models.package.model_package import ModelPackage

_STEPS = 300
_LONG = 2.0  # hours
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
    with _resumable(folder), claimed_folder(folder):
        return _Adaptation(arguments, start, folder).run()


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
        from LiverMRISegLib.adaptation.check import agreement, check_held_out, unchanged
        from LiverMRISegLib.adaptation.corrections import read_corrections, read_unlabelled
        from LiverMRISegLib.data.importers.summary import in_one_line
        from LiverMRISegLib.pseudo_labels.outputs import some_of

        given = self.arguments
        options = _options(given, self.start, self.folder)
        corrections = read_corrections(given.cases, self.labels, options, self.folder / "given")
        unlabelled, bad = read_unlabelled(given.unlabelled, options, corrections) if given.unlabelled else ([], [])
        _tell_ignored(corrections, unlabelled, given.cases)
        _tell_cases(corrections, self.labels, self.start.spec.name)
        if self._are_values_assumed(corrections):
            say(f"values      of masks that do not name their organs: those of {self.start.spec.name}")
        if unlabelled:
            say(f"unlabelled  {len(unlabelled)} volumes, by cross pseudo supervision")
        for path, reason in (*corrections.bad, *bad):
            note(f"error: {in_one_line(path, reason)}; left out")
        held_out = [case.scan for case in corrections.held_out]
        compared = some_of(unlabelled, _COMPARED) or held_out
        every = [*(case.scan for case in corrections.all), *(unlabelled and compared)]
        before = self._masks(self.start, every, "masks_of_the_start")
        for case in unchanged(corrections.all, before):
            note(f"{case.scan.labels}: is the mask that {self.start.spec.name} makes itself; was it corrected?")
        trained = self._trained(corrections, before, unlabelled)
        new = self._packaged(trained, corrections, ())
        after = self._masks(new, [*held_out, *(unlabelled and compared)], "masks_of_the_new_model")
        checks = check_held_out(corrections.held_out, before, after, self.labels)
        kind = "without masks" if unlabelled else "held out"
        where = f"{len(compared)} {'volume' if len(compared) == 1 else 'volumes'} {kind}"
        _tell_checks(checks, agreement(compared, before, after, self.labels), where)
        self._install(self._packaged(trained, corrections, checks), checks)
        return SOME_FAILED if corrections.bad or bad else 0

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
        expected = f"{_time(hours)} on this computer" if hours else "resumed"
        say(f"training    {given.steps} steps, {expected}; Ctrl-C stops it, and the same command resumes it")
        flush_results()
        return train_package(config)

    def _packaged(self, trained: ModelPackage, corrections: Corrections, checks: Sequence[OrganCheck]) -> ModelPackage:
        from LiverMRISegLib.adaptation.adapted_package import write_adapted
        from LiverMRISegLib.models.package.model_package import ModelPackage

        path = self.folder / "model"
        return ModelPackage.load(write_adapted(self.arguments.output, self.start, trained, corrections, checks, path))

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
        arguments.sequence, table=arguments.table, usual_values=values, takes_results=True, made=folder
    )


def _tell_ignored(corrections: Corrections, unlabelled: Sequence[Scan], folder: Path) -> None:
    from LiverMRISegLib.adaptation.corrections import NO_MASK
    from LiverMRISegLib.data.importers.summary import in_one_line

    used = {scan.image for scan in unlabelled}
    ignored = [named for named in corrections.ignored if named[0] not in used]
    for path, reason in ignored:
        note(f"{in_one_line(path, reason)}; ignored")
    if any(reason == NO_MASK for _, reason in ignored):
        note(f"--unlabelled {folder} lets the model learn from the volumes without masks too (slower)")


def _tell_cases(corrections: Corrections, labels: LabelSet, model: str) -> None:
    from LiverMRISegLib.adaptation.corrections import LEAST_PATIENTS

    cases = corrections.all
    organs = Counter(labels[value].name for case in cases for value in case.organs)
    sequences = Counter(case.scan.sequence for case in cases)
    say(f"cases       {len(cases)} with masks, {corrections.patients()} patients: {_counted(sequences)}")
    say(f"corrected   {_counted({o.name: organs[o.name] for o in labels.organs if organs[o.name]})}")
    if any(len(case.organs) < len(labels) for case in cases):
        say(f"filled in   organs that a mask lacks, by {model}")
    if corrections.held_out:
        names = ", ".join(sorted({case.scan.patient for case in corrections.held_out}))
        say(f"held out    {names}: not learnt from, to check the result")
    else:
        say(f"held out    none: fewer than {LEAST_PATIENTS} patients, so the result cannot be checked")


def _time(hours: float) -> str:
    return f"about {hours:.1f} hours" if hours >= _LONG else f"about {max(1, round(60 * hours))} min"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _tell_checks(checks: Sequence[OrganCheck], agreement: Mapping[str, float], where: str) -> None:
    """Both tables."""
    from LiverMRISegLib.adaptation.check import means

    if checks:
        rows = [(c.organ, str(c.cases), f"{c.before:.3f}", f"{c.after:.3f}") for c in checks]
        before, after = means(checks)
        rows.append(("mean", "", f"{before:.3f}", f"{after:.3f}"))
        say("\nDice on the held-out volumes:")
        say(table(("organ", "volumes", "before", "after"), rows))
    if agreement:
        say(f"\nDice between the masks of the old and the new model, {where}:")
        say(table(("organ", "agreement"), [(organ, f"{dice:.3f}") for organ, dice in agreement.items()]))
        say()
