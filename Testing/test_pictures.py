"""Pictures show the patient as radiologists do, whatever the orientation of the file; the report holds everything."""

import re
import struct
import weakref

import numpy as np
import pytest

from helpers.volumes import all_directions, make_volume
from LiverMRISegLib.anatomy import CHAOS, SPLEEN
from LiverMRISegLib.evaluation.report import ReportCase, write_report
from LiverMRISegLib.inference.segmenter import Segmentation
from LiverMRISegLib.pictures import planes, three_planes_png
from LiverMRISegLib.volume import Geometry, Volume, reorient


def marked():
    """An upright volume with a mark at its right, anterior, upper corner, and an organ in the middle."""
    volume = make_volume(size=(20, 16, 12))
    array = np.zeros(volume.array.shape, np.float32)
    labels = np.zeros(array.shape, np.uint8)
    labels[:, 1, 1] = labels[-1, :, 1] = labels[-1, 1, :] = 1
    array[-1, 1, 1] = 100.0
    return Volume(array, volume.geometry), labels


@pytest.mark.parametrize("number", range(48))
def test_right_is_left_and_head_is_up(number):
    upright, labels = marked()
    code = make_volume(all_directions()[number]).geometry.orientation
    volume = reorient(upright, code)
    turned = reorient(Volume(labels, upright.geometry), code).array
    axial, coronal, sagittal = planes(volume, turned)
    assert np.unravel_index(axial.image.argmax(), axial.image.shape) == (1, 1)
    assert np.unravel_index(coronal.image.argmax(), coronal.image.shape) == (0, 1)
    assert np.unravel_index(sagittal.image.argmax(), sagittal.image.shape) == (0, 1)
    assert (axial.aspect, coronal.aspect, sagittal.aspect) == pytest.approx((1.25, 2.0, 1.6))


def test_a_picture_is_a_png_even_of_an_empty_result():
    volume, labels = marked()
    for labelmap in (labels, np.zeros_like(labels)):
        assert three_planes_png(volume, labelmap, CHAOS, "title").startswith(b"\x89PNG")


def test_the_picture_of_a_thin_slab_can_be_looked_at():
    slab = Volume(np.random.default_rng(0).random((2, 40, 40), np.float32), Geometry((40, 40, 2), (10.0, 10.0, 5.0)))
    picture = three_planes_png(slab, np.ones(slab.array.shape, np.uint8), CHAOS)
    width, height = struct.unpack(">II", picture[16:24])
    assert width < 10 * height


def test_a_report_lets_volumes_and_label_maps_go():
    volume, labels = marked()
    known = [weakref.ref(labels), weakref.ref(volume)]
    volumes = dict.fromkeys((organ.name for organ in CHAOS.organs), 0.0)
    result = Segmentation(labels, CHAOS, volume.geometry, volumes, [], {}, volume)
    case = ReportCase.of("case", volume, result)
    del volume, labels, result
    assert [ref() for ref in known] == [None, None]
    assert [found.organ for found in case.measurements.organs] == list(CHAOS.organs)


def test_a_report_of_several_cases_escapes_what_it_is_told(tmp_path):
    volume, labels = marked()
    labels[2:6, 3:9, 3:9] = CHAOS.value_of(SPLEEN)
    volumes = dict.fromkeys((organ.name for organ in CHAOS.organs), 0.0)
    facts = {"model": "m", "seconds": {"network": 1.5}}
    result = Segmentation(labels, CHAOS, volume.geometry, volumes, ["<b>odd</b>"], facts, volume)
    cases = [ReportCase.of(name, volume, result) for name in ("first", "second <script>")]
    write_report(tmp_path / "r.html", cases)
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "second &lt;script&gt;" in text
    assert "&lt;b&gt;odd&lt;/b&gt;" in text
    spleen = re.search(r"Spleen</td>(.*?)</tr>", text, re.DOTALL)
    assert re.findall(r'number">([^<]*)<', spleen[1]) == ["2.9", "16", "22", "0 (0)", "0"]
    assert "not found" in text
    assert "network 1.5" in text
    assert "For research use only" in text
    assert not re.search(r'(src|href)="(?!data:|#case-)', text)
    assert "Look at this organ first" not in text


def test_a_report_of_several_cases_begins_with_a_line_for_each(tmp_path):
    volume, labels = marked()
    labels[2:6, 3:9, 3:9] = CHAOS.value_of(SPLEEN)
    result = Segmentation(labels, CHAOS, volume.geometry, {}, ["one", "two"], {}, volume, {"liver": 0.9, "spleen": 0.6})
    write_report(tmp_path / "r.html", [ReportCase.of(name, volume, result) for name in ("first", "second")])
    text = (tmp_path / "r.html").read_text()
    lines = re.findall(r'<tr>\s*<td><a href="#(case-\d)">(\w+)</a></td>(.*?)</tr>', text, re.DOTALL)
    assert [(place, name) for place, name, _ in lines] == [("case-1", "first"), ("case-2", "second")]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", lines[1][2])[-3:] == ["2.9", "spleen (trust 0.60)", "2"]
    assert all(f'<section id="{place}">' in text for place, _, _ in lines)


def test_a_report_says_which_organ_is_to_be_looked_at_first(tmp_path):
    volume, labels = marked()
    labels[2:6, 3:9, 3:9] = CHAOS.value_of(SPLEEN)
    trust = {"liver": 0.91, "spleen": 0.62}
    result = Segmentation(labels, CHAOS, volume.geometry, {}, [], {}, volume, trust)
    write_report(tmp_path / "r.html", [ReportCase.of("case", volume, result)])
    text = (tmp_path / "r.html").read_text()
    assert "Look at this organ first: <strong>spleen (trust 0.62)</strong>" in text
    assert "<th>Trust: expected Dice</th>" in text
    spleen = re.search(r"Spleen</td>(.*?)</tr>", text, re.DOTALL)
    assert re.findall(r'number">([^<]*)<', spleen[1]) == ["2.9", "16", "22", "0 (0)", "0", "0.62"]
    for row in re.findall(r"<tr>\n<td>.*?</tr>", text, re.DOTALL):
        assert row.count('class="number"') == 6
