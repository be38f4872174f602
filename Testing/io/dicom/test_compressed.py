"""JPEG lossless, JPEG 2000, JPEG-LS and baseline JPEG through the decoding process: the pixels that were packed.

Packed by GDCM (SimpleITK), CharLS (pyjpegls, which highdicom needs) and Pillow.
"""

import io

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series, write_enhanced
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.volume import Volume

pydicom = pytest.importorskip("pydicom")
SIZE, SHUFFLED = (20, 16, 5), [3, 1, 2, 0, 4]
JPEG_LOSSLESS, JPEG_2000, JPEG_LS = "JPEG", "JPEG2000", "JPEG-LS"


def by_gdcm(plane, place, compressor):
    """The packed bytes and the transfer syntax of one image."""
    sitk = pytest.importorskip("SimpleITK")
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(place / "one.dcm"))
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(plane[None]))
    data = pydicom.dcmread(place / "one.dcm")
    return next(pydicom.encaps.generate_frames(data.PixelData)), data.file_meta.TransferSyntaxUID


def by_charls(plane):
    jpeg_ls = pytest.importorskip("jpeg_ls")
    return bytes(jpeg_ls.encode_array(plane)), pydicom.uid.JPEGLSLossless


def packed(plane, place, codec, bits):
    plane = plane.astype(np.uint8) if bits == 8 else plane
    return by_charls(plane) if codec == JPEG_LS else by_gdcm(plane, place, codec)


def pack(data, planes, place, codec, bits):
    """Put the packed planes into a data set."""
    frames, syntaxes = zip(*(packed(plane, place, codec, bits) for plane in planes), strict=True)
    data.file_meta.TransferSyntaxUID = syntaxes[0]
    data.PixelData = pydicom.encaps.encapsulate(list(frames))
    data["PixelData"].VR = "OB"
    data.BitsAllocated = 8 * planes[0].dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(planes[0].dtype.kind == "i")


def volume_of(kind, bits):
    made = make_volume(size=SIZE)
    values = np.random.default_rng(1).integers(0, 2**bits, made.array.shape)
    if np.dtype(kind).kind == "i":
        values -= 2 ** (bits - 1)
    return Volume(values.astype(kind), made.geometry)


CASES = [
    (JPEG_LOSSLESS, "u2", 16), (JPEG_LOSSLESS, "u1", 8), (JPEG_LOSSLESS, "i2", 16), (JPEG_LOSSLESS, "u2", 8),
    (JPEG_2000, "u2", 16), (JPEG_2000, "u1", 8), (JPEG_2000, "i2", 16), (JPEG_2000, "u2", 8),
    (JPEG_LS, "u2", 16), (JPEG_LS, "u2", 12), (JPEG_LS, "u1", 8), (JPEG_LS, "u2", 8),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "kind", "bits"), CASES)
def test_pixels_are_those_that_were_packed(tmp_path, codec, kind, bits):
    """One file a slice, and all in one."""
    made = volume_of(kind, bits)
    write_dicom_series(tmp_path / "s", make_volume(size=SIZE))
    for plane, path in zip(made.array, sorted((tmp_path / "s").iterdir()), strict=True):
        data = pydicom.dcmread(path)
        pack(data, [plane], tmp_path, codec, bits)
        data.save_as(path)
    found = read_volume(tmp_path / "s")
    assert np.array_equal(found.array, made.array)
    assert found.geometry.is_close(made.geometry, 1e-3)
    whole = Volume(made.array.astype(np.uint16), made.geometry)
    folder = write_enhanced(
        tmp_path / "e", whole, SHUFFLED, lambda data: pack(data, made.array[SHUFFLED], tmp_path, codec, bits)
    )
    assert np.array_equal(read_volume(folder).array, made.array)


@pytest.mark.parametrize("codec", [JPEG_LOSSLESS, JPEG_2000, JPEG_LS])
@pytest.mark.parametrize("kept", [0.02, 0.9])
def test_truncated_pixels_are_refused(tmp_path, codec, kept):
    made = volume_of("u2", 16)

    def change(data):
        frames = [packed(plane, tmp_path, codec, 16)[0] for plane in made.array]
        pack(data, made.array, tmp_path, codec, 16)
        data.PixelData = pydicom.encaps.encapsulate([f[: int(len(f) * kept)] for f in frames[:1]] + frames[1:])
        data["PixelData"].VR = "OB"

    folder = write_enhanced(tmp_path / "e", made, range(5), change)
    with pytest.raises(InputError, match="its compressed pixels are truncated"):
        read_volume(folder)


def test_baseline_jpeg(tmp_path):
    """It loses a little: the pixels are near those that were packed."""
    image = pytest.importorskip("PIL.Image")
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    made = Volume(np.stack([smooth + n for n in range(5)]), make_volume(size=(64, 64, 5)).geometry)

    def change(data):
        frames = []
        for plane in made.array:
            stream = io.BytesIO()
            image.fromarray(plane).save(stream, "JPEG", quality=95)
            frames.append(stream.getvalue())
        data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
        data.PixelData = pydicom.encaps.encapsulate(frames)
        data["PixelData"].VR = "OB"
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7

    folder = write_enhanced(tmp_path / "e", Volume(made.array.astype(np.uint16), made.geometry), None, change)
    found = read_volume(folder, may_be_mask=True).array
    assert np.abs(found.astype(int) - made.array).max() <= 3
