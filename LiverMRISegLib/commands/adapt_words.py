"""What `livermriseg adapt` says of its cases, of the time it takes, and of the new model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.console import note, say, table

if TYPE_CHECKING:
    from LiverMRISegLib.adaptation.check import OrganCheck
    from LiverMRISegLib.adaptation.corrections import Corrections, Unlabelled
    from LiverMRISegLib.adaptation.masks import Masks
    from LiverMRISegLib.anatomy import LabelSet

_LONG = 2.0  # hours


def tell_ignored(corrections: Corrections, unlabelled: Unlabelled, folder: Path) -> None:
    """Files that nothing is learnt from, on stderr."""
    from LiverMRISegLib.adaptation.corrections import NO_MASK
    from LiverMRISegLib.data.importers.summary import in_one_line

    known = {*(scan.image for scan in unlabelled.scans), *(path for path, _ in unlabelled.ignored)}
    ignored = [*(named for named in corrections.ignored if named[0] not in known), *unlabelled.ignored]
    for path, reason in ignored:
        note(f"{in_one_line(path, reason)}; ignored")
    if any(reason == NO_MASK for _, reason in ignored):
        note(f"--unlabelled {folder} lets the model learn from the volumes without masks too (slower)")


def tell_cases(corrections: Corrections, labels: LabelSet, model: str) -> None:
    """How many, of which sequences and organs."""
    cases = corrections.all
    organs = Counter(labels[value].name for case in cases for value in case.organs)
    sequences = Counter(case.scan.sequence for case in cases)
    say(f"cases       {len(cases)} with masks, {corrections.patients()} patients: {_counted(sequences)}")
    say(f"corrected   {_counted({o.name: organs[o.name] for o in labels.organs if organs[o.name]})}")
    if any(len(case.organs) < len(labels) for case in cases):
        say(f"filled in   organs that a mask lacks, by {model}")


def tell_held_out(corrections: Corrections, model: str) -> None:
    """Who is held out, and what speaks against judging by them."""
    from LiverMRISegLib.adaptation.corrections import LEAST_PATIENTS

    names = sorted({case.scan.patient for case in corrections.held_out})
    if names:
        say(f"held out    {', '.join(names)}: not learnt from, to check the result")
    else:
        others = f" that {model} has not learnt from" if corrections.known else ""
        say(f"held out    none: fewer than {LEAST_PATIENTS} patients{others}, so the result cannot be checked")
    for name in names:
        if name in corrections.known:
            note(f"{name}: {model} has learnt from it, so the check says little; hold out others")
    together = corrections.on_one_grid()
    if together:
        held_out, case = (each.scan.image for each in together)
        note(
            f"{held_out}, which is held out, is on the very same grid as {case}; if they are of one patient, say so "
            "with --table (columns case, patient): else the check is too kind"
        )


def tell_doubts(corrections: Corrections, before: Masks, model: str) -> None:
    """Masks that the model made itself, and masks that have little in common with its own."""
    from LiverMRISegLib.adaptation.check import unchanged, unlike

    for case in unchanged(corrections.all, before):
        note(f"{case.scan.image}: its mask is that which {model} makes itself; was it corrected?")
    for case, dice in unlike(corrections.all, before):
        note(
            f"{case.scan.image}: its mask has little in common with that of {model} (Dice {dice:.2f}); is it of this "
            "volume, and do its values mean what is said above?"
        )


def time_in_words(hours: float) -> str:
    """About so long."""
    return f"about {hours:.1f} hours" if hours >= _LONG else f"about {max(1, round(60 * hours))} min"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def tell_checks(checks: Sequence[OrganCheck], agreement: Mapping[str, float], where: str) -> None:
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
