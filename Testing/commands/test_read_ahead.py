"""Cases are read one ahead, in a thread; errors come when their case does."""

import threading

import pytest

from helpers.waiting import SECONDS
from LiverMRISegLib.commands.read_ahead import ReadAhead


def test_the_next_item_is_read_while_the_present_one_is_in_use():
    begun = {name: threading.Event() for name in "abc"}

    def read(name):
        begun[name].set()
        return name.upper(), threading.current_thread() is threading.main_thread()

    with ReadAhead(read) as reader:
        assert reader.get("a", "b") == ("A", False)
        assert begun["b"].wait(SECONDS)
        assert not begun["c"].is_set()
        assert reader.get("b", "c") == ("B", False)
        assert reader.get("c", None) == ("C", False)


def test_each_item_is_read_once_and_another_than_announced_is_read_too():
    calls = []
    with ReadAhead(lambda item: calls.append(item) or item) as reader:
        assert reader.get(1, 2) == 1
        assert reader.get(2, 3) == 2
        assert reader.get(4, None) == 4
    assert calls == [1, 2, 3, 4]


def test_an_error_belongs_to_its_own_item():
    def read(item):
        if item == 2:
            raise ValueError("bad")
        return item

    with ReadAhead(read) as reader:
        assert reader.get(1, 2) == 1
        with pytest.raises(ValueError, match="bad"):
            reader.get(2, 3)
        assert reader.get(3, None) == 3
