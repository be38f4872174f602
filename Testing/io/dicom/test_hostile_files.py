"""DICOM files built to crash or exhaust a reader, and damaged ones: one line, in no time, in little memory."""

import struct
import sys
import tracemalloc

import numpy as np
import pytest

from helpers.dicom_series import edited_series, whole_numbered_volume, write_dicom_series
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import is_dicom_folder, read_volume
from LiverMRISegLib.io.dicom.elements import read_elements

pydicom = pytest.importorskip("pydicom")


def nested(depth, undefined):
    """A private sequence with sequences in its items, `depth` deep, explicit little endian."""
    tag = struct.pack("<HH", 0x0009, 0x1010)
    if undefined:
        opening = tag + b"SQ\0\0\xff\xff\xff\xff" + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return opening * depth + closing * depth
    content = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
        content = tag + b"SQ\0\0" + struct.pack("<I", len(item)) + item
    return content


@pytest.mark.parametrize(("depth", "undefined"), [(2000, False), (100_000, True)])
def test_sequences_nested_deep(tmp_path, depth, undefined):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    path = sorted((tmp_path / "s").iterdir())[3]
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", 0x0010, 0x0010))
    path.write_bytes(content[:place] + nested(depth, undefined) + content[place:])
    assert is_dicom_folder(tmp_path / "s")
    if undefined:
        with pytest.raises(InputError, match=rf"1 DICOM file.*damaged, the first is {path.name}"):
            read_volume(tmp_path / "s")
    else:  # of known length, they are passed over
        assert np.array_equal(read_volume(tmp_path / "s").array, whole_numbered_volume().array)


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "-3", "0", "1.5", "9" * 30])
def test_numbers_of_frames(tmp_path, value):
    def change(data, _):
        data.add(pydicom.DataElement(0x00280008, "LO", value))

    with pytest.raises(InputError, match="no sound number of frames"):
        read_volume(edited_series(tmp_path / "s", change, only={2}))


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("SamplesPerPixel", 0, "colour image"),
        ("SamplesPerPixel", 3, "colour image"),
        ("PhotometricInterpretation", "PALETTE COLOR", "colour image"),
        ("Rows", 0, "size of 0"),
        ("Rows", None, "lacks the size or type"),
        ("BitsAllocated", 12, "12 bits per pixel"),
        ("BitsAllocated", 1, "1 bits per pixel"),
        ("PixelRepresentation", None, "lacks the size or type"),
        ("BitsStored", 17, "contradicts itself"),
        ("HighBit", 3, "contradicts itself"),
        ("Rows", 65535, "lacks part of its pixels"),
        ("Rows", 15, "more pixels than its header announces"),
        ("RescaleSlope", 0, "rescale slope"),
    ],
)
def test_impossible_numbers(tmp_path, keyword, value, message):
    folder = edited_series(tmp_path / "s", lambda data, _: setattr(data, keyword, value), only={2})
    with pytest.raises(InputError, match=message):
        read_volume(folder)


def test_rle_that_announces_gigabytes(tmp_path):
    def change(data, _):
        data.compress(pydicom.uid.RLELossless)
        data.Rows = data.Columns = 20000

    folder = edited_series(tmp_path / "s", change, only={2})
    tracemalloc.start()
    with pytest.raises(InputError, match="announces 800 MB, but the file has"):
        read_volume(folder)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_wrong_lengths_take_no_memory(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    random = np.random.default_rng(0)
    paths = sorted((tmp_path / "s").iterdir())
    sound = paths[0].read_bytes()
    messages = []
    tracemalloc.start()
    for _ in range(200):
        broken = bytearray(sound)
        place = int(random.integers(132, 900))
        broken[place : place + 4] = random.bytes(4)
        paths[0].write_bytes(broken)
        try:
            read_elements(paths[0])
        except InputError as error:
            messages.append(str(error))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert len(messages) > 20
    assert all(message.isprintable() for message in messages)


def test_files_that_lack_a_byte_are_named_as_damaged(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    for path in (tmp_path / "s").iterdir():
        path.write_bytes(path.read_bytes().replace(b"Secret^Name", b"Secret^Nam", 1))
    assert is_dicom_folder(tmp_path / "s")
    with pytest.raises(InputError, match=r"12 DICOM file\(s\) are truncated or damaged"):
        read_volume(tmp_path / "s")


def compressed(folder, syntax):
    def change(data, _):
        data.compress(syntax, encoding_plugin="pyjpegls" if "JPEG" in syntax.name else "pydicom")

    return edited_series(folder, change)


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "RLELossless"])
def test_compressed_series(tmp_path, syntax):
    pytest.importorskip("jpeg_ls")
    folder = compressed(tmp_path / "s", getattr(pydicom.uid, syntax))
    assert np.array_equal(read_volume(folder).array, whole_numbered_volume().array)


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "RLELossless"])
def test_damaged_compressed_pixels(tmp_path, syntax):
    pytest.importorskip("jpeg_ls")
    folder = compressed(tmp_path / "s", getattr(pydicom.uid, syntax))
    path = sorted(folder.iterdir())[5]
    data = pydicom.dcmread(path)
    data["PixelData"].value = pydicom.encaps.encapsulate([next(pydicom.encaps.generate_frames(data.PixelData))[:90]])
    data.save_as(path)
    with pytest.raises(InputError, match=rf"{path.name}: its compressed pixels are truncated"):
        read_volume(folder)


def test_a_decoder_that_hangs_is_ended(tmp_path, monkeypatch):
    pytest.importorskip("jpeg_ls")
    from LiverMRISegLib.io.dicom import codecs

    folder = compressed(tmp_path / "s", pydicom.uid.JPEGLSLossless)
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 6000\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    monkeypatch.setattr(codecs, "_SECONDS", 0.5)
    with pytest.raises(InputError, match="compressed pixels"):
        read_volume(folder)
