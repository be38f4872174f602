"""Small files of a user's own data set: an image and label maps of one grid."""

import json

import numpy as np

from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet
from LiverMRISegLib.io import write_segmentation, write_volume
from LiverMRISegLib.volume import Volume


def image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(make_volume(size=(12, 10, 8), seed=seed), path)
    return path


def labels(path, *values):
    path.parent.mkdir(parents=True, exist_ok=True)
    geometry = make_volume(size=(12, 10, 8)).geometry
    array = np.zeros(geometry.shape, np.uint8)
    for number, value in enumerate(values):
        array[2:6, 2:8, 2 + 3 * number : 5 + 3 * number] = value
    if path.name.endswith(".seg.nrrd"):
        write_segmentation(path, array, LabelSet("made", {values[0]: LIVER, values[1]: SPLEEN}), geometry)
    else:
        write_volume(Volume(array, geometry), path)
    return path


def described(folder, **changes):
    """nnU-Net's dataset.json in a folder; a change to None omits the key."""
    document = {
        "channel_names": {"0": "T2"}, "labels": {"background": 0, "liver": 1, "tumour": 2}, "file_ending": ".nii.gz",
        **changes,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    said = {key: value for key, value in document.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder
