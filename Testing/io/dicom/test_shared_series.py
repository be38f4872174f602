"""Series that hold several volumes: echoes, flip angles, b-values, time points; each can be taken by its number."""

import numpy as np
import pytest

from helpers.dicom_series import dicom_item as item
from helpers.dicom_series import write_enhanced, write_shared_series
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import check_segmentation_target, read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.io.read import list_frames
from LiverMRISegLib.volume import Volume, resample

pydicom = pytest.importorskip("pydicom")
SIZE = (12, 10, 6)


def volumes(count=3):
    made = [make_volume(size=SIZE, seed=seed) for seed in range(count)]
    return [Volume(volume.array.astype(np.uint16), volume.geometry) for volume in made]


def differ(keyword, values):
    return lambda data, number, _: setattr(data, keyword, values[number])


def siemens_b_value(data, number, _):
    block = data.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", [0, 50, 800][number])


def image_type(data, number, _):
    data.ImageType = ["ORIGINAL", "PRIMARY", ["W", "F", "IP"][number]]


def time_and_noise(data, number, place):
    """Times of day, and numbers of acquisitions that say something else."""
    data.AcquisitionNumber, data.AcquisitionTime = place % 2, f"1200{10 * number:02d}.5"


CASES = {
    "echoes": (differ("EchoTime", [4.6, 2.3, 6.9]), [1, 0, 2], "echo time (2.3 ms; 4.6 ms; 6.9 ms)"),
    "flip angles": (differ("FlipAngle", [2, 10, 15]), [0, 1, 2], "flip angle (2 degrees; 10 degrees; 15 degrees)"),
    "inversions": (differ("InversionTime", [100, 900, 400]), [0, 2, 1], "inversion time (100 ms; 400 ms; 900 ms)"),
    "time points": (differ("TemporalPositionIdentifier", [3, 2, 1]), [2, 1, 0], "time point (1; 2; 3)"),
    "b-values": (differ("DiffusionBValue", [0.0, 800.0, 50.0]), [0, 2, 1], "b-value (0 s/mm2; 50 s/mm2; 800 s/mm2)"),
    "Siemens": (siemens_b_value, [0, 1, 2], "b-value (0 s/mm2; 50 s/mm2; 800 s/mm2)"),
    "Dixon": (image_type, [0, 1, 2], "image type (ORIGINAL\\PRIMARY\\W; ORIGINAL\\PRIMARY\\F; ORIGINAL\\PRIMARY\\IP)"),
    "times": (time_and_noise, [0, 1, 2], "acquisition time (120000.5; 120010.5; 120020.5)"),
    "nothing": (lambda *_: None, [0, 1, 2], "the numbers of their images (1 to 3)"),
}


@pytest.mark.parametrize(("change", "order", "words"), CASES.values(), ids=CASES)
def test_each_volume_can_be_taken(tmp_path, change, order, words):
    made = volumes()
    folder = write_shared_series(tmp_path / "s", made, change)
    with pytest.raises(InputError) as error:
        read_volume(folder)
    expected = f"3 volumes that differ in {words}; choose one with --frame N (1 to 3), or all with --frame all"
    assert expected in str(error.value)
    for frame, number in enumerate(order, start=1):
        found = read_volume(folder, frame=frame)
        assert np.array_equal(found.array, made[number].array)
        assert found.geometry.is_close(made[number].geometry, 1e-3)
        assert ("sorted by their numbers" in str(found.metadata.get("notes", ""))) == ("numbers" in words)
    with pytest.raises(InputError, match="has no frame 4; it has 3"):
        read_volume(folder, frame=4)


def test_two_things_that_differ_at_once(tmp_path):
    def change(data, number, _):
        data.EchoTime, data.TemporalPositionIdentifier = 2.3 * (1 + number % 2), 1 + number // 2
        data.AcquisitionTime = f"12000{5 * (number // 2)}"

    folder = write_shared_series(tmp_path / "s", volumes(4), change)
    frames = list_frames(folder)
    assert [frame.words for frame in frames][:2] == ["echo time 2.3 ms, time point 1", "echo time 2.3 ms, time point 2"]
    assert [frame.seconds for frame in frames] == [0, 5, 0, 5]
    assert np.array_equal(read_volume(folder, frame=2).array, volumes(4)[2].array)


def test_what_a_volume_is_chosen_by_is_named_though_it_does_not_tell_all_apart(tmp_path):
    """Averages of a b-value differ in their numbers only, echoes of a Dixon series in their types."""

    def average(data, number, _):
        data.DiffusionBValue, data.AcquisitionNumber = [50.0, 800.0, 800.0][number], number + 1

    folder = write_shared_series(tmp_path / "s", volumes(), average)
    expected = ["50 s/mm2, acquisition number 1", "800 s/mm2, acquisition number 2", "800 s/mm2, acquisition number 3"]
    assert [frame.words for frame in list_frames(folder)] == [f"b-value {words}" for words in expected]
    with pytest.raises(InputError, match=r"differ in b-value and acquisition number \(50 s/mm2, 1; 800 s/mm2, 2; "):
        read_volume(folder)

    def dixon(data, number, place):
        image_type(data, number, place)
        data.EchoTime = [2.3, 2.3, 1.2][number]

    frames = list_frames(write_shared_series(tmp_path / "d", volumes(), dixon))
    assert frames[2].words == "echo time 1.2 ms, image type ORIGINAL\\PRIMARY\\IP"


def test_a_scan_that_was_stopped(tmp_path):
    change = differ("TemporalPositionIdentifier", [1, 2, 3])
    folder = write_shared_series(tmp_path / "s", volumes(), change, skip={(2, 4), (2, 5)})
    assert np.array_equal(read_volume(folder, frame=2).array, volumes()[1].array)
    with pytest.raises(InputError, match=r"frame 3 \(time point 3\) lacks 2 of 6 slices"):
        read_volume(folder, frame=3)


def test_volumes_that_moved_a_little(tmp_path):
    def change(data, number, _):
        data.TemporalPositionIdentifier = number + 1
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y + 0.4 * number, z + 0.3 * number]

    folder = write_shared_series(tmp_path / "s", volumes(2), change)
    assert read_volume(folder, frame=2).geometry.origin[2] == pytest.approx(
        make_volume(size=SIZE).geometry.origin[2] + 0.3
    )


@pytest.mark.parametrize("half", ["lower", "odd"])
def test_halves_of_one_volume_are_no_volumes(tmp_path, half):
    """Two packages of slices, and unevenly spaced ones: a mask of half a liver would look right."""

    def change(data, _, place):
        odd = place % 2
        data.AcquisitionNumber = odd if half == "odd" else place // 3
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y, z + (1.2 * odd if half == "odd" else 30 * (place // 3))]

    with pytest.raises(InputError, match=r"slices at different distances|lacks about"):
        read_volume(write_shared_series(tmp_path / "s", volumes(1), change))


def test_lost_and_doubled_images_without_a_reason(tmp_path):
    folder = write_shared_series(
        tmp_path / "s", volumes(2), lambda *_: None, skip={(1, place) for place in range(1, 6)}
    )
    with pytest.raises(InputError, match="several images at one place"):
        read_volume(folder)


def enhanced_phases(folder, change=lambda group, number: None):
    """Three volumes in one Enhanced file, their frames mixed."""
    made = volumes()
    order = np.random.default_rng(0).permutation(18)

    def fill(data):
        data.PixelData = np.stack([made[n % 3].array[n // 3] for n in order]).tobytes()
        for group, number in zip(data.PerFrameFunctionalGroupsSequence, order, strict=True):
            group.FrameContentSequence[0].TemporalPositionIndex = int(number) % 3 + 1
            change(group, int(number) % 3)

    return write_enhanced(folder, made[0], [n // 3 for n in order], fill), made


@pytest.mark.parametrize("kind", ["time", "echo", "diffusion"])
def test_phases_in_an_enhanced_file(tmp_path, kind):
    def change(group, number):
        if kind == "echo":
            group.MREchoSequence = [item(EffectiveEchoTime=[9.2, 4.6, 2.3][number])]
        if kind == "diffusion":
            group.MRDiffusionSequence = [item(DiffusionBValue=[800.0, 400.0, 0.0][number])]

    folder, made = enhanced_phases(tmp_path / "s", change)
    for path in (folder, folder / "frames.dcm"):
        for frame in (1, 2, 3):
            found = read_volume(path, frame=frame)
            assert np.array_equal(found.array, made[frame - 1 if kind == "time" else 3 - frame].array)
    words = {"time": "time point 2", "echo": "echo time 4.6 ms", "diffusion": "b-value 400 s/mm2"}
    assert list_frames(folder)[1].words == words[kind]


def test_a_dicom_seg_of_one_phase(tmp_path):
    pytest.importorskip("highdicom")
    folder, _ = enhanced_phases(tmp_path / "s")
    classic = write_shared_series(tmp_path / "c", volumes(), differ("EchoTime", [1, 2, 3]))
    for path in (folder, classic):
        volume = read_volume(path, frame=2)
        labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
        check_segmentation_target(tmp_path / "m.dcm", volume)
        write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
        back = read_labelmap(tmp_path / "m.dcm")
        assert np.array_equal(resample(back, volume.geometry, nearest=True).array, labels)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=read_volume(folder, frame=2))
    data = pydicom.dcmread(tmp_path / "m.dcm")
    images = pydicom.dcmread(folder / "frames.dcm").PerFrameFunctionalGroupsSequence
    for group in data.PerFrameFunctionalGroupsSequence:
        number = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        assert images[number - 1].FrameContentSequence[0].TemporalPositionIndex == 2
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert place == images[number - 1].PlanePositionSequence[0].ImagePositionPatient
