"""What is to be checked in a result: by organ, kind and what was edited, without reading a sentence."""

from LiverMRISegLib.inference.flag import EDGE, TRUST, Flag, to_parts
from LiverMRISegScene.checks import Checks
from LiverMRISegScene.results import result_of
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.segment_volumes import SegmentVolume

REPLY = {"volumes_ml": {"liver": 1500.0}, "provenance": {}, "trust": {"liver": 0.6}}


def test_the_name_of_one_organ_may_begin_that_of_another():
    flags = [Flag("touches the edge", "liver vessels", EDGE), Flag("unsure", "kidney_right", TRUST)]
    checks = Checks(SceneResult("x", flags=flags, trust={"liver vessels": 0.7, "kidney_right": 0.5}))
    assert checks.of_segment("liver") == []
    assert checks.of_segment("liver_vessels") == ["touches the edge"]
    assert checks.of_segment("kidney_right") == ["check the outline"]
    assert checks.trust_of("liver") is None
    assert checks.first == "Look at this organ first: kidney_right (trust 0.50)"


def test_what_measures_something_else_than_when_it_was_made_was_edited():
    result = SceneResult("x", flags=[Flag("unsure", "liver", TRUST)], trust={"liver": 0.6}, made_ml={"liver": 1500.0})
    same = Checks.of(result, [SegmentVolume("liver", "Leber", 1500.01)])
    assert (same.edited, same.trust, same.all_flags) == (frozenset(), {"liver": 0.6}, ["liver unsure"])
    for rows in ([SegmentVolume("liver", "liver", 1400.0)], [SegmentVolume("", "liver", 0.0)]):
        edited = Checks.of(result, rows)
        assert (edited.edited, edited.trust, edited.all_flags, edited.first) == ({"liver"}, {}, [], "")
        assert edited.of_segment("liver") == ["edited"]


def test_a_reply_without_parts_is_readable():
    """As the worker of an earlier version gives it: the sentences are shown, for no organ."""
    flags = ["liver has trust 0.60: check the outline"]
    old = Checks(result_of("x", None, {**REPLY, "flags": flags}))
    assert (old.all_flags, old.of_segment("liver")) == (flags, [])
    parts = to_parts([Flag("has trust 0.60: check the outline", "liver", TRUST)])
    new = Checks(result_of("x", None, {**REPLY, "flags": flags, "flag_parts": parts}))
    assert (new.all_flags, new.of_segment("liver")) == (flags, ["check the outline"])
