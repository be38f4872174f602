"""The Protocol of all engines."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """A network that is loaded and ready.

    `name` gives library, device and precision, e.g. "openvino cpu f32"; `device` as for `load_engine`; `batch` how
    many tiles it is best given at once.
    """

    name: str
    device: str
    batch: int

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Images float32 [B, C_in, Z, Y, X] of the model's patch size to logits float32 [B, C_out, Z, Y, X].

        The result is only good until the next call, which may overwrite it.

        Raises:
            DeviceMemoryError: the device's memory is too small for so many.
        """
