"""A call in a process of its own."""

import os

import pytest

from tools.agent.apart import call_apart
from tools.client.failure import Failure


def process_and_length(secret: bytes) -> tuple[int, int, bool]:
    return os.getpid(), len(secret), os.getsid(0) == os.getpid()


def fail() -> None:
    raise Failure("conflict", "it was made already", "create it anew", {"place": "here"})


def break_down() -> None:
    raise ZeroDivisionError("by zero")


def end_at_once() -> None:
    os._exit(7)


def test_it_runs_elsewhere_and_the_answer_comes_back() -> None:
    pid, length, is_alone = call_apart(process_and_length, bytes(1_000_000))
    assert pid != os.getpid()
    assert (length, is_alone) == (1_000_000, True)


def test_a_failure_comes_back_as_it_is() -> None:
    with pytest.raises(Failure, match="it was made already") as caught:
        call_apart(fail)
    assert (caught.value.code, caught.value.hint, caught.value.details) == (
        "conflict", "create it anew", {"place": "here"},
    )  # fmt: skip


def test_any_other_error_and_a_lost_child_are_a_failure() -> None:
    with pytest.raises(Failure, match="ZeroDivisionError: by zero"):
        call_apart(break_down)
    with pytest.raises(Failure, match="ended with exit code 7"):
        call_apart(end_at_once)
