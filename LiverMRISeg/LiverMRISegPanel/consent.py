"""The user must accept a licence of weights that is not permissive; remembered for each model and licence."""

from __future__ import annotations

from collections.abc import Iterable

import slicer

from LiverMRISegLib.models.catalog import find_model
from LiverMRISegLib.models.package.model_package import load_spec
from LiverMRISegPanel.settings import remember, remembered
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.model_choice import needs_agreement


def agreed(models: Iterable[str]) -> bool:
    """Ask for each model that needs it; False once the user declines."""
    return all(_agreed(name) for name in dict.fromkeys(models))


def _agreed(name: str) -> bool:
    spec = load_spec(find_model(name))
    if not needs_agreement(spec) or remembered(f"agreed/{name}") == spec.weights_license:
        return True
    question = _("The weights of {name} have this licence: {terms}. Do you accept it?")
    if not slicer.util.confirmOkCancelDisplay(question.format(name=name, terms=spec.weights_license)):
        return False
    remember(f"agreed/{name}", spec.weights_license)
    return True
