"""Left and right: how much of a paired organ a prediction calls the same organ of the other side."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ
from LiverMRISegLib.volume import Volume


def wrong_side_shares(
    prediction: Volume, reference: Volume, predicted_labels: LabelSet, reference_labels: LabelSet
) -> dict[str, float]:
    """Per paired organ of the reference, the share (0 to 1) of its voxels that the prediction calls the other side's.

    Both label maps lie on one grid (`metrics.evaluate_case` checks that). Organs that the reference does not show, or
    whose other side the prediction has no label for, are left out.
    """
    shares = {}
    for organ in reference_labels.organs:
        others = [other for other in predicted_labels.organs if _is_other_side(organ, other)]
        mask = reference.array == reference_labels.value_of(organ)
        if others and mask.any():
            called = np.isin(prediction.array[mask], [predicted_labels.value_of(other) for other in others])
            shares[organ.name] = float(called.mean())
    return shares


def _is_other_side(organ: Organ, other: Organ) -> bool:
    return organ.is_paired and other.is_paired and organ.type_code == other.type_code and organ.side != other.side
