"""Names as scanners, data sets and people write them."""

import pytest

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.sequence_names import guess_sequence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AX T2 HASTE fs", Sequence.T2WI),
        ("t2_tse_tra_p2_mbh", Sequence.T2WI),
        ("T2W_SPIR", Sequence.T2WI),
        ("T2FS", Sequence.T2WI),
        ("T1WI", Sequence.T1WI),
        ("t1_vibe_dixon_tra_W", Sequence.T1WI),
        ("Ax LAVA-Flex", Sequence.T1WI),
        ("ep2d_diff_b50_400_800_TRACEW", Sequence.DWI),
        ("DWI b800", Sequence.DWI),
        ("t1_vibe_fs_tra_arterial", Sequence.C_ARTERIAL),
        ("C+A", Sequence.C_ARTERIAL),
        ("C+V", Sequence.C_VENOUS),
        ("Ax LAVA portal venous", Sequence.C_VENOUS),
        ("C+Delay", Sequence.C_DELAY),
        ("t1 vibe delayed 5 min", Sequence.C_DELAY),
        ("C+pre", Sequence.C_PRE),
        ("T1 in-phase", Sequence.IN_PHASE),
        ("InPhase", Sequence.IN_PHASE),
        ("OutPhase", Sequence.OUT_PHASE),
        ("T1 opposed phase", Sequence.OUT_PHASE),
        ("GED1", Sequence.GED1),
        ("patient_07_GED4", Sequence.GED4),
        ("t1 vibe hepatobiliary 20min", Sequence.GED4),
        ("volume_3", None),
        ("", None),
        ("partition", None),
        ("CT abdomen", None),
    ],
)
def test_names(text, expected):
    assert guess_sequence(text) is expected


@pytest.mark.parametrize("sequence", list(Sequence))
def test_every_sequence_is_found_by_its_own_name(sequence):
    assert guess_sequence(f"case01_{sequence.value}") is sequence
