"""A few hundred damaged inputs in every run of the tests; `make fuzz` runs thousands."""

import numpy as np
import pytest

from fuzz.runner import ACCEPTED, REFUSED, outcomes
from fuzz.targets import TARGETS

EACH = 25


def test_damaged_inputs_are_refused_in_one_line_or_read_as_they_are():
    found = list(outcomes((name, number) for name in TARGETS for number in range(EACH)))
    assert [str(outcome) for outcome in found if outcome.fault] == []
    kinds = {outcome.what for outcome in found}
    assert kinds == {ACCEPTED, REFUSED}
    # Damage that is never found, or always, would prove nothing.
    for name in TARGETS:
        assert sum(outcome.what == REFUSED for outcome in found if outcome.target == name) > EACH // 4


@pytest.mark.parametrize("name", list(TARGETS)[:1])
def test_an_input_is_made_from_its_number_alone(name, tmp_path):
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        contents.append(TARGETS[name].make(folder, np.random.default_rng([1, 2])).read_bytes())
    assert contents[0] == contents[1]
