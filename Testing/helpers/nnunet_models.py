"""Small folders of nnU-Net v2 with random weights, as its training leaves them."""

from __future__ import annotations

import nnunet_folder as made

LABELS = {"liver": 1, "kidney_right": 2, "Weird thing": 3}
FEATURES, PATCH, SPACING = [4, 8, 8], [8, 16, 16], [4.0, 2.0, 2.0]


def network(kind="PlainConvUNet", seed=0):
    return made.Design(kind, FEATURES).network(len(LABELS) + 1, seed)


def plan(kind="PlainConvUNet", **changes):
    return made.plans({"3d_fullres": {**made.configuration(made.Design(kind, FEATURES), SPACING, PATCH), **changes}})


def write(folder, *, plans=None, labels=LABELS, seeds=(0,), kind="PlainConvUNet", more=None, data=None, **names):
    folds = {f"fold_{seed}": made.checkpoint(network(kind, seed).state_dict(), **(more or {})) for seed in seeds}
    return made.write_folder(folder, plans or plan(kind), {**made.dataset(labels), **(data or {})}, folds, **names)
