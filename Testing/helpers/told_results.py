"""What a worker answers: two organs with flags and trust, and how the panel shows that."""

import numpy as np

from helpers.volumes import make_volume
from LiverMRISegLib.inference.flag import EDGE, INPUT, NOT_FOUND, TRUST, Flag, to_parts
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Volume

SIZE = (40, 36, 24)
LIVER, SPLEEN = np.s_[4:12, 4:20, 5:20], np.s_[14:20, 20:30, 25:30]
FLAGS = [
    Flag('the file says "left; right: <b>50 %</b>" \u00fc', kind=INPUT), Flag("touches the edge", "liver", EDGE),
    Flag("has trust 0.60: check the outline", "liver", TRUST), Flag("was not found", "right kidney", NOT_FOUND),
]  # fmt: skip
SHOWN = [
    "Look at this organ first: liver (trust 0.60)", '\u26a0 the file says "left; right: <b>50 %</b>" \u00fc',
    "\u26a0 liver touches the edge", "\u26a0 liver has trust 0.60: check the outline",
    "\u26a0 right kidney was not found",
]  # fmt: skip


def reply(liver=LIVER):
    """What the worker answers, and the labels that it writes."""
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[liver], labels[SPLEEN] = 1, 4
    counted = {"liver": np.sum(labels == 1), "spleen": np.sum(labels == 4)}
    volumes = {organ: float(count) * 0.02 for organ, count in counted.items()}
    return labels, {
        "labels": {"liver": 1, "spleen": 4, "right kidney": 2}, "volumes_ml": {**volumes, "right kidney": 0.0},
        "flags": list(FLAGS), "flag_parts": to_parts(FLAGS), "trust": {"liver": 0.6, "spleen": 0.8}, "provenance": {},
    }  # fmt: skip


def answered(folder, **options):
    labels, said = reply(**options)
    folder.mkdir(exist_ok=True)
    write_volume(Volume(labels, make_volume(size=SIZE).geometry), folder / "labels.nrrd")
    return said
