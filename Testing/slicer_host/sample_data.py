"""The module SampleData, as far as registering and loading a sample with a downloader of its own goes."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from slicer_host.application import import_file, slicer_file


def make_sample_data_module() -> types.ModuleType:
    """Slicer's own file if there is a checkout, else the host's module with the same rules."""
    path = slicer_file("SampleData.py", "Modules/Scripted/SampleData")
    if path is not None:
        return import_file("SampleData", path)
    module = types.ModuleType("SampleData")
    module.SampleDataSource = SampleDataSource  # type: ignore[attr-defined]
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    return module


class SampleDataSource:
    """As Slicer's: text means one file, lists mean several, and all lists have one length."""

    def __init__(
        self,
        sampleName: str | None = None,  # noqa: N803
        uris: Any = None,
        fileNames: Any = None,  # noqa: N803
        nodeNames: Any = None,  # noqa: N803
        customDownloader: Callable[[Any], Any] | None = None,  # noqa: N803
        thumbnailFileName: str | None = None,  # noqa: N803
    ) -> None:
        if isinstance(uris, str):
            uris, fileNames, nodeNames = [uris], [fileNames], [nodeNames]  # noqa: N806
        self.sampleName, self.uris, self.fileNames, self.nodeNames = sampleName, uris, fileNames, nodeNames
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        if not len(uris) == len(fileNames) == len(nodeNames):
            raise ValueError("All fields of sample data source must have the same length")


class SampleDataLogic:
    """As Slicer's: registered sources are in `slicer.modules.sampleDataSources`."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:  # noqa: N802
        import slicer

        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        slicer.modules.sampleDataSources.setdefault(category, []).append(SampleDataSource(**source))
