"""The tables of robustness: clean first, change against the clean images of the same cases."""

from dataclasses import replace

import numpy as np
import pytest

from LiverMRISegLib.anatomy import CHAOS, LIVER, SPLEEN, LabelSet
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.evaluation.robustness import Score, as_csv, as_markdown, score_corruptions
from LiverMRISegLib.volume import Geometry, Volume, reorient

GEOMETRY = Geometry((16, 16, 14), (5.0, 5.0, 8.0), direction=((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)))


def test_a_threshold_is_perfect_on_clean_images_and_suffers_where_it_must():
    array, labels = np.full(GEOMETRY.shape, 10.0, np.float32), np.zeros(GEOMETRY.shape, np.uint8)
    array[4:10, 4:12, 4:12], labels[4:10, 4:12, 4:12] = 100.0, CHAOS.value_of(LIVER)

    def segment(volume: Volume) -> Volume:
        return Volume((volume.array > 50).astype(np.uint8), volume.geometry)

    ours = LabelSet("ours", {1: LIVER, 2: SPLEEN})
    scores = list(score_corruptions(Volume(array, GEOMETRY, "a"), Volume(labels, GEOMETRY), segment, ours, CHAOS))
    assert {s.organ for s in scores} == {"liver"}
    assert scores[0] == Score("a", "clean", "", "liver", 1.0)
    found = {(s.kind, s.strength): s.dice for s in scores}
    assert found["slab", "60 mm"] == 1.0
    assert found["rotation about z", "20 degrees"] > 0.85
    assert found["inversion", "1"] < 0.5
    few = score_corruptions(
        Volume(array, GEOMETRY, "a"), Volume(labels, GEOMETRY), segment, ours, CHAOS, strongest_only=True
    )
    strengths = {s.kind: s.strength for s in few}
    assert strengths["noise"] == "0.2"
    assert strengths["slab"] == "40 mm"
    assert strengths["rotation about z"] == "30 degrees"
    assert set(strengths) == {s.kind for s in scores}


def test_a_reference_of_another_place_is_refused_and_one_with_other_axes_is_turned():
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[4:10, 4:12, 2:7] = CHAOS.value_of(LIVER)
    image, reference = Volume(array.astype(np.float32), GEOMETRY, "a"), Volume(array, GEOMETRY)

    def clean_score(other):
        return next(score_corruptions(image, other, lambda v: Volume(array, GEOMETRY), CHAOS, CHAOS))

    assert clean_score(reorient(reference, "SRA")).dice == 1.0
    with pytest.raises(InputError, match="not on the same grid"):
        clean_score(replace(reference, geometry=replace(GEOMETRY, origin=(500.0, 0.0, 0.0))))


def test_tables():
    scores = [
        Score("a", "clean", "", "liver", 0.9),
        Score("b", "clean", "", "liver", 0.8),
        Score("a", "clean", "", "spleen", 0.7),
        Score("a", "noise", "0.1", "liver", 0.7),
        Score("b", "noise", "0.1", "liver", 0.8),
        Score("b", "slab", "40 mm", "liver", 0.9),
    ]
    lines = as_markdown(scores).splitlines()
    assert lines[0] == "| corruption | strength | cases | liver | spleen |"
    assert lines[2] == "| clean |  | 2 | 0.850 | 0.700 |"
    assert lines[3] == "| noise | 0.1 | 2 | 0.750 (-0.100) | - |"
    assert lines[4] == "| slab | 40 mm | 1 | 0.900 (+0.100) | - |"
    assert as_csv(scores).splitlines()[4] == "a,noise,0.1,liver,0.7000"
