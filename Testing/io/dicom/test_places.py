"""Positions, directions and spacings: not finite, missing, differing, or rounded."""

import numpy as np
import pytest

from helpers.dicom_series import edited_series, whole_numbered_volume
from helpers.volumes import oblique_directions
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.dicom.positions import Plane, decimals, stacked

pydicom = pytest.importorskip("pydicom")
PLACES = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
}


def raw(path, data, keyword, text):
    """Put `text` in place of a decimal string, whatever pydicom thinks of it."""
    content = path.read_bytes()
    value = "\\".join(str(v) for v in data[keyword].value).encode()
    value += b" " * (len(value) % 2)
    assert content.count(value) == 1
    broken = text.encode()
    assert len(broken) <= len(value)
    path.write_bytes(content.replace(value, broken + b" " * (len(value) - len(broken))))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "1,5", "abc", "1_0", ""])
@pytest.mark.parametrize("only", [{0}, {5}, set(range(12))], ids=["first", "middle", "all"])
@pytest.mark.parametrize("keyword", PLACES)
def test_a_place_that_is_not_a_number_is_refused(tmp_path, keyword, only, value):
    folder = edited_series(tmp_path / "s", lambda data, number: None, only=())
    for number, path in enumerate(sorted(folder.iterdir())):
        if number in only:
            raw(path, pydicom.dcmread(path), keyword, "\\".join([value, *["0"] * (PLACES[keyword] - 1)]))
    with pytest.raises(InputError, match=r"gives no (position|pixel spacing)") as raised:
        read_volume(folder)
    assert "\n" not in str(raised.value)


def test_pixel_spacings_that_differ(tmp_path):
    folder = edited_series(tmp_path / "s", lambda data, _: setattr(data, "PixelSpacing", [1.5, 1.5]), only={4})
    with pytest.raises(InputError, match="different pixel spacings"):
        read_volume(folder)


@pytest.mark.parametrize("orientation", [[0] * 6, [1, 0, 0, 1, 0, 0], [1, 0, 0, 0.5, 0.5, 0], [2, 0, 0, 0, 1, 0]])
def test_directions_that_are_not_perpendicular(tmp_path, orientation):
    folder = edited_series(tmp_path / "s", lambda data, _: setattr(data, "ImageOrientationPatient", orientation))
    with pytest.raises(InputError, match="not perpendicular"):
        read_volume(folder)


def planes(places, text="{:.6f}", orientation="1\\0\\0\\0\\1\\0"):
    found = []
    for z in places:
        position = f"-190.4\\-152.65\\{text.format(z)}"
        found.append(
            Plane(
                tuple(float(v) for v in position.split("\\")),
                tuple(float(v) for v in orientation.split("\\")),
                (1.3, 1.3),
                decimals(position),
                decimals(orientation),
            )
        )
    return found


@pytest.mark.parametrize("step", [6.5, 2.5, 3.3])
def test_positions_rounded_to_millimetres_are_evenly_spaced(step):
    stack = stacked("s", planes(-114.15 + step * np.arange(36), "{:.0f}"))
    assert stack.step == pytest.approx(step, abs=0.02)
    assert stack.origin[2] == pytest.approx(-114.15, abs=0.5)
    assert "rounded to 1 mm" in stack.notes[0]
    assert stacked("s", planes(-114.15 + step * np.arange(36))).notes == ()


@pytest.mark.parametrize("step", [6.5, 2.5, 3.3])
@pytest.mark.parametrize("lost", [1, 17, 34])
def test_a_missing_slice_is_not_taken_for_rounding(step, lost):
    places = np.delete(-114.15 + step * np.arange(36), lost)
    with pytest.raises(InputError, match=r"lacks about 1 slice|different distances"):
        stacked("s", planes(places, "{:.0f}"))


def test_distances_that_change_are_refused():
    """5 mm in the lower half and 5.4 mm in the upper one: a tenth at most, but a whole slice in the end."""
    with pytest.raises(InputError, match=r"different distances \(5\.00 to 5\.40 mm\)"):
        stacked("s", planes(np.cumsum([5.0] * 20 + [5.4] * 20)))


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_rounded_directions(tmp_path, digits):
    direction = next(d for d in oblique_directions() if np.linalg.det(d) > 0)
    made = whole_numbered_volume(direction)

    def round_them(data, _):
        data.ImageOrientationPatient = [round(float(v), digits) for v in data.ImageOrientationPatient]

    found = read_volume(edited_series(tmp_path / "s", round_them, volume=made)).geometry
    axes = np.array(found.direction)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert np.abs(axes - direction).max() <= 10.0**-digits
    assert np.allclose(axes[:, 2], direction[:, 2], atol=1e-4)
