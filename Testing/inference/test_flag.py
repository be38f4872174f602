"""A flag is its sentence, and knows what it is about."""

import copy
import json
import pickle

from LiverMRISegLib.inference.flag import TRUST, Flag, as_flags, from_parts, to_parts

FLAGS = [Flag("has trust 0.60: check the outline", "liver", TRUST), Flag("the field of view is only 30 mm")]


def parts(flag):
    return str(flag), flag.text, flag.organ, flag.kind


def test_a_flag_is_its_sentence():
    assert FLAGS == ["liver has trust 0.60: check the outline", "the field of view is only 30 mm"]
    assert json.dumps(FLAGS) == json.dumps([str(flag) for flag in FLAGS])
    assert type("; ".join(FLAGS[:1])) is type(FLAGS[0].text) is str


def test_its_parts_survive_copies_and_json():
    for made in (
        copy.deepcopy(FLAGS), pickle.loads(pickle.dumps(FLAGS)), from_parts(json.loads(json.dumps(to_parts(FLAGS)))),
    ):  # fmt: skip
        assert [parts(flag) for flag in made] == [parts(flag) for flag in FLAGS]


def test_of_a_plain_sentence_nothing_is_known():
    assert [parts(flag) for flag in as_flags(["liver is cut", FLAGS[0]])] == [
        ("liver is cut", "liver is cut", "", ""), parts(FLAGS[0])
    ]  # fmt: skip
