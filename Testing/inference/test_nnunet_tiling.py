"""Tiles, weights, padding and mirroring are nnU-Net's: against values that nnunetv2 2.8.1 computed in 32 bits."""

import numpy as np
import pytest

from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.models.package.specification import NNUNET, InferenceSpec

# Per class: mean, deviation and four values of the logits, without and with mirroring along axes 0 and 2, by
# nnUNetPredictor.predict_sliding_window_return_logits with the network of `Network`.
FROZEN = {
    False: [
        (-0.467697, 0.935358, [0.4, -0.79025, 0.58038, -1.5]),
        (-1.402665, 3.371496, [1.2, -4.21129, 0.93981, -5.97992]),
        (0.048231, 0.311534, [0.3133, 0.54232, 0.019, -0.18423]),
    ],
    True: [
        (-0.467697, 0.935358, [0.4, -0.79025, 0.58038, -1.5]),
        (-1.403849, 2.980323, [1.8, -2.99779, 0.83985, -3.76506]),
        (0.048281, 0.276034, [0.4633, 0.38876, 0.00178, -0.33189]),
    ],
}


class Network:
    """Its result depends on the place in the tile and on the whole tile."""

    name, device, batch = "made", "cpu", 2

    def __init__(self):
        self.tiles = 0

    def predict(self, batch):
        self.tiles += len(batch)
        ramp = (np.arange(batch[0].size) % 7).reshape(batch[0].shape).astype(np.float32)
        mean = batch.mean(axis=(1, 2, 3, 4), keepdims=True)
        return np.concatenate([batch, batch * ramp, mean + 0.1 * ramp + 0 * batch], axis=1)


@pytest.mark.parametrize("mirror", [False, True])
def test_logits_are_those_of_nnunet(mirror):
    j = np.arange(13 * 20 * 18, dtype=np.float64)
    image = (np.sin(0.37 * j) + 0.4 * np.cos(0.0113 * j)).reshape(13, 20, 18).astype(np.float32)
    image[9:] = -1.5
    spec, network = InferenceSpec((8, 16, 24), mirror_axes=(0, 2), scheme=NNUNET), Network()
    logits = predict_logits(image, network, 3, spec, mirror=mirror, progress=silent, cancel=CancelToken())
    assert logits.shape == (3, 13, 20, 18)
    # In 32 bits nnU-Net's weights fall below the least one of its 16 bits, which is ours.
    for found, (mean, deviation, values) in zip(logits.reshape(3, -1), FROZEN[mirror], strict=True):
        assert found.mean(dtype=float) == pytest.approx(mean, abs=2e-5)
        assert found.std(dtype=float) == pytest.approx(deviation, abs=2e-5)
        assert found[[0, 1234, 2500, 4600]] == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize(("scheme", "tiles"), [(NNUNET, 3), ("own", 1)])
def test_only_our_own_scheme_leaves_tiles_of_air_out(scheme, tiles):
    image = np.zeros((8, 8, 16), np.float32)
    image[2:6, 2:6, :3] = 1.0
    network = Network()
    predict_logits(
        image, network, 3, InferenceSpec((8, 8, 8), scheme=scheme), progress=silent, cancel=CancelToken()
    )  # fmt: skip
    assert network.tiles == tiles


class Sum:
    """Two classes: nothing, and the sum of a case's images."""

    name, device, batch = "sum", "cpu", 1

    def __init__(self):
        self.tiles = 0

    def predict(self, batch):
        self.tiles += 1
        total = batch.sum(axis=1)
        return np.stack([0.5 - 0 * total, total], axis=1)


def test_a_tile_is_of_air_only_if_it_is_so_in_every_image_of_the_case():
    """And the axis of the images is none of space."""
    images = np.zeros((2, 16, 16, 24), np.float32)
    images[0, 2:6, 2:6, 2:6] = images[1, 10:14, 10:14, 18:22] = 1.0
    found = {}
    for scheme in ("own", NNUNET):
        network, spec = Sum(), InferenceSpec((8, 8, 8), overlap=0.0, scheme=scheme)
        logits = predict_logits(images, network, 2, spec, progress=silent, cancel=CancelToken())
        found[scheme] = network.tiles
        assert np.array_equal(logits.argmax(axis=0), images.any(axis=0))
    assert found == {"own": 2, NNUNET: 12}
