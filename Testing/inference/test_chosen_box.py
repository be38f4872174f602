"""Organs in a box that the user chose: nothing outside, nothing else inside than without it, however it is turned."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.volumes import all_directions, oblique_directions
from inference.test_region import MIDDLE, Brighter, two_balls
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.inference.chosen_box import ChosenBox, cut_to
from LiverMRISegLib.inference.flag import BOX
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.worker.protocol import check_request, segment_request


def box(center, half=(14.0, 16.0, 18.0), turn=None):
    edges = np.diag(half) @ (np.eye(3) if turn is None else np.array(turn).T)
    return ChosenBox(tuple(map(float, center)), tuple(tuple(map(float, row)) for row in edges))


@pytest.fixture
def segmenter(two_organ_package):
    spec = two_organ_package.spec
    spec = replace(spec, preparation=replace(spec.preparation, normalisation="none"))
    return Segmenter(replace(two_organ_package, spec=spec), Brighter(50))


@pytest.mark.parametrize("direction", [*all_directions()[::7], *oblique_directions()])
@pytest.mark.parametrize("turn", [None, oblique_directions()[0]])
def test_which_voxels_are_inside(direction, turn):
    volume, _, _ = two_balls(direction)
    grid, chosen = volume.geometry, box(MIDDLE + 5, turn=turn)
    inside = chosen.mask(grid)
    for index in np.random.default_rng(0).integers(0, grid.shape, (200, 3)):
        away = np.array(grid.world_of(index[::-1])) - np.array(chosen.center)
        local = (np.eye(3) if turn is None else turn.T) @ away
        assert inside[tuple(index)] == bool((np.abs(local) <= (14, 16, 18)).all())


@pytest.mark.parametrize("direction", [*all_directions()[::7], *oblique_directions()])
def test_as_without_the_box_inside_and_nothing_outside(segmenter, direction, monkeypatch):
    monkeypatch.setattr("LiverMRISegLib.inference.segmenter.CONTEXT_MM", 3.0)  # the volume is small
    volume, _, faint = two_balls(direction)
    everything = segmenter.segment(volume)
    tiles, segmenter.engine.tiles = segmenter.engine.tiles, 0
    chosen = box(MIDDLE + np.array((24.0, 5.0, -2.0)))
    found = segmenter.segment(volume, inside=chosen)
    inside = chosen.mask(volume.geometry)
    assert everything.labelmap[faint].any()
    assert np.array_equal(found.labelmap, np.where(inside, everything.labelmap, 0))
    assert segmenter.engine.tiles <= tiles


def test_an_organ_that_goes_on_outside_is_told(segmenter):
    volume, bright, _ = two_balls(np.eye(3))
    found = segmenter.segment(volume, inside=box(MIDDLE + np.array((36.0, 5.0, -2.0))))
    whole = segmenter.segment(
        replace(volume, array=np.where(bright, volume.array, 0)), inside=box(MIDDLE, (40, 40, 40))
    )
    assert not any(flag.kind == BOX for flag in whole.flags)
    assert "liver continues outside the box it was segmented in" in found.flags
    assert 0 < found.volumes_ml["liver"] < float(bright.sum()) * volume.geometry.voxel_volume_ml


def test_a_box_elsewhere_and_a_box_of_no_size(segmenter):
    volume, _, _ = two_balls(np.eye(3))
    with pytest.raises(InputError, match="outside the volume; move it"):
        segmenter.segment(volume, inside=box((900, 0, 0)))
    with pytest.raises(UsageError, match="has no volume; give it a size"):
        box(MIDDLE, half=(10.0, 0.0, 10.0))


def test_what_is_cut_off():
    labelmap = np.zeros((10, 10, 10), np.uint8)
    labelmap[:, :4], labelmap[:5, 5], labelmap[9, 9] = 1, 2, 3
    inside = np.zeros(labelmap.shape, bool)
    inside[:5] = True
    assert cut_to(labelmap, inside) == {1: 0.5}
    assert not labelmap[5:].any()


def test_it_travels_to_the_worker():
    chosen = box(MIDDLE, turn=oblique_directions()[1])
    request = {**segment_request("a", "b", inside=chosen), "id": 1}
    assert check_request(request).inside == chosen
    with pytest.raises(UsageError, match="has no volume"):
        check_request({**request, "inside": {"center": [0, 0, 0], "half_edges": [[0, 0, 0]] * 3}})
