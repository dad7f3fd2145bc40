"""The vault's newest safeset against the last one that was countersigned for this agent."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.agent.history.head import check_head
from tools.agent.state import KnownHead
from tools.client.failure import Failure

KNOWN = KnownHead(timeline=1, sequence=7, root_hash="ab" * 32)
PATH = Path("/state/jobs/6a/head.json")


@dataclass
class Told:
    timeline: int
    head_sequence: int
    head_hash: bytes


@pytest.mark.parametrize("told", [Told(1, 6, b"\xab" * 32), Told(1, 6, b"\xac" * 32), Told(1, 0, bytes(32))])
def test_an_older_head_is_noticed(told: Told) -> None:
    with pytest.raises(Failure, match="went back in time") as caught:
        check_head(KNOWN, told, PATH)
    assert (caught.value.code, caught.value.exit_code) == ("damaged", 9)
    assert "remove /state/jobs/6a/head.json" in caught.value.hint


def test_another_safeset_under_the_same_number_is_noticed() -> None:
    with pytest.raises(Failure, match="is not the one that it countersigned") as caught:
        check_head(KNOWN, Told(1, 7, b"\xac" * 32), PATH)
    assert caught.value.exit_code == 9


def test_another_timeline_is_noticed() -> None:
    with pytest.raises(Failure, match="timeline 2"):
        check_head(KNOWN, Told(2, 8, b"\xab" * 32), PATH)


def test_the_same_head_is_fine_and_a_newer_one_is_left_to_the_chain() -> None:
    check_head(KNOWN, Told(1, 7, b"\xab" * 32), PATH)
    check_head(KNOWN, Told(1, 8, b"\xac" * 32), PATH)
