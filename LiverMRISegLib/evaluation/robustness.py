"""How the Dice of a model falls under `corruption`, and the tables of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.evaluation.corruption import CLEAN, corruptions, strongest
from LiverMRISegLib.evaluation.metrics import together
from LiverMRISegLib.io.tables import csv_table, markdown_table
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.volume import Volume, reorient

# A volume to a label map on the same grid.
Segment = Callable[[Volume], Volume]


@dataclass(frozen=True)
class Score:
    """Dice of one organ of one case under one corruption."""

    case: str
    kind: str
    strength: str
    organ: str
    dice: float


def score_corruptions(
    image: Volume,
    reference: Volume,
    segment: Segment,
    predicted: LabelSet,
    referred: LabelSet,
    *,
    strongest_only: bool = False,
) -> Iterator[Score]:
    """Scores of every corruption of one case, the clean image first; organs no longer in the reference drop out.

    `predicted` and `referred` are the label sets of what `segment` gives and of `reference`. `strongest_only`: of each
    kind of corruption only the strongest.

    Raises:
        InputError: image and reference are not on the same grid.
    """
    image, reference = together(image, reference)
    common = [organ for organ in predicted.organs if organ in referred.organs]
    wanted = corruptions(image)
    for corruption in strongest(wanted) if strongest_only else wanted:
        changed, truth = corruption.apply(image, reference)
        result = reorient(segment(changed), "LPS").array
        for organ in common:
            first, second = result == predicted.value_of(organ), truth.array == referred.value_of(organ)
            if second.any():
                yield Score(image.name, corruption.kind, corruption.strength, organ.name, dice(first, second))


def as_csv(scores: Sequence[Score]) -> str:
    """A line per case, corruption and organ."""
    rows = ((s.case, s.kind, s.strength, s.organ, f"{s.dice:.4f}") for s in scores)
    return csv_table(("case", "corruption", "strength", "organ", "dice"), rows)


def as_markdown(scores: Sequence[Score]) -> str:
    """Mean Dice per corruption and organ, and in brackets its change against the clean images of the same cases."""
    organs = list(dict.fromkeys(s.organ for s in scores))
    rows = list(dict.fromkeys((s.kind, s.strength) for s in scores))
    clean = {(s.case, s.organ): s.dice for s in scores if s.kind == CLEAN.kind}
    lines = []
    for kind, strength in rows:
        found = [s for s in scores if (s.kind, s.strength) == (kind, strength)]
        cells = [_cell([s for s in found if s.organ == organ], clean) for organ in organs]
        lines.append([kind, strength, str(len({s.case for s in found})), *cells])
    return markdown_table(["corruption", "strength", "cases", *organs], lines)


def _cell(scores: Sequence[Score], clean: dict[tuple[str, str], float]) -> str:
    if not scores:
        return "-"
    mean = statistics.mean(s.dice for s in scores)
    if scores[0].kind == CLEAN.kind:
        return f"{mean:.3f}"
    return f"{mean:.3f} ({mean - statistics.mean(clean[s.case, s.organ] for s in scores):+.3f})"
