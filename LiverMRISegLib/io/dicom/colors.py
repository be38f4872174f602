"""Colours as DICOM recommends them to viewers (PS3.3, C.10.7.1.1)."""

from __future__ import annotations

import numpy as np

# sRGB to XYZ (IEC 61966-2-1), and the white of D65.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _TO_XYZ.sum(axis=1)


def cielab(color: tuple[int, int, int]) -> list[int]:
    """L*, a*, b* of an RGB colour (0 to 255), each scaled to 0 to 65535: for Recommended Display CIELab Value."""
    shares = np.array(color) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    x, y, z = _TO_XYZ @ linear / _WHITE
    fx, fy, fz = (v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z))
    lab = (116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz))
    scaled = (lab[0] / 100, (lab[1] + 128) / 255, (lab[2] + 128) / 255)
    return [round(65535 * min(1.0, max(0.0, float(v)))) for v in scaled]
