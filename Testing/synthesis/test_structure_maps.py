"""Structure maps of label maps, with and without CT, and where they are kept."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from helpers.structure_maps import label_map
from LiverMRISegLib.anatomy import CHAOS, LIVER
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource, load_structure_maps
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, Tissue, make_structure_map
from LiverMRISegLib.volume import Geometry, Volume


def test_a_body_without_ct_has_wall_fat_and_air_around_its_organs():
    structures = make_structure_map("b", label_map(), CHAOS, spacing=6.0).structures
    for value in (ORGAN_VALUES.value_of(LIVER), Tissue.INNER_SOFT, Tissue.WALL_MUSCLE, Tissue.SUBCUTANEOUS_FAT):
        assert np.any(structures == value)
    assert structures[0, 0, 0] == Tissue.AIR


def test_a_body_is_brought_to_lps():
    turned = make_structure_map(
        "b", label_map(((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))), CHAOS, spacing=6.0
    )
    straight = make_structure_map("b", label_map(), CHAOS, spacing=6.0)
    assert np.array_equal(turned.structures, straight.structures[:, ::-1, ::-1])


def test_ct_bands_name_the_tissue_around_the_organs():
    organs = label_map()
    _, y, x = np.indices(organs.array.shape)
    radius = np.hypot((y - 20) / 18.0, (x - 25) / 23.0)
    hounsfield = np.select([radius < 0.75, radius < 0.95], [40.0, -100.0], -1000.0)
    hounsfield[:, 26:30, 23:27] = 600.0
    image = Volume(hounsfield.astype(np.float32), organs.geometry)
    structures = make_structure_map("b", organs, CHAOS, image, spacing=6.0).structures
    assert structures[5, 20, 25] == Tissue.INNER_SOFT
    assert structures[5, 28, 25] == Tissue.SKELETON
    assert structures[5, 20, 25 + 20] == Tissue.SUBCUTANEOUS_FAT
    assert structures[5, 0, 0] == Tissue.AIR


def test_lungs_open_to_the_outside_are_lungs_and_small_ones_too():
    """A wall with a hole in it, and a pocket of air too small for a whole lung: at the dome and above both are lung."""
    organs = label_map()
    z, y, x = np.indices(organs.array.shape)
    radius = np.hypot((y - 20) / 18.0, (x - 25) / 23.0)
    hounsfield = np.where(radius < 0.95, 40.0, -1000.0)
    hounsfield[(z > 22) & (np.hypot(y - 20, x - 15) < 6)] = -900.0
    hounsfield[(z > 22) & (np.abs(y - 20) < 2) & (x < 15)] = -900.0
    hounsfield[(z > 22) & (np.hypot(y - 20, x - 35) < 3)] = -900.0
    hounsfield[(z < 4) & (np.hypot(y - 20, x - 35) < 3)] = -900.0
    image = Volume(hounsfield.astype(np.float32), organs.geometry)
    structures = make_structure_map("b", organs, CHAOS, image, spacing=6.0).structures
    assert structures[26, 17, 15] == structures[26, 20, 35] == Tissue.LUNG
    assert structures[2, 20, 35] == Tissue.GAS
    assert structures[26, 1, 1] == Tissue.AIR


def test_a_ct_that_does_not_belong_to_the_labels_is_refused():
    organs = label_map()
    random = np.random.default_rng(0)
    hounsfield = np.where(organs.array > 0, 60.0, -1000.0) + random.normal(0, 5, organs.array.shape)
    beside = dataclasses.replace(organs.geometry, origin=(30.0, 0.0, 0.0))
    with pytest.raises(InputError, match="ct: is on another grid than its label map labels"):
        make_structure_map("b", replace(organs, name="labels"), CHAOS, Volume(hounsfield, beside, "ct"), spacing=6.0)
    with pytest.raises(InputError, match=r"ct: has values from .* but a CT in Hounsfield units has air"):
        make_structure_map("b", organs, CHAOS, Volume(hounsfield + 1100, organs.geometry, "ct"), spacing=6.0)


@pytest.mark.parametrize("is_complete", [False, True])
def test_nothing_is_drawn_around_nothing(is_complete):
    nothing = Volume(np.full((30, 40, 50), 99, np.uint8), label_map().geometry, "labels")
    with pytest.raises(InputError, match="labels: shows nothing that its label set names"):
        make_structure_map("b", nothing, CHAOS, spacing=6.0, is_complete=is_complete)
    thin = Volume(label_map().array[10:12], Geometry((50, 40, 2), (6.0, 6.0, 2.0)), "labels")
    with pytest.raises(InputError, match="labels: is thinner than two voxels of 6 mm"):
        make_structure_map("b", thin, CHAOS, spacing=6.0, is_complete=is_complete)


def test_label_maps_that_cannot_be_used_are_all_named_after_the_others_were_read(tmp_path):
    for name in "abc":
        write_volume(label_map(), tmp_path / f"{name}_label.nii.gz")
    for name in "ab":
        path = tmp_path / f"{name}_label.nii.gz"
        path.write_bytes(path.read_bytes()[:-20])
    source = StructureMapSource("*_label.nii.gz", "CHAOS")
    with pytest.raises(InputError, match=r"2 of 3 volumes cannot be used; .*\n  .*a_label\.nii\.gz.*\n  .*b_label"):
        load_structure_maps(tmp_path, [source], 6.0, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_body_that_was_kept_and_is_damaged_is_made_again(tmp_path, caplog):
    write_volume(label_map(), tmp_path / "a_label.nii.gz")
    source = StructureMapSource("*_label.nii.gz", "CHAOS")
    (made,) = load_structure_maps(tmp_path, [source], 6.0, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    content = kept.read_bytes()
    for damaged in (b"", content[:300], content[:-30] + bytes(30)):
        kept.write_bytes(damaged)
        (again,) = load_structure_maps(tmp_path, [source], 6.0, cache=tmp_path / "cache")
        assert np.array_equal(again.structures, made.structures)
        assert kept.read_bytes() != damaged
    assert caplog.text.count("is damaged") == 3
