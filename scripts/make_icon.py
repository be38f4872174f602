"""Draw the module's icon, 128 x 128: a liver on the dark of an MR image, with an outline as the panel shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import organ_named

_SIZE, _FINE = 128, 4


def main() -> None:
    """Write LiverMRISeg/Resources/Icons/LiverMRISeg.png."""
    from matplotlib.image import imsave

    target = Path(__file__).resolve().parents[1] / "LiverMRISeg" / "Resources" / "Icons" / "LiverMRISeg.png"
    fine = draw(_SIZE * _FINE)
    imsave(target, fine.reshape(_SIZE, _FINE, _SIZE, _FINE, 4).mean((1, 3)).clip(0, 1))


def draw(size: int) -> np.ndarray:
    """RGBA floats [size, size, 4]."""
    y, x = (np.indices((size, size)) + 0.5) / size * 2 - 1
    picture = np.zeros((size, size, 4))
    body = x**4 + y**4 < 0.92
    picture[body] = (0.13, 0.15, 0.19, 1.0)
    liver = shape(x, y)
    color = np.array(organ_named("liver").color) / 255
    shade = 0.78 + 0.22 * (1 - ((x + 0.35) ** 2 + (y + 0.25) ** 2))
    picture[liver < 1] = np.concatenate(
        [np.ones((size, size, 1)) * color * shade[..., None], np.ones((size, size, 1))], 2
    )[liver < 1]
    picture[(liver >= 1) & (liver < 1.16) & body] = (1.0, 0.93, 0.8, 1.0)
    return picture


def shape(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Below 1 inside: a large right lobe on the viewer's left, tapering to the left lobe."""
    right = ((x + 0.3) / 0.5) ** 2 + ((y - 0.02) / 0.58) ** 2
    left = ((x - 0.18) / 0.55) ** 2 + ((y + 0.24) / 0.27) ** 2
    return np.minimum(right, left)


if __name__ == "__main__":
    main()
