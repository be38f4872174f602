"""The package of an adapted model: the start's, with other weights and what is to be said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.adaptation.check import OrganCheck
from LiverMRISegLib.adaptation.corrections import Corrections
from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import ModelSpec
from LiverMRISegLib.training.packaging import write_package

VERSION = "1.0"


def write_adapted(
    name: str,
    start: ModelPackage,
    trained: ModelPackage,
    corrections: Corrections,
    checks: Sequence[OrganCheck],
    path: Path,
) -> Path:
    """Write the package of the `trained` weights to `path`; one that was written there before is replaced.

    Preparation, tiles, outlines, clean-up, licence and intended use are the start's. Trust was fitted on the start's
    scores, so the package has none; the start's figures move to the provenance.

    Raises:
        OutputError: it cannot be written.
    """
    return write_package(_specification(name, start, trained.spec, corrections, checks), [trained.weights], path)


def _specification(
    name: str, start: ModelPackage, trained: ModelSpec, corrections: Corrections, checks: Sequence[OrganCheck]
) -> ModelSpec:
    old, count = start.spec, len(corrections.training)
    learnt = {case.scan.sequence for case in corrections.training}
    sequences = (*old.sequences, *sorted(learnt - set(old.sequences)))
    trained_on = tuple(sorted({*(old.trained_on or old.sequences), *learnt}))
    said = f"adapted with {count} corrected volume{'s' if count > 1 else ''} ({', '.join(sorted(learnt))})"
    return replace(
        old,
        name=name,
        version=VERSION,
        task=f"{old.task}; {said}",
        sequences=sequences,
        trained_on=trained_on if set(trained_on) != set(sequences) else (),
        labels=LabelSet.of(name, old.labels.organs),
        network=trained.network,
        provenance=(*old.provenance, _stage(start, trained, corrections)),
        metrics=_metrics(old, corrections, checks),
        intended_use=f"{old.intended_use} Adapted from {old.name} {old.version} to the volumes of one user.",
        trust=None,
    )


def _stage(start: ModelPackage, trained: ModelSpec, corrections: Corrections) -> dict[str, Any]:
    """The stage of the training as it tells itself, and what went before it."""
    old = start.spec
    organs = Counter(old.labels[value].name for case in corrections.training for value in case.organs)
    (stage,) = trained.provenance
    return {
        **stage,
        "stage": "adapt",
        "method": stage["stage"],
        "start": f"{old.name} {old.version}",
        "start fingerprint": start.fingerprint,
        "corrected organs": {organ.name: organs[organ.name] for organ in old.labels.organs if organs[organ.name]},
        "organs that a mask lacks": "filled in by the start",
        "held-out volumes": len(corrections.held_out),
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
