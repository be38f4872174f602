"""The package of an adapted model: the start's, with other weights and what is to be said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.adaptation.check import OrganCheck
from LiverMRISegLib.adaptation.corrections import Corrections, Unlabelled
from LiverMRISegLib.adaptation.masks import numbered
from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import CT
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import ANY_MODALITY, ModelSpec
from LiverMRISegLib.training.packaging import write_package

VERSION = "1.0"
_CHECKSUMS = "checksums of the volumes"
_MR = "MR"


def write_adapted(
    name: str,
    start: ModelPackage,
    trained: ModelPackage,
    corrections: Corrections,
    unlabelled: Unlabelled,
    checks: Sequence[OrganCheck],
    path: Path,
) -> Path:
    """Write the package of the `trained` weights to `path`; one that was written there before is replaced.

    Preparation, tiles, outlines, clean-up, licence and intended use are the start's. Trust was fitted on the start's
    scores, so the package has none; the start's figures move to the provenance.

    Raises:
        OutputError: it cannot be written.
    """
    spec = replace(
        _described(name, start.spec, corrections, unlabelled),
        network=trained.spec.network,
        provenance=(*start.spec.provenance, _stage(start, trained.spec, corrections, unlabelled)),
        metrics=_metrics(start.spec, corrections, checks),
    )
    return write_package(spec, [trained.weights], path)


def learnt_volumes(spec: ModelSpec) -> frozenset[str]:
    """Checksums of the volumes that an adapted model, or one that it was adapted from, has learnt from."""
    told = [stage.get(_CHECKSUMS) for stage in spec.provenance]
    return frozenset(str(word) for words in told if isinstance(words, (list, tuple)) for word in words)


def _described(name: str, old: ModelSpec, corrections: Corrections, unlabelled: Unlabelled) -> ModelSpec:
    """The start's spec, with what people read first."""
    corrected = {case.scan.sequence for case in corrections.training}
    learnt = corrected | {scan.sequence for scan in unlabelled.scans}
    sequences = (*old.sequences, *sorted(corrected - set(old.sequences)))
    trained_on = tuple(sorted({*(old.trained_on or old.sequences), *learnt}))
    said = f"adapted with {_counted(len(corrections.training), 'corrected volume')} ({', '.join(sorted(corrected))})"
    if unlabelled.scans:
        said += f" and {_counted(len(unlabelled.scans), 'volume')} without masks"
    kinds = {old.modality, *(CT if sequence == CT else _MR for sequence in corrected)}
    return replace(
        old,
        name=name,
        version=VERSION,
        task=f"{old.task}; {said}",
        modality=old.modality if len(kinds) == 1 else ANY_MODALITY,
        sequences=sequences,
        trained_on=trained_on if set(trained_on) != set(sequences) else (),
        labels=LabelSet.of(name, old.labels.organs),
        intended_use=f"{old.intended_use} Adapted from {old.name} {old.version} to the volumes of one user.",
        trust=None,
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _stage(start: ModelPackage, trained: ModelSpec, corrections: Corrections, unlabelled: Unlabelled) -> dict[str, Any]:
    """The stage of the training as it tells itself, and what went before it.

    By the checksums a further adaptation knows which volumes cannot judge it.
    """
    old, labels = start.spec, numbered(start.spec.labels)
    organs = Counter(labels[value].name for case in corrections.training for value in case.organs)
    (stage,) = trained.provenance
    return {
        **stage,
        "stage": "adapt",
        "method": stage["stage"],
        "start": f"{old.name} {old.version}",
        "start fingerprint": start.fingerprint,
        "corrected organs": {organ.name: organs[organ.name] for organ in labels.organs if organs[organ.name]},
        "organs that a mask lacks": "filled in by the start",
        "held-out volumes": len(corrections.held_out),
        _CHECKSUMS: sorted({*(case.content for case in corrections.training), *unlabelled.contents}),
        "metrics of the start": [dict(metric) for metric in old.metrics],
    }


def _metrics(old: ModelSpec, corrections: Corrections, checks: Sequence[OrganCheck]) -> tuple[Mapping[str, Any], ...]:
    if not checks:
        return ()
    cases = len(corrections.held_out)
    return tuple(
        {
            "data set": "corrected volumes that were held out",
            "cases": cases,
            "figure": figure,
            **{check.organ: round(getattr(check, which), 3) for check in checks},
        }
        for which, figure in (("after", "mean Dice"), ("before", f"mean Dice of {old.name} {old.version}"))
    )
