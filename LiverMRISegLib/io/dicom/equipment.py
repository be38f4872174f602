"""What made our DICOM objects, as each of them says (PS3.3, enhanced general equipment)."""

from __future__ import annotations

from typing import Any

from LiverMRISegLib.version import __version__

EQUIPMENT: dict[str, Any] = {
    "manufacturer": "LiverMRISeg",
    "manufacturer_model_name": "livermriseg",
    "software_versions": __version__,
    "device_serial_number": "0",
}
