"""What became of a case of `livermriseg segment`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from LiverMRISegLib.commands.plan import SegmentCase

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass(frozen=True)
class CaseResult:
    """The outcome of one case; `error` is empty unless it failed. It has no label map, so that many fit in memory."""

    case: SegmentCase
    status: str
    seconds: float = 0.0
    error: str = ""
    volumes_ml: dict[str, float] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    trust: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The entry of this case in the document that --json prints."""
        return {
            "input": str(self.case.source),
            **({"further inputs": [str(file) for file in self.case.further]} if self.case.further else {}),
            **({"series": self.case.series} if self.case.series else {}),
            **({"frame": self.case.frame} if self.case.frame else {}),
            "output": None if self.status == FAILED else str(self.case.output),
            "status": self.status,
            "error": self.error or None,
            "volumes_ml": {organ: round(volume, 3) for organ, volume in self.volumes_ml.items()},
            "trust": {organ: round(score, 3) for organ, score in self.trust.items()},
            "flags": self.flags,
            "seconds": round(self.seconds, 3),
            "provenance": self.provenance,
        }
