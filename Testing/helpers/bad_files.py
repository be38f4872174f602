"""Files to be damaged, and how they are refused."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume


def refused(path, words):
    """The file is refused in one line that names it and has these words (a pattern); the line."""
    with pytest.raises(InputError, match=words) as error:
        read_volume(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    return message


def written(tmp_path, array, name="image.nii.gz", spacing=(1.0, 1.0, 1.0)):
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing(spacing[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    sitk.WriteImage(image, str(tmp_path / name))
    return tmp_path / name


def ramp(shape=(6, 7, 8), dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def nifti_bytes(tmp_path, **_):
    path = written(tmp_path, ramp(), "plain.nii")
    return bytearray(path.read_bytes())


def changed(tmp_path, kind, place, *values, name="changed.nii", array=None):
    """A NIfTI file with one field of its header overwritten."""
    content = bytearray(written(tmp_path, ramp() if array is None else array, "plain.nii").read_bytes())
    struct.pack_into(kind, content, place, *values)
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    return path
