"""What is to be checked in a result as it is now: what the model's outline was like does not hold for an edited one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from LiverMRISegLib.anatomy import id_of
from LiverMRISegLib.inference.flag import TRUST
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.segment_volumes import SegmentVolume

_LEAST_EDIT_ML = 0.05


@dataclass(frozen=True)
class Checks:
    """The flags and the trust of a result, of whose segments those with the IDs `edited` were edited since."""

    result: SceneResult
    edited: frozenset[str] = frozenset()

    @classmethod
    def of(cls, result: SceneResult, rows: Iterable[SegmentVolume]) -> Checks:
        """With what its segments measure now; one that measures something else than when it was made was edited."""
        change = {row.organ_id: abs(row.ml - result.made_ml.get(row.organ_id, 0.0)) for row in rows}
        return cls(result, frozenset(one for one, ml in change.items() if ml > _LEAST_EDIT_ML))

    @property
    def trust(self) -> dict[str, float]:
        """The trust in each organ that was not edited."""
        return {organ: score for organ, score in self.result.trust.items() if id_of(organ) not in self.edited}

    def trust_of(self, segment_id: str) -> float | None:
        """The trust in one segment; None if there is none, or it was edited."""
        return next((score for organ, score in self.trust.items() if id_of(organ) == segment_id), None)

    def of_segment(self, segment_id: str) -> list[str]:
        """What is to be checked in one segment, beside its trust."""
        own = [flag for flag in self.result.flags if flag.organ and id_of(flag.organ) == segment_id]
        if segment_id in self.edited:
            return [_("edited"), *(flag.text for flag in own if flag.kind != TRUST)]
        return [_("check the outline") if flag.kind == TRUST else flag.text for flag in own]

    @property
    def all_flags(self) -> list[str]:
        """All flags; that the model was unsure of an outline is not said of an edited one."""
        said = []
        for flag in self.result.flags:
            if not flag.organ or id_of(flag.organ) not in self.edited:
                said.append(str(flag))
            elif flag.kind != TRUST:
                said.append(_("{flag} (edited since)").format(flag=flag))
        return said

    @property
    def first(self) -> str:
        """The organ that the model trusts least of those that were not edited, in words; empty if there is none."""
        if not self.trust:
            return ""
        organ, score = min(self.trust.items(), key=lambda item: item[1])
        return _("Look at this organ first: {organ} (trust {score})").format(organ=organ, score=f"{score:.2f}")
