"""Geometry: turning, resampling and cropping leave everything where it is in the patient."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.volumes import all_directions, as_rows, make_volume, oblique_directions
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.volume import AxisChange, Geometry, Volume, covering, reorient, resample, spread_over

CODES = [a + b + c for a in "LRPASI" for b in "LRPASI" for c in "LRPASI" if len({"LRPASI".index(x) // 2 for x in (a, b, c)}) == 3]  # fmt: skip  # noqa: E501


def world_of_brightest(volume):
    z, y, x = np.unravel_index(int(volume.array.argmax()), volume.array.shape)
    return np.array(volume.geometry.world_of((x, y, z)))


@pytest.mark.parametrize("number", range(48))
def test_every_orientation_turns_to_every_other_in_place(number):
    volume = make_volume(all_directions()[number], size=(5, 4, 3))
    assert len(CODES) == 48
    for code in CODES:
        turned = reorient(volume, code)
        assert turned.geometry.orientation == code
        assert np.allclose(world_of_brightest(turned), world_of_brightest(volume))
        back = AxisChange.between(volume.geometry.orientation, code).inverse
        assert np.array_equal(back.apply(turned.array), volume.array)
        assert back.apply_to_geometry(turned.geometry).is_close(volume.geometry)


@pytest.mark.parametrize("direction", oblique_directions())
def test_oblique_volumes_turn_in_place(direction):
    volume = make_volume(direction, size=(5, 4, 3))
    turned = reorient(volume, "LPS")
    assert turned.geometry.orientation == "LPS"
    assert np.allclose(world_of_brightest(turned), world_of_brightest(volume))


def test_orientation_codes():
    assert Geometry((2, 2, 2)).orientation == "LPS"
    assert Geometry((2, 2, 2), direction=as_rows(np.diag([-1.0, 1.0, -1.0]))).orientation == "RPI"
    with pytest.raises(UsageError, match="LLS"):
        AxisChange.between("LPS", "LLS")


@given(
    size=st.tuples(*[st.integers(2, 60)] * 3),
    spacing=st.tuples(*[st.floats(0.4, 9)] * 3),
    wanted=st.tuples(*[st.floats(0.4, 9)] * 3),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_new_spacing_keeps_the_outer_edges(size, spacing, wanted, seed):
    grid = Geometry(size, spacing, (5.0, -3.0, 8.0), as_rows(oblique_directions()[seed]))
    other = grid.with_spacing(wanted)
    for corner in ((0, 0, 0), (1, 1, 1), (1, 0, 1)):
        ends = [
            np.array(g.world_of([-0.5 if c == 0 else n - 0.5 for c, n in zip(corner, g.size, strict=True)]))
            for g in (grid, other)
        ]
        assert np.allclose(*ends, atol=1e-6)


def test_cropping_keeps_places():
    grid = make_volume(oblique_directions()[1]).geometry
    assert np.allclose(grid.cropped((2, 3, 4), (5, 5, 5)).world_of((1, 0, 2)), grid.world_of((3, 3, 6)))


@pytest.mark.parametrize("direction", [all_directions()[7], *oblique_directions()])
def test_a_place_leads_back_to_its_voxel(direction):
    geometry = make_volume(direction).geometry
    assert np.allclose(geometry.index_of(geometry.world_of((3, 4.5, 1))), (3, 4.5, 1))


def test_resampling_a_linear_function_is_exact_in_any_direction():
    source = make_volume(oblique_directions()[0], size=(20, 20, 20), spacing=(2.0, 2.0, 2.0))
    places = np.array([source.geometry.world_of((x, y, z)) for z in range(20) for y in range(20) for x in range(20)])
    values = (places @ np.array([1.0, -2.0, 0.5])).reshape(20, 20, 20).astype(np.float32)
    middle = source.geometry.world_of((9.5, 9.5, 9.5))
    target = Geometry((4, 4, 4), (3.0, 3.0, 3.0), middle, as_rows(oblique_directions()[2]))
    moved = resample(Volume(values, source.geometry), target, fill=float("nan"))
    for z, y, x in np.argwhere(np.isfinite(moved.array)):
        expected = np.dot(target.world_of((x, y, z)), [1.0, -2.0, 0.5])
        assert moved.array[z, y, x] == pytest.approx(expected, abs=1e-3)
    assert np.isfinite(moved.array).sum() > 10


def test_an_array_must_fit_its_grid():
    with pytest.raises(UsageError, match="does not fit"):
        Volume(np.zeros((2, 3, 4)), Geometry((2, 3, 4)))


@pytest.mark.parametrize("direction", oblique_directions())
def test_a_part_is_spread_over_its_grid_and_one_beyond_it_stays(direction):
    grid = Geometry((9, 8, 7), (1.5, 2.0, 3.0), (10.0, -4.0, 2.0), as_rows(direction))
    part = Volume(np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4), grid.cropped((3, 2, 4), (4, 3, 2)))
    whole = spread_over(part, grid)
    assert whole.geometry == grid
    assert np.array_equal(whole.array[4:6, 2:5, 3:7], part.array)
    assert np.count_nonzero(whole.array) == part.array.size
    small = grid.cropped((0, 0, 0), (5, 8, 7))
    assert spread_over(part, small) is part
    both = covering(small, part.geometry)
    assert (both.size, both.origin) == ((7, 8, 7), pytest.approx(grid.origin))
    assert covering(grid, part.geometry.cropped((0.5, 0, 0), (1, 1, 1))) is None
