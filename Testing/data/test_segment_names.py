"""Segments that a label map names must mean what the data set says of their values."""

from pathlib import Path

import numpy as np
import pytest

from LiverMRISegLib.data.segment_names import check_segment_names
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Geometry, Volume

VALUES = {1: "tumour", 2: "left lung", 3: "liver"}


def labelmap(segments):
    return Volume(np.zeros((1, 1, 1), np.uint8), Geometry((1, 1, 1)), metadata={"segments": segments})


@pytest.mark.parametrize(
    "segments", [{1: "Tumour", 2: "Lung left", 3: "Liver"}, {1: "tumour", 4: "spleen"}, {1: "Segment_1"}]
)
def test_the_same_names_in_any_spelling(segments):
    check_segment_names(labelmap(segments), VALUES, Path("a.seg.nrrd"))


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ({1: "Liver"}, "its value 1 is called Liver, and tumour in the data set"),
        ({2: "Tumour", 1: "Left lung"}, "its value 2 is called Tumour, and left lung in the data set"),
        ({7: "Lung_Left"}, "its value 7 is called Lung_Left, and nothing in the data set"),
    ],
)
def test_names_of_other_values_are_refused(segments, said):
    with pytest.raises(InputError, match=said):
        check_segment_names(labelmap(segments), VALUES, Path("a.seg.nrrd"))
