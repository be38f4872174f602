"""A prediction and its reference as programs save them: what their values mean, and both on one whole grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.io.read import named_segments
from LiverMRISegLib.io.segment_codes import check_no_contradiction, meant_in_words
from LiverMRISegLib.volume import Volume, covering, reorient, spread_over

logger = logging.getLogger(__name__)
_MOST_NAMED = 8


def read_pair(
    predicted: Path, referred: Path, predicted_labels: LabelSet, reference_labels: LabelSet
) -> tuple[Volume, Volume, LabelSet, LabelSet]:
    """Prediction and reference, and what the values of each mean.

    The names of segments (.seg.nrrd, DICOM SEG) come before the label sets: their numbers say nothing. An organ of
    `predicted_labels` that a prediction does not name was not found; one that a reference does not name is not
    compared; a segment of another name is warned of. A file that has only the box around its segments is put on the
    grid of the other, and two such files on the grid around both boxes.

    Raises:
        InputError: one cannot be read, has two segments of one name, or one that is another organ by its coded term.
    """
    prediction, reference = read_labelmap(predicted), read_labelmap(referred)
    named = _named(prediction, predicted, predicted_labels)
    truth = _named(reference, referred, reference_labels)
    prediction, reference = _on_whole_grids(prediction, reference)
    meaning = predicted_labels if named is None else _with_missing(named, predicted_labels)
    return prediction, reference, meaning, reference_labels if truth is None else truth


def _on_whole_grids(prediction: Volume, reference: Volume) -> tuple[Volume, Volume]:
    """What has only the box around its segments on the grid of the other; two such boxes on the grid around both."""
    # First with the same order of axes: that of a DICOM SEG is that of the scanner's images.
    if prediction.metadata.get("cropped"):
        prediction = reorient(prediction, reference.geometry.orientation)
    elif reference.metadata.get("cropped"):
        reference = reorient(reference, prediction.geometry.orientation)
    if prediction.metadata.get("cropped") and reference.metadata.get("cropped"):
        both = covering(prediction.geometry, reference.geometry) or reference.geometry
        return spread_over(prediction, both), spread_over(reference, both)
    if prediction.metadata.get("cropped"):
        return spread_over(prediction, reference.geometry), reference
    if reference.metadata.get("cropped"):
        return prediction, spread_over(reference, prediction.geometry)
    return prediction, reference


def segment_labels(segments: Mapping[int, str], path: Path) -> LabelSet:
    """What the values of the file `path` mean by the names of its segments.

    Raises:
        InputError: two have one name.
    """
    try:
        return LabelSet(path.name, {value: structure_named(name, value) for value, name in segments.items()})
    except UsageError as error:
        raise InputError(f"{path}: its segments cannot be told apart ({error}); rename them") from error


def _named(labelmap: Volume, path: Path, looked_for: LabelSet) -> LabelSet | None:
    """The labels by the names of segments, None where nobody named them; says which are none of those looked for."""
    segments = named_segments(labelmap)
    check_no_contradiction(labelmap, path)
    if said := meant_in_words(labelmap):
        logger.warning("%s: %s", path, said)
    if not segments:
        _warn_of_unknown_values(labelmap, path, looked_for)
        return None
    labels = segment_labels(segments, path)
    others = [organ.name for organ in labels.organs if organ not in looked_for.organs]
    if others:
        logger.warning("%s: not compared, since %s lacks it: %s", path, looked_for.name, ", ".join(others))
    # A file may spell a name in its own way; in the tables it is one organ.
    spelt = {organ: organ for organ in looked_for.organs}
    return LabelSet(labels.name, {value: spelt.get(organ, organ) for value, organ in labels.items()})


def _warn_of_unknown_values(labelmap: Volume, path: Path, labels: LabelSet) -> None:
    """Say which values mean nothing: with the labels of another data set all organs would be missed in silence."""
    unknown = [int(value) for value in np.unique(labelmap.array) if value and value not in labels]
    if unknown:
        listed = ", ".join(map(str, unknown[:_MOST_NAMED])) + (", ..." if len(unknown) > _MOST_NAMED else "")
        logger.warning("%s: not compared, since %s does not have these values: %s", path, labels.name, listed)


def _with_missing(named: LabelSet, looked_for: LabelSet) -> LabelSet:
    """`named`, and the other organs that were looked for, with values that no voxel has."""
    missing = [organ for organ in looked_for.organs if organ not in named.organs]
    return LabelSet(named.name, {**named, **dict(enumerate(missing, max(named, default=0) + 1))})
