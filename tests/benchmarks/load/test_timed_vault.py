"""What the timed vault writes down, and what is read from it."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from benchmarks.load import timed_vault
from benchmarks.load.timed_site import share_of


def slow_commit(*given: Any) -> str:
    with Path(given[0]).open("a", encoding="ascii") as file:
        file.write('{"what": "in it"}\n')
    return "done"


def test_commits_alone_are_timed_in_their_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note comes after what the commit did, and other writing has none."""
    notes = tmp_path / "notes"
    monkeypatch.setenv(timed_vault.NOTES, str(notes))
    monkeypatch.setattr(timed_vault, "COMMITS", (slow_commit,))
    assert trio.run(timed_vault.write, slow_commit, notes) == "done"
    assert trio.run(timed_vault.write, len, "abc") == 3
    lines = [json.loads(line) for line in notes.read_text(encoding="ascii").splitlines()]
    assert [line["what"] for line in lines] == ["in it", "commit"]
    assert lines[1]["seconds"] > 0


def test_the_share_is_of_what_lies_between_begin_and_end() -> None:
    """From 10 to 20: one that began before, one within, one that ends behind, two that lie outside."""
    notes = [(5, 7), (14, 1), (19, 8), (1, 2), (30, 1)]
    found = [{"begin_seconds": begin, "seconds": seconds} for begin, seconds in notes]
    assert share_of(found, 10, 20) == pytest.approx(0.4)
