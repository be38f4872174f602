"""The parent's side of the protocol, without a process."""

import json

import pytest

from LiverMRISegLib.errors import CancelledError, InputError, LiverMRISegError
from LiverMRISegLib.inference.worker.conversation import Conversation, why_it_ended
from LiverMRISegLib.inference.worker.protocol import DoneEvent, FailedEvent, ProgressEvent, load_request


def said(*messages):
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


@pytest.fixture
def talk():
    return Conversation()


@pytest.fixture
def events(talk):
    events = []
    talk.begin(load_request("m", "cpu"), events.append)
    return events


def test_a_request_is_one_line_with_a_number(talk):
    assert json.loads(talk.begin(load_request("m"), print)) == {"id": 1, "do": "load", "model": "m", "device": "auto"}
    assert talk.is_busy


def test_lines_arrive_in_pieces_of_any_length(talk, events):
    content = said(
        {"id": None, "event": "started", "pid": 17},
        {"id": 1, "event": "progress", "text": "Leberläsion", "fraction": 0.5},
        {"id": 1, "event": "done", "model": "m"},
    )
    for n in range(len(content)):
        talk.receive(content[n : n + 1])
    assert talk.worker_pid == 17
    assert events[0] == ProgressEvent("Leberläsion", 0.5)
    assert isinstance(events[1], DoneEvent)
    assert events[1].reply["model"] == "m"
    assert not talk.is_busy


def test_what_belongs_to_no_request_is_passed_over(talk, events):
    talk.receive(b"PythonSlicer says hello\n[1]\n" + said({"id": 0, "event": "done"}))
    assert events == []
    assert talk.is_busy


def test_errors_come_back_as_they_were_raised(talk, events):
    talk.receive(said({"id": 1, "event": "error", "kind": "InputError", "message": "a: damaged"}))
    assert isinstance(events[0], FailedEvent)
    assert isinstance(events[0].error, InputError)
    assert str(events[0].error) == "a: damaged"


@pytest.mark.parametrize("kind", ["ZeroDivisionError", "annotations", "no_such"])
def test_other_errors_are_of_the_base_class(talk, events, kind):
    talk.receive(said({"id": 1, "event": "error", "kind": kind, "message": "unexpected"}))
    assert type(events[0].error) is LiverMRISegError


def test_one_request_at_a_time(talk, events):
    with pytest.raises(LiverMRISegError, match="already running"):
        talk.begin(load_request(), print)


def test_the_end_of_the_process_ends_the_request(talk, events):
    talk.process_ended(-9, "Out of memory")
    assert "SIGKILL; most often because memory ran out). Out of memory" in str(events[0].error)
    assert not talk.is_busy


def test_a_process_ended_by_a_cancel_is_a_cancelled_request(talk, events):
    assert json.loads(talk.cancel()) == {"do": "cancel"}
    talk.process_ended(-9, "")
    assert isinstance(events[0].error, CancelledError)
    assert talk.cancel() == b""


def test_a_callback_may_ask_the_next_request(talk):
    events = []

    def again(event):
        events.append(event)
        if len(events) == 1:
            talk.begin(load_request(), again)

    talk.begin(load_request(), again)
    talk.receive(said({"id": 1, "event": "done"}, {"id": 2, "event": "done"}))
    assert len(events) == 2


def test_a_request_that_was_given_up_is_forgotten(talk, events):
    talk.forget()
    talk.receive(said({"id": 1, "event": "done"}))
    talk.process_ended(0, "")
    assert events == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(3, "exit status 3"), (-11, "SIGSEGV"), (137, "SIGKILL"), (None, "it was closed")],
)
def test_how_a_process_ended_in_words(status, words):
    assert words in why_it_ended(status, "")
